"""An answer that is prepared while the user pauses: heard at once if the turn is over, else never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicertc.core import commands, events, facts
from voicertc.core.conversation import Conversation
from voicertc.core.items import Item, Modality, Role
from voicertc.core.options import ConversationOptions, EndpointingOptions, Phrases, SessionOptions, Tool
from voicertc.core.replies import Cause, ReplyRequest, ToolCall, Usage
from voicertc.testing.world import Delays, World

EAGER = EndpointingOptions(eager_silence=0.15)
OPTIONS = ConversationOptions(phrases=Phrases(greeting=None, waiting=None), endpointing=EAGER)
REALISTIC = Delays(detection=0.07, hangover=0.13, final=0.2, agent=0.25, voice=0.1)
"""Of a recognizer, a language model and a voice on an ordinary day."""


def told(world: World, kind: type[facts.Fact], until: float) -> list[float]:  # type: ignore[valid-type]
    return [when for when in world.when(kind) if when < until]


def test_a_turn_that_is_over_is_answered_much_sooner() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    begin, _ = world.audible[0]
    # 0.15 of silence, then what the services take; without a guess it is 0.5 of silence.
    assert begin == pytest.approx(2.0 + 0.15 + 0.2 + 0.25 + 0.1)
    patient = World(replace(OPTIONS, endpointing=EndpointingOptions(eager_silence=None)), delays=REALISTIC)
    patient.user_says(1.0, "how are you", lasts=1.0)
    patient.run(until=10.0)
    assert patient.audible[0][0] == pytest.approx(2.0 + 0.5 + 0.2 + 0.25 + 0.1)
    assert world.history == patient.history


def test_nothing_is_told_or_heard_before_the_turn_is_over() -> None:
    world = World(OPTIONS, delays=Delays(hangover=0.13, final=0.05, agent=0.05, voice=0.05))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=2.49)
    assert world.times_of(commands.StartReply) == [pytest.approx(2.2)]
    assert (world.audible, world.history) == ([], [])
    assert world.facts_of(facts.ReplyBegan) == []
    world.run(until=10.0)
    assert world.when(facts.TurnStopped) == world.when(facts.ReplyBegan) == [2.5]
    assert world.audible[0][0] == 2.5
    kinds = [type(fact) for fact in world.facts]
    assert kinds.index(facts.FinalHeard) < kinds.index(facts.ReplyBegan) < kinds.index(facts.PlayoutStarted)


def test_who_goes_on_is_one_turn_and_the_guess_leaves_no_trace() -> None:
    world = World(OPTIONS, agent=lambda text: f"You said {text}.", delays=REALISTIC)
    world.user_says(1.0, "tell me", lasts=1.0)
    world.user_says(2.4, "a story", lasts=1.0)
    world.run(until=10.0)
    assert world.history == [("user", "tell me a story"), ("assistant", "You said tell me a story.")]
    assert len(world.facts_of(facts.TurnStarted)) == len(world.facts_of(facts.ReplyBegan)) == 1
    assert len(world.times_of(commands.CancelReply)) == 1
    assert world.facts_of(facts.ReplyEnded)[0].outcome == "completed"


def test_words_that_were_guessed_wrongly_are_answered_anew() -> None:
    world = World(OPTIONS, agent=lambda text: f"You said {text}.", delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=2.2)
    world.at(2.4, events.WordsGuessed("item_u1", "who are you"))
    world.run(until=10.0)
    assert world.history[-1] == ("assistant", "You said how are you.")
    assert len(world.facts_of(facts.ReplyBegan)) == 1


def test_what_a_client_adds_meanwhile_is_answered_too() -> None:
    world = World(OPTIONS, agent=lambda text: f"You said {text}.", delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.42, events.ItemSubmitted(Item("mine", Role.USER, "really")))
    world.run(until=10.0)
    assert world.history[-1] == ("assistant", "You said really how are you.")


def test_other_instructions_meanwhile_are_followed() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.45, events.SessionUpdated(SessionOptions(instructions="Be brief.")))
    world.run(until=10.0)
    assert [fact.request.instructions for fact in world.facts_of(facts.ReplyBegan)] == ["Be brief."]


def test_a_call_that_was_guessed_is_made_when_the_turn_is_over() -> None:
    session = SessionOptions(tools=(Tool("weather"),))
    quick = Delays(hangover=0.13, final=0.05, agent=0.05)
    world = World(OPTIONS, session, agent=lambda _: [ToolCall("weather"), Usage(3, 2)], delays=quick)
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.run(until=2.49)
    assert world.conversation.items == ()
    world.run(until=3.0)
    assert [item.name for item in world.conversation.items] == [None, "weather"]
    assert world.facts_of(facts.ReplyEnded)[0].usage == Usage(3, 2)


def test_a_guess_that_failed_is_tried_again_when_the_turn_is_over() -> None:
    answers = iter([RuntimeError("no"), "Fine."])
    quick = Delays(hangover=0.13, final=0.05, agent=0.05)
    world = World(OPTIONS, agent=lambda _: next(answers), delays=quick)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    assert world.history[-1] == ("assistant", "Fine.")


def test_a_turn_without_words_forgets_what_was_prepared() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    world.user_says(1.0, "", lasts=0.3)
    world.run(until=1.5)
    world.at(1.5, events.WordsGuessed("item_u1", "hello"))
    world.run(until=10.0)
    assert len(world.times_of(commands.StartReply)) == len(world.times_of(commands.CancelReply)) == 1
    assert world.facts_of(facts.ReplyBegan) == []


def test_who_thinks_aloud_is_not_guessed_at_for_ever() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    for number in range(5):
        world.user_says(1.0 + number, f"word {number}", lasts=0.6)
    world.run(until=20.0)
    assert len(world.times_of(commands.GuessTurn)) == 2
    assert len(world.facts_of(facts.ReplyBegan)) == 1


@pytest.mark.parametrize(
    "options",
    [
        replace(OPTIONS, endpointing=EndpointingOptions(eager_silence=None)),
        replace(OPTIONS, endpointing=EndpointingOptions(eager_silence=0.9)),
    ],
)
def test_nothing_is_guessed_where_nothing_is_won(options: ConversationOptions) -> None:
    world = World(options)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    assert world.times_of(commands.GuessTurn) == []


@pytest.mark.parametrize(
    "session",
    [
        SessionOptions(output=Modality.TEXT),
        SessionOptions(turn_detection=None),
        SessionOptions(is_transcription=True),
    ],
)
def test_nothing_is_guessed_where_turns_are_not_answered_aloud(session: SessionOptions) -> None:
    world = World(OPTIONS, session)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    assert world.times_of(commands.GuessTurn) == []


def test_nothing_is_guessed_in_a_file_that_comes_at_once() -> None:
    world = World(replace(OPTIONS, is_client_paced=True))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.05, events.ClockAdvanced(0.1))
    world.run(until=10.0)
    assert world.times_of(commands.GuessTurn) == []


def test_nothing_is_guessed_that_is_known_by_the_time_it_would_be() -> None:
    conversation = Conversation(OPTIONS)
    conversation.handle(events.CallConnected(), 0.0)
    conversation.handle(events.SpeechStarted(1.0), 1.07)
    conversation.handle(events.SpeechStopped(2.0), 2.13)
    ordered = conversation.handle(events.TimeElapsed(), 2.6)  # the machine was busy
    assert not [command for command in ordered if isinstance(command, commands.GuessTurn)]
    assert [command for command in ordered if isinstance(command, commands.CloseTurn)]


def test_a_client_that_plays_for_itself_is_not_handed_a_guess() -> None:
    delays = Delays(hangover=0.13, final=0.05, agent=0.05, voice=0.05)
    world = World(replace(OPTIONS, is_client_paced=True), agent=lambda _: "Fine.", delays=delays)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=2.49)
    assert len(world.times_of(commands.GuessTurn)) == 1
    assert world.audible == []
    world.run(until=10.0)
    assert world.audible[0][0] == pytest.approx(2.5)


def test_speech_over_a_reply_is_not_guessed_at() -> None:
    world = World(OPTIONS, agent=lambda _: "Once upon a time there was a server. " * 4)
    world.user_says(1.0, "tell me", lasts=1.0)
    world.user_says(4.0, "mm-hm", lasts=0.2)
    world.run(until=4.6)
    assert len(world.times_of(commands.GuessTurn)) == 1


def test_a_client_that_goes_away_ends_the_guess() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.4, events.ClientAway())
    world.at(3.0, events.ClientBack())
    world.run(until=10.0)
    assert len(world.facts_of(facts.ReplyBegan)) == 1
    assert world.history[-1][0] == "assistant"


def test_a_client_that_asks_itself_meanwhile_is_answered_once() -> None:
    world = World(OPTIONS, delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.42, events.ResponseRequested(ReplyRequest(Cause.CLIENT)))
    world.run(until=10.0)
    assert [fact.request.cause for fact in world.facts_of(facts.ReplyBegan)] == [Cause.CLIENT]


def test_speech_to_speech_is_asked_once_whatever_its_words_turn_out_to_be() -> None:
    world = World(OPTIONS, SessionOptions(engine="openai-realtime"), delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    assert world.times_of(commands.StartReply) == [pytest.approx(2.15)]
    assert world.when(facts.ReplyBegan) == [2.5]
    assert world.history == [("user", "how are you"), ("assistant", "You said .")]


def test_what_waits_is_said_behind_an_answer_that_chose_to_be_silent() -> None:
    world = World(OPTIONS, agent=lambda _: [0.01], delays=Delays(hangover=0.13))
    world.user_says(1.0, "hush", lasts=1.0)
    world.at(2.3, events.SayRequested("Your timer is up.", Cause.TIMER))
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Your timer is up.")


def test_an_agent_that_must_not_be_asked_in_vain_is_asked_at_the_end() -> None:
    careful = replace(EAGER, is_agent_guessing=False)
    world = World(replace(OPTIONS, endpointing=careful), delays=REALISTIC)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=10.0)
    assert len(world.times_of(commands.GuessTurn)) == 1  # its words are found early all the same
    assert world.times_of(commands.StartReply) == [2.5]
