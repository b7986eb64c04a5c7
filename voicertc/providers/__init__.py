"""Speech and language services behind three small ports; one file per provider.

``base`` has the ports, ``registry`` finds an implementation by its name in the settings. A provider
translates its library's exceptions into ``errors.ProviderError`` and resamples at its own door: it is given
16 kHz and delivers 24 kHz, mono int16.
"""
