"""Whatever the order of events, the core keeps its promises."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.core import commands, events, facts
from voicertc.core.commands import Command
from voicertc.core.conversation import Conversation
from voicertc.core.events import Event
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.journal import entry_line, header_line, replay
from voicertc.core.options import ConversationOptions, EndpointingOptions, SessionOptions, TurnDetection
from voicertc.core.replies import Cause, ReplyRequest, Usage

REPLY_IDS = st.sampled_from([f"resp_{n}" for n in range(1, 6)])
TURN_IDS = st.sampled_from([f"item_u{n}" for n in range(1, 6)])
ITEM_IDS = st.sampled_from(["item_u1", "item_r1", "item_r2", "mine", "unknown"])
AT = st.floats(0, 100, allow_nan=False)
TEXT = st.sampled_from(["", "hello", "mm-hm", "one two three"])
INDEX = st.integers(0, 3)
SAMPLES = st.integers(0, 200_000)

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.just(events.CallConnected()),
    st.just(events.ClientAway()),
    st.just(events.ClientBack()),
    st.just(events.TimeElapsed()),
    st.just(events.EndRequested()),
    st.builds(events.SpeechSuspected, AT),
    st.builds(events.SpeechStarted, AT),
    st.builds(events.SpeechStopped, AT),
    st.builds(events.TranscriptInterim, TURN_IDS, TEXT),
    st.builds(events.WordsGuessed, TURN_IDS, TEXT),
    st.builds(events.TranscriptFinal, TURN_IDS, TEXT, st.sampled_from([None, 0.1, 0.9])),
    st.builds(events.TranscriptFailed, TURN_IDS, st.sampled_from(["busy", "crashed"]), TEXT),
    st.builds(events.ReplyTextAdded, REPLY_IDS, TEXT),
    st.builds(events.ClauseQueued, REPLY_IDS, INDEX, TEXT),
    st.builds(events.ClauseVoiced, REPLY_IDS, INDEX, SAMPLES, SAMPLES),
    st.builds(events.ClauseBegan, REPLY_IDS, INDEX),
    st.builds(events.ToolCalled, REPLY_IDS, st.just("weather"), st.just("{}")),
    st.builds(events.UsageCounted, REPLY_IDS, st.just(Usage(3, 2, 1))),
    st.builds(events.ClockAdvanced, st.floats(0, 5, allow_nan=False)),
    st.builds(events.ReplyGenerated, REPLY_IDS, st.sampled_from([None, "max_output_tokens"])),
    st.builds(events.ReplyFailed, REPLY_IDS, st.just("x"), TEXT),
    st.builds(events.PlayoutDrained, REPLY_IDS),
    st.builds(events.ReplyStopped, REPLY_IDS, SAMPLES),
    st.builds(events.SayRequested, TEXT, st.sampled_from([Cause.SAY, Cause.TIMER])),
    st.builds(
        events.SessionUpdated,
        st.builds(
            SessionOptions,
            turn_detection=st.sampled_from([None, TurnDetection(), TurnDetection(idle_timeout=5.0)]),
        ),
    ),
    st.builds(events.ItemSubmitted, st.builds(Item, ITEM_IDS, st.just(Role.USER), TEXT), ITEM_IDS),
    st.builds(events.ItemDeleteRequested, ITEM_IDS),
    st.builds(events.ItemRetrieveRequested, ITEM_IDS),
    st.builds(events.ItemTruncateRequested, ITEM_IDS, st.integers(0, 5000)),
    st.builds(
        events.ItemSubmitted,
        st.just(Item("output", Role.USER, "21", Kind.FUNCTION_CALL_OUTPUT, call_id="call_1")),
    ),
    st.builds(
        events.ResponseRequested,
        st.builds(
            ReplyRequest,
            st.just(Cause.CLIENT),
            output=st.sampled_from(list(Modality)),
            is_aside=st.booleans(),
            input=st.sampled_from([None, (Item("item_u1", kind=Kind.ITEM_REFERENCE),)]),
        ),
    ),
    st.builds(events.ResponseCancelRequested, st.one_of(st.none(), REPLY_IDS)),
    st.just(events.OutputClearRequested()),
    st.just(events.InputCommitRequested()),
    st.just(events.InputClearRequested()),
    st.just(events.ClientErred("bad", "bad")),
)
STEPS = st.lists(st.tuples(st.floats(0, 3, allow_nan=False), EVENTS), max_size=60)


@dataclass
class Ears:
    """What an onlooker believes, from the commands alone."""

    audible: set[str] = field(default_factory=set)
    asides: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)
    sounding: set[str] = field(default_factory=set)
    is_client_paced: bool = False

    def watch(self, command: Command) -> None:
        match command:
            case commands.StartReply(reply_id, request):
                assert reply_id not in self.started, "a reply begins once"
                is_beside = request.is_aside and request.output is Modality.TEXT
                if not is_beside and self.is_client_paced:
                    assert self.audible - self.asides <= self.sounding, "only what is played already goes on"
                elif not is_beside:
                    assert not self.audible - self.asides, "no reply begins while another can be heard"
                if is_beside:
                    self.asides.add(reply_id)
                self.started.add(reply_id)
                self.audible.add(reply_id)
            case commands.CancelReply(reply_id):
                assert reply_id in self.audible
                self.audible.discard(reply_id)
                self.held.discard(reply_id)
            case commands.HoldReply(reply_id):
                assert reply_id in self.audible
                self.held.add(reply_id)
            case commands.ResumeReply(reply_id) | commands.DuckReply(reply_id):
                assert reply_id in self.audible, "only a live reply goes on"
                self.held.discard(reply_id)
            case commands.Publish(facts.PlayoutStopped(reply_id)):
                self.audible.discard(reply_id)
            case commands.Publish(facts.PlayoutStarted(reply_id)):
                self.sounding.add(reply_id)
            case commands.Publish(facts.ReplyEnded(reply_id)) if reply_id not in self.sounding:
                self.audible.discard(reply_id)
            case _:
                pass


def play(
    steps: list[tuple[float, Event]], *, is_client_paced: bool = False
) -> tuple[Conversation, list[str]]:
    eager = EndpointingOptions(eager_silence=0.15)
    conversation = Conversation(ConversationOptions(endpointing=eager, is_client_paced=is_client_paced))
    lines = [header_line("test", conversation, "")]
    ears = Ears(is_client_paced=is_client_paced)
    now = 0.0
    for delay, event in steps:
        now += delay
        deadline = conversation.next_deadline()
        ordered = conversation.handle(event, now)
        lines.append(entry_line(now, event, ordered))
        for command in ordered:
            ears.watch(command)
        after = conversation.next_deadline()
        assert after is None or after > now, "no deadline is left behind, so no timer spins"
        assert deadline is None or isinstance(deadline, float)
    return conversation, lines


@settings(max_examples=400, deadline=None)
@given(STEPS, st.booleans())
def test_no_order_of_events_raises_or_makes_two_replies_audible(
    steps: list[tuple[float, Event]], is_client_paced: bool
) -> None:
    play(steps, is_client_paced=is_client_paced)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.booleans())
def test_replaying_a_journal_gives_the_same_commands_byte_for_byte(
    steps: list[tuple[float, Event]], is_client_paced: bool
) -> None:
    conversation, lines = play(steps, is_client_paced=is_client_paced)
    report = replay(lines)
    assert report.differences == ()
    assert report.items == conversation.items


@settings(max_examples=150, deadline=None)
@given(STEPS, EVENTS)
def test_stale_answers_change_nothing(steps: list[tuple[float, Event]], event: Event) -> None:
    conversation, _ = play(steps)
    before = conversation.items
    stale = {
        "reply_id": "resp_999",
        "item_id": "item_u999",
    }
    fields = {name: stale[name] for name in stale if hasattr(event, name)}
    if not fields or isinstance(event, events.ItemDeleteRequested):
        return
    values = {name: getattr(event, name) for name in event.__dataclass_fields__} | fields
    ordered = conversation.handle(type(event)(**values), conversation_now(steps))
    assert conversation.items == before
    assert not any(isinstance(command, commands.StartReply) for command in ordered)


def conversation_now(steps: list[tuple[float, Event]]) -> float:
    return sum(delay for delay, _ in steps)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans()), max_size=40))
def test_the_agent_never_begins_to_talk_over_an_open_turn(steps: list[tuple[float, bool]]) -> None:
    conversation = Conversation()
    conversation.handle(events.CallConnected(), 0.0)
    now = 0.0
    is_speaking = False
    for delay, starts in steps:
        now += delay
        event = events.SpeechStarted(now) if starts else events.SpeechStopped(now)
        is_speaking = starts
        ordered = conversation.handle(event, now)
        for command in ordered:
            if isinstance(command, commands.CloseTurn):
                ordered = ordered + conversation.handle(events.TranscriptFinal(command.item_id, "hello"), now)
        if is_speaking:
            assert not any(isinstance(command, commands.StartReply) for command in ordered)
