"""What the bot says, as RTVI clients show it: each clause is a segment, told of when it begins and ends.

bot-llm-started · bot-tts-started · bot-started-speaking
  bot-llm-text · bot-transcription · bot-output (new) · bot-tts-text · bot-output (completed)     per clause
bot-tts-stopped · bot-llm-stopped                                       all of it has begun to leave
bot-stopped-speaking, after bot-interrupted if the rest was thrown away
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from ..core import facts
from ..core.clauses import ClauseSplitter
from ..core.items import Modality
from ..core.replies import Outcome
from .rtvi_message import Message, failure, message, text_message


@dataclass(slots=True)
class _Reply:
    """``is_thought``: a language model is at work, not merely a voice. ``length``: characters told so far."""

    is_thought: bool = True
    is_aside: bool = False
    length: int = 0
    splitter: ClauseSplitter = field(default_factory=ClauseSplitter)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A clause on its way: ``text`` stands in its item from character ``start`` on."""

    number: int
    item_id: str
    text: str
    start: int


class BotOutput:
    """The replies of one client's session. Owned by its wire.

    ``is_v1``: the client speaks RTVI 1.x, which knows no segments.
    """

    def __init__(self) -> None:
        self.is_v1 = False
        self._replies: dict[str, _Reply] = {}
        self._numbers = count(1)
        self._segment: _Segment | None = None

    def reply_began(self, fact: facts.ReplyBegan) -> list[Message]:
        """Tell that an answer is being thought of; what is merely said needs no thought."""
        request = fact.request
        self._replies[fact.reply_id] = _Reply(request.text is None, request.is_aside)
        return [message("bot-llm-started")] if request.text is None and not request.is_aside else []

    def message_began(self, fact: facts.ReplyItemBegan) -> list[Message]:
        """Tell that something will be spoken."""
        return [message("bot-tts-started")] if fact.item.modality is Modality.AUDIO else []

    def text_grew(self, fact: facts.ReplyTextGrew) -> list[Message]:
        """Tell a clause that is beginning to leave, or more written words."""
        reply = self._of(fact.reply_id)
        if reply.is_aside:
            return []
        start = reply.length
        reply.length += len(fact.text)
        told = [text_message("bot-llm-text", fact.text)] if reply.is_thought else []
        if fact.output is Modality.TEXT:
            return [*told, *self._written(reply.splitter.feed(fact.text))]
        before = self._complete()
        self._segment = _Segment(next(self._numbers), fact.item_id, fact.text, start)
        words = fact.text.strip()
        return [
            *before,
            *told,
            text_message("bot-transcription", words),
            self._spoken_output(self._segment, "new", ""),
            text_message("bot-tts-text", words),
        ]

    def message_ended(self, fact: facts.ReplyItemEnded) -> list[Message]:
        """Tell that no more of it will come."""
        if fact.item.modality is Modality.AUDIO:
            return [message("bot-tts-stopped")]
        return self._written(self._of(fact.reply_id).splitter.flush())

    def reply_ended(self, fact: facts.ReplyEnded) -> list[Message]:
        """Tell how it ended; its sound may still be leaving."""
        reply = self._replies.pop(fact.reply_id, _Reply())
        if reply.is_aside:
            return []
        told: list[Message] = []
        if fact.outcome is Outcome.FAILED:
            told.append(failure(fact.message or "The reply failed."))
        if fact.usage is not None:
            total = fact.usage.input_tokens + fact.usage.output_tokens
            tokens = {
                "prompt_tokens": fact.usage.input_tokens,
                "completion_tokens": fact.usage.output_tokens,
                "total_tokens": total,
                "cache_read_input_tokens": fact.usage.cached_tokens,
            }
            told.append(message("metrics", {"tokens": [tokens]}))
        return [*told, message("bot-llm-stopped")] if reply.is_thought else told

    def playout_started(self) -> list[Message]:
        """Tell that the bot is heard."""
        return [message("bot-started-speaking")]

    def playout_stopped(self) -> list[Message]:
        """Tell that it has been heard to its end."""
        return [*self._complete(), message("bot-stopped-speaking")]

    def playout_cleared(self) -> list[Message]:
        """Tell that the rest will not be heard; how much was, ``truncated`` tells."""
        return [message("bot-interrupted"), message("bot-stopped-speaking")]

    def truncated(self, fact: facts.ItemTruncated) -> list[Message]:
        """Tell how much was heard of the clause that was cut."""
        segment = self._segment
        if segment is None or segment.item_id != fact.item_id:
            return []
        self._segment = None
        if self.is_v1:
            return []
        heard = fact.text[segment.start : segment.start + len(segment.text)]
        is_whole = len(heard) == len(segment.text)
        return [self._spoken_output(segment, "completed" if is_whole else "in-progress", heard)]

    def _of(self, reply_id: str) -> _Reply:
        """Return what is known of a reply: nothing, if it began before this client was there."""
        return self._replies.setdefault(reply_id, _Reply())

    def _complete(self) -> list[Message]:
        segment, self._segment = self._segment, None
        if segment is None or self.is_v1:
            return []
        return [self._spoken_output(segment, "completed", segment.text)]

    def _spoken_output(self, segment: _Segment, status: str, heard: str) -> Message:
        told: dict[str, object] = {"text": segment.text.strip(), "aggregated_by": "sentence"}
        if self.is_v1:
            return message("bot-output", told | {"spoken": True})
        progress = {"accumulated_text": heard.strip(), "remaining_text": segment.text[len(heard) :].strip()}
        told |= {"segment_id": segment.number, "will_be_spoken": True, "spoken_status": status}
        return message("bot-output", told | {"spoken_progress": progress})

    def _written(self, clauses: list[str]) -> list[Message]:
        """Tell clauses that nobody will speak: each once, for it is complete as it is."""
        told: list[Message] = []
        for clause in clauses:
            words = clause.strip()
            output: dict[str, object] = {"text": words, "aggregated_by": "sentence"}
            if self.is_v1:
                output |= {"spoken": False}
            else:
                output |= {
                    "segment_id": next(self._numbers),
                    "will_be_spoken": False,
                    "spoken_status": "new",
                }
            told += [text_message("bot-transcription", words), message("bot-output", output)]
        return told
