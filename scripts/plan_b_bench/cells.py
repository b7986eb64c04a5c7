"""One cell of the matrix: a session with one real engine against a broken fake, and what its caller hears.

The other two stages are port fakes that work. The call is carried in real time, frame by frame, without
media: the caller speaks for a second, hears what there is to hear, the service is mended, the caller speaks
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from plan_b_bench.faults import TROUBLES, Trouble, broken
from plan_b_bench.switch import Line
from voicertc.agents.base import Agent
from voicertc.agents.chat import ChatAgent
from voicertc.agents.fallback import FallbackAgent
from voicertc.core import facts
from voicertc.core.facts import Fact
from voicertc.core.options import ConversationOptions, Phrases, SessionOptions
from voicertc.providers.base import SpeechToSpeech, SpeechToText, TextToSpeech, VoiceRequest
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient, OpenAIOptions
from voicertc.providers.openai_live import OpenAILiveOptions, OpenAILiveSpeechToText
from voicertc.providers.openai_reader import OpenAIReaderOptions, OpenAIReaderVoice
from voicertc.providers.openai_responses import OpenAIResponses, OpenAIResponsesOptions
from voicertc.providers.openai_speech_to_speech import OpenAISpeechToSpeech, OpenAISpeechToSpeechOptions
from voicertc.providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions
from voicertc.providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions
from voicertc.providers.phrasebook import Phrasebook
from voicertc.providers.plan_b.member import Member
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.providers.secret import Secret
from voicertc.services.phrases import voice_phrases
from voicertc.session.session import Session
from voicertc.session.setup import Services, SessionSetup
from voicertc.testing.fake_openai import FakeOpenAI, Scenario
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent
from voicertc.testing.line import Line as Caller

KEY = "sk-planted-4f9d1c77b2e84a03"
"""Must never be seen anywhere."""
PHRASES = Phrases(greeting=None)
FIRST, MENDED, SECOND, END = 0.6, 17.0, 17.5, 22.0
"""Seconds: the first turn begins, the service is mended, the second turn begins, the call ends."""
ANSWER = "It is three o'clock, naïve as it sounds. That is all."
SCENARIO = Scenario(
    api_key=KEY, transcripts=("What time is it?",), replies=(ANSWER,), first_audio_delay=0.1, audio_speed=8.0
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is tried: ``trouble`` with ``engine``, with or without another behind it."""

    engine: str
    trouble: Trouble
    has_fallback: bool

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.engine}, {self.trouble.name}, {'with plan B' if self.has_fallback else 'alone'}"

    @property
    def stage(self) -> str:
        """Which stage the engine is of."""
        return {
            "openai-file": "stt",
            "openai-live": "stt",
            "openai-chat": "llm",
            "openai-responses": "llm",
            "openai-speech": "tts",
            "openai-reader": "tts",
            "openai-realtime": "speech",
        }[self.engine]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the caller heard after a turn: seconds from the turn's end to the first sound, and the words."""

    after: float | None
    words: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``answer``, ``apology`` or ``nothing``; what came before the answer does not count."""
        said = " ".join(self.words)
        if "Sorry," in said:  # the server's own; clauses come one by one
            return "apology"
        for bridge in (PHRASES.waiting, PHRASES.still_waiting):
            said = said.replace(bridge or "", "")
        return "answer" if said.strip() else "nothing"


@dataclass(frozen=True, slots=True)
class Row:
    """A cell and what came of it; ``told``: all that the session published, as text, for the key's sake."""

    cell: Cell
    first: Heard
    second: Heard
    told: str


async def run_cell(cell: Cell) -> Row:
    """Hold one call of ``END`` seconds."""
    async with AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(FakeOpenAI(SCENARIO))
        ailing = await stack.enter_async_context(FakeOpenAI(broken(SCENARIO, cell.trouble, cell.engine)))
        line = await stack.enter_async_context(Line(_port(healthy)))
        address = cell.trouble.address or "http://127.0.0.1:{port}/v1"
        access = OpenAIOptions(api_key=Secret(KEY), base_url=address.format(port=line.port))
        services = await stack.enter_async_context(_services(cell, access))
        await voice_phrases(PHRASES.all(), services, VoiceRequest())
        await line.set(cell.trouble.line, _port(ailing))
        engine = cell.engine if cell.stage == "speech" else "cascade"
        session = Session(
            services,
            SessionSetup(ConversationOptions(phrases=PHRASES), SessionOptions(engine=engine)),
            session_id="sess_matrix",
            id_prefix="",
        )
        caller = Caller(session)
        told: list[Fact] = []
        session.subscribe(told.append)
        caller.says(FIRST, lasts=1.0)
        caller.says(SECOND, lasts=1.0)
        await caller.run(until=MENDED)
        await line.set("open", _port(healthy))
        await caller.run(until=END)
        await session.close()
    return Row(cell, _heard(caller, 0, MENDED), _heard(caller, 1, END), repr(told))


