"""Phrases as a JSGF grammar (JSpeech Grammar Format, W3C Note 2000), for recognizers of commands.

Only what pocketsphinx reads: one public rule, no weights, no tags, no repetition.
"""

from __future__ import annotations

from collections.abc import Mapping

from .offline_phrases import Choice, Maybe, Node, Reference, Row, Rules, Word


def grammar(name: str, command: Node, rules: Rules, contractions: Mapping[str, str]) -> str:
    """Return a grammar whose public rule ``<command>`` is ``command``, with the rules that it needs.

    ``contractions`` ("what's": "what is") are offered beside the words they stand for.
    """
    spoken: dict[tuple[str, ...], list[str]] = {}
    for short, words in contractions.items():
        if "'" in short:
            spoken.setdefault(tuple(words.split()), []).append(short)
    lines = ["#JSGF V1.0;", f"grammar {name};", ""]
    lines += [f"<{rule}> = {_text(rules[rule], spoken)};" for rule in rules.reachable(command)]
    lines.append(f"public <command> = {_text(command, spoken)};")
    return "\n".join(lines) + "\n"


def _text(node: Node, spoken: Mapping[tuple[str, ...], list[str]]) -> str:
    match node:
        case Word():
            return _row((node,), spoken)
        case Row(parts):
            return _row(parts, spoken)
        case Choice(options):
            return "(" + " | ".join(_text(option, spoken) for option in options) + ")"
        case Maybe(part):
            return f"[{_text(part, spoken)}]"
        case Reference(name):
            return f"<{name}>"


def _row(parts: tuple[Node, ...], spoken: Mapping[tuple[str, ...], list[str]]) -> str:
    """Write a row; where words stand that can be drawn together, offer both ways."""
    texts: list[str] = []
    while parts:
        taken = 1
        for n_words in (2, 1):
            words = tuple(part.text for part in parts[:n_words] if isinstance(part, Word))
            if len(words) == n_words and words in spoken:
                taken = n_words
                texts.append("(" + " | ".join([" ".join(words), *spoken[words]]) + ")")
                break
        else:
            part = parts[0]
            texts.append(part.text if isinstance(part, Word) else _text(part, spoken))
        parts = parts[taken:]
    return " ".join(texts)
