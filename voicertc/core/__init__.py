"""Everything that decides: pure functions of events and a number called ``now``.

    event, now ──> Conversation.handle ──> commands
                   Conversation.next_deadline ──> when to call again if nothing happens

Read ``conversation`` first, then ``floor``, where it is decided who speaks; ``events`` is what it is told,
``commands`` what it orders, ``facts`` what the world may know. Nothing in this package waits, reads a clock,
draws a random number, touches audio or logs; ``tests/test_layers.py`` enforces it.
"""
