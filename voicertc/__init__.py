"""A self-hosted WebRTC voice-agent server: speak to it, be answered, interrupt it.

    app.add_subapp("/voice-agent", voicertc.create_app(agent=my_agent))      # in an aiohttp application
    answer_sdp = await voicertc.Endpoint(agent=my_agent).answer(offer_sdp)    # in any other

The names below are the public interface, with the HTTP routes, the events on the wire and the command line.
Each is imported when it is first asked for, so that ``import voicertc`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# onnxruntime >= 1.29 reports its use to Microsoft and keeps a device id in ~/.cache, unless this is set
# before it is first imported (microsoft/onnxruntime, docs/Privacy.md). Nobody who serves voices from a
# machine of their own asked for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from .agents.base import Agent, AgentRequest, AgentSession
    from .core.options import Tool
    from .core.replies import ToolCall
    from .endpoint import Endpoint
    from .errors import ClientError, ProviderError, SettingsError, VoicertcError
    from .server.app import create_app
    from .settings import Settings

__all__ = [
    "Agent",
    "AgentRequest",
    "AgentSession",
    "ClientError",
    "Endpoint",
    "ProviderError",
    "Settings",
    "SettingsError",
    "Tool",
    "ToolCall",
    "VoicertcError",
    "__version__",
    "create_app",
]

_HOMES = {
    "Agent": "agents.base",
    "AgentRequest": "agents.base",
    "AgentSession": "agents.base",
    "ClientError": "errors",
    "Endpoint": "endpoint",
    "ProviderError": "errors",
    "Settings": "settings",
    "SettingsError": "errors",
    "Tool": "core.options",
    "ToolCall": "core.replies",
    "VoicertcError": "errors",
    "create_app": "server.app",
}
"""The module each public name comes from."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'voicertc' has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
