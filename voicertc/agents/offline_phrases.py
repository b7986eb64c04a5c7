"""A notation for phrases, and the search for one in a row of words.

    [please] (set | start) a timer for <duration>

Words stand for themselves, ``[ ]`` may be left out, ``( | )`` is a choice, ``<duration>`` another phrase by
its name. That is the part of JSGF (JSpeech Grammar Format, W3C Note 2000) that has neither weights nor
repetition, so whatever is written here can be given to a recognizer as it stands; and as nothing in it
repeats, every search ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Span = tuple[int, int]
"""Where something was found: index of the first word, index after the last."""
Found = tuple[tuple[str, Span], ...]
"""The slots that were filled, in order."""

_TOKEN = re.compile(r"[\[\]()|]|<\w+>|[^\s\[\]()|<>]+")


@dataclass(frozen=True, slots=True)
class Word:
    """One word that stands for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One part after the other; an empty row is the empty phrase."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Exactly one of them."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Maybe:
    """It, or nothing."""

    part: Node


@dataclass(frozen=True, slots=True)
class Reference:
    """The phrase of this name."""

    name: str


Node = Word | Row | Choice | Maybe | Reference


def parse(text: str) -> Node:
    """Read one phrase in the notation above. Raises ``ValueError``, quoting it, if it is not one."""
    if _TOKEN.sub("", text).strip():
        raise ValueError(f"stray characters in the phrase {text!r}")
    tokens = _TOKEN.findall(text)
    node, rest = _choice(tokens, text)
    if rest:
        raise ValueError(f"unexpected {rest[0]!r} in the phrase {text!r}")
    return node


def _choice(tokens: list[str], text: str) -> tuple[Node, list[str]]:
    options: list[Node] = []
    while True:
        option, tokens = _row(tokens, text)
        options.append(option)
        if not tokens or tokens[0] != "|":
            return (options[0] if len(options) == 1 else Choice(tuple(options))), tokens
        tokens = tokens[1:]


def _row(tokens: list[str], text: str) -> tuple[Node, list[str]]:
    parts: list[Node] = []
    while tokens and tokens[0] not in {"|", ")", "]"}:
        token, tokens = tokens[0], tokens[1:]
        if token in {"(", "["}:
            node, tokens = _choice(tokens, text)
            closing = ")" if token == "(" else "]"
            if not tokens or tokens[0] != closing:
                raise ValueError(f"{closing!r} is missing in the phrase {text!r}")
            tokens = tokens[1:]
            parts.append(node if token == "(" else Maybe(node))
        elif token.startswith("<"):
            parts.append(Reference(token[1:-1]))
        else:
            parts.append(Word(token))
    if not parts:
        raise ValueError(f"an empty part in the phrase {text!r}")
    return (parts[0] if len(parts) == 1 else Row(tuple(parts))), tokens


def references(node: Node) -> Iterator[str]:
    """Yield the names a phrase refers to directly."""
    match node:
        case Reference(name):
            yield name
        case Row(parts) | Choice(parts):
            for part in parts:
                yield from references(part)
        case Maybe(part):
            yield from references(part)
        case Word():
            return


class Rules:
    """Named phrases that may refer to one another, but not in circles; ``slots``: the names worth reporting.

    Raises ``ValueError`` for a reference that leads nowhere or back to itself.
    """

    def __init__(self, rules: Mapping[str, Node], slots: Iterable[str] = ()) -> None:
        self._rules = dict(rules)
        self._slots = frozenset(slots)
        for name in self._rules:
            self.reachable(self._rules[name], above=(name,))

    def __getitem__(self, name: str) -> Node:
        return self._rules[name]

    def reachable(self, node: Node, above: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the names that ``node`` needs, each after those it needs itself."""
        names: list[str] = []
        for name in references(node):
            if name not in self._rules or name in above:
                raise ValueError(f"<{name}> is undefined or refers to itself")
            for needed in (*self.reachable(self._rules[name], (*above, name)), name):
                if needed not in names:
                    names.append(needed)
        return tuple(names)

    def vocabulary(self, node: Node) -> frozenset[str]:
        """Return every word that can occur in a phrase."""
        match node:
            case Word(text):
                return frozenset({text})
            case Row(parts) | Choice(parts):
                return frozenset().union(*(self.vocabulary(part) for part in parts))
            case Maybe(part):
                return self.vocabulary(part)
            case Reference(name):
                return self.vocabulary(self._rules[name])

    def find(self, node: Node, words: tuple[str, ...]) -> Iterator[Found]:
        """Yield every way in which *all* of ``words`` is an instance of ``node``."""
        for end, found in self._match(node, words, 0):
            if end == len(words):
                yield found

    def _match(self, node: Node, words: tuple[str, ...], at: int) -> Iterator[tuple[int, Found]]:
        match node:
            case Word(text):
                if at < len(words) and words[at] == text:
                    yield at + 1, ()
            case Row(parts):
                yield from self._match_row(parts, words, at)
            case Choice(options):
                for option in options:
                    yield from self._match(option, words, at)
            case Maybe(part):
                yield from self._match(part, words, at)
                yield at, ()
            case Reference(name):
                for end, inner in self._match(self._rules[name], words, at):
                    yield end, ((name, (at, end)),) if name in self._slots else inner

    def _match_row(
        self, parts: tuple[Node, ...], words: tuple[str, ...], at: int
    ) -> Iterator[tuple[int, Found]]:
        if not parts:
            yield at, ()
            return
        for middle, found in self._match(parts[0], words, at):
            for end, more in self._match_row(parts[1:], words, middle):
                yield end, found + more
