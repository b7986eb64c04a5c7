"""Whatever a service does instead of answering: who stands in for it answers, and the next turn too."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
from aiohttp import web

from voicertc import tls
from voicertc.agents.base import AgentRequest, AgentSession
from voicertc.agents.chat import ChatAgent
from voicertc.agents.fallback import FallbackAgent
from voicertc.audio.pcm import PcmFrame
from voicertc.providers.base import Final, RecognitionRequest, VoiceRequest
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_stt import OpenAISpeechToText, OpenAISpeechToTextOptions
from voicertc.providers.openai_tts import OpenAITextToSpeech, OpenAITextToSpeechOptions
from voicertc.providers.plan_b.member import Member, MemberReport
from voicertc.providers.plan_b.stt import FallbackSpeechToText
from voicertc.providers.plan_b.tts import FallbackTextToSpeech
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import Cut, FailInside, FakeOpenAI, Fault, Refuse, Scenario, Send, Stall

from .services import Ear, Hears, Service, sound

KEY = "sk-planted-0123456789abcdef"
FIRST_TIMEOUT = 10.0
"""Seconds for a service that fails by itself, however busy this machine is."""
SHORT = 0.3
"""Seconds for one that only ends by being waited for."""

Stage = Literal["transcriptions", "chat", "speech"]
STAGES: tuple[Stage, ...] = ("transcriptions", "chat", "speech")
NAMES = dict(zip(STAGES, ("openai-file", "openai-chat", "openai-speech"), strict=True))
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Case:
    """``state``: of the breaker, after one failure; ``said``: a part of what the log tells."""

    name: str
    fault: Fault
    state: str
    said: str
    stages: tuple[Stage, ...] = STAGES
    first_timeout: float = FIRST_TIMEOUT


CASES = (
    Case(
        "401",
        Refuse(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
        "open",
        "refused the API key",
    ),
    Case("403", Refuse(403, message=f"Bearer {KEY} may not"), "open", "does not permit this"),
    Case("404 model", Refuse(404, "model_not_found"), "open", "does not know what was asked for"),
    Case("429", Refuse(429, "rate_limit_exceeded"), "closed", "is busy"),
    Case(
        "429 with Retry-After",
        Refuse(429, "rate_limit_exceeded", headers={"retry-after": "9"}),
        "closed",
        "is busy",
    ),
    Case("no credit", Refuse(429, "insufficient_quota"), "open", "no credit left"),
    Case("500", Refuse(500, message=f"{KEY} broke it"), "closed", "failed (HTTP 500"),
    Case("400", Refuse(400, "invalid_value", "Not like this."), "closed", "Not like this."),
    Case("web page of a proxy", Refuse(502, body=b"<html>Bad Gateway</html>"), "closed", "failed (HTTP 502"),
    Case("reset", Cut(), "closed", "was lost"),
    Case("hangs before headers", Stall(), "closed", "within 0.3 s", first_timeout=SHORT),
    Case("nothing", Send(b"", "application/json"), "closed", "openai"),
    Case("malformed JSON", Send(b'{"text": ', "application/json"), "closed", "JSON", ("transcriptions",)),
    Case("no text", Send(b"{}", "application/json"), "closed", "transcript", ("transcriptions",)),
    Case("malformed event", Send(b"data: {\n\n", EVENTS), "closed", "no JSON", ("chat",)),
    Case("empty stream", Send(b"data: [DONE]\n\n", EVENTS), "closed", "without words", ("chat",)),
    Case("comments only", Stall(), "closed", "within 0.3 s", ("chat",), SHORT),
    Case("error event", FailInside(0, "server_error", "Out of luck."), "closed", "Out of luck.", ("chat",)),
    Case("no sound", Send(b"", "audio/pcm"), "closed", "sent no sound", ("speech",)),
    Case("a page for sound", Send(b"<html>Hi</html>", "text/html"), "closed", "answered with", ("speech",)),
)
MATRIX = [
    pytest.param(stage, case, id=f"{stage}-{case.name}")
    for stage in STAGES
    for case in CASES
    if stage in case.stages
]


@dataclass
class Work:
    """A stage of OpenAI's provider and one that stands in; ``do`` gives ``stand_in`` if that did the work."""

    do: Callable[[], Any]
    provider: Any
    stand_in: object

    def report(self) -> MemberReport:
        report: MemberReport = self.provider.report().members[0]
        return report


def work_of(stage: Stage, client: OpenAIClient, first_timeout: float) -> Work:
    match stage:
        case "transcriptions":
            return _hearing(OpenAISpeechToText(OpenAISpeechToTextOptions(), client), first_timeout)
        case "chat":
            return _thinking(ChatAgent(OpenAIChat(OpenAIChatOptions(), client)), first_timeout)
        case "speech":
            return _speaking(OpenAITextToSpeech(OpenAITextToSpeechOptions(), client), first_timeout)


