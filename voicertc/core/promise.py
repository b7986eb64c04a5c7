"""Nobody is left in silence: while the user waits for the agent there is a word in time, or an apology.

    owed ──2.4 s of silence──> "One moment, please." ──5 s of silence──> "I am still working on it." ──> …

This is a rule over the conversation's state and no timer beside it: after every event ``follow`` is told
whether the agent owes a word and whether any can be heard, whoever is waited for: a recognizer, an agent, a
voice that stopped in the middle, a function of the client's. When the wait is over for good is decided where
it began (``Reply.deadline``, the words' deadline); a function's is here, for nobody else waits for that.
"""

from __future__ import annotations

_FIRST = 2.4
"""Seconds of silence before the first word: with what it takes to say it, three at the ear."""
_AGAIN = 5.0
"""Seconds of silence between two words of progress: shorter ones nag, longer ones sound like a dead line."""
_TOOL_PATIENCE = 30.0
"""Seconds a client's function may take before its caller hears that nothing came of it."""


class Promise:
    """Owned by the ``Floor``. ``n_kept``: how many words were said in place of the one that is owed."""

    def __init__(self) -> None:
        self.n_kept = 0
        self._owed_since: float | None = None
        self._silent_since: float | None = None

    @property
    def deadline(self) -> float | None:
        """When a word must be said; ``None`` while none is owed, or one is heard."""
        if self._silent_since is None:
            return None
        return self._silent_since + (_AGAIN if self.n_kept else _FIRST)

    def follow(self, now: float, *, is_owed: bool, is_audible: bool) -> None:
        """Take what has become of it: whether the agent owes words now, and whether any are heard."""
        if not is_owed:
            self.n_kept = 0
            self._owed_since = self._silent_since = None
            return
        if self._owed_since is None:
            self._owed_since = now
        if is_audible:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now

    def keep(self, now: float) -> None:
        """A word is about to be said; if it is not heard either, another is due in its time."""
        self.n_kept += 1
        self._silent_since = now

    def is_tool_overdue(self, now: float) -> bool:
        """Whether a function has been waited for long enough."""
        return self._owed_since is not None and now - self._owed_since >= _TOOL_PATIENCE

    def shift(self, by: float) -> None:
        """Session time has jumped: nobody has waited any longer for it."""
        if self._owed_since is not None:
            self._owed_since += by
        if self._silent_since is not None:
            self._silent_since += by
