"""What is particular to a human language, as data: one TOML file for each, named by its ISO 639-1 code.

    languages.get("en").backchannels

Adding a language is adding a file. Nothing here knows what the words are used for.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["Language", "get", "known"]


@dataclass(frozen=True, slots=True)
class Language:
    """One language's words. All lists are lower case, without punctuation but the apostrophe, ``'``."""

    code: str
    """ISO 639-1, lower case."""
    name: str
    """Its name in English."""
    fillers: tuple[str, ...]
    """Sounds of hesitation; a turn that ends in one is not over, and they carry no meaning."""
    conjunctions: tuple[str, ...]
    """Words after which more must follow; a turn that ends in one is not over."""
    backchannels: tuple[str, ...]
    """Whole utterances of a listener that make no claim to the floor."""
    greeting: str
    """Said first, when no agent brings a greeting of its own."""
    not_heard: str
    """Said when a turn could not be recognized at all."""
    busy: str
    """Said when every recognizer is taken."""
    apology: str
    """Said when a reply failed before it could be heard."""
    waiting: str
    """Said when an answer takes its time."""
    still_waiting: str
    """Said when it takes longer still."""


@cache
def known() -> tuple[str, ...]:
    """Return the codes of all languages there is a file for, sorted."""
    names = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def get(code: str) -> Language:
    """Return the language of an ISO 639-1 code; a region is ignored (``en-GB``, ``en_US``).

    Raises ``KeyError`` for a language that is not ``known``.
    """
    primary = code.replace("_", "-").split("-", 1)[0].lower()
    if primary not in known():
        raise KeyError(f"no data for the language {code!r}; there is {', '.join(known())}")
    return _load(primary)


@cache
def _load(code: str) -> Language:
    text = files(__name__).joinpath(f"{code}.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = {
        key: tuple(entry) if isinstance(entry, list) else entry for key, entry in tomllib.loads(text).items()
    }
    table["code"] = code
    wanted = {field.name for field in fields(Language)}
    assert table.keys() == wanted, f"{code}.toml: {sorted(table.keys() ^ wanted)} missing or unknown"
    return Language(**table)
