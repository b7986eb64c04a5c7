"""The HTTP surface: the page, the calls and the health of an endpoint, as an aiohttp application.

``app`` puts it together and can be mounted under any prefix; ``calls`` exchanges offers for answers, ``page``
serves the page, ``ops`` tells whether all is well; ``proxy`` finds out who really asked, ``errors`` turns
whatever goes wrong into JSON.
"""
