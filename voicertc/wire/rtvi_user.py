"""What the user said, as RTVI clients show it: while it is heard, and as what the agent is given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..core import facts
from ..core.items import Item, Kind, Role
from ..core.options import SessionOptions
from ..core.replies import Cause
from .rtvi_message import Message, message, text_message

_USER_ID = "user"
"""Whose words transcripts are: a call has one user."""
_MAX_UNANSWERED = 64
"""Things the user said that are remembered until an answer to them is heard."""


class UserInput:
    """The words of one client's user. Owned by its wire. ``clock`` gives unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._is_shown = True
        self._said: list[str] = []
        self._n_given = 0

    def session_changed(self, options: SessionOptions) -> None:
        """Show transcripts, or hide them."""
        self._is_shown = options.transcription_model is not None

    def heard(self, text: str, *, is_final: bool) -> list[Message]:
        """Tell the words of a turn; until they are final the next ones take their place."""
        if is_final:
            self._remember(text)
        if not text or not self._is_shown:
            return []
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        told = {"text": text, "final": is_final, "timestamp": at, "user_id": _USER_ID}
        return [message("user-transcription", told)]

    def wrote(self, item: Item) -> None:
        """Note what was written, which nobody needs to be told but the agent."""
        if item.kind is Kind.MESSAGE and item.role is Role.USER:
            self._remember(item.text or "")

    def given(self, fact: facts.ReplyBegan) -> list[Message]:
        """Tell what the agent is given to answer: all since its last answer, if some of it is new."""
        request = fact.request
        is_new = self._n_given < len(self._said)
        is_answer = request.cause in (Cause.TURN, Cause.CLIENT) and request.input is None
        if not is_new or not is_answer or not self._is_shown:
            return []
        self._n_given = len(self._said)
        return [text_message("user-llm-text", " ".join(self._said))]

    def answered(self) -> None:
        """An answer is being heard: what it was given is done with."""
        del self._said[: self._n_given]
        self._n_given = 0

    def _remember(self, text: str) -> None:
        if text:
            self._said.append(text)
        if len(self._said) > _MAX_UNANSWERED:
            del self._said[0]
            self._n_given = max(0, self._n_given - 1)
