# syntax=docker/dockerfile:1
# voicertc in a container, with its own speech engines:
#
#     docker build -t voicertc .
#     docker run --rm -p 8080:8080 -p 8080:8080/udp -e VOICERTC_RTC__ANNOUNCED_ADDRESS=203.0.113.7 voicertc
#
# All calls share the one UDP port. The announced address is the one that clients reach this machine by: a container
# on a bridge knows only its own, and so does a machine behind a cloud's one-to-one NAT.
#
# Browsers give the microphone to https pages and to localhost only: put a proxy with a certificate in front (and
# name it: VOICERTC_SERVER__TRUSTED_PROXIES), or add --tls self-signed.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY voicertc voicertc
COPY static static
# All of it, dependencies included, as wheels: the image below needs no network, no compiler and no index.
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[local]"

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "voicertc[local]" \
    && useradd --system --create-home --uid 10001 voicertc
USER voicertc
WORKDIR /home/voicertc
# Loopback inside a container is reached by nobody.
ENV VOICERTC_SERVER__HOST=0.0.0.0 VOICERTC_SERVER__PORT=8080 VOICERTC_RTC__UDP_PORT=8080
EXPOSE 8080/tcp 8080/udp
# Plain http, as behind a proxy: who serves https from the container gives it a check of their own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:%s/healthz' % os.environ['VOICERTC_SERVER__PORT'], timeout=2)"]
# A goodbye to all callers takes up to 3 s; Docker waits for 10 before it kills.
STOPSIGNAL SIGTERM
ENTRYPOINT ["voicertc"]
CMD ["serve"]
