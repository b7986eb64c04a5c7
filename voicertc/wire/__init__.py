"""What clients and a session say to each other, without any I/O: OpenAI's Realtime protocol (GA).

    client's text ──> RealtimeWire.receive ──> core events          a fact ──> RealtimeWire.render ──> texts

``realtime`` is one client's connection; ``client_events`` reads what it sends, ``fields`` is the strict
JSON door that all reading goes through; ``server_events`` and ``responses`` write what it is told;
``session_json`` and ``item_json`` are the two objects that travel in both directions.
"""

from .realtime import RealtimeWire

__all__ = ["RealtimeWire"]
