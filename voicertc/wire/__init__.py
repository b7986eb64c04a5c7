"""What clients and a session say to each other, without any I/O: OpenAI's Realtime protocol (GA), and RTVI.

    client's text ──> RealtimeWire.receive ──> core events          a fact ──> RealtimeWire.render ──> texts

``realtime`` is one client's connection; ``client_events`` reads what it sends, ``fields`` is the strict
JSON door that all reading goes through; ``server_events`` and ``responses`` write what it is told;
``session_json`` and ``item_json`` are the two objects that travel in both directions.

``rtvi`` has the same face for Pipecat's clients: ``rtvi_client`` puts what they ask for into the words above,
``rtvi_user``, ``rtvi_output`` and ``rtvi_tools`` tell them of the user, the bot and its function calls.
"""

from .realtime import RealtimeWire
from .rtvi import RtviWire

__all__ = ["RealtimeWire", "RtviWire"]