def _port(fake: FakeOpenAI) -> int:
    return int(fake.base_url.rsplit(":", 1)[1].split("/")[0])


def _heard(caller: Caller, number: int, until: float) -> Heard:
    """Return what was heard after the caller's turn ``number``."""
    ends = caller.when(facts.TurnStopped)
    if len(ends) <= number:
        return Heard(None, ())
    ended = ends[number]
    sound = [begin for begin, end in caller.audible if end > ended and begin < until]
    words = [
        fact.text for at, fact in caller.facts if isinstance(fact, facts.ReplyTextGrew) and ended < at < until
    ]
    return Heard(round(min(sound) - ended, 2) if sound else None, tuple(words))


# --- the stages ---------------------------------------------------------------------------------


@asynccontextmanager
async def _services(cell: Cell, access: OpenAIOptions) -> AsyncIterator[Services]:
    recognizer: SpeechToText = FakeRecognizer(["What time is it?"] * 2)
    agent: Agent = ScriptedAgent(lambda _: ANSWER, delay=0.1)
    voice: TextToSpeech = FakeVoice()
    tested = _MAKERS[cell.engine](access)
    speech: dict[str, SpeechToSpeech] = {}
    chain: Any
    match cell.stage:
        case "speech":
            chain = speech[cell.engine] = tested
        case "stt":
            chain = recognizer = FallbackSpeechToText(_members(cell, tested, recognizer))
        case "llm":
            chain = agent = FallbackAgent(_members(cell, tested, agent))
        case _:
            chain = voice = FallbackTextToSpeech(_members(cell, tested, voice))
    await chain.start()
    try:
        yield Services(recognizer, agent, voice, LoudnessDetector(), Phrasebook(), speech=speech)
    finally:
        await chain.close()


def _members(cell: Cell, tested: Any, other: Any) -> list[Member[Any]]:
    return [Member(tested), Member(other)] if cell.has_fallback else [Member(tested)]


_MAKERS: dict[str, Callable[[OpenAIOptions], Any]] = {
    "openai-file": lambda access: OpenAISpeechToText(OpenAISpeechToTextOptions(), OpenAIClient(access)),
    "openai-live": lambda access: OpenAILiveSpeechToText(OpenAILiveOptions(), access),
    "openai-chat": lambda access: ChatAgent(OpenAIChat(OpenAIChatOptions(), OpenAIClient(access))),
    "openai-responses": lambda access: ChatAgent(
        OpenAIResponses(OpenAIResponsesOptions(), OpenAIClient(access))
    ),
    "openai-speech": lambda access: OpenAITextToSpeech(OpenAITextToSpeechOptions(), OpenAIClient(access)),
    "openai-reader": lambda access: OpenAIReaderVoice(OpenAIReaderOptions(), access),
    "openai-realtime": lambda access: OpenAISpeechToSpeech(OpenAISpeechToSpeechOptions(), access),
}


def cells_of(engines: Iterable[str]) -> list[Cell]:
    """Return all cells of some engines; a speech-to-speech engine always has the cascade behind it."""
    return [
        Cell(engine, trouble, has_fallback)
        for engine in engines
        for trouble in TROUBLES[engine]
        for has_fallback in ((True,) if engine == "openai-realtime" else (False, True))
    ]


async def run_all(cells: list[Cell], at_once: int, show: Callable[[Row], None]) -> list[Row]:
    """Run all cells, so many at a time."""
    room = asyncio.Semaphore(at_once)

    async def run(cell: Cell) -> Row:
        async with room:
            row = await run_cell(cell)
            show(row)
            return row

    return list(await asyncio.gather(*map(run, cells)))
