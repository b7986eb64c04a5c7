from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.providers.base import (
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
from voicertc.providers.checks import heard_mistake, said_mistake, speech_mistake

SOUND = np.zeros(960, np.int16)
USED = Used("a", "model", 1.5, 12, Usage(1, 2, provider="a"))
WRONG: Any = None
"""What a third party has without a type checker."""


@pytest.mark.parametrize(
    "piece",
    [
        Started(),
        Interim("Hell"),
        EagerEnd(""),
        Resumed(),
        EndOfTurn(),
        Final(""),
        Final("Hello.", 1, "en", (HeardWord("Hello.", 0, 0.5, np.float64(0.9)),), USED),
    ],
    ids=repr,
)
def test_what_a_recognizer_may_yield_is_no_mistake(piece: object) -> None:
    assert heard_mistake(piece) is None


@pytest.mark.parametrize(
    ("piece", "mistake"),
    [
        (b"Hello.", "bytes, not Started, Interim, EagerEnd, Resumed, EndOfTurn or Final"),
        (None, "None, not Started, Interim, EagerEnd, Resumed, EndOfTurn or Final"),
        (Interim(WRONG), "Interim.text as None, not str"),
        (EagerEnd(b"Hell"), "EagerEnd.text as bytes, not str"),  # type: ignore[arg-type]
        (Final(WRONG), "Final.text as None, not str"),
        (Final("", confidence="high"), "Final.confidence as str, not int | float | None"),  # type: ignore[arg-type]
        (Final("", language=49), "Final.language as int, not str | None"),  # type: ignore[arg-type]
        (Final("", words=["Hello."]), "Final.words as list, not tuple"),  # type: ignore[arg-type]
        (Final("", words=("Hello.",)), "str, not HeardWord"),  # type: ignore[arg-type]
        (Final("", words=(HeardWord("Hello.", WRONG, 1.0),)), "HeardWord.start as None, not int | float"),
        (Final("", used=3.0), "float, not Used"),  # type: ignore[arg-type]
        (Final("", used=Used("a", seconds=WRONG)), "Used.seconds as None, not int | float"),
        (Final("", used=Used("a", tokens=12)), "int, not Usage"),  # type: ignore[arg-type]
        (Final("", used=Used("a", tokens=Usage(1, WRONG))), "Usage.output_tokens as None, not int"),
    ],
    ids=repr,
)
def test_a_recognizers_mistake_is_told_without_what_was_heard(piece: object, mistake: str) -> None:
    assert heard_mistake(piece) == f"yielded {mistake}"


@pytest.mark.parametrize(
    "chunk",
    [
        SpeechChunk(SOUND[:0]),
        SpeechChunk(SOUND[::2]),
        SpeechChunk(SOUND, (WordMark(0, 0), WordMark(9, 7)), (b"\xf8", b"\xf8"), USED, is_substitute=True),
    ],
    ids=["empty", "every other sample", "with everything"],
)
def test_what_a_voice_may_yield_is_no_mistake(chunk: SpeechChunk) -> None:
    assert speech_mistake(chunk) is None


@pytest.mark.parametrize(
    ("chunk", "mistake"),
    [
        (SOUND, "ndarray, not SpeechChunk"),
        (None, "None, not SpeechChunk"),
        (SpeechChunk(SOUND.astype(np.float32)), "float32 sound, not int16"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND.astype(np.int32)), "int32 sound, not int16"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND.astype(">i2")), ">i2 sound, not int16"),
        (SpeechChunk(SOUND.tobytes()), "sound as bytes, not as a numpy array"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND.reshape(480, 2)), "sound of shape (480, 2), not mono, (n,)"),
        (SpeechChunk(SOUND, [WordMark(0, 0)]), "SpeechChunk.marks as list, not tuple"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND, ((0, 0),)), "tuple, not WordMark"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND, (WordMark(0.5, 0),)), "WordMark.sample as float, not int"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND, (WordMark(0, WRONG),)), "WordMark.text_start as None, not int"),
        (SpeechChunk(SOUND, packets=(b"",)), "1 packets with 960 samples, not one for every 480"),
        (SpeechChunk(SOUND, packets=("a", "b")), "str, not bytes"),  # type: ignore[arg-type]
        (SpeechChunk(SOUND, used=Used("a", characters=WRONG)), "Used.characters as None, not int"),
    ],
)
def test_a_voices_mistake_is_told(chunk: object, mistake: str) -> None:
    assert speech_mistake(chunk) == f"yielded {mistake}"


@pytest.mark.parametrize(
    "piece", ["", "Hello.", ToolCall("f"), CutShort("content_filter"), Usage(1)], ids=repr
)
def test_what_an_agent_may_yield_is_no_mistake(piece: object) -> None:
    assert said_mistake(piece) is None


@pytest.mark.parametrize(
    ("piece", "mistake"),
    [
        (None, "None; it yields text, ToolCall, CutShort or Usage"),
        (42, "42 (int); it yields text, ToolCall, CutShort or Usage"),
        (b"my secret", "bytes; it yields text, ToolCall, CutShort or Usage"),
        ({"text": "Hello."}, "dict; it yields text, ToolCall, CutShort or Usage"),
        (ToolCall(WRONG), "ToolCall.name as None, not str"),
        (ToolCall("f", {}), "ToolCall.arguments as dict, not str"),  # type: ignore[arg-type]
        (CutShort(WRONG), "CutShort.reason as None, not str"),
        (Usage(1.5), "Usage.input_tokens as float, not int"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_an_agents_mistake_is_told(piece: object, mistake: str) -> None:
    assert said_mistake(piece) == f"yielded {mistake}"
