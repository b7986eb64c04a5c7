"""The thin shell around the core: what waits, so that the core need not.

    hear(frame) ─> hearing ─> driver ─> core ─> driver ─> speaking ─> PlayoutBuffer
                                                   └────> wires (facts)

Read ``session`` first. Nothing here knows of WebRTC, HTTP or JSON.
"""
