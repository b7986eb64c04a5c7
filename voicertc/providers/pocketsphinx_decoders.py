"""The three decoders of a recognizer worker, and what each makes of a turn.

Used from one thread only, the worker's. How they are set up was measured on the human clips and on commands
in synthetic voices; the figures are beside each setting.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .command_evidence import Evidence, Hearing, Segment, weigh
from .pocketsphinx_utterance import TimedWord, Utterance, without_variant
from .worker_engine import RequestRefused

_LONG = 1250
"""Frames of 10 ms after which free speech is heard anew from the next pause on: what a turn costs at its end
grows with its length. More than a command can have, see ``pocketsphinx_engine``."""
_TOO_LONG = 3000
"""Frames after which it is heard anew without a pause."""
_DRAWN_OUT = 25
"""Frames per phone above which words are made of noise: speech has 8 to 24, hum and breath have 20 to 75."""
_PAUSE = 15
"""Frames of silence that are a pause; sessions send 20 of one."""
_BYTES_PER_SECOND = 2 * 16_000


@dataclass(frozen=True, slots=True)
class Decoders:
    """One of each kind, loaded once; ``library`` is the module ``pocketsphinx``."""

    free: Any
    commands: Any
    phones: Any

    @classmethod
    def load(cls, library: Any, model: Path) -> Decoders:
        """Load a model laid out like the wheel's ``en-us``. Raises ``RuntimeError`` if it is not complete."""
        name = model.name
        common = {
            "hmm": str(model / name),
            "loglevel": "FATAL",
            "compallsen": True,  # else scores of different decoders cannot be compared
        }
        # The dictionary takes 25 MB, so only one of the three has it; ``None`` would mean the default one.
        wordless = {**common, "dict": os.devnull, "lm": None}
        return cls(
            # A second pass (fwdflat) adds 130 ms at the end and 5 % of errors. 3000 HMMs a frame instead of
            # 30000 take half the time and give as many words.
            library.Decoder(
                dict=str(model / f"cmudict-{name}.dict"),
                lm=str(model / f"{name}.lm.bin"),
                fwdflat=False,
                maxhmmpf=3000,
                **common,
            ),
            # A grammar's probabilities mean nothing (lw 1 instead of 6.5: 79 of 123 commands in noise instead
            # of 65), and the best path of its lattice takes seconds.
            library.Decoder(lw=1.0, bestpath=False, **wordless),
            library.Decoder(
                allphone=str(model / f"{name}-phone.lm.bin"), beam=1e-20, pbeam=1e-20, **wordless
            ),
        )

    def learn(self, key: str, grammar: str) -> None:
        """Take in a grammar under the name ``key``; raises ``RequestRefused`` if it cannot be used."""
        words = words_of(grammar)
        if unknown := sorted(word for word in words if self.free.lookup_word(word) is None):
            raise RequestRefused(f"words of the grammar are not in the dictionary: {', '.join(unknown)}")
        for word in words:
            for variant in self._variants(word):
                if self.commands.lookup_word(variant) is None:
                    self.commands.add_word(variant, self.free.lookup_word(variant), False)
        try:
            self.commands.add_jsgf_string(key, grammar)
        except ValueError as error:
            raise RequestRefused("the grammar is not JSGF, or has nothing public") from error

    def forget(self, key: str) -> None:
        """Drop a grammar."""
        self.commands.remove_search(key)

    def phones_of(self, words: Iterable[str]) -> list[str]:
        """How words are pronounced, one after the other; those the dictionary lacks are left out."""
        return [phone for word in words for phone in (self.free.lookup_word(word) or "").split()]

    def log_probability(self, words: Iterable[str]) -> float:
        """Of a whole sentence in general English, in nepers."""
        model = self.free.get_lm()
        history = ["<s>"]
        total = 0
        for word in (*words, "</s>"):
            total += model.prob([word, *history[:2]])
            history.insert(0, word)
        return total / 1e4

    def is_noise(self, segments: Iterable[Segment]) -> bool:
        """Whether free words are stretched over their sound as nobody speaks: the decoder never doubts."""
        words = [segment for segment in segments if not segment.is_filler]
        n_frames = sum(word.end - word.start + 1 for word in words)
        return n_frames > _DRAWN_OUT * len(self.phones_of(word.word for word in words))

    def _variants(self, word: str) -> Iterator[str]:
        """The word and its other pronunciations: read, read(2)."""
        variant, number = word, 1
        while self.free.lookup_word(variant) is not None:
            yield variant
            number += 1
            variant = f"{word}({number})"


