"""After a turn there is speech within three seconds, or an apology, whoever is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.core import commands, events, facts
from voicertc.core.facts import State
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.options import (
    ConversationOptions,
    EndpointingOptions,
    InterruptionOptions,
    Phrases,
    SessionOptions,
    Tool,
    TurnDetection,
)
from voicertc.core.replies import Cause, ReplyRequest, ToolCall
from voicertc.testing.world import Answer, Delays, World

PHRASES = Phrases(greeting=None)
OPTIONS = ConversationOptions(phrases=PHRASES)
WAITING, STILL = PHRASES.waiting or "", PHRASES.still_waiting or ""
SILENT = 1e6
"""Seconds that somebody takes who never answers."""
HOLE = 0.25
"""Seconds without sound that are a hole."""
PATIENCE = 3.0
"""Seconds from the end of a turn to the first sound, at most."""
ASK = events.ResponseRequested(ReplyRequest(Cause.CLIENT))


def asked(*, lasts: float = 1.0, agent: Answer = "Fine.", **delays: float) -> World:
    """A question that ends at 2.0; the turn is decided at 2.5."""
    world = World(OPTIONS, agent=lambda _: agent, delays=Delays(**delays))
    world.user_says(1.0, "how are you", lasts=lasts)
    return world


def silence_before_each_sound(world: World) -> list[float]:
    """The length of each stretch in which nothing could be heard, up to the last sound."""
    edges = [0.0, *(at for begin, end in world.audible for at in (begin, end))]
    return [round(begin - end, 3) for end, begin in zip(edges[::2], edges[1::2], strict=False)]


def test_a_quick_answer_comes_without_a_filler() -> None:
    world = asked()
    world.run(until=20.0)
    assert world.times_of(commands.FillReply) == []
    assert world.history[-1] == ("assistant", "Fine.")


def test_a_slow_agents_answer_begins_with_a_word_in_time() -> None:
    world = asked(agent=[4.0, "Fine."])
    world.run(until=20.0)
    assert world.times_of(commands.FillReply) == [pytest.approx(2.5 + 2.4)]
    # One reply, one item: the filler is part of what was heard of it.
    assert world.history[-1] == ("assistant", f"{WAITING} Fine.")
    assert [fact.request.cause for fact in world.facts_of(facts.ReplyBegan)] == [Cause.TURN]


def test_work_that_takes_long_is_heard_to_go_on_until_it_is_given_up() -> None:
    world = asked(agent=[SILENT, "Fine."])
    world.run(until=40.0)
    assert world.history[1:] == [
        ("assistant", f"{WAITING} {STILL} "),
        ("assistant", PHRASES.apology),
    ]
    assert world.conversation.state is State.LISTENING
    assert max(silence_before_each_sound(world)[1:]) <= 5.5


def test_a_recognizer_that_never_answers_is_bridged_and_then_apologized_for() -> None:
    world = asked(final=SILENT)
    world.run(until=20.0)
    assert world.history[1:] == [("assistant", WAITING), ("assistant", PHRASES.apology)]
    assert world.audible[0][0] - 2.5 <= PATIENCE


def test_words_that_come_while_the_filler_is_said_are_answered_behind_it() -> None:
    world = asked(final=2.6)
    world.run(until=20.0)
    assert world.history[1:] == [("assistant", WAITING), ("assistant", "Fine.")]


def test_an_agent_that_falls_silent_in_the_middle_is_bridged() -> None:
    world = asked(agent=["One moment, I look it up.", 6.0, " It is three."])
    world.run(until=30.0)
    assert world.history[-1] == ("assistant", f"One moment, I look it up. {WAITING} It is three.")
    assert max(silence_before_each_sound(world)[1:]) <= PATIENCE


def test_a_state_tells_of_the_silence_in_the_middle() -> None:
    world = asked(agent=["Well.", 2.0, " It is three."])
    world.run(until=30.0)
    states = [fact.state for fact in world.facts_of(facts.StateChanged)]
    assert states[-4:] == [State.SPEAKING, State.THINKING, State.SPEAKING, State.LISTENING]


def test_a_function_that_never_returns_is_bridged_and_then_apologized_for() -> None:
    world = World(
        OPTIONS,
        SessionOptions(tools=(Tool("weather"),)),
        agent=lambda text: "Fine." if "again" in text else [ToolCall("weather")],
    )
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.user_says(60.0, "again", lasts=1.0)
    world.run(until=80.0)
    said = [text for role, text in world.history if role == "assistant" and text]
    assert said[0] == WAITING
    assert said[1:-2] == [STILL] * len(said[1:-2])
    assert said[-2:] == [PHRASES.apology, "Fine."]
    assert world.audible[0][0] - 2.5 <= PATIENCE


def test_who_speaks_is_not_spoken_over_by_a_filler() -> None:
    world = asked(agent=[SILENT])
    world.user_says(4.8, "are you there", lasts=3.0)
    world.run(until=8.0)
    assert world.times_of(commands.FillReply) == []


@pytest.mark.parametrize("at", [3.0, 4.5])
def test_a_noise_in_the_midst_of_the_wait_does_not_begin_it_anew(at: float) -> None:
    world = asked(agent=[SILENT])
    world.user_says(at, "", lasts=0.3)
    world.run(until=8.0)
    known = at + 0.3 + 0.5 + 0.15  # its end, the silence that ends a turn, the recognizer
    assert world.times_of(commands.FillReply) == [pytest.approx(max(2.5 + 2.4, known))]


def test_noise_upon_noise_does_not_begin_the_wait_anew() -> None:
    world = asked(final=1.0, agent=[SILENT])
    world.user_says(4.0, "", lasts=0.3)
    world.user_says(5.5, "", lasts=0.4)  # the first is judged while this one sounds
    world.run(until=9.0)
    assert world.times_of(commands.FillReply) == [pytest.approx(5.5 + 0.4 + 0.5 + 1.0)]


def test_a_noise_after_the_first_word_leaves_the_second_its_time() -> None:
    undisturbed, disturbed = asked(agent=[SILENT]), asked(agent=[SILENT])
    disturbed.user_says(8.0, "", lasts=0.3)  # over a reply that began with a filler, and is silent now
    for world in (undisturbed, disturbed):
        world.run(until=14.0)
    assert len(undisturbed.times_of(commands.FillReply)) == 2
    assert disturbed.times_of(commands.FillReply) == undisturbed.times_of(commands.FillReply)


def test_a_noise_does_not_hide_the_function_that_somebody_waits_for() -> None:
    world = World(OPTIONS, SessionOptions(tools=(Tool("weather"),)), agent=lambda _: [ToolCall("weather")])
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.user_says(3.5, "", lasts=0.3)
    world.run(until=80.0)
    said = [text for role, text in world.history if role == "assistant" and text]
    assert (said[0], said[-1]) == (WAITING, PHRASES.apology)


def test_what_proves_to_be_words_late_is_owed_an_answer_from_its_end_on() -> None:
    def agent(text: str) -> Answer:
        return ["Fine.", 1.0] if text == "how are you" else [SILENT]

    world = World(OPTIONS, agent=agent, delays=Delays(final=2.0))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.user_says(5.0, "why", lasts=0.2)  # over a reply, and so short that it may be a cough
    world.run(until=12.0)
    silent_since = max(end for _, end in world.audible if end < 7.0)  # when it had been resumed
    assert world.times_of(commands.FillReply) == [pytest.approx(silent_since + 2.4)]


@pytest.mark.parametrize("takes", [2.1, 2.2, 2.3])
def test_a_noise_does_not_bring_back_a_wait_that_is_over(takes: float) -> None:
    def agent(text: str) -> Answer:
        return [ToolCall("weather")] if "weather" in text else [takes, "Fine."]

    # The first answer comes while its filler is on the way.
    world = World(OPTIONS, SessionOptions(tools=(Tool("weather"),)), agent=agent, delays=Delays(filler=0.5))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.user_says(60.0, "how is the weather", lasts=1.0)
    world.user_says(62.0, "", lasts=0.3)
    world.run(until=64.5)
    began = zip(world.when(facts.ReplyBegan), world.facts_of(facts.ReplyBegan), strict=True)
    given = [when for when, fact in began if fact.request.text] + world.times_of(commands.FillReply)
    assert [when for when in given if 60.0 < when < 61.5 + 2.4 - 0.1] == []


@pytest.mark.parametrize(("at", "lasts"), [(5.8, 0.3), (8.0, 0.3), (8.0, 0.7)])
def test_a_function_is_given_up_in_time_whatever_noise_there_is(at: float, lasts: float) -> None:
    worlds = []
    for noises in ([], [at]):
        world = World(
            OPTIONS, SessionOptions(tools=(Tool("weather"),)), agent=lambda _: [ToolCall("weather")]
        )
        world.user_says(1.0, "how is the weather", lasts=1.0)
        for when in noises:
            world.user_says(when, "", lasts=lasts)
        world.run(until=80.0)
        worlds.append(world)
    quiet, noisy = ([fact.request.text for fact in each.facts_of(facts.ReplyBegan)] for each in worlds)
    assert quiet[-1] == noisy[-1] == PHRASES.apology
    assert noisy.count(WAITING) == 1  # what is said next is that it goes on
    apologies = [each.when(facts.ReplyBegan)[-1] for each in worlds]
    assert abs(apologies[1] - apologies[0]) <= 5.0


def test_coughs_over_a_filler_do_not_keep_an_agent_from_being_given_up() -> None:
    quiet, noisy = asked(agent=[SILENT]), asked(agent=[SILENT])
    noisy.user_says(5.2, "", lasts=0.3)
    for world in (quiet, noisy):
        world.run(until=40.0)
    held = 0.3 + 0.07 + 1.0  # from when it was heard to when the filler went on
    late = noisy.times_of(commands.CancelReply)[0] - quiet.times_of(commands.CancelReply)[0]
    assert 0.0 < late <= held


def test_a_filler_that_is_lost_with_its_reply_is_said_again() -> None:
    def agent(_: str) -> Answer:
        return [2.3, ToolCall("weather")]  # that is all, while the filler is on the way

    world = World(OPTIONS, SessionOptions(tools=(Tool("weather"),)), agent=agent, delays=Delays(filler=0.25))
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.run(until=10.0)
    assert world.audible[0][0] - 2.5 <= PATIENCE


def test_speech_that_was_no_claim_but_is_no_cough_either_is_bridged_until_its_words_come() -> None:
    options = replace(OPTIONS, interruptions=InterruptionOptions(min_speech=2.0))
    world = World(options, agent=lambda _: "Fine.", delays=Delays(final=4.0))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.user_says(6.9, "and your dog", lasts=0.8)  # over the answer; it is decided at 8.2
    world.run(until=20.0)
    resumed = max(end for _, end in world.audible if end < 9.0)
    assert any(resumed < begin <= resumed + PATIENCE for begin, _ in world.audible)


def test_words_that_follow_a_noise_begin_the_wait_anew() -> None:
    world = asked(agent=[SILENT])
    world.user_says(4.0, "", lasts=0.3)
    world.user_says(4.6, "are you there", lasts=1.0)
    world.run(until=20.0)
    assert world.times_of(commands.FillReply)[0] == pytest.approx(4.6 + 1.0 + 0.5 + 2.4)


def test_speech_whose_words_fail_is_speech_and_no_noise() -> None:
    world = World(OPTIONS, agent=lambda _: [SILENT], is_recognizer_up=lambda: world.now < 4.0)
    world.user_says(1.0, "how are you", lasts=1.0)
    world.user_says(4.0, "are you there", lasts=1.0)
    world.run(until=8.0)
    assert world.times_of(commands.FillReply) == [pytest.approx(4.0 + 1.0 + 0.5 + 2.4)]


def test_who_may_not_interrupt_is_not_spoken_over_by_a_filler_either() -> None:
    polite = SessionOptions(turn_detection=TurnDetection(interrupt_response=False))
    world = World(OPTIONS, polite, agent=lambda _: ["Well.", 9.0, " It is three."])
    world.user_says(1.0, "how are you", lasts=1.0)
    world.user_says(4.5, "take your time", lasts=4.0)
    world.run(until=8.5)
    assert world.times_of(commands.FillReply) == []


def test_a_filler_can_be_interrupted_like_any_speech() -> None:
    world = asked(agent=[SILENT])
    world.user_says(5.4, "never mind, what time is it", lasts=2.0)
    world.run(until=7.5)
    assert world.history[1] == ("assistant", "One")
    assert facts.TurnStarted in [type(fact) for fact in world.facts]


def test_a_session_in_writing_is_owed_no_sound() -> None:
    world = World(OPTIONS, SessionOptions(output=Modality.TEXT), agent=lambda _: [8.0, "Fine."])
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=20.0)
    assert world.times_of(commands.FillReply) == []
    assert world.history[-1] == ("assistant", "Fine.")


def test_an_operator_who_wants_silence_has_it() -> None:
    quiet = ConversationOptions(phrases=Phrases(greeting=None, waiting=None))
    world = World(quiet, agent=lambda _: [8.0, "Fine."])
    world.user_says(1.0, "how are you", lasts=1.0)
    world.run(until=20.0)
    assert world.history[-1] == ("assistant", "Fine.")


def test_a_filler_is_no_response_that_keeps_a_client_from_asking() -> None:
    world = asked(final=SILENT)
    world.at(5.1, ASK)
    world.run(until=5.5)
    assert world.facts_of(facts.Refused) == []


def test_speech_to_speech_answers_the_sound_before_its_words_are_known() -> None:
    world = World(OPTIONS, SessionOptions(engine="openai-realtime"), delays=Delays(final=3.0))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert world.times_of(commands.StartReply) == [2.5]
    assert world.history[0] == ("user", "hello")


def test_speech_to_speech_does_without_words_that_never_come() -> None:
    world = World(OPTIONS, SessionOptions(engine="openai-realtime"), delays=Delays(final=SILENT))
    world.user_says(1.0, "hello", lasts=1.0)
    world.run(until=20.0)
    assert len(world.times_of(commands.StartReply)) == 1


@pytest.mark.parametrize("lasts", [0.1, 1.0])
def test_a_recognizer_may_end_the_turn_before_the_silence_does(lasts: float) -> None:
    slow = SessionOptions(turn_detection=TurnDetection(silence=2.0))
    world = World(OPTIONS, slow)
    world.user_says(1.0, "hello", lasts=lasts)
    world.at(1.3 + lasts, events.TurnEndHeard("item_u1"))
    world.at(1.3 + lasts, events.TurnEndHeard("item_u9"))
    world.run(until=20.0)
    assert world.times_of(commands.CloseTurn) == [pytest.approx(1.3 + lasts)]
    assert world.history[-1][0] == "assistant"


def test_a_recognizer_does_not_end_a_turn_in_the_middle_of_speech() -> None:
    world = World(OPTIONS)
    world.user_says(1.0, "hello", lasts=2.0)
    world.at(2.0, events.TurnEndHeard("item_u1"))
    world.run(until=20.0)
    assert world.times_of(commands.CloseTurn) == [3.5]


def test_a_filler_that_was_interrupted_before_its_sound_does_not_come_back() -> None:
    world = asked(final=2.6)
    world.user_says(4.86, "really", lasts=1.0)  # it was begun at 4.9, and is heard from 5.0 on
    world.run(until=30.0)
    assert world.history[-1] == ("assistant", "Fine.")


def test_words_that_fail_behind_a_filler_leave_nothing_to_ask_the_agent() -> None:
    session = SessionOptions(turn_detection=None)
    world = World(OPTIONS, session, agent=lambda _: "Asked.", delays=Delays(final=SILENT))
    world.user_says(1.0, "how are you", lasts=1.0)
    world.at(2.5, events.InputCommitRequested())
    world.at(2.6, ASK)
    world.run(until=30.0)
    assert [text for role, text in world.history if role == "assistant"] == [WAITING, PHRASES.apology]


def test_one_of_several_functions_that_never_returns_is_noticed() -> None:
    session = SessionOptions(tools=(Tool("a"), Tool("b")))
    world = World(OPTIONS, session, agent=lambda _: [ToolCall("a"), ToolCall("b")])
    world.user_says(1.0, "how is the weather", lasts=1.0)
    world.run(until=3.0)
    first = next(item for item in world.conversation.items if item.kind is Kind.FUNCTION_CALL)
    output = Item("out", Role.USER, "{}", Kind.FUNCTION_CALL_OUTPUT, call_id=first.call_id)
    world.at(3.5, events.ItemSubmitted(output))
    world.run(until=120.0)
    assert world.history[-1] == ("assistant", PHRASES.apology)


@pytest.mark.parametrize("comes", [True, False])
def test_a_turn_whose_sound_was_answered_is_not_answered_again_by_its_words(comes: bool) -> None:
    world = World(OPTIONS, SessionOptions(engine="openai-realtime"), delays=Delays(final=SILENT))
    world.user_says(1.0, "hello", lasts=1.0)
    world.at(2.7, events.SessionUpdated(SessionOptions()))  # the service was replaced
    words = events.TranscriptFinal("item_u1", "hello")
    world.at(2.8, words if comes else events.TranscriptFailed("item_u1", "failed", "closed"))
    world.run(until=30.0)
    assert len(world.facts_of(facts.ReplyBegan)) == 1


def test_a_word_that_interrupts_speech_to_speech_is_answered_when_it_is_known() -> None:
    world = World(
        OPTIONS,
        SessionOptions(engine="openai-realtime"),
        agent=lambda text: "Fine." if "stop" in text else "Once upon a time there was a server. " * 3,
    )
    world.user_says(1.0, "tell me", lasts=1.0)
    world.user_says(5.0, "stop", lasts=0.2, confidence=0.9)
    world.run(until=20.0)
    assert world.history[-2:] == [("user", "stop"), ("assistant", "Fine.")]


def test_what_a_client_still_plays_is_speech_too() -> None:
    def agent(text: str) -> Answer:
        return ["word " * 60] if text == "long" else [4.0, "Second."]

    world = World(replace(OPTIONS, is_client_paced=True), agent=agent)
    world.user_says(1.0, "long", lasts=1.0)
    world.at(4.0, events.ItemSubmitted(Item("mine", Role.USER, "next")))
    world.at(4.1, ASK)
    world.run(until=40.0)
    assert world.times_of(commands.FillReply) == []


# --- in every state -----------------------------------------------------------------------------

WAITS = st.sampled_from([0.05, 1.0, 2.3, 2.5, 4.0, 7.0, 30.0])
SAID = st.sampled_from(["Well.", " It is three.", ToolCall("weather"), RuntimeError("no")])
ANSWERS = st.one_of(
    st.just("Yes."),
    st.just(RuntimeError("no")),
    # One that yields nothing chose to be silent.
    st.lists(st.one_of(WAITS, SAID), max_size=6).filter(
        lambda pieces: any(type(p) is not float for p in pieces)
    ),
)
HAPPENINGS = st.sampled_from([ASK, events.SayRequested("Your timer is up.", Cause.TIMER), None, None, None])
TURNS = st.tuples(st.floats(0.1, 9.0), st.sampled_from([0.3, 1.0, 4.0]), st.booleans(), HAPPENINGS)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(TURNS, min_size=1, max_size=6),
    st.lists(ANSWERS, min_size=1, max_size=5),
    st.sampled_from([0.15, 1.93, 4.87, SILENT]),
    st.sampled_from([None, 0.15]),
    st.sampled_from([0.02, 0.25]),
)
def test_nobody_is_left_in_silence(
    turns: list[tuple[float, float, bool, events.Event | None]],
    answers: list[Answer],
    final: float,
    eager: float | None,
    filler: float,
) -> None:
    given_answers = iter(answers * 99)
    session = SessionOptions(tools=(Tool("weather"),))
    options = replace(OPTIONS, endpointing=EndpointingOptions(eager_silence=eager))
    world = World(
        options, session, agent=lambda _: next(given_answers), delays=Delays(final=final, filler=filler)
    )
    now, speech, noises = 0.0, [], []
    for gap, lasts, is_noise, happening in turns:
        now += gap
        lasts = min(lasts, 0.7) if is_noise else max(lasts, 0.6)  # that is meant as words
        world.user_says(now, "" if is_noise else "hello there", lasts=lasts)
        if is_noise:
            noises.append((now, now + lasts + 0.5 + min(final, options.endpointing.final_timeout)))
        else:
            speech.append((now, now + lasts))
        now += lasts
        if happening is not None:
            world.at(now + 0.7, happening)
    world.run(until=now + 300.0)
    nothing = {fact.item_id for fact in world.facts_of(facts.FinalHeard) if not fact.text}
    stops = zip(world.facts_of(facts.TurnStopped), world.when(facts.TurnStopped), strict=True)
    for fact, told in stops:
        ended = fact.at + 0.5
        if fact.item_id in nothing:
            continue
        heard = [begin for begin, end in world.audible if end > ended]
        spoke = [begin for begin, end in speech if end > ended]
        # Nobody is talked over who may be speaking, until it is known to have been a noise.
        by_noise = sum(known - begin for begin, known in noises if known > ended)
        # What was said over a reply is told late; that the reply has no more sound is noticed a moment late.
        by_reply = HOLE if told > ended + 0.1 else 0.0
        assert min([*heard, *spoke]) - ended <= PATIENCE + by_noise + by_reply
    assert world.conversation.next_deadline() is None
    assert world.conversation.state is State.LISTENING
