"""Screenplays: a user, the offline agent and a virtual clock."""

import gc
import re
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.agents.base import Agent, AgentRequest
from voicertc.agents.offline import REACTIONS, OfflineAgent
from voicertc.agents.offline_memory import Topic
from voicertc.agents.offline_script import load
from voicertc.core.items import Item, Kind, Role
from voicertc.core.options import Tool, ToolChoice
from voicertc.core.replies import Cause

SCRIPT = load("en")
AFTERNOON = datetime(2026, 11, 20, 15, 20)


class Session:
    """What a conversation gives to its agent, with promises kept by ``Scene.wait``."""

    def __init__(self, scene: "Scene") -> None:
        self.id = "sess_1"
        self.promises: dict[int, tuple[float, str]] = {}
        self.n_promises = 0
        self.has_ended = False
        self._now: Callable[[], float] = lambda: scene.now

    def say(self, text: str) -> None:
        raise AssertionError("the offline agent speaks in replies and promises only")

    def say_later(self, delay: float, text: str) -> int:
        assert delay >= 0
        self.n_promises += 1
        self.promises[self.n_promises] = (self._now() + delay, text)
        return self.n_promises

    def take_back(self, number: int) -> None:
        self.promises.pop(number, None)

    def end_call(self) -> None:
        self.has_ended = True


