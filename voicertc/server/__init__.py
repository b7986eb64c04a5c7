"""The HTTP surface: the page, the calls and the health of an endpoint, as an aiohttp application.

    request ─► errors ─► access (origins, keys) ─► calls ─► offers, sessions ─► port: the endpoint
                    └──► page, ops              └► client_secrets, websocket, rtvi

``app`` puts it together and can be mounted under any prefix. ``access`` lets in who may come: ``origins``
judges the page that asks, ``keys`` the key that came along. ``calls`` exchanges offers for answers and
``client_secrets`` makes short-lived keys; ``websocket`` carries calls without WebRTC, ``rtvi`` those of
Pipecat's clients. ``page`` serves the page, ``ops`` tells whether all is well. ``proxy`` finds out who really
asked, ``bodies`` and ``multipart`` read what was sent, ``errors`` turns whatever goes wrong into JSON.
"""
