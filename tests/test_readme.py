"""The README's examples, taken out of it and run."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI, Request, Response

from voicertc import AgentRequest, Endpoint, Settings, Tool, ToolCall, create_app
from voicertc.core.items import Item, Kind, Role
from voicertc.server.app import assemble
from voicertc.services import Services
from voicertc.settings.sections import AgentSection
from voicertc.testing.client import HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector, ScriptedAgent

pytestmark = pytest.mark.network

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
QUIET = Settings(agent=AgentSection(greeting=None))


def example(first_words: str) -> str:
    """Return the one Python example in which ``first_words`` are."""
    (found,) = (code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if first_words in code)
    return found


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run an example at the top of a module; return what it has defined."""
    exec(compile(code, "README.md", "exec"), names)
    return names


def request(*history: Item, tools: tuple[Tool, ...] = ()) -> AgentRequest:
    return AgentRequest(history, Promises(), tools=tools)  # type: ignore[arg-type]


class Promises:
    def __init__(self) -> None:
        self.promised: list[tuple[float, str]] = []

    def say_later(self, delay: float, text: str) -> int:
        self.promised.append((delay, text))
        return len(self.promised)


async def test_the_agent_says_what_it_shows() -> None:
    answer = run(example("# my_agent.py"))["answer"]
    asked = request(Item("a", Role.USER, "hello"))
    assert [piece async for piece in answer(asked)] == ["You said: hello. "]
    assert asked.session.promised == [(60, "A minute has passed.")]  # type: ignore[attr-defined]


async def test_the_agent_with_tools_calls_one_and_tells_what_came_of_it() -> None:
    answer = run(example("function_call_output"))["answer"]
    question = Item("a", Role.USER, "how is the weather")
    asked = [piece async for piece in answer(request(question, tools=(Tool("get_weather"),)))]
    assert asked == [ToolCall("get_weather", '{"city": "Paris"}')]
    output = Item("o", Role.USER, "21 degrees", Kind.FUNCTION_CALL_OUTPUT, call_id="call_1")
    assert [piece async for piece in answer(request(question, output))] == ["It is 21 degrees."]


async def parrot(request: AgentRequest) -> AsyncGenerator[str, None]:
    yield f"You said {request.user_text}."


async def test_it_mounts_into_an_aiohttp_application() -> None:
    app = web.Application()
    made = run(
        example("app.add_subapp").replace("import voicertc", ""),
        app=app,
        answer=parrot,
        voicertc=SettledVoicertc,
    )
    assert made["app"] is app
    async with TestServer(app) as server, HeadlessClient(str(server.make_url("/voice-agent"))) as client:
        await client.channel_opened()


class SettledVoicertc:
    """The package, as in a process whose environment says: no greeting."""

    @staticmethod
    def create_app(*, agent: Any) -> web.Application:
        return create_app(agent=agent, settings=QUIET)


def services() -> Services:
    return Services(
        FakeRecognizer(()),
        ScriptedAgent(lambda text: f"You said {text}."),
        FakeVoice(first_audio=0.0),
        LoudnessDetector(),
    )


async def test_another_framework_hands_over_offers() -> None:
    app = FastAPI()
    endpoint = Endpoint(QUIET, services=services())
    # FastAPI reads the types of a function where that was defined.
    module = type(sys)("readme_fastapi")
    sys.modules[module.__name__] = module
    names = vars(module) | {"app": app, "Request": Request, "Response": Response, "answer": parrot}
    names["voicertc"] = type("voicertc", (), {"Endpoint": staticmethod(lambda agent: endpoint)})
    run(example('@app.post("/talk")'), **names)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:

        async def answer(offer: str) -> str:
            return (await http.post("/talk", content=offer)).text

        async with HeadlessClient(answer) as client:
            await client.channel_opened()
    await endpoint.close()


async def test_openais_client_works_by_its_base_url_and_is_not_greeted_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings()
    endpoint = Endpoint(settings, services=services())
    async with TestServer(assemble(endpoint, settings.server)) as server:
        code = example("AsyncOpenAI").replace("http://127.0.0.1:8080", str(server.make_url("/")).rstrip("/"))
        await run(code.replace("asyncio.run(main())", ""))["main"]()
    assert capsys.readouterr().out == "You said What time is it?."
