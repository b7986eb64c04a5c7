"""What wants to be said as soon as the floor is free, in the order of its claim.

a client's own request  >  the answer to the user  >  spoken asides  >  utterances (apology, greeting, …)
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from .options import SessionOptions
from .replies import Cause, ReplyRequest

_MOST_URGENT = (Cause.APOLOGY, Cause.GREETING)


class Agenda:
    """Owned by the ``Floor``. ``asked`` is a client's request that waits for the floor.

    ``asides`` are to be said outside the conversation, but not over it: nobody hears two voices at once.
    """

    def __init__(self, *, max_says: int) -> None:
        self.asked: ReplyRequest | None = None
        self.asides: deque[ReplyRequest] = deque()  # bounded by the floor, which refuses more
        self.answer_is_due = False
        self.idle_is_due = False
        self._max_says = max_says
        self._says: deque[tuple[Cause, str]] = deque()

    def say(self, text: str, cause: Cause) -> None:
        """Queue an utterance; apologies and the greeting come before others, the oldest gives way.

        An apology that waits already is not made twice.
        """
        entry = (cause, text)
        if cause is Cause.APOLOGY and entry in self._says:
            return
        if len(self._says) >= self._max_says:
            self._says.remove(next((old for old in self._says if old[0] not in _MOST_URGENT), self._says[0]))
        if cause in _MOST_URGENT:
            self._says.appendleft(entry)
        else:
            self._says.append(entry)

    def put_back(self, request: ReplyRequest) -> None:
        """Queue again what was cancelled before a word of it was heard."""
        if request.cause is Cause.FILLER:
            return  # what it was to bridge is over; another is due in its time
        if request.cause is Cause.TURN:
            self.answer_is_due = True
        elif request.is_aside:
            self.asides.appendleft(request)
        elif request.cause is Cause.CLIENT:
            self.asked = self.asked or request  # what was asked for since answers both
        elif request.text is not None:
            self._says.appendleft((request.cause, request.text))

    def drop_greeting(self) -> None:
        """Somebody else had the first word: a greeting would only be in the way."""
        kept = [entry for entry in self._says if entry[0] is not Cause.GREETING]
        self._says.clear()
        self._says.extend(kept)

    def clear(self) -> None:
        """Forget everything."""
        self.asked = None
        self.asides.clear()
        self.answer_is_due = self.idle_is_due = False
        self._says.clear()

    def take_asked(self) -> ReplyRequest | None:
        """Return the client's own request, or ``None``."""
        request, self.asked = self.asked, None
        if request:
            self.answer_is_due = self.idle_is_due = False
        return request

    def take(self, session: SessionOptions) -> ReplyRequest | None:
        """Return the reply to give now, with the session's options, or ``None``."""
        if request := self.take_asked():
            return request
        if self.answer_is_due or self.idle_is_due:
            cause = Cause.TURN if self.answer_is_due else Cause.IDLE
            self.answer_is_due = self.idle_is_due = False
            return plain_request(session, cause)
        if self.asides:
            return self.asides.popleft()
        if self._says:
            cause, text = self._says.popleft()
            return replace(plain_request(session, cause), text=text)
        return None


def plain_request(session: SessionOptions, cause: Cause) -> ReplyRequest:
    """Return a request for a reply as the session has it."""
    return ReplyRequest(
        cause,
        instructions=session.instructions,
        output=session.output,
        voice=session.voice,
        speed=session.speed,
        language=session.language,
        tools=session.tools,
        tool_choice=session.tool_choice,
        max_output_tokens=session.max_output_tokens,
    )
