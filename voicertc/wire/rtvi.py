"""One Pipecat client's connection: RTVI messages become core events, facts become RTVI messages.

    client-ready ─> bot-ready        client-message {t, d} ─> the native client event ``t``, server-response
    send-text … ──> core events      ping: <ms>, signalling ─> nothing

The same face as ``RealtimeWire``, and the same session behind it; RTVI 2.1, and 1.x in what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from ..core import events, facts
from ..core.events import Origin
from ..core.facts import Fact, State
from ..core.items import Kind
from ..core.options import SessionOptions
from ..errors import ClientError
from .fields import Fields, identifier, parse_message, string
from .flood import FLOOD_BURST, FLOOD_NOTICE, FLOOD_RATE, TokenBucket
from .item_json import render_item
from .received import Received, Told
from .rtvi_client import Asked, ask_for_reply, read_message, read_native, read_result
from .rtvi_message import LABEL, Message, failure, message, refusal, write
from .rtvi_output import BotOutput
from .rtvi_tools import FunctionCalls
from .rtvi_user import UserInput
from .session_json import render_session

PROTOCOL_VERSION = "2.1.0"
"""What clients are told we speak; those of 1.x are told their own version."""

MAX_MESSAGE_BYTES = 64 * 1024
"""Larger messages are not even parsed: what clients take for the limit of a data channel that names none."""


@dataclass(slots=True)
class _Outcome:
    """What has become of a native event; ``shown`` is what the client asked to see, as JSON."""

    is_refused: bool = False
    shown: object = None


class RtviWire:
    """RTVI for one client: ``name`` is the wire's own within the session ``sess_…``.

    ``about`` is what ``bot-ready`` says of this server; ``clock`` gives unix seconds, for transcripts.
    """

    wants_link = False
    """RTVI has no message for how packets fare."""

    def __init__(
        self, *, name: str, session_id: str, about: Mapping[str, str], clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._session_id = session_id
        self._about = dict(about)
        self._bucket = TokenBucket(rate=FLOOD_RATE, burst=FLOOD_BURST)
        self._flood_told_at: float | None = None
        self._user = UserInput(clock)
        self._output = BotOutput()
        self._calls = FunctionCalls()
        self._outcome = _Outcome()

    def opened(self, options: SessionOptions, state: State | None = None) -> list[str]:
        """Return the first messages of a connection: none, for RTVI clients speak first."""
        self._user.session_changed(options)
        return []

    def receive(self, text: str | bytes, options: SessionOptions, now: float) -> Iterator[Received]:
        """Yield what one message means, each thing when the one before it has been done.

        ``options`` are the session's in force; ``now`` is any monotonic clock's, in seconds. Never raises.
        """
        if not self._bucket.take(now):
            yield from self._flooded(now)
            return
        message_id = None
        try:
            sent = _read(text)
            if sent is None:
                return
            message_id = sent.read("id", identifier, absent=None, null=None)
            kind = sent.need("type", string)
            asked = Asked(kind, message_id, sent.section("data"), options, self.name)
            yield from self._understand(asked)
        except ClientError as error:
            yield _told(refusal(error.message, message_id))

    def render(self, fact: Fact) -> list[str]:
        """Return what this client is told of ``fact``, in order; nothing if it is not its business."""
        return write(self._messages(fact))

    # --- from the client ------------------------------------------------------------------------

    def _flooded(self, now: float) -> Iterator[Received]:
        told_at = self._flood_told_at
        if told_at is None or now - told_at >= FLOOD_NOTICE:
            self._flood_told_at = now
            yield _told(failure("Too many messages; some have been dropped. Send fewer."))

    def _understand(self, asked: Asked) -> Iterator[Received]:
        match asked.kind:
            case "client-ready":
                yield self._bot_ready(asked)
            case "client-message":
                yield from self._client_message(asked)
            case "llm-function-call-result":
                yield from self._function_result(asked)
            case _:
                yield from read_message(asked)

    def _bot_ready(self, asked: Asked) -> Received:
        if asked.id is None:
            raise ClientError("id is missing: bot-ready has to name it.", code="missing_required_parameter")
        version = asked.data.read("version", string, absent=PROTOCOL_VERSION, null=PROTOCOL_VERSION)
        self._output.is_v1 = version.startswith("1.")
        spoken = version if self._output.is_v1 else PROTOCOL_VERSION
        return _told(message("bot-ready", {"version": spoken, "about": self._about}, id=asked.id))

    def _client_message(self, asked: Asked) -> Iterator[Received]:
        """Pass on a native event; whoever asked is answered by what has become of it."""
        kind, event = read_native(asked)
        self._outcome = outcome = _Outcome()
        yield event
        if asked.id is not None and not outcome.is_refused:
            answer = {"t": kind} if outcome.shown is None else {"t": kind, "d": outcome.shown}
            yield _told(message("server-response", answer, id=asked.id))

    def _function_result(self, asked: Asked) -> Iterator[Received]:
        item = read_result(asked)
        call_id = item.call_id or ""
        if not self._calls.is_open(call_id):
            raise ClientError(f"No function call {call_id} waits for a result.", code="item_not_found")
        is_last = self._calls.is_last(call_id)
        yield events.ItemSubmitted(item, origin=asked.origin)
        if is_last:
            yield ask_for_reply(asked.options)

    # --- to the client --------------------------------------------------------------------------

    def _messages(self, fact: Fact) -> list[Message]:
        # Longer than a function should be, so that mypy can check that no fact is forgotten.
        user, output, calls = self._user, self._output, self._calls
        match fact:
            case facts.SessionChanged():
                return self._session_changed(fact)
            case facts.TurnStarted():
                return [message("user-started-speaking")]
            case facts.TurnStopped():
                return [message("user-stopped-speaking")]
            case facts.InterimHeard(_, text):
                return user.heard(text, is_final=False)
            case facts.FinalHeard(_, text):
                return user.heard(text, is_final=True)
            case facts.HearingFailed(_, _, why):
                return [failure(why)]
            case facts.ItemAdded(item) if item.kind is Kind.FUNCTION_CALL_OUTPUT:
                return calls.answered(item)
            case facts.ItemAdded(item):
                user.wrote(item)
                return []
            case facts.ItemRetrieved():
                return self._item_retrieved(fact)
            case facts.ReplyBegan():
                return [*user.given(fact), *output.reply_began(fact)]
            case facts.ReplyItemBegan() if not fact.is_aside:
                is_call = fact.item.kind is Kind.FUNCTION_CALL
                return calls.began(fact.item) if is_call else output.message_began(fact)
            case facts.ReplyTextGrew():
                user.answered()
                return output.text_grew(fact)
            case facts.ReplyItemEnded() if not fact.is_aside and fact.item.kind is Kind.MESSAGE:
                return output.message_ended(fact)
            case facts.ReplyEnded():
                called = [] if fact.request.is_aside else calls.reply_ended(fact)
                return [*output.reply_ended(fact), *called]
            case facts.PlayoutStarted():
                return output.playout_started()
            case facts.PlayoutStopped():
                return output.playout_stopped()
            case facts.PlayoutCleared():
                return output.playout_cleared()
            case facts.ItemTruncated():
                return output.truncated(fact)
            case facts.Refused():
                return self._refused(fact)
            case facts.TurnMeasured():
                return [_metrics(fact)]
            case facts.CallEnding(reason):
                return _farewell(reason)
            case (
                facts.StateChanged()
                | facts.TurnTimedOut()
                | facts.TurnCommitted()
                | facts.InputCleared()
                | facts.ItemDone()
                | facts.ItemDeleted()
                | facts.ReplyItemBegan()
                | facts.ReplyItemEnded()
                | facts.HandedOff()
                | facts.ToolProgressed()
                | facts.LinkMeasured()
                | facts.UsageAdded()
            ):
                return []  # RTVI has no words for it
            case _:
                assert_never(fact)

    def _session_changed(self, fact: facts.SessionChanged) -> list[Message]:
        self._user.session_changed(fact.options)
        if self._is_mine(fact.origin):
            self._outcome.shown = render_session(fact.options, self._session_id)
        return []

    def _item_retrieved(self, fact: facts.ItemRetrieved) -> list[Message]:
        if self._is_mine(fact.origin):
            self._outcome.shown = render_item(fact.item)
        return []

    def _refused(self, fact: facts.Refused) -> list[Message]:
        origin = fact.origin
        if origin is None or origin.wire != self.name:
            return []
        self._outcome.is_refused = True
        return [refusal(fact.message, origin.event_id)]

    def _is_mine(self, origin: Origin | None) -> bool:
        return origin is not None and origin.wire == self.name


def _read(text: str | bytes) -> Fields | None:
    """Return a message, or ``None`` for what is none of RTVI. Raises ``ClientError``."""
    if isinstance(text, bytes):
        raise ClientError("Messages must be text, not binary.", code="invalid_message")
    if text.startswith("ping"):
        return None  # small-webrtc-transport sends "ping: <ms>" every second; any datagram is a sign of life
    # The first comparison spares encoding what is too long anyway.
    if len(text) > MAX_MESSAGE_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_BYTES:
        raise ClientError(f"A message may have {MAX_MESSAGE_BYTES} bytes at most.", code="message_too_large")
    sent = parse_message(text)
    # What has another label, or none, is the transport's: signalling of tracks that are muted or not.
    return sent if sent.read("label", _anything, absent=None, null=None) == LABEL else None


def _anything(value: object, path: str) -> object:
    return value


def _told(answer: Message) -> Told:
    return Told(write([answer])[0])


def _metrics(fact: facts.TurnMeasured) -> Message:
    """What Pipecat calls time to the first byte: of the words, of the agent's text, of the voice."""
    ttfb = {"stt": fact.recognition, "llm": fact.first_text, "tts": fact.first_audio}
    processing = {"endpointing": fact.silence, "clauses": fact.first_clause, "playout": fact.playout}
    return message("metrics", {"ttfb": _timings(ttfb), "processing": _timings(processing)})


def _timings(seconds: Mapping[str, float]) -> list[dict[str, object]]:
    return [{"processor": name, "value": round(value, 3)} for name, value in seconds.items()]


def _farewell(reason: str) -> list[Message]:
    left: Message = {"type": "signalling", "message": {"type": "peerLeft"}}
    if reason == "failed":
        return [failure("The call failed; it has been noted.", is_fatal=True), left]
    return [left]
