"""pocketsphinx in a worker process: 16 kHz audio in, interims and a final out.

    turn {grammar, forget} text     ->           the grammar's text, if this worker does not have it yet
                                    <-  begun
    audio int16, native-endian      ->
                                    <-  interim {text}
    end                             ->
                                    <-  final {text, confidence, command, evidence} words

``words`` are those of the text as a JSON list of ``[text, start, end, confidence]``, in seconds of the turn's
audio: in the body, since a header has its limits.

Without a grammar one decoder hears the turn. With one there are three: what the grammar heard is the answer
if the other two bear it out (see ``command_evidence``), else it is what the general model heard, unsure.

Interims are the general model's words, for a grammar makes a command of every cough; only while both sound
alike they are the grammar's, which are spelled as the final will be.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import random
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .command_evidence import THRESHOLD, Evidence, distance
from .pocketsphinx_decoders import CommandSpeech, Decoders, FreeSpeech
from .pocketsphinx_utterance import TimedWord
from .worker_engine import EngineUnavailable, Request

FIX = "pip install 'voicertc[local]'"
_BYTES_PER_SECOND = 2 * 16_000
_BLOCK = _BYTES_PER_SECOND * 60 // 1000
"""Bytes that one decoder is given before the next has its turn: frame by frame they take a quarter more time,
for each empties the processor's cache of what the others need."""
_INTERIM = _BYTES_PER_SECOND * 240 // 1000
"""Bytes of audio between two looks at the words, 240 ms."""
_LONGEST_COMMAND = _BYTES_PER_SECOND * 12
"""Bytes; a turn that is longer is no command, and only the general model goes on hearing it."""
_ALIKE = 0.35
"""Phonetic distance per phone up to which a grammar's interim is believed."""


def _faint_noise(seconds: float) -> bytes:
    """Return noise of a few units, the same each time: int16 at 16 kHz."""
    draw = random.Random(0).gauss
    return array("h", (round(draw(0.0, 2.0)) for _ in range(int(16_000 * seconds)))).tobytes()


_QUIET = _faint_noise(0.2)
"""Behind each turn: a last consonant is heard as one only if something follows it, if not digital silence."""


class Pocketsphinx:
    """The engine. ``options``: ``model``, a directory laid out like the wheel's ``en-us``, or ``None``."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        if importlib.util.find_spec("pocketsphinx") is None:
            raise EngineUnavailable("pocketsphinx is not installed", fix=FIX)
        library = importlib.import_module("pocketsphinx")  # an extra, and this is its one door
        model = Path(options.get("model") or library.get_model_path("en-us"))
        try:
            self._decoders = Decoders.load(library, model)
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"there is no complete model in {model}", fix=FIX) from error
        self._grammars: set[str] = set()

    def facts(self) -> Mapping[str, object]:
        """Nothing that its provider would want to know."""
        return {}

    def serve(self, request: Request) -> None:
        """Hear one turn."""
        key = self._learn(request)
        request.send("begun")
        turn = _Turn(request, self._decoders, key)
        try:
            while (message := request.receive()).kind == "audio":
                turn.hear(message.body)
            turn.answer()
        finally:
            turn.close()

    def _learn(self, request: Request) -> str | None:
        """Take in the grammar that a turn brings, forget the one it displaces; returns its key."""
        key, forgotten = request.first.fields.get("grammar"), request.first.fields.get("forget")
        if forgotten in self._grammars:
            self._decoders.forget(forgotten)
            self._grammars.remove(forgotten)
        if key is not None and key not in self._grammars:
            self._decoders.learn(key, request.first.body.decode())
            self._grammars.add(key)
        return key


class _Turn:
    """One turn as it is heard: audio in, interims and the final out."""

    def __init__(self, request: Request, decoders: Decoders, grammar: str | None) -> None:
        self._request = request
        self._decoders = decoders
        self._free = FreeSpeech(decoders)
        self._command = None if grammar is None else CommandSpeech(decoders, grammar)
        self._block = b""
        self._n_bytes = 0
        self._looked_at = 0
        self._shown = ""

    def hear(self, pcm: bytes) -> None:
        """Take some audio; show the words now and then, if they have changed."""
        self._block += pcm
        if len(self._block) < _BLOCK:
            return
        self._decode()
        if self._n_bytes - self._looked_at >= _INTERIM:
            self._looked_at = self._n_bytes
            self._show(self._words())
            self._free.begin_anew_if_long()

    def answer(self) -> None:
        """Send the final."""
        seconds = (self._n_bytes + len(self._block)) / _BYTES_PER_SECOND
        if self._n_bytes:
            self.hear(_QUIET)
        segments = self._free.segments
        self._free.close()
        free = self._free.words
        if self._command is None:
            words = _listed(self._free.timed_words, seconds)
            self._request.send("final", words, text=free, confidence=None, last=True)
            return
        evidence = self._command.weigh(segments, free) if free else None
        command = self._command.words
        answer = self._command if evidence is not None and evidence.is_command else self._free
        self._request.send(
            "final",
            _listed(answer.timed_words, seconds),
            text=answer.words,
            confidence=confidence(evidence),
            command=command,
            evidence=evidence and astuple(evidence),
            last=True,
        )

    def close(self) -> None:
        """Leave the decoders ready for the next turn."""
        self._free.close()
        if self._command is not None:
            self._command.close()

    def _decode(self) -> None:
        block, self._block = self._block, b""
        self._n_bytes += len(block)
        self._free.hear(block)
        if self._command is not None:
            self._command.hear(block)
            if self._n_bytes > _LONGEST_COMMAND:
                self._command.close()
                self._command = None

    def _words(self) -> str:
        free = self._free.words
        if self._command is None or not free:
            return free
        command = self._command.words
        phones = self._decoders.phones_of(command.split())
        far = distance(phones, self._decoders.phones_of(free.split())) > _ALIKE * len(phones)
        return free if far else command

    def _show(self, words: str) -> None:
        if words and words != self._shown:
            self._shown = words
            self._request.send("interim", text=words)


def _listed(words: Iterable[TimedWord], seconds: float) -> bytes:
    """Return words as JSON; none lasts beyond the turn's own audio into the quiet behind it."""
    rows = [
        (word.text, round(min(word.start, seconds), 3), round(min(word.end, seconds), 3), word.confidence)
        for word in words
    ]
    return json.dumps(rows).encode()


def confidence(evidence: Evidence | None) -> float:
    """Return 0.9 to 1 for a command, 0 to 0.45 for anything else, by the odds.

    The gap is on purpose: what an agent does with a command is not to hang on a threshold of its own.
    """
    if evidence is None:
        return 0.0
    likely, least = (1 / (1 + math.exp(-odds)) for odds in (evidence.log_odds, THRESHOLD))
    if evidence.is_command:
        return round(0.9 + 0.1 * (likely - least) / (1 - least), 3)
    return round(0.45 * likely / least, 3)