class Scene:
    """One conversation: what is said comes back as history, whole or as far as it was heard."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.history: list[Item] = []
        self.agent = OfflineAgent(clock=self.wall, monotonic=lambda: self.now)
        self.session = Session(self)

    def wall(self) -> datetime:
        return AFTERNOON + timedelta(seconds=self.now - 1000)

    async def hears(self, text: str, n_words: int | None = None) -> str:
        """Let the user say ``text`` and return the reply, of which only ``n_words`` are heard."""
        self.add(Role.USER, text)
        return await self.replies(n_words)

    async def replies(self, n_words: int | None = None, **more: Any) -> str:
        request = AgentRequest(tuple(self.history), self.session, **more)
        reply = "".join([piece async for piece in self.agent.reply(request)])
        heard = reply if n_words is None else " ".join(reply.split()[:n_words])
        if heard:
            self.add(Role.ASSISTANT, heard)
        return reply

    def add(self, role: Role, text: str) -> None:
        self.history.append(Item(f"item_{len(self.history)}", role, text))

    def wait(self, seconds: float) -> list[str]:
        """Let time pass; return what the timers said."""
        self.now += seconds
        due = sorted((at, number) for number, (at, _) in self.session.promises.items() if at <= self.now)
        said = [self.session.promises.pop(number)[1] for _, number in due]
        for text in said:
            self.add(Role.ASSISTANT, text)
        return said


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_an_agent_with_a_grammar_and_a_greeting() -> None:
    agent = OfflineAgent()
    assert isinstance(agent, Agent)
    assert (agent.name, agent.grammar, agent.greeting) == ("offline", SCRIPT.grammar, SCRIPT.greeting)
    assert agent.grammar.startswith("#JSGF V1.0;\n")


def test_every_intent_is_answered_from_data_or_code_and_no_code_is_for_nothing() -> None:
    answered = {intent for _, intent in REACTIONS}
    assert set(SCRIPT.typed) - answered - set(SCRIPT.says) == set()
    assert answered - set(SCRIPT.typed) == set()
    assert {topic for topic, _ in REACTIONS} == {None, *Topic}


async def test_starting_and_closing_twice_does_no_harm(scene: Scene) -> None:
    await scene.agent.start()
    await scene.agent.close()
    await scene.agent.close()


async def test_a_reply_comes_in_clauses(scene: Scene) -> None:
    scene.add(Role.USER, "tell me a story")
    pieces = [piece async for piece in scene.agent.reply(AgentRequest(tuple(scene.history), scene.session))]
    assert "".join(pieces) == SCRIPT.story
    assert max(len(piece.split()) for piece in pieces) < 35
    assert len(pieces) > 50


async def test_asked_for_a_reply_before_anything_was_said_it_greets(scene: Scene) -> None:
    assert await scene.replies() == SCRIPT.greeting
    assert await scene.replies() == "I am listening. What can I do for you?"


# --- the clock and sums ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("what time is it", "It is twenty past three in the afternoon."),
        ("What's the date today?", "Today is Friday, the twentieth of November, twenty twenty-six."),
        ("what day is it", "Today is Friday."),
        ("what day is tomorrow", "Tomorrow is Saturday, the twenty-first of November, twenty twenty-six."),
        ("what year is it", "It is November, twenty twenty-six."),
        ("how much is 12 times 12?", "Twelve times twelve is one hundred and forty-four."),
        ("what is five minus twelve", "Five minus twelve is minus seven."),
        ("what is five divided by two", "Five divided by two is two and a half."),
        ("22/7", "Twenty-two divided by seven is about three point one four three."),
        ("2.5 + -1", "Two and a half plus minus one is one and a half."),
        ("2 + 3 * 4", "Two plus three times four is fourteen."),
        ("10% of 50", "Ten percent of fifty is five."),
        ("what is seven divided by zero", "Nothing can be divided by zero, not even by me."),
        ("999999999999 * 999999999999", "Nine hundred and ninety-nine billion"),
    ],
)
async def test_time_date_and_sums(scene: Scene, text: str, reply: str) -> None:
    assert (await scene.hears(text)).startswith(reply)


async def test_the_time_is_the_clocks_at_each_question(scene: Scene) -> None:
    await scene.hears("what time is it")
    scene.wait(600)
    assert await scene.hears("what time is it") == "It is half past three in the afternoon."


# --- timers -----------------------------------------------------------------------------------------


async def test_a_timer_is_confirmed_goes_off_and_can_be_set_again(scene: Scene) -> None:
    assert await scene.hears("set a timer for five minutes") == "Okay, your five minute timer starts now."
    assert scene.wait(299) == []
    assert scene.wait(1) == ["Your five minute timer is up. Shall I set another?"]
    assert await scene.hears("yes please") == "Your five minute timer is running."
    assert scene.wait(300) == ["Your five minute timer is up. Shall I set another?"]
    assert await scene.hears("no") == "All right."
    assert scene.session.promises == {}


@pytest.mark.parametrize(
    ("length", "seconds", "name"),
    [
        ("half an hour", 1800, "thirty minute timer"),
        ("one minute and thirty seconds", 90, "ninety second timer"),
        ("ninety seconds", 90, "ninety second timer"),
        ("an hour and a half", 5400, "ninety minute timer"),
        ("1 hour 10 minutes", 4200, "seventy minute timer"),
    ],
)
async def test_timers_of_many_lengths(scene: Scene, length: str, seconds: int, name: str) -> None:
    assert await scene.hears(f"Set a timer for {length}, please.") == f"Okay, your {name} starts now."
    assert [at - scene.now for at, _ in scene.session.promises.values()] == [seconds]


async def test_several_timers_run_side_by_side(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    second = await scene.hears("set a timer for ten minutes")
    assert second == "Okay, your ten minute timer starts now. You have two timers running."
    scene.wait(100)
    assert await scene.hears("how much time is left") == (
        "You have two timers. The five minute timer has three minutes and twenty seconds left "
        "and the ten minute timer has eight minutes and twenty seconds left."
    )
    assert await scene.hears("how long is left on the five minute timer") == (
        "Your five minute timer has three minutes and twenty seconds left."
    )
    assert await scene.hears("when is the one minute timer up") == "There is no one minute timer running."
    assert scene.wait(1000) == [
        "Your five minute timer is up. Shall I set another?",
        "Your ten minute timer is up. Shall I set another?",
    ]
    assert await scene.hears("yes") == "Your ten minute timer is running."


async def test_without_a_length_it_asks_for_one(scene: Scene) -> None:
    assert await scene.hears("set a timer") == "For how long?"
    assert await scene.hears("half an hour") == "Your thirty minute timer is running."
    assert await scene.hears("start another timer") == "For how long?"
    assert await scene.hears("never mind") == "Okay."
    assert "thirty" not in await scene.hears("half an hour")
    assert len(scene.session.promises) == 1


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("set a timer for zero seconds", "A timer needs at least one second."),
        ("set a timer for minus five minutes", "A timer needs at least one second."),
        ("set a timer for 25 hours", "That is too long for me. I can time up to twenty-four hours."),
        ("cancel the timer", "There is no timer running."),
        ("cancel the five minute timer", "There is no timer running."),
        ("cancel all timers", "There is no timer running."),
        ("how many timers are running", "There is no timer running."),
    ],
)
async def test_what_cannot_be_done_is_said(scene: Scene, text: str, reply: str) -> None:
    assert await scene.hears(text) == reply
    assert scene.session.promises == {}


async def test_only_so_many_timers_fit(scene: Scene) -> None:
    replies = [await scene.hears(f"set a timer for {minutes} minutes") for minutes in range(2, 11)]
    assert replies[-1] == ("I have eight timers running, which is as many as I can keep. Cancel one first.")
    assert len(scene.session.promises) == 8


async def test_the_only_timer_is_cancelled_without_ado(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    assert await scene.hears("cancel the timer") == "Okay, the five minute timer is cancelled."
    assert scene.wait(10_000) == []


@pytest.mark.parametrize(
    "which", ["the five minute one", "five minutes", "the five minute timer", "5 minute timer"]
)
async def test_of_several_timers_it_asks_which_to_cancel(scene: Scene, which: str) -> None:
    await scene.hears("set a timer for five minutes")
    await scene.hears("set a timer for ten minutes")
    assert await scene.hears("cancel the timer") == (
        "Which one shall I cancel, the five minute timer or the ten minute timer?"
    )
    assert await scene.hears(which) == "Okay, the five minute timer is cancelled."
    assert scene.wait(10_000) == ["Your ten minute timer is up. Shall I set another?"]


async def test_it_asks_which_until_it_knows_and_no_means_none(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    await scene.hears("set a timer for ten minutes")
    which = "Which one shall I cancel, the five minute timer or the ten minute timer?"
    await scene.hears("cancel the timer")
    assert (await scene.hears("yes")).endswith(which)
    assert await scene.hears("the two minute one") == "There is no two minute timer running."
    await scene.hears("cancel the timer")
    assert await scene.hears("no") == "Okay, I leave them running."
    await scene.hears("cancel the timer")
    assert await scene.hears("both of them") == "Okay, your two timers are cancelled."
    assert scene.session.promises == {}


async def test_a_timer_is_cancelled_by_its_length(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    await scene.hears("set a timer for ten minutes")
    assert await scene.hears("cancel the three minute timer") == "There is no three minute timer running."
    assert await scene.hears("cancel the ten minute timer") == "Okay, the ten minute timer is cancelled."
    assert scene.wait(10_000) == ["Your five minute timer is up. Shall I set another?"]


async def test_of_timers_that_are_alike_the_last_is_cancelled(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    scene.wait(60)
    await scene.hears("set a timer for five minutes")
    assert await scene.hears("cancel the timer") == (
        "Okay, the last five minute timer is cancelled. Of that length you still have one."
    )
    assert [at for at, _ in scene.session.promises.values()] == [1300]


async def test_all_timers_are_cancelled_at_once(scene: Scene) -> None:
    for minutes in (1, 2, 3):
        await scene.hears(f"set a timer for {minutes} minutes")
    assert await scene.hears("cancel all timers") == "Okay, your three timers are cancelled."
    assert scene.session.promises == {}


async def test_setting_the_clock_on_the_wall_moves_no_timer() -> None:
    scene = Scene()
    scene.agent = OfflineAgent(clock=lambda: datetime(1999, 1, 1), monotonic=lambda: scene.now)
    await scene.hears("set a timer for ten minutes")
    scene.wait(60)
    assert await scene.hears("how much longer") == "Your ten minute timer has nine minutes left."


# --- the story, and taking it up again ------------------------------------------------------------


async def test_an_interrupted_story_goes_on_where_it_was_heard(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=22)
    assert (await scene.hears("go on", n_words=4 + 20)).startswith(
        "Let me go on. There lived an old clockmaker whose name was Hanna. She had two hundred clocks"
    )
    assert await scene.hears("what time is it") == "It is twenty past three in the afternoon."
    rest = await scene.hears("go on")
    assert rest.startswith("Let me go on. Tall ones and round ones, clocks with bells")
    assert rest.endswith("And that is the end of the story.")
    assert await scene.hears("go on") == "I have nothing left to go on with. You could ask me for a story."


async def test_stop_is_short_and_the_story_can_still_go_on(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=11)
    assert await scene.hears("stop") == "Okay."
    assert (await scene.hears("continue")).startswith("Let me go on. Where the wind never")


async def test_a_story_of_which_nothing_was_heard_begins_at_its_beginning(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=0)
    assert await scene.hears("go on") == f"Let me go on. {SCRIPT.story}"


async def test_going_on_does_not_pile_up_its_own_lead(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=22)
    await scene.hears("go on", n_words=2)
    assert (await scene.hears("go on")).startswith("Let me go on. There lived")


@settings(deadline=None, max_examples=40)
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
async def test_however_often_it_is_interrupted_no_word_of_the_story_is_lost(cuts: list[int]) -> None:
    scene = Scene()
    request = "tell me a story"
    for n_words in cuts:
        await scene.hears(request, n_words=n_words)
        request = "go on"
    await scene.hears(request)
    told = re.sub(
        r"Let me go on\. ",
        "",
        " ".join(item.text or "" for item in scene.history if item.role is Role.ASSISTANT),
    )
    remaining = iter(re.findall(r"\w+", told.lower()))
    story = re.findall(r"\w+", SCRIPT.story.lower())
    is_complete = all(word in remaining for word in story)
    assert is_complete or sum(cuts) > len(story)


async def test_with_nothing_to_go_on_with_it_says_so(scene: Scene) -> None:
    assert await scene.hears("go on") == "I have nothing left to go on with. You could ask me for a story."


# --- yes and no -----------------------------------------------------------------------------------


async def test_a_quiz_understands_yes_no_numbers_and_passing(scene: Scene) -> None:
    assert await scene.hears("ask me a question") == "Here is a question. Is a whale a fish?"
    assert await scene.hears("no") == (
        "Well done. A whale is a mammal, and has to come up for air. Shall I ask you another?"
    )
    assert await scene.hears("yes") == "How many legs does a spider have?"
    assert await scene.hears("six") == ("Not quite. A spider has eight legs. Shall I ask you another?")
    assert await scene.hears("sure") == "Is the sun a star?"
    assert (await scene.hears("I don't know")).startswith("No matter. The sun is the star")
    assert await scene.hears("no thanks") == "All right. You had one right out of three."


async def test_a_quiz_asks_again_when_the_answer_is_of_the_wrong_kind(scene: Scene) -> None:
    await scene.hears("quiz me")
    assert await scene.hears("seven") == "I was hoping for a yes or a no. Is a whale a fish?"
    await scene.hears("no")
    await scene.hears("yes")
    assert (await scene.hears("yes")).endswith("How many legs does a spider have?")
    assert (await scene.hears("8")).endswith("A spider has eight legs. Shall I ask you another?")


async def test_the_quiz_goes_round_without_end(scene: Scene) -> None:
    asked = [(await scene.hears("ask me a question")).removeprefix("Here is a question. ") for _ in range(12)]
    assert len(set(asked)) == len(SCRIPT.quiz)
    assert asked[:2] == asked[len(SCRIPT.quiz) :]


async def test_yes_and_no_out_of_the_blue_do_nothing(scene: Scene) -> None:
    assert await scene.hears("yes") == "All right. Just tell me what I can do."
    assert await scene.hears("no") == "All right."
    assert scene.session.promises == {}


async def test_a_question_that_was_not_heard_is_not_open(scene: Scene) -> None:
    await scene.hears("set a timer for one minute")
    scene.now += 60
    scene.add(Role.ASSISTANT, "Your one minute timer is")
    scene.session.promises.clear()
    assert await scene.hears("yes") == "All right. Just tell me what I can do."
    assert scene.session.promises == {}


async def test_another_topic_closes_the_question(scene: Scene) -> None:
    await scene.hears("set a timer for one minute")
    scene.wait(60)
    await scene.hears("what time is it")
    assert await scene.hears("yes") == "All right. Just tell me what I can do."


@pytest.mark.parametrize(
    "text", ["five", "half an hour", "the five minute one", "all of them", "I don't know"]
)
async def test_an_answer_without_its_question_is_not_understood(scene: Scene, text: str) -> None:
    await scene.hears("set a timer for five minutes")
    assert await scene.hears(text) in SCRIPT.says["missed.first"]
    assert len(scene.session.promises) == 1


# --- what was not understood ------------------------------------------------------------------------


async def test_what_is_not_understood_is_owned_up_to_in_varying_words(scene: Scene) -> None:
    first = await scene.hears("how old is the brooklyn bridge")
    await scene.hears("what time is it")
    second = await scene.hears("mountain view")
    assert {first, second} < set(SCRIPT.says["missed.first"])
    assert first != second


async def test_after_two_misses_in_a_row_it_offers_help(scene: Scene) -> None:
    await scene.hears("book a room")
    assert (await scene.hears("two people")).endswith("Shall I tell you what you can say?")
    assert await scene.hears("yes") == SCRIPT.says["help"][0]
    assert await scene.hears("today") in SCRIPT.says["missed.first"]


async def test_a_miss_repeats_an_open_question(scene: Scene) -> None:
    await scene.hears("set a timer")
    assert (await scene.hears("eight of spades")).endswith(" For how long?")
    assert (await scene.hears("one minute")).startswith("Okay, your one minute timer")


WORD = re.compile(r"[a-zA-Z]{3}")
"""What every command has."""


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(st.text(max_size=30).filter(lambda text: not WORD.search(text)), max_size=4))
async def test_no_text_makes_it_fail_or_act(texts: list[str]) -> None:
    scene = Scene()
    for text in texts:
        assert await scene.hears(text)
    assert (scene.session.promises, scene.session.has_ended) == ({}, False)


# --- silence, and functions of the client's -----------------------------------------------------------


async def test_a_silent_user_is_asked_once_whether_they_are_there(scene: Scene) -> None:
    await scene.hears("what time is it")
    assert await scene.replies(cause=Cause.IDLE) == "Are you still there?"
    assert await scene.replies(cause=Cause.IDLE) == ""
    assert await scene.hears("yes, I'm still here") == "Good. What can I do for you?"
    assert await scene.replies(cause=Cause.IDLE) == "Are you still there?"
    assert await scene.hears("yes") == "All right. Just tell me what I can do."


async def test_after_a_silence_an_open_question_is_put_again(scene: Scene) -> None:
    await scene.hears("set a timer")
    assert await scene.replies(cause=Cause.IDLE) == "Are you still there? For how long?"
    assert await scene.hears("half an hour") == "Your thirty minute timer is running."


async def test_a_silence_interrupts_no_story_and_answers_no_turn(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=22)
    await scene.replies(cause=Cause.IDLE)
    assert (await scene.hears("go on")).startswith("Let me go on. There lived an old clockmaker")
    scene.add(Role.USER, "set a timer for five minutes")
    assert await scene.replies(cause=Cause.IDLE) == "Are you still there?"
    assert scene.session.promises == {}


async def test_a_silence_undoes_nothing(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes", n_words=0)
    assert await scene.replies(cause=Cause.IDLE) == "Are you still there?"
    assert len(scene.session.promises) == 1


async def test_functions_are_not_called_and_what_they_gave_is_not_what_the_user_said(scene: Scene) -> None:
    scene.add(Role.USER, "what day is it")
    tools = {"tools": (Tool("get_day"),), "tool_choice": ToolChoice("required")}
    for kind, text in ((Kind.FUNCTION_CALL, None), (Kind.FUNCTION_CALL_OUTPUT, "set a timer for one minute")):
        scene.history.append(Item(kind.value, Role.USER, text, kind, call_id="1", name="get_day"))
    assert await scene.replies(**tools) == "Today is Friday."


# --- repeating, and manners -------------------------------------------------------------------------


async def test_the_last_reply_is_repeated(scene: Scene) -> None:
    assert await scene.hears("say that again") == "I have not said anything yet."
    await scene.hears("what day is it")
    assert await scene.hears("repeat that please") == "Today is Friday."
    assert await scene.hears("pardon") == "Today is Friday."


async def test_what_a_timer_said_is_repeated_with_its_question(scene: Scene) -> None:
    await scene.hears("set a timer for one minute")
    said = scene.wait(60)
    assert await scene.hears("what did you say") == said[0]
    assert await scene.hears("yes") == "Okay, your one minute timer starts now."


async def test_a_short_reply_that_was_cut_is_repeated_whole(scene: Scene) -> None:
    whole = await scene.hears("what is the date", n_words=3)
    assert await scene.hears("repeat that") == whole


async def test_of_a_long_reply_the_end_of_what_was_heard_is_repeated(scene: Scene) -> None:
    await scene.hears("tell me a story", n_words=90)
    assert await scene.hears("repeat that") == (
        "The people of the town did not mind. They set their watches by the ferry, which came at noon, "
        "or somewhat later, depending on the weather and on what the captain"
    )


async def test_goodbye_ends_the_call(scene: Scene) -> None:
    assert (await scene.hears("goodbye")).startswith("Goodbye")
    assert scene.session.has_ended


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("stop", "stop"),
        ("hello", "hello"),
        ("are you there", "there"),
        ("how are you", "how_are_you"),
        ("thank you", "thanks"),
        ("help", "help"),
        ("what can you do", "abilities"),
        ("what can't you do", "limits"),
        ("who are you", "who"),
    ],
)
async def test_plain_intents_are_answered_from_the_data(scene: Scene, text: str, intent: str) -> None:
    assert await scene.hears(text) == SCRIPT.says[intent][0]
    assert not scene.session.has_ended


# --- a turn that goes on ----------------------------------------------------------------------------


async def test_a_turn_that_goes_on_before_anything_was_heard_is_taken_as_one(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes", n_words=0)
    assert await scene.hears("and thirty seconds") == (
        "Okay, your timer for five minutes and thirty seconds starts now."
    )
    assert scene.wait(10_000) == [
        "Your timer for five minutes and thirty seconds is up. Shall I set another?"
    ]


async def test_a_cancelled_timer_runs_again_when_the_turn_turns_out_otherwise(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    scene.wait(60)
    await scene.hears("cancel the timer", n_words=0)
    assert scene.session.promises == {}
    assert await scene.hears("for ten minutes") == "There is no ten minute timer running."
    assert scene.wait(240) == ["Your five minute timer is up. Shall I set another?"]


async def test_what_was_done_unheard_is_said_with_the_next_reply(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes", n_words=0)
    assert await scene.hears("what time is it") == (
        "Okay, your five minute timer starts now. It is twenty past three in the afternoon."
    )
    assert len(scene.session.promises) == 1


async def test_asking_for_the_same_reply_again_does_nothing_twice(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes", n_words=0)
    assert await scene.replies() == "Okay, your five minute timer starts now."
    assert len(scene.session.promises) == 1


# --- many conversations -----------------------------------------------------------------------------


async def test_conversations_know_nothing_of_each_other(scene: Scene) -> None:
    other = Scene()
    other.agent = scene.agent
    await scene.hears("set a timer for five minutes")
    assert await other.hears("how many timers are running") == "There is no timer running."


async def test_a_conversation_is_forgotten_when_its_session_is_gone(scene: Scene) -> None:
    await scene.hears("set a timer for five minutes")
    await scene.hears("tell me a story")
    session = weakref.ref(scene.session)
    del scene.session
    gc.collect()
    assert session() is None


async def test_memory_is_flat_however_long_the_conversation_lasts(scene: Scene) -> None:
    for _ in range(40):
        await scene.hears("set a timer for one minute")
        await scene.hears("tell me a story", n_words=5)
        scene.wait(61)
    conversation = scene.agent._conversations[scene.session]
    memories = [conversation.memory, conversation.last.before if conversation.last else conversation.memory]
    assert [len(memory.planned) for memory in memories] == [6, 6]
    assert all(len(memory.timers) + len(memory.expired) <= 5 for memory in memories)
