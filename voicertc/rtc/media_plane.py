"""What all calls of a process share to carry their sound: one UDP port, one clock, one way through aiortc."""

from __future__ import annotations

import logging

from .. import logs
from ..audio.opus import implementation as opus
from . import aiortc_patch
from .media_clock import MediaClock
from .options import RtcOptions
from .own_path import OwnPath
from .public_path import PublicPath
from .udp_port import UdpPort

_log = logging.getLogger(__name__)


class MediaPlane:
    """Made on the event loop by whoever owns the calls, and closed behind the last of them.

    ``only_public``: use nothing of aiortc but its public API, as if this were a version that is not known.
    """

    def __init__(self, options: RtcOptions, *, only_public: bool = False) -> None:
        self.is_public = only_public or bool(aiortc_patch.MISSING)
        """Whether calls run on aiortc's public API: a third of what they could be, with its delays."""
        self.clock = MediaClock()
        self.port = None if self.is_public or options.udp_port is None else UdpPort(options.udp_port)
        """The port of all calls; ``None``: each has its own."""
        if aiortc_patch.MISSING:
            missing = ",".join(aiortc_patch.MISSING)
            logs.event(_log, logging.WARNING, "media_path_public", missing=missing)

    @property
    def hearing_delay(self) -> float:
        """How old, in seconds, the newest sound is that is heard: see ``media_path``."""
        return PublicPath.hearing_delay if self.is_public else OwnPath.hearing_delay

    @property
    def description(self) -> str:
        """How sound is carried, for people."""
        if self.is_public:
            return f"aiortc's public API, as {', '.join(aiortc_patch.MISSING)} is missing in it; {opus}"
        where = "random UDP ports" if self.port is None else f"UDP port {self.port.port} for all calls"
        return f"{where}; {opus}"

    def open(self) -> None:
        """Open the port now, rather than at the first call. Raises ``SettingsError`` if it is taken."""
        if self.port is not None:
            self.port.open(aiortc_patch.host_addresses())

    def close(self) -> None:
        """Close the port; may be called twice."""
        if self.port:
            self.port.close()
