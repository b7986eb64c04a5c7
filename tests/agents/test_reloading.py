from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from voicertc.agents.base import AgentRequest, AgentSession
from voicertc.agents.reloading import ReloadingAgent
from voicertc.errors import SettingsError

AGENT = "async def agent(request):\n    yield {text!r}\n"
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files into the current directory, each a little younger than the one before."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    times = iter(range(1_800_000_000, 1_800_001_000))

    def write_file(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        moment = next(times)
        os.utime(path, (moment, moment))

    yield write_file
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


async def said(agent: ReloadingAgent, session_id: str = "sess_1") -> str:
    session = cast(AgentSession, SimpleNamespace(id=session_id))
    return "".join([text async for text in agent.reply(AgentRequest((), session))])


async def test_new_sessions_get_the_new_agent_and_old_ones_keep_theirs(write: Write) -> None:
    write("reload1.py", AGENT.format(text="old"))
    agent = ReloadingAgent("reload1:agent")
    assert (await said(agent, "sess_1"), await agent.look()) == ("old", False)
    write("reload1.py", AGENT.format(text="new"))
    assert await agent.look()
    assert (await said(agent, "sess_1"), await said(agent, "sess_2")) == ("old", "new")
    assert agent.name == "reload1:agent"
    assert (agent.grammar, agent.greeting) == (None, None)


async def test_a_broken_version_is_reported_once_and_the_old_one_stays(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    write("reload2.py", AGENT.format(text="good"))
    agent = ReloadingAgent("reload2:agent")
    write("reload2.py", "async def agent(request:\n")
    assert [await agent.look(), await agent.look()] == [False, False]
    assert [record.message for record in caplog.records] == ["agent_reload_failed"]
    assert await said(agent) == "good"
    write("reload2.py", AGENT.format(text="mended"))
    assert await agent.look()
    assert await said(agent, "sess_2") == "mended"


async def test_a_change_beside_the_module_or_below_its_package_counts(write: Write) -> None:
    write("words3.py", "WORD = 'old'\n")
    write("reload3/__init__.py", "")
    write("reload3/words.py", "from words3 import WORD\n")
    write("reload3/agent.py", "from .words import WORD\nasync def agent(request):\n    yield WORD\n")
    agent = ReloadingAgent("reload3.agent:agent")
    write("reload3/words.py", "WORD = 'newer'\n")
    assert await agent.look()
    assert await said(agent) == "newer"
    # words3 is not used any more, but stands beside the package.
    write("reload3/words.py", "from words3 import WORD\n")
    assert await agent.look()
    assert await said(agent, "sess_2") == "old"


async def test_a_deleted_file_breaks_until_it_is_back(write: Write, tmp_path: Path) -> None:
    write("reload4.py", AGENT.format(text="old"))
    agent = ReloadingAgent("reload4:agent")
    (tmp_path / "reload4.py").unlink()
    assert not await agent.look()
    write("reload4.py", AGENT.format(text="back"))
    assert await agent.look()
    assert await said(agent) == "back"


WHOLE = """
from voicertc.errors import ProviderUnavailable
class Agent:
    grammar, greeting = None, None
    name = "{name}"
    closed = []
    async def reply(self, request):
        yield self.name
    async def start(self):
        if self.name == "unwell":
            raise ProviderUnavailable("no key", provider="agent", fix="set it")
    async def close(self):
        with open("closed", "a") as file:
            file.write(self.name + " ")
"""


async def test_a_version_that_cannot_start_is_not_taken(write: Write) -> None:
    write("reload5.py", WHOLE.format(name="well"))
    agent = ReloadingAgent("reload5:Agent")
    write("reload5.py", WHOLE.format(name="unwell"))
    assert not await agent.look()
    assert await said(agent) == "well"


async def test_every_version_is_closed_in_the_end_and_the_oldest_before(write: Write, tmp_path: Path) -> None:
    write("reload6.py", WHOLE.format(name="v0"))
    agent = ReloadingAgent("reload6:Agent")
    await agent.start()
    for version in range(1, 10):
        write("reload6.py", WHOLE.format(name=f"v{version}"))
        assert await agent.look()
    assert (tmp_path / "closed").read_text() == "v0 "
    await agent.close()
    assert sorted((tmp_path / "closed").read_text().split()) == [f"v{version}" for version in range(10)]


async def test_the_files_are_watched_while_it_runs(write: Write) -> None:
    write("reload7.py", WHOLE.format(name="first"))
    agent = ReloadingAgent("reload7:Agent", interval=0.01)
    await agent.start()
    write("reload7.py", WHOLE.format(name="second"))
    async with asyncio.timeout(10):
        while agent.name != "second":  # noqa: ASYNC110 (the watch itself polls)
            await asyncio.sleep(0.01)
    await agent.close()
    await agent.close()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "dev/agent-reload"] == []


async def test_sessions_are_not_remembered_without_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicertc.agents.reloading._MAX_SESSIONS", 2)
    write("reload8.py", AGENT.format(text="old"))
    agent = ReloadingAgent("reload8:agent")
    for session in ("a", "b", "c"):
        await said(agent, session)
    write("reload8.py", AGENT.format(text="new"))
    await agent.look()
    assert [await said(agent, "c"), await said(agent, "a")] == ["old", "new"]


def test_a_first_version_that_fails_is_a_mistake(write: Write) -> None:
    write("reload9.py", "x")
    with pytest.raises(SettingsError, match=r"reload9\.py line 1: NameError"):
        ReloadingAgent("reload9:agent")
