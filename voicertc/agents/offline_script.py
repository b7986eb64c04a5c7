"""The offline agent's data, read and checked: what it understands, what it says.

One file feeds two readers, so that they cannot drift apart:

    offline_en.toml ──> Script ──> grammar       JSGF for a recognizer of commands
                               └─> understand    text ──> Meaning, or None

``understand`` accepts whole phrases only. There is no looking for keywords: "do not set a timer for five
minutes" must not set one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .. import languages
from .offline_jsgf import grammar
from .offline_phrases import Choice, Maybe, Node, Reference, Row, Rules, Word, parse
from .offline_values import READERS, Value
from .offline_words import normalise

SHAPES = ("asks", "orders", "phrases")
"""The ways to give an intent's phrases; each has its frame, which says what may stand around them."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a text means: an intent's name and the values said with it, by their rules' names."""

    intent: str
    slots: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class QuizQuestion:
    """One question; ``answer`` is ``yes``, ``no`` or a number, ``because`` what is said after it."""

    question: str
    answer: str | int
    because: str


@dataclass(frozen=True, slots=True)
class Script:
    """Everything in one file of data. Made once per process; it holds nothing of any conversation.

    ``spoken`` is what a recognizer of commands is told to expect from each intent, ``typed`` what is
    understood: always more. ``says`` holds the texts by dotted names ("timer_set.done"), each with its
    variations. ``vocabularies``: every word of ``typed``, which rules most intents out at a glance.
    """

    greeting: str
    contractions: Mapping[str, str]
    fillers: frozenset[str]
    rules: Rules
    wider: Rules
    spoken: Mapping[str, Node]
    typed: Mapping[str, Node]
    vocabularies: Mapping[str, frozenset[str]]
    grammar: str
    says: Mapping[str, tuple[str, ...]]
    quiz: tuple[QuizQuestion, ...]
    story: str

    def words(self, text: str) -> tuple[str, ...]:
        """Return ``text`` as the plain words that phrases are made of."""
        return normalise(text, self.contractions, self.fillers)

    def understand(self, text: str) -> Meaning | None:
        """Return what ``text`` means, or ``None`` if any of it is not part of a known phrase."""
        return next(self.meanings(text), None)

    def meanings(self, text: str) -> Iterator[Meaning]:
        """Yield every meaning of ``text``; the tests see to it that there is one intent at most."""
        words = self.words(text)
        for intent, node in self.typed.items():
            if not self.vocabularies[intent].issuperset(words):
                continue
            for found in self.wider.find(node, words):
                values = {slot: READERS[slot](words[start:end]) for slot, (start, end) in found}
                yield Meaning(intent, values)


@cache
def load(language: str) -> Script:
    """Read the data of a language, an ISO 639-1 code for which there is a file."""
    text = files(__package__).joinpath(f"offline_{language}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    rules = {name: parse(phrase) for name, phrase in table["rules"].items()}
    wider = Rules(rules | {name: parse(phrase) for name, phrase in table["wider"].items()}, READERS)
    intents: dict[str, dict[str, Any]] = table["intents"]
    frames: dict[str, dict[str, str]] = table["frames"]
    typed = {
        name: node for name, given in intents.items() if (node := _intent(given, frames["typed"], ("typed",)))
    }
    return Script(
        greeting=table["greeting"],
        contractions=table["contractions"],
        fillers=frozenset(languages.get(language).fillers),
        rules=Rules(rules, READERS),
        wider=wider,
        spoken={name: node for name, given in intents.items() if (node := _intent(given, frames["spoken"]))},
        typed=typed,
        vocabularies={name: wider.vocabulary(node) for name, node in typed.items()},
        grammar=_grammar(rules, intents, frames["spoken"], table["contractions"]),
        says=dict(_says(table)),
        quiz=tuple(QuizQuestion(**question) for question in table["quiz"]),
        story=_one_paragraph(table["story"]["text"]),
    )


def _intent(intent: Mapping[str, Any], frames: Mapping[str, str], bare: tuple[str, ...] = ()) -> Node | None:
    """Join an intent's phrases, each in its shape's frame; those of the shapes in ``bare`` need none."""
    options: list[Node] = []
    for shape in SHAPES:
        if phrases := intent.get(shape):
            options.append(_put(_any_of(phrases), parse(frames[shape])))
    for shape in bare:
        options += [parse(phrase) for phrase in intent.get(shape, ())]
    return Choice(tuple(options)) if options else None


def _any_of(phrases: list[str]) -> Node:
    return Choice(tuple(parse(phrase) for phrase in phrases))


def _put(node: Node, frame: Node) -> Node:
    """Put ``node`` where the frame says ``<it>``."""
    match frame:
        case Reference("it"):
            return node
        case Row(parts):
            return Row(tuple(_put(node, part) for part in parts))
        case Choice() | Maybe() | Reference() | Word():
            return frame


def _grammar(
    rules: Mapping[str, Node],
    intents: Mapping[str, Mapping[str, Any]],
    frames: Mapping[str, str],
    contractions: Mapping[str, str],
) -> str:
    """Write the grammar with one rule per shape and intent, so that each frame stands in it only once."""
    named = dict(rules)
    framed: list[Node] = []
    for shape in SHAPES:
        names: list[Node] = []
        for intent, given in intents.items():
            if phrases := given.get(shape):
                named[f"{intent}_{shape}"] = _any_of(phrases)
                names.append(Reference(f"{intent}_{shape}"))
        framed.append(_put(Choice(tuple(names)), parse(frames[shape])))
    return grammar("offline", Choice(tuple(framed)), Rules(named), contractions)


def _says(table: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, intent in table["intents"].items():
        if "answers" in intent:
            yield name, _variations(intent["answers"])
        for key, texts in intent.get("says", {}).items():
            yield f"{name}.{key}", _variations(texts)
    for name in ("missed", "idle"):
        for key, texts in table[name].items():
            yield f"{name}.{key}", _variations(texts)


def _variations(texts: str | list[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _one_paragraph(text: str) -> str:
    return " ".join(text.split())
