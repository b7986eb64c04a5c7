"""Calls over WebRTC: a peer connection at one end, frames of sound and text messages at the other.

``Peer`` is what the rest of the house uses. Everything that reaches into private parts of aiortc or aioice
is in ``aiortc_patch``; nothing here knows of conversations.
"""
