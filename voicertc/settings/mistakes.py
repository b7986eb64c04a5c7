"""Turns what pydantic finds wrong into sentences an operator understands, with the place of each."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic_core import ErrorDetails

from .layers import PREFIX, Layer
from .schema import Path, all_paths, annotation_at, is_section, keys_of, member_of

Mistake = tuple[str, str]
"""A setting's key, and what is wrong with it."""

_PROBLEMS = {
    "int": "is not a whole number",
    "float": "is not a number",
    "finite": "is not a number",
    "bool": "is neither true nor false",
    "string": "is not text; put it in quotes",
    "is": "is not text; put it in quotes",  # is_instance_of: a Secret made of something else
    "tuple": "is not a list",
    "list": "is not a list",
    "path": "is not a path",
    "dataclass": "is not a group of 'key: value' pairs",
}
"""By the first word of pydantic's error type (``int_parsing``, ``int_type``, ``int_from_float``, …)."""


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's error types for a key that is not there, in models and in dataclasses."""


def place(path: Path, layers: Sequence[Layer]) -> str:
    """Return the key and where its value in force was written: ``server.port (voicertc.yaml line 3)``."""
    origin = origin_of(path, layers)
    return f"{'.'.join(path)} ({origin})" if origin else ".".join(path)


def origin_of(path: Path, layers: Sequence[Layer]) -> str:
    """Return where the value in force at ``path`` was written; ``layers`` come strongest first."""
    return next((origin for layer in layers if (origin := layer.origin(path))), "")


def sentence(error: ErrorDetails, path: Path, root: type, layers: Sequence[Layer]) -> str:
    """Say what is wrong with the value at ``path``, which pydantic refused with ``error``."""
    inside = error["loc"][len(path) :]
    problem = _problem_inside(error) if inside else _problem(error, path, root, layers)
    return f"{place(path, layers)}: {''.join(f'{_step(part)}: ' for part in inside)}{problem}"


def _step(part: str | int) -> str:
    return f"entry {part + 1}" if isinstance(part, int) else part


def _problem_inside(error: ErrorDetails) -> str:
    """Say what is wrong with a part of a value, like one of several servers."""
    kind = error["type"]
    if kind in _UNKNOWN:
        return "is not known"
    if kind == "missing":
        return "must be given"
    return _refused(error, is_secret=_is_secret(error["loc"]))


def _problem(error: ErrorDetails, path: Path, root: type, layers: Sequence[Layer]) -> str:
    kind = error["type"]
    if kind in _UNKNOWN:
        return "there is no such setting" + _did_you_mean(path, root, origin_of(path, layers))
    annotation = annotation_at(root, path)
    if is_section(annotation):
        return f"is a section; its settings are {', '.join(keys_of(annotation))}"
    if error["input"] is None:
        return "needs a value; leave the key out for its default"
    if kind == "literal_error":
        return f"{error['input']!r} is not one of {_choices(annotation, error['input'])}"
    return _refused(error, is_secret=_is_secret(path))


def _refused(error: ErrorDetails, *, is_secret: bool) -> str:
    kind = error["type"]
    shown = "the value" if is_secret else repr(error["input"])
    problem = _PROBLEMS.get(kind.partition("_")[0])
    if problem is None:
        problem = f"will not do: {error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"{shown} {problem}"


def _is_secret(path: tuple[str | int, ...]) -> bool:
    return any(str(part).endswith(("_key", "_keys", "_secret", "credential")) for part in path)


def _choices(annotation: object, value: Any) -> str:
    choices = [str(choice) for choice in get_args(member_of(annotation))]
    near = get_close_matches(str(value), choices, n=1)
    return ", ".join(choices) + (f"; did you mean {near[0]}?" if near else "")


def _did_you_mean(path: Path, root: type, origin: str) -> str:
    """Suggest the key that is meant: one spelled alike in its section, else the same name elsewhere."""
    known = {".".join(known): known for known, _ in all_paths(root)}
    beside = [key for key in known if known[key][:-1] == path[:-1]]
    elsewhere = [key for key in known if known[key][-1] == path[-1]]
    wanted = ".".join(path)
    near = get_close_matches(wanted, beside, n=1, cutoff=0.7) or elsewhere[:1]
    near = near or get_close_matches(wanted, [*known, *keys_of(root)], n=1, cutoff=0.7)
    if not near:
        return ""
    if origin.startswith(PREFIX):
        return f"; did you mean {PREFIX}{near[0].replace('.', '__').upper()}?"
    return f"; did you mean {near[0]}?"