class FreeSpeech:
    """What the general model hears of one turn, however long it is."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        self._said: list[TimedWord] = []
        self._utterance = Utterance(decoders.free)
        self._is_noise = False
        self._n_bytes = 0

    def hear(self, pcm: bytes) -> None:
        """Take int16 mono at 16 kHz."""
        self._n_bytes += len(pcm)
        self._utterance.hear(pcm)

    @property
    def words(self) -> str:
        """All words by now; none that are made of noise."""
        self._look()
        newest = "" if self._is_noise else self._utterance.words
        return " ".join(filter(None, (*(word.text for word in self._said), newest)))

    @property
    def timed_words(self) -> list[TimedWord]:
        """The same with their places in the turn, after ``close``."""
        newest = [] if self._is_noise else self._utterance.timed_words(has_posteriors=True)
        return self._said + newest

    @property
    def segments(self) -> list[Segment]:
        """The segments of what is being heard, before ``close``."""
        return self._utterance.segments

    def begin_anew_if_long(self) -> None:
        """Bound the cost of a long turn: keep its words, and forget its sound."""
        n_frames = self._utterance.n_frames
        if n_frames > _TOO_LONG or (n_frames > _LONG and self._is_pausing()):
            self.close()
            self._said = self.timed_words
            self._utterance = Utterance(self._decoders.free, self._n_bytes / _BYTES_PER_SECOND)

    def close(self) -> None:
        """The turn is over; ``words`` are final then."""
        self._look()
        self._utterance.close()

    def _look(self) -> None:
        """Tell noise from speech, which only segments before the end can."""
        if self._utterance.is_open:
            self._is_noise = self._decoders.is_noise(self._utterance.segments)

    def _is_pausing(self) -> bool:
        segments = self.segments
        return bool(segments) and segments[-1].is_filler and segments[-1].end - segments[-1].start >= _PAUSE


class CommandSpeech:
    """What a grammar makes of one turn, and the loop of phones that it is measured against."""

    def __init__(self, decoders: Decoders, grammar: str) -> None:
        self._decoders = decoders
        decoders.commands.activate_search(grammar)
        self._command = Utterance(decoders.commands)
        self._phones = Utterance(decoders.phones)

    def hear(self, pcm: bytes) -> None:
        """Take int16 mono at 16 kHz."""
        self._command.hear(pcm)
        self._phones.hear(pcm)

    @property
    def words(self) -> str:
        """The best phrase of the grammar, or its beginning while the turn lasts."""
        return self._command.words

    @property
    def timed_words(self) -> list[TimedWord]:
        """The same with their places in the turn, after ``close``."""
        return self._command.timed_words(has_posteriors=False)

    def weigh(self, free: Sequence[Segment], free_words: str) -> Evidence | None:
        """End the turn and weigh its command against the free hypothesis; ``None`` if there is no command.

        ``free``: its segments before its end, for only those have scores that can be compared.
        """
        self.close()
        command = self._command.segments
        spoken = [segment.word for segment in command if not segment.is_filler]
        if not spoken:
            return None
        heard = free_words.split()
        probability = self._decoders.log_probability
        hearing = Hearing(
            command=command,
            free=free,
            phones=self._phones.segments,
            command_phones=self._decoders.phones_of(spoken),
            free_phones=self._decoders.phones_of(heard),
            n_free_words=len(heard),
            language_gap=probability(map(without_variant, spoken)) - probability(heard),
        )
        return weigh(hearing)

    def close(self) -> None:
        """The turn is over; may be called twice."""
        self._command.close()
        self._phones.close()


def words_of(grammar: str) -> set[str]:
    """Return the words of a JSGF grammar: its expansions without rule names, tags, weights and operators."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", grammar, flags=re.DOTALL)
    expansions = " ".join(statement.partition("=")[2] for statement in text.split(";"))
    plain = re.sub(r"<[^>]*>|\{[^}]*\}|/[\d.]+/", " ", expansions)
    return set(re.findall(r"[^\s()\[\]|*+\"]+", plain))
