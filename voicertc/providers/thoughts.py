"""Keeps a model's thoughts out of what it says: ``<think>…</think>`` inside the text is cut out.

OpenAI never sends thoughts as text. Servers of open models do, when they were not told how to tell the two
apart; a tag may be split between any two pieces of the stream.
"""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"


class ThoughtFilter:
    """Takes one answer's text piece by piece and gives back what is to be said of it.

    White space between a thought and the answer belongs to the thought.
    """

    def __init__(self) -> None:
        self._held = ""
        self._is_thinking = False
        self._trims = True

    def feed(self, piece: str) -> str:
        """Return what can be said by now; the beginning of what may become a tag is held back."""
        self._held += piece
        said: list[str] = []
        while True:
            tag = _CLOSE if self._is_thinking else _OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                keep = _overlap(self._held, tag)
                said.append("" if self._is_thinking else self._trimmed(self._held[: len(self._held) - keep]))
                self._held = self._held[len(self._held) - keep :]
                return "".join(said)
            said.append("" if self._is_thinking else self._trimmed(before))
            self._held = after
            self._is_thinking = not self._is_thinking
            self._trims = True

    def flush(self) -> str:
        """Return what was held back, at the end of the text; a thought that never ended is not said."""
        rest, self._held = self._held, ""
        return "" if self._is_thinking else self._trimmed(rest)

    def _trimmed(self, text: str) -> str:
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        return text


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of ``tag``."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0
