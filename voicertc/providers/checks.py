"""What engines and agents yield, checked where it comes in.

Nobody is held to the ports' types while a server runs, and what is wrong breaks far from who made it: float32
sound in an encoder, and with it the call. So each piece passes here once. The functions return what is wrong,
as the rest of a sentence that begins with the name of who yielded it, or ``None``:

    beeps yielded float32 sound, not int16

What may be somebody's words is told by its type only. A right piece costs a few microseconds.
"""

from __future__ import annotations

from dataclasses import fields
from types import UnionType

import numpy as np

from ..audio.pcm import PLAYOUT_FRAME
from ..core.replies import CutShort, ToolCall, Usage
from .base import (
    EagerEnd,
    EndOfTurn,
    Final,
    HeardWord,
    Interim,
    Resumed,
    SpeechChunk,
    Started,
    Used,
    WordMark,
)

_Kind = type | UnionType
_NUMBER = int | float
_TOKENS: dict[str, _Kind] = {each.name: str if each.name == "provider" else int for each in fields(Usage)}


def heard_mistake(piece: object) -> str | None:
    """Say what is wrong with a recognizer's ``HeardPiece``."""
    match piece:
        case Started() | Resumed() | EndOfTurn():
            return None
        case Interim() | EagerEnd():
            wrong = _wrong(piece, type(piece), text=str)
        case Final():
            wrong = _wrong_final(piece)
        case _:
            wrong = f"{_named(piece)}, not Started, Interim, EagerEnd, Resumed, EndOfTurn or Final"
    return f"yielded {wrong}" if wrong else None


def speech_mistake(chunk: object) -> str | None:
    """Say what is wrong with a voice's ``SpeechChunk``."""
    wrong = _wrong_chunk(chunk) if isinstance(chunk, SpeechChunk) else f"{_named(chunk)}, not SpeechChunk"
    return f"yielded {wrong}" if wrong else None


def said_mistake(piece: object) -> str | None:
    """Say what is wrong with an ``AgentPiece``, or a language model's ``AnswerPiece``, which are the same."""
    match piece:
        case str():
            return None
        case ToolCall():
            wrong = _wrong(piece, ToolCall, name=str, arguments=str)
        case CutShort():
            wrong = _wrong(piece, CutShort, reason=str)
        case Usage():
            wrong = _wrong(piece, Usage, **_TOKENS)
        case _:
            value = f"{piece!r} ({type(piece).__name__})" if isinstance(piece, int | float) else _named(piece)
            return f"yielded {value}; it yields text, ToolCall, CutShort or Usage"
    return f"yielded {wrong}" if wrong else None


def _wrong_final(final: Final) -> str | None:
    return (
        _wrong(final, Final, text=str, confidence=_NUMBER | None, language=str | None, words=tuple)
        or _wrong_each(
            final.words, HeardWord, text=str, start=_NUMBER, end=_NUMBER, confidence=_NUMBER | None
        )
        or _wrong_used(final)
    )


def _wrong_chunk(chunk: SpeechChunk) -> str | None:
    samples: object = chunk.samples
    if not isinstance(samples, np.ndarray):
        return f"sound as {_named(samples)}, not as a numpy array"
    if samples.dtype != np.int16:
        return f"{samples.dtype} sound, not int16"
    if samples.ndim != 1:
        return f"sound of shape {samples.shape}, not mono, (n,)"
    return (
        _wrong(chunk, SpeechChunk, marks=tuple, packets=tuple)
        or _wrong_each(chunk.marks, WordMark, sample=int, text_start=int)
        or _wrong_packets(chunk)
        or _wrong_used(chunk)
    )


def _wrong_packets(chunk: SpeechChunk) -> str | None:
    n_packets, n_samples = len(chunk.packets), len(chunk.samples)
    if n_packets and n_packets * PLAYOUT_FRAME != n_samples:
        return f"{n_packets} packets with {n_samples} samples, not one for every {PLAYOUT_FRAME}"
    return _wrong_each(chunk.packets, bytes)


def _wrong_used(piece: Final | SpeechChunk) -> str | None:
    if (used := piece.used) is None:
        return None
    wrong = _wrong(used, Used, provider=str, model=str, seconds=_NUMBER, characters=int)
    if wrong is None and used.tokens is not None:
        wrong = _wrong(used.tokens, Usage, **_TOKENS)
    return wrong


def _wrong_each(values: tuple[object, ...], kind: type, **wanted: _Kind) -> str | None:
    return next((wrong for value in values if (wrong := _wrong(value, kind, **wanted))), None)


def _wrong(value: object, kind: type, **wanted: _Kind) -> str | None:
    """Say what ``value`` is instead of a ``kind``, or which of its fields is not of the ``wanted`` type."""
    if not isinstance(value, kind):
        return f"{_named(value)}, not {kind.__name__}"
    for name, field_kind in wanted.items():
        if not isinstance(field := getattr(value, name), field_kind):
            right = field_kind.__name__ if isinstance(field_kind, type) else field_kind
            return f"{kind.__name__}.{name} as {_named(field)}, not {right}"
    return None


def _named(value: object) -> str:
    return "None" if value is None else type(value).__name__
