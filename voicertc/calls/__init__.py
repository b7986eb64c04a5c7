"""The connections of clients: each joins a session, a wire and what carries them, a peer or a WebSocket.

    call            a peer: sound as RTP, events on the data channel
    socket_call     a WebSocket: sound as events, in both directions
    sideband        a WebSocket beside a call: events only

``opening`` is what a new call begins with; ``socket_line``, ``reply_sound`` and ``link_watch`` are its parts.
"""
