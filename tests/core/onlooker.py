"""What a client believes, from what it is told alone; fails where that is no sense or not the truth."""

from __future__ import annotations

from dataclasses import dataclass, field

from voicertc.core import commands, facts
from voicertc.core.commands import Command
from voicertc.core.conversation import Conversation
from voicertc.core.facts import Fact
from voicertc.core.items import Item, Kind, Modality, Role, Status
from voicertc.core.replies import Outcome, ReplyRequest


@dataclass(slots=True)
class Shown:
    """One response as a client sees it."""

    request: ReplyRequest
    item_ids: list[str] = field(default_factory=list)
    open_ids: set[str] = field(default_factory=set)
    is_ended: bool = False
    playout: str = ""


class Onlooker:
    """Keeps a client's copy of the history and of all responses, and compares it with ours."""

    def __init__(self, conversation: Conversation, *, is_client_paced: bool) -> None:
        self.responses: dict[str, Shown] = {}
        self.history: list[str] = []
        self.texts: dict[str, str | None] = {}
        self.n_refused = 0
        self.is_over = False
        self._conversation = conversation
        self._is_client_paced = is_client_paced
        self._asked: list[str] = []
        self._apart: set[str] = set()
        self._speaking: set[str] = set()

    def asked(self, request: ReplyRequest) -> None:
        """A client is about to ask for a response that carries its number."""
        assert request.metadata is not None
        self._asked.append(request.metadata[0][1])

    def watch(self, ordered: list[Command]) -> None:
        """Take what came of one event."""
        for command in ordered:
            match command:
                case commands.Publish(fact):
                    self._take(fact)
                case commands.StartReply(reply_id, request):
                    self._check_start(reply_id, request)
                case commands.DropTurn(item_id):
                    self._speaking.discard(item_id)

    def look(self) -> None:
        """Compare what a client believes with what is."""
        items = self._conversation.items
        assert self.history == [item.id for item in items]
        for item in items:
            assert self.texts[item.id] == item.text, item
        assert not self._apart & set(self.history), "an aside leaves no items"
        if self._conversation.session.is_transcription:
            assert not self.responses

    def look_at_end(self) -> None:
        """The call was hung up: all that was begun has been told to its end, and then that it is over."""
        self.look()
        assert self.is_over
        assert all(shown.is_ended and shown.playout in ("", "over") for shown in self.responses.values())

    def look_back(self) -> None:
        """All has come to an end: nothing may be left open, nobody left without an answer."""
        self.look()
        for reply_id, shown in self.responses.items():
            assert shown.is_ended, reply_id
            assert shown.playout in ("", "over"), reply_id
        for item in self._conversation.items:
            assert item.status is not Status.IN_PROGRESS, item
        answered = {dict(shown.request.metadata or ()).get("number") for shown in self.responses.values()}
        assert set(self._asked) <= answered

    def _check_start(self, reply_id: str, request: ReplyRequest) -> None:
        if request.is_aside and request.output is Modality.TEXT:
            return
        for other_id, other in self.responses.items():
            is_beside = other.request.is_aside and other.request.output is Modality.TEXT
            if other_id == reply_id or is_beside:
                continue
            assert other.is_ended, f"{reply_id} begins while {other_id} is in progress"
            assert self._is_client_paced or other.playout in ("", "over"), f"{reply_id} over {other_id}"

    # --- facts --------------------------------------------------------------------------------------

    def _take(self, fact: Fact) -> None:
        assert not self.is_over, f"{fact} after the end"
        match fact:
            case facts.CallEnding():
                self.is_over = True
            case facts.ItemAdded(item, previous):
                self._insert(item, previous)
            case facts.ItemDeleted(item_id):
                self.history.remove(item_id)
                for shown in self.responses.values():
                    shown.open_ids.discard(item_id)
            case facts.TurnStarted(item_id):
                self._speaking.add(item_id)
            case facts.TurnStopped(item_id):
                self._speaking.remove(item_id)
            case facts.FinalHeard(item_id, text):
                assert self.texts[item_id] is None, "words come once"
                self.texts[item_id] = text
            case facts.ItemTruncated(item_id, _, text):
                self._cut(item_id, text)
            case facts.Refused():
                self.n_refused += 1
            case facts.PlayoutStarted() | facts.PlayoutStopped() | facts.PlayoutCleared():
                self._take_playout(fact)
            case _:
                self._take_reply(fact)

    def _take_reply(self, fact: Fact) -> None:
        match fact:
            case facts.ReplyBegan(reply_id, request):
                assert reply_id not in self.responses, "a response begins once"
                self.responses[reply_id] = Shown(request)
            case facts.ReplyItemBegan(reply_id, item, previous, is_aside):
                shown = self._live(reply_id)
                assert is_aside is shown.request.is_aside
                assert item.status is Status.IN_PROGRESS
                assert item.id not in shown.item_ids
                shown.item_ids.append(item.id)
                shown.open_ids.add(item.id)
                if is_aside:
                    self._apart.add(item.id)
                    self.texts[item.id] = item.text
                else:
                    self._insert(item, previous)
            case facts.ReplyTextGrew(reply_id, item_id, text):
                assert item_id in self._live(reply_id).open_ids
                assert text, "an empty delta"
                self.texts[item_id] = (self.texts[item_id] or "") + text
            case facts.ReplyItemEnded(reply_id, item, _, is_aside):
                shown = self._live(reply_id)
                assert is_aside is shown.request.is_aside
                shown.open_ids.remove(item.id)
                assert item.status is not Status.IN_PROGRESS
                self._end_item(item)
            case facts.ReplyEnded():
                self._end(fact)

    def _live(self, reply_id: str) -> Shown:
        shown = self.responses[reply_id]
        assert not shown.is_ended, f"{reply_id} goes on after its end"
        return shown

    def _insert(self, item: Item, previous: str | None) -> None:
        assert item.id not in self.history, f"{item.id} comes twice"
        self.history.insert(0 if previous is None else self.history.index(previous) + 1, item.id)
        self.texts[item.id] = item.text

    def _end_item(self, item: Item) -> None:
        if item.kind is Kind.MESSAGE:
            said = self.texts[item.id] or ""
            assert said.startswith(item.text or ""), "an item holds what was told of it, or less"
        self.texts[item.id] = item.text

    def _cut(self, item_id: str, text: str) -> None:
        assert (self.texts[item_id] or "").startswith(text), "a truncation never lengthens"
        self.texts[item_id] = text

    def _end(self, fact: facts.ReplyEnded) -> None:
        shown = self._live(fact.reply_id)
        assert not shown.open_ids, f"{fact.reply_id} ends before its items"
        shown.is_ended = True
        put_out = [item.id for item in fact.items]
        assert put_out == [item_id for item_id in shown.item_ids if item_id in put_out]
        for item in fact.items:
            assert item.role is Role.ASSISTANT
            assert item.text == self.texts[item.id]
        assert (fact.outcome is Outcome.COMPLETED) is (fact.reason is None)

    def _take_playout(self, fact: facts.PlayoutStarted | facts.PlayoutStopped | facts.PlayoutCleared) -> None:
        shown = self.responses[fact.reply_id]
        before = shown.playout
        shown.playout = "playing" if isinstance(fact, facts.PlayoutStarted) else "over"
        assert before == ("" if shown.playout == "playing" else "playing"), f"{fact} after {before!r}"
        if shown.playout == "over":
            assert shown.is_ended, "sound ends after the response"
        else:
            assert not self._speaking, "nobody begins to talk over the user"
