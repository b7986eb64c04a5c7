"""The JSON door: an object that a client sent, read field by field with strict types.

Whatever is wrong raises ``ClientError`` whose ``param`` is the field's path from the event's root
(``session.audio.output.speed``) and whose message says what would be right. Fields that nobody reads are
ignored: clients send what newer servers understand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeVar

from ..errors import ClientError

T = TypeVar("T")
A = TypeVar("A")
N = TypeVar("N")

MAX_LEVELS = 32
"""Of objects and lists in what a client has us pass on: models understand fewer, and some hundreds exhaust
the stack of whoever writes them."""

Parse = Callable[[object, str], T]
"""Turns a JSON value at a path into a ``T`` or raises ``ClientError``."""


class Fields:
    """One JSON object and where it stands in the event."""

    def __init__(self, values: Mapping[str, object], path: str = "") -> None:
        self._values = values
        self._path = path

    def path(self, key: str) -> str:
        """Return where ``key`` stands, counted from the event's root."""
        return f"{self._path}.{key}" if self._path else key

    def __contains__(self, key: str) -> bool:
        """Whether the field is there and not ``null``."""
        return self._values.get(key) is not None

    def is_null(self, key: str) -> bool:
        """Whether the field is there and ``null``: that clears."""
        return key in self._values and self._values[key] is None

    def need(self, key: str, parse: Parse[T]) -> T:
        """Return a field that must be there."""
        if self._values.get(key) is None:
            path = self.path(key)
            raise ClientError(f"{path} is missing.", code="missing_required_parameter", param=path)
        return parse(self._values[key], self.path(key))

    def read(self, key: str, parse: Parse[T], *, absent: A, null: N) -> T | A | N:
        """Return a field, ``absent`` when it is not there, ``null`` when its value is ``null``."""
        if key not in self._values:
            return absent
        value = self._values[key]
        return null if value is None else parse(value, self.path(key))

    def section(self, key: str) -> Fields:
        """Return the object at ``key``; an absent one and ``null`` are an object without fields."""
        nothing = Fields({}, self.path(key))
        return self.read(key, record, absent=nothing, null=nothing)

    def only(self, *keys: str) -> None:
        """Refuse any other field: in an object of our own nobody sends what only newer servers understand."""
        if unknown := next((key for key in self._values if key not in keys), None):
            path = self.path(unknown)
            known = ", ".join(f'"{key}"' for key in keys)
            raise ClientError(f"{path} is no field; there is {known}.", code="invalid_value", param=path)

    def pairs(self) -> list[tuple[str, object]]:
        """Return all fields as they came."""
        return list(self._values.items())


def parse_message(text: str) -> Fields:
    """Return the object that ``text`` holds. Raises ``ClientError`` if it is no JSON object."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        # RecursionError: "[[[[…" some thousand levels deep.
        raise ClientError("The message is not valid JSON.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise ClientError("The message must be a JSON object.", code="invalid_json")
    return Fields(value)


def write_message(message: Mapping[str, object]) -> str:
    """Return ``message`` as JSON text that can be encoded. A data channel's messages are bounded in bytes, of
    which most scripts take half as many, or fewer, if they are not escaped."""
    text = json.dumps(message, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as some models stream them
        return json.dumps(message)
    return text


def string(value: object, path: str) -> str:
    """Any text that is valid Unicode: a lone surrogate could not be sent on to anybody."""
    if not isinstance(value, str):
        _wrong_type(path, "a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        _wrong_value(path, "valid Unicode")
    return value


def identifier(value: object, path: str) -> str:
    """The name of something: 1–512 characters, as OpenAI Realtime has it for ``event_id``."""
    text = string(value, path)
    if not 1 <= len(text) <= 512:
        _wrong_value(path, "1 to 512 characters long")
    return text


def boolean(value: object, path: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        _wrong_type(path, "true or false")
    return value


def number(low: float, high: float) -> Parse[float]:
    """A number from ``low`` to ``high``."""

    def parse(value: object, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            _wrong_type(path, "a number")
        if not low <= value <= high:
            _wrong_value(path, f"a number from {low:g} to {high:g}")
        return float(value)

    return parse


def integer(low: int, high: int) -> Parse[int]:
    """A whole number from ``low`` to ``high``; ``2.0`` is one, for JavaScript knows no difference."""
    bounds = number(low, high)

    def parse(value: object, path: str) -> int:
        found = bounds(value, path)
        if not found.is_integer():
            _wrong_value(path, "a whole number")
        return int(found)

    return parse


def choice(names: Sequence[T]) -> Parse[T]:
    """One of ``names``."""

    def parse(value: object, path: str) -> T:
        for name in names:
            if name == value:
                return name
        _wrong_value(path, "one of " + ", ".join(f'"{name}"' for name in names))

    return parse


def record(value: object, path: str) -> Fields:
    """An object."""
    if not isinstance(value, dict):
        _wrong_type(path, "an object")
    return Fields(value, path)


def array(parse_entry: Parse[T]) -> Parse[list[T]]:
    """A list of what ``parse_entry`` takes."""

    def parse(value: object, path: str) -> list[T]:
        if not isinstance(value, list):
            _wrong_type(path, "a list")
        return [parse_entry(entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    return parse


def levels_of(value: object) -> int:
    """Return how deep objects and lists are in one another; not by recursion, which is what it is about."""
    n_levels, layer = 0, [value]
    while layer := [outer for outer in layer if isinstance(outer, dict | list)]:
        n_levels += 1
        layer = [inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return n_levels


def _wrong_type(path: str, expected: str) -> NoReturn:
    raise ClientError(f"{path} must be {expected}.", code="invalid_type", param=path)


def _wrong_value(path: str, expected: str) -> NoReturn:
    raise ClientError(f"{path} must be {expected}.", code="invalid_value", param=path)


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity although JSON has neither.
    raise ValueError(f"{name} is not JSON")