def _hearing(first: OpenAISpeechToText, first_timeout: float) -> Work:
    stand_in = Ear("local", (Hears(), Final("local")))
    stt = FallbackSpeechToText([Member(first), Member(stand_in)], first_timeout=first_timeout)

    async def audio() -> AsyncGenerator[PcmFrame, None]:
        for number in range(10):
            yield PcmFrame(np.zeros(320, np.int16), number * 320)

    async def do() -> object:
        recognizer = stt.attend(RecognitionRequest())
        pieces = [each async for each in recognizer.recognize(audio(), RecognitionRequest())]
        await recognizer.close()
        return pieces[-1]

    return Work(do, stt, Final("local"))


def _thinking(first: ChatAgent, first_timeout: float) -> Work:
    members = [Member(first), Member(Service("local", ("local",)))]
    agent = FallbackAgent(members, first_timeout=first_timeout)  # type: ignore[arg-type]  # both are agents
    request = AgentRequest((), cast(AgentSession, object()))

    async def do() -> object:
        return [piece async for piece in agent.reply(request)]

    return Work(do, agent, ["local"])


def _speaking(first: OpenAITextToSpeech, first_timeout: float) -> Work:
    members = [Member(first), Member(Service("local", (sound(7),)))]
    voice = FallbackTextToSpeech(members, first_timeout=first_timeout)  # type: ignore[arg-type]  # both are voices

    async def do() -> object:
        return [len(chunk.samples) async for chunk in voice.synthesize("Hello.", VoiceRequest())]

    return Work(do, voice, [7])


@asynccontextmanager
async def working(
    stage: Stage, base_url: str, first_timeout: float = FIRST_TIMEOUT
) -> AsyncGenerator[Work, None]:
    client = OpenAIClient(OpenAIOptions(api_key=Secret(KEY), base_url=base_url))
    work = work_of(stage, client, first_timeout)
    await work.provider.start()
    try:
        yield work
    finally:
        await work.provider.close()


@pytest.mark.parametrize(("stage", "case"), MATRIX)
async def test_a_service_that_fails_is_stood_in_for(
    stage: Stage, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="")
    scenario = Scenario(api_key=KEY, faults={stage: repeat(case.fault)})
    if case.name == "comments only":
        scenario = replace(scenario, comment_interval=0.05, first_token_delay=60.0, faults={})
    async with (
        FakeOpenAI(scenario) as fake,
        working(stage, fake.base_url, case.first_timeout) as work,
    ):
        assert await work.do() == work.stand_in
        assert work.report().state == case.state
        assert case.said in work.report().error
        n_requests = len(fake.requests)
        assert await work.do() == work.stand_in
        is_left_alone = case.state == "open" or "Retry-After" in case.name
        assert (len(fake.requests) == n_requests) is is_left_alone
    shown = caplog.text + "".join(str(getattr(each, "voicertc_fields", "")) for each in caplog.records)
    assert KEY not in shown + work.report().error


@pytest.mark.parametrize("stage", STAGES)
async def test_a_service_without_faults_does_the_work_itself(stage: Stage) -> None:
    async with FakeOpenAI(Scenario(api_key=KEY)) as fake, working(stage, fake.base_url) as work:
        assert await work.do() != work.stand_in
        assert work.report() == MemberReport(NAMES[stage], "closed", False, 0, 0, "")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("trouble", "state", "said"),
    [
        ("refused", "closed", "refuses connections"),
        ("name", "", "host"),  # a machine without a resolver cannot know that there is no such host
        ("certificate", "open", "its TLS certificate is refused"),
        ("no TLS", "open", "it does not speak TLS there"),
    ],
)
async def test_a_service_that_cannot_be_reached_is_stood_in_for(
    stage: Stage, trouble: str, state: str, said: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        match trouble:
            case "refused":
                async with FakeOpenAI() as fake:
                    base_url = fake.base_url
            case "name":
                base_url = "https://there-is-no-such-host.invalid/v1"
            case "certificate":
                runner = web.AppRunner(web.Application(), access_log=None)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                context = tls.self_signed(directory=tmp_path)
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
                base_url = f"https://127.0.0.1:{runner.addresses[0][1]}/v1"
            case _:
                fake = await stack.enter_async_context(FakeOpenAI())
                base_url = fake.base_url.replace("http:", "https:")
        async with working(stage, base_url) as work:
            assert [await work.do(), await work.do()] == [work.stand_in] * 2
            assert said in work.report().error
            assert work.report().state.startswith(state)
