from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicertc.agents.base import FunctionAgent
from voicertc.agents.loading import load_agent
from voicertc.errors import SettingsError

MODULE = """
async def my_agent(request):
    yield "Hello"

class Nested:
    agent = my_agent

class Whole:
    name, grammar, greeting = "whole", None, None
    def reply(self, request): ...
    async def start(self): ...
    async def close(self): ...

class Needy:
    def __init__(self, key): ...

async def no_yield(request):
    return "Hello"

def plain(request):
    yield "Hello"

class Half:
    def reply(self, request): ...
    async def start(self): ...

number = 5
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported from it is forgotten afterwards."""
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def mistake(name: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_agent(name)
    (sentence,) = caught.value.mistakes
    return sentence


def test_a_function_in_the_current_directory_becomes_an_agent(here: Path) -> None:
    (here / "kitchen.py").write_text(MODULE)
    agent = load_agent("kitchen:my_agent")
    assert isinstance(agent, FunctionAgent)
    assert agent.name == "kitchen:my_agent"
    assert isinstance(load_agent("kitchen:Nested.agent"), FunctionAgent)


def test_a_class_is_made_into_an_agent(here: Path) -> None:
    (here / "garden.py").write_text(MODULE)
    assert load_agent("garden:Whole").name == "whole"


def test_a_module_in_a_package_is_found(here: Path) -> None:
    (here / "house").mkdir()
    (here / "house" / "__init__.py").write_text("")
    (here / "house" / "hall.py").write_text(MODULE)
    assert load_agent("house.hall:my_agent").name == "house.hall:my_agent"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cellar", "'cellar' must be module:attribute, like my_module:my_agent"),
        ("attic:my_agent", "there is no module attic here ({here}) or installed"),
        ("cellar.box:my_agent", "there is no module cellar.box here ({here}) or installed"),
        ("cellar:my_agnt", "the module cellar has no my_agnt; did you mean my_agent?"),
        ("cellar:zebra", "the module cellar has no zebra"),
        ("cellar:no_yield", "cellar:no_yield is an async function without yield; an agent yields its text"),
        ("cellar:plain", "cellar:plain is a plain generator; write 'async def'"),
        (
            "cellar:Half",
            "cellar:Half is of type Half, which lacks name, grammar, greeting, close of an Agent",
        ),
        (
            "cellar:number",
            "cellar:number is of type int; an agent is an async generator function or an Agent",
        ),
    ],
)
def test_what_is_no_agent_is_told_in_a_sentence(name: str, expected: str, here: Path) -> None:
    (here / "cellar.py").write_text(MODULE)
    assert mistake(name) == "agent.import: " + expected.format(here=here)


def test_a_class_that_needs_arguments_is_told(here: Path) -> None:
    (here / "shed.py").write_text(MODULE)
    assert mistake("shed:Needy").startswith(
        "agent.import: shed:Needy is a class and cannot be made without arguments: TypeError: "
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "import no_such_package_here",
            "broken1 needs the package no_such_package_here, which is not installed",
        ),
        ("x = 1\ndef f(:\n", "broken1.py line 2: invalid syntax"),
        ("x = 1\n\nx / 0\n", "broken1.py line 3: ZeroDivisionError: division by zero"),
        ("raise SystemExit", "broken1.py line 1: SystemExit"),
        ("def f():\n    raise OSError('no\\nkey')\nf()\n", "broken1.py line 2: OSError: no\nkey"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_line(text: str, expected: str, here: Path) -> None:
    (here / "broken1.py").write_text(text)
    assert mistake("broken1:my_agent") == f"agent.import: {expected}"
