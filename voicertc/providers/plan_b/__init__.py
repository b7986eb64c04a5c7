"""Plan B: what happens when a provider is slow, full, broke or gone, for every stage alike.

                 ┌─ breaker      is it known to be down?            (skipped while it is)
                 ├─ rate_limits  is the account's allowance spent?  (skipped until it is not)
    member ──────┼─ gate         are too many asking it already?    (short queue, then the next member)
                 └─ probe        asked in the background while it is down

A chain is the members in the order of the settings; ``stream.with_plan_b`` goes down that order until one
gives its first piece, and from then on what that one does goes up as it is. Only what is a provider's own
fault (``blame``) counts: not a listener who leaves, nor a request that is refused for what it asks.

``stt`` and ``tts`` are the chains of recognizers and voices; ``agents.fallback`` is the chain of agents.
"""
