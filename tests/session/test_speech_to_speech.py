"""Sessions with OpenAI's speech-to-speech service, over real sockets to a strict local fake of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from tests.session.conftest import QUIET
from voicertc.core import events, facts
from voicertc.core.agenda import plain_request
from voicertc.core.facts import Fact
from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.core.options import EndpointingOptions, SessionOptions, Tool, TurnDetection
from voicertc.core.replies import Cause, ReplyRequest, ToolCall
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_speech_to_speech import OpenAISpeechToSpeech, OpenAISpeechToSpeechOptions
from voicertc.providers.secret import Secret
from voicertc.session.session import Session
from voicertc.session.setup import Services
from voicertc.testing.fake_openai import (
    Calls,
    Cut,
    FakeOpenAI,
    RealtimeScenario,
    ReceivedSocket,
    Scenario,
)
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent
from voicertc.testing.line import Line

LIMIT = 20.0
"""Seconds until a wait counts as a hang."""
ENGINE = "openai-realtime"
OPTIONS = SessionOptions(engine=ENGINE, turn_detection=TurnDetection(silence=0.2))
STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept, and woke."
WEATHER = Tool("get_weather", "Tells the weather.", '{"type": "object"}')

_F = TypeVar("_F", bound=Fact)


class Talk:
    """A session on the service, a caller on its line, and what a test waits for."""

    def __init__(
        self, fake: FakeOpenAI, service: OpenAISpeechToSpeech, options: SessionOptions, eager: float | None
    ) -> None:
        self.fake = fake
        self.agent = ScriptedAgent(lambda text: f"The cascade heard {text}.")
        self.recognizer = FakeRecognizer(["one", "two", "three"])
        services = Services(
            self.recognizer,
            self.agent,
            FakeVoice(first_audio=0.01),
            LoudnessDetector(),
            speech={ENGINE: service},
        )
        endpointing = EndpointingOptions(eager_silence=eager)
        conversation = replace(QUIET.conversation, endpointing=endpointing)
        setup = replace(QUIET, session=options, conversation=conversation)
        self.session = Session(services, setup, session_id="sess_test", id_prefix="")
        self.line = Line(self.session)
        self._changed = asyncio.Event()
        self.session.subscribe(lambda fact: self._changed.set())

    def speak(self, lasts: float = 0.4) -> None:
        self.line.says(self.line.now + 0.05, lasts=lasts)

    def ask(self) -> None:
        """Ask for a reply, as a client does."""
        request = plain_request(self.session.options, Cause.CLIENT)
        self.session.post(events.ResponseRequested(request))

    async def until(self, condition: Callable[[], object]) -> None:
        """Carry sound until it holds."""
        async with asyncio.timeout(LIMIT):
            while not condition():
                await self.line.run(self.line.now + 0.02)

    async def until_answered(self, n: int) -> None:
        await self.until(lambda: len(self.of(facts.PlayoutStopped)) >= n)

    def of(self, kind: type[_F]) -> list[_F]:
        return [fact for _, fact in self.line.facts if isinstance(fact, kind)]

    @property
    def sockets(self) -> list[ReceivedSocket]:
        return [record for record in self.fake.sockets if record.query.get("model")]

    @property
    def socket(self) -> ReceivedSocket:
        return self.sockets[-1]


@asynccontextmanager
async def talk(
    scenario: Scenario,
    options: SessionOptions = OPTIONS,
    *,
    key: str | None = None,
    eager: float | None = None,
    **service: Any,
) -> AsyncGenerator[Talk, None]:
    async with FakeOpenAI(scenario) as fake:
        access = OpenAIOptions(base_url=fake.base_url, api_key=Secret(key or str(scenario.api_key)))
        made = OpenAISpeechToSpeech(OpenAISpeechToSpeechOptions(**service), access)
        await made.start()
        call = Talk(fake, made, options, eager)
        try:
            yield call
        finally:
            await call.session.close()
            await made.close()
        assert {task for task in asyncio.all_tasks() if ENGINE in task.get_name()} == set()


def errors(record: ReceivedSocket) -> list[Mapping[str, Any]]:
    return [*record.errors]


async def test_two_turns_are_heard_and_answered_by_sound() -> None:
    scenario = Scenario(
        transcripts=("Hello there.", "And now?"),
        replies=("Hello. How can I help you?", "It is three."),
        realtime=RealtimeScenario(adds_unknown=True),
    )
    async with talk(scenario) as call:
        call.speak()
        await call.until_answered(1)
        call.speak()
        await call.until_answered(2)
        assert call.line.history == [
            ("user", "Hello there."),
            ("assistant", "Hello. How can I help you?"),
            ("user", "And now?"),
            ("assistant", "It is three."),
        ]
        assert all(len(turn.samples) / 24_000 > 0.55 for turn in call.socket.turns)
        assert call.socket.n_lost == 0
        assert len(call.sockets) == 1
        assert errors(call.socket) == []
        ended = call.of(facts.ReplyEnded)[-1]
        assert ended.usage is not None
        assert ended.usage.provider == ENGINE
        assert ended.usage.input_audio_tokens > 0
        assert ended.usage.output_audio_tokens > 0
        assert call.agent.requests == []


async def test_an_answer_is_ready_when_the_turn_is_over() -> None:
    options = replace(OPTIONS, turn_detection=TurnDetection(silence=1.0))
    async with talk(Scenario(transcripts=("Hello.",), replies=("Hi.",)), options, eager=0.15) as call:
        call.speak(0.6)
        await call.until(lambda: any(each.received("response.create") for each in call.sockets))
        assert call.of(facts.TurnStopped) == []  # it is asked for in the pause
        await call.until_answered(1)
        assert call.line.history == [("user", "Hello."), ("assistant", "Hi.")]
        assert len(call.socket.received("response.create")) == 1


async def test_who_goes_on_is_answered_once_and_what_was_guessed_is_forgotten() -> None:
    seen: list[list[object]] = []

    def reply(messages: Sequence[Mapping[str, Any]]) -> str:
        seen.append([message["role"] for message in messages if message["role"] != "system"])
        return "Once upon a time."

    scenario = Scenario(transcripts=("Tell me.", "Tell me a story.", "Go on."), replies=reply)
    options = replace(OPTIONS, turn_detection=TurnDetection(silence=1.0))
    async with talk(scenario, options, eager=0.15) as call:
        call.speak(0.6)
        await call.until(lambda: any(each.received("response.create") for each in call.sockets))
        call.speak(0.6)
        await call.until_answered(1)
        call.speak(0.6)
        await call.until_answered(2)
        assert call.line.history == [
            ("user", "Tell me a story."),
            ("assistant", "Once upon a time."),
            ("user", "Go on."),
            ("assistant", "Once upon a time."),
        ]
        # The service remembers the turn once, whole, and nothing of the answer that nobody heard.
        assert seen == [["user"], ["user"], ["user", "assistant", "user"]]
        first, whole, *_ = (len(turn.samples) for turn in call.socket.turns)
        assert whole > first
        assert errors(call.socket) == []


async def test_a_barge_in_leaves_what_was_heard_on_both_sides() -> None:
    scenario = Scenario(transcripts=("Tell me a story.", "Stop it."), replies=(STORY, "All right."))
    async with talk(scenario) as call:
        call.speak()
        await call.until(lambda: call.of(facts.PlayoutStarted))
        await call.line.run(call.line.now + 1.0)
        call.speak(lasts=0.7)
        await call.until_answered(1)  # of the second reply: the first was cleared
        (truncated,) = call.of(facts.ItemTruncated)
        (sent,) = call.socket.received("conversation.item.truncate")
        assert 1000 < truncated.audio_end_ms < 2600
        assert sent["audio_end_ms"] == truncated.audio_end_ms
        story = call.line.history[1]
        assert story == ("assistant", truncated.text)
        # 60 ms a character: what was heard is known to within a word.
        assert STORY.startswith(truncated.text)
        assert 0 <= truncated.audio_end_ms / 60 - len(truncated.text) < 14
        assert call.line.history[2:] == [("user", "Stop it."), ("assistant", "All right.")]
        assert (
            [event["response_id"] for event in call.socket.received("response.cancel")]
            in (
                [],  # all of it was made already
                [sent["item_id"].replace("item_", "resp_")[:-2]],
            )
        )
        assert errors(call.socket) == []


async def test_a_reply_cut_off_while_it_is_made_is_cancelled_and_its_late_sound_is_dropped() -> None:
    scenario = Scenario(
        transcripts=("Tell me a story.", "Stop it."),
        replies=(STORY, "All right."),
        audio_speed=1.5,
        realtime=RealtimeScenario(late_chunks=3),
    )
    async with talk(scenario) as call:
        call.speak()
        await call.until(lambda: call.of(facts.PlayoutStarted))
        call.speak(lasts=0.7)
        await call.until_answered(1)
        (cancel,) = call.socket.received("response.cancel")
        done = [event for event in call.socket.sent if event["type"] == "response.done"]
        assert [event["response"]["status"] for event in done] == ["cancelled", "completed"]
        assert cancel["response_id"] == done[0]["response"]["id"]
        (truncated,) = call.of(facts.ItemTruncated)
        (sent,) = call.socket.received("conversation.item.truncate")
        assert sent["audio_end_ms"] == truncated.audio_end_ms
        assert STORY.startswith(truncated.text)
        assert call.line.history[-1] == ("assistant", "All right.")
        assert errors(call.socket) == []
        # What the cancelled one has cost is not forgotten.
        costs = [event["response"]["usage"]["output_tokens"] for event in done]
        told = [ended.usage.output_tokens for ended in call.of(facts.ReplyEnded) if ended.usage]
        assert told == [sum(costs)]


async def test_a_tool_is_called_and_its_output_answered() -> None:
    def answer(messages: Sequence[Mapping[str, Any]]) -> str | Calls:
        if messages[-1]["role"] == "tool":
            return f"It is {messages[-1]['content']}."
        return Calls((ToolCall("get_weather", '{"city": "Oslo"}'),), "Let me look.")

    scenario = Scenario(transcripts=("What is the weather?",), replies=answer)
    async with talk(scenario, replace(OPTIONS, tools=(WEATHER,))) as call:
        call.speak()
        await call.until_answered(1)
        (item,) = [item for item in call.session.items if item.kind is Kind.FUNCTION_CALL]
        assert (item.name, item.arguments) == ("get_weather", '{"city": "Oslo"}')
        output = Item("item_out", kind=Kind.FUNCTION_CALL_OUTPUT, call_id=item.call_id, text="sunny")
        call.session.post(events.ItemSubmitted(output))
        call.ask()
        await call.until_answered(2)
        assert call.line.history[-1] == ("assistant", "It is sunny.")
        assert errors(call.socket) == []


async def test_a_typed_text_is_answered_and_a_deleted_one_is_forgotten() -> None:
    heard: list[list[str]] = []

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        heard.append([f"{each['role']}: {each['content']}" for each in messages[1:]])
        return "Well."

    scenario = Scenario(transcripts=("Hello there.",), replies=answer)
    async with talk(scenario) as call:
        call.session.post(events.ItemSubmitted(Item("item_a", Role.SYSTEM, "Be kind.")))
        call.session.post(events.ItemSubmitted(Item("item_b", Role.USER, "I am Ada.")))
        call.speak()
        await call.until_answered(1)
        call.session.post(events.ItemDeleteRequested("item_a"))
        call.session.post(events.ItemSubmitted(Item("item_c", Role.USER, "Who am I?")))
        call.ask()
        await call.until_answered(2)
        first = ["system: Be kind.", "user: I am Ada.", "user: Hello there."]
        assert heard == [first, [*first[1:], "assistant: Well.", "user: Who am I?"]]
        assert errors(call.socket) == []


async def test_a_written_reply_is_written() -> None:
    scenario = Scenario(transcripts=("Hello there.",), replies=("Hello. How can I help you?",))
    async with talk(scenario, replace(OPTIONS, output=Modality.TEXT)) as call:
        call.speak()
        await call.until(lambda: call.of(facts.ReplyEnded))
        assert call.line.history == [("user", "Hello there."), ("assistant", "Hello. How can I help you?")]
        assert call.line.heard == []
        (asked,) = call.socket.received("response.create")
        assert asked["response"]["output_modalities"] == ["text"]


async def test_an_aside_is_made_out_of_band_and_leaves_no_trace() -> None:
    scenario = Scenario(transcripts=("Hello there.",), replies=("Well.",))
    async with talk(scenario) as call:
        call.speak()
        await call.until_answered(1)
        aside = ReplyRequest(
            Cause.CLIENT,
            instructions="Sum up.",
            output=Modality.TEXT,
            input=(*call.session.items, Item("", Role.USER, "What was said?")),
            is_aside=True,
        )
        call.session.post(events.ResponseRequested(aside))
        await call.until(lambda: len(call.of(facts.ReplyEnded)) == 2)
        (out,) = call.of(facts.ReplyEnded)[-1].items
        assert out.text == "What was said?"  # the fake reads what it is given out of band
        asked = call.socket.received("response.create")[-1]["response"]
        assert asked["conversation"] == "none"
        assert asked["instructions"] == "Sum up."
        assert [each["type"] for each in asked["input"]] == ["item_reference", "item_reference", "message"]
        assert call.line.history == [("user", "Hello there."), ("assistant", "Well.")]
        assert errors(call.socket) == []


async def test_given_text_is_spoken_by_the_cascades_voice_and_the_service_is_told() -> None:
    heard: list[str] = []

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        heard.extend(f"{each['role']}: {each['content']}" for each in messages[1:])
        return "Well."

    async with talk(Scenario(transcripts=("Hello there.",), replies=answer)) as call:
        call.session.post(events.SayRequested("Good evening."))
        await call.until_answered(1)
        call.speak()
        await call.until_answered(2)
        assert heard == ["assistant: Good evening.", "user: Hello there."]


async def test_a_socket_is_renewed_between_turns_and_the_new_one_is_told_all() -> None:
    heard: list[str] = []

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        heard[:] = [f"{each['role']}: {each['content']}" for each in messages[1:]]
        return "I remember."

    scenario = Scenario(transcripts=("I am Ada.", "Who am I?"), replies=answer)
    async with talk(scenario, max_age=2.5) as call:
        call.speak()
        await call.until_answered(1)
        await call.until(lambda: len(call.sockets) == 2 and not call.sockets[0].is_open)
        call.speak()
        await call.until_answered(2)
        assert heard == ["user: I am Ada.", "assistant: I remember.", "user: Who am I?"]
        assert all(errors(record) == [] for record in call.sockets)


async def test_the_services_own_limit_ends_no_conversation() -> None:
    heard: list[str] = []

    def answer(messages: Sequence[Mapping[str, Any]]) -> str:
        heard[:] = [f"{each['role']}: {each['content']}" for each in messages[1:]]
        return "I remember."

    realtime = RealtimeScenario(session_seconds=2.5)
    scenario = Scenario(transcripts=("I am Ada.", "Who am I?"), replies=answer, realtime=realtime)
    async with talk(scenario) as call:
        call.speak()
        await call.until_answered(1)
        await call.until(lambda: len(call.sockets) == 2)
        call.speak()
        await call.until_answered(2)
        assert heard == ["user: I am Ada.", "assistant: I remember.", "user: Who am I?"]


async def test_a_socket_lost_in_the_middle_of_an_answer_keeps_what_was_heard_and_apologizes() -> None:
    realtime = RealtimeScenario(responses=(Cut(30),))
    scenario = Scenario(
        transcripts=("Tell me a story.", "Again."), replies=(STORY, "All right."), realtime=realtime
    )
    async with talk(scenario) as call:
        call.speak()
        await call.until_answered(2)
        broken, apology = call.line.history[1:]
        assert STORY.startswith(broken[1])
        made = sum(e["delta"] for e in call.sockets[0].sent if e["type"] == "response.output_audio.delta")
        assert 0 < len(broken[1]) <= made / 48 / 60  # 48 bytes a millisecond, 60 ms a character
        assert apology == ("assistant", QUIET.conversation.phrases.apology)
        call.speak()
        await call.until_answered(3)
        assert call.line.history[3:] == [("user", "Again."), ("assistant", "All right.")]
        assert call.session.options.engine == ENGINE


@pytest.mark.parametrize("key", ["sk-planted-0123456789abcdef"])
async def test_a_wrong_key_brings_the_cascade_and_shows_nowhere(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talk(Scenario(), key=key) as call:
        await call.until(lambda: call.of(facts.SessionChanged))
        call.speak()
        await call.until_answered(1)
        assert call.line.history == [("user", "one"), ("assistant", "The cascade heard one.")]
        assert "engine_replaced" in caplog.text
        assert key not in caplog.text
        assert key not in repr(call.line.facts)
