"""Finding an agent by name, ``module:attribute``, and saying in one sentence why it cannot be had."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..errors import SettingsError
from .base import Agent, as_agent

_MEMBERS = [name for name in vars(Agent) if not name.startswith("_")]


def load_agent(name: str) -> Agent:
    """Return the agent called ``module:attribute``; a class is instantiated without arguments.

    The current directory is searched too, as by ``python -m``. Raises ``SettingsError`` with one sentence.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise _mistake(f"{name!r} must be module:attribute, like my_module:my_agent")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return _as_agent(_attribute(_module(module_name), attribute), name)


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise _mistake(f"there is no module {name} here ({Path.cwd()}) or installed") from error
        raise _mistake(f"{name} needs the package {error.name}, which is not installed") from error
    except SyntaxError as error:
        where = f"{Path(error.filename or name).name} line {error.lineno}"
        raise _mistake(f"{where}: {error.msg}") from error
    except (
        Exception,
        SystemExit,
    ) as error:  # whatever a user's module does on import, it is told in one line
        raise _mistake(f"{_where(error, name)}: {_what(error)}") from error


def _attribute(module: ModuleType, path: str) -> object:
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        near = get_close_matches(path, [name for name in vars(module) if not name.startswith("_")], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _mistake(f"the module {module.__name__} has no {path}{hint}") from error


def _as_agent(found: object, name: str) -> Agent:
    if isinstance(found, type):
        found = _instance(found, name)
    if inspect.iscoroutinefunction(found):
        raise _mistake(f"{name} is an async function without yield; an agent yields its text")
    if inspect.isgeneratorfunction(found):
        raise _mistake(f"{name} is a plain generator; write 'async def'")
    if isinstance(found, Agent) or callable(found):
        return as_agent(found)
    kind = type(found).__name__
    if hasattr(found, "reply"):
        missing = [member for member in _MEMBERS if not hasattr(found, member)]
        raise _mistake(f"{name} is of type {kind}, which lacks {', '.join(missing)} of an Agent")
    raise _mistake(f"{name} is of type {kind}; an agent is an async generator function or an Agent")


def _instance(found: Callable[[], object], name: str) -> object:
    try:
        return found()
    except Exception as error:  # the user's own constructor
        raise _mistake(f"{name} is a class and cannot be made without arguments: {_what(error)}") from error


def _mistake(sentence: str) -> SettingsError:
    return SettingsError([f"agent.import: {sentence}"])


def _where(error: BaseException, name: str) -> str:
    """Return the innermost line that is not the import machinery's."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    own = [frame for frame in frames if frame.filename != __file__]
    return f"{Path(own[-1].filename).name} line {own[-1].lineno}" if own else name


def _what(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
