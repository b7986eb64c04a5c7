"""What answers in these tests, and how it sounds: both are known beforehand; what it was asked is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np

from voicertc.agents.base import AgentPiece, AgentRequest
from voicertc.audio.pcm import PLAYOUT_RATE_HZ, PcmFrame, Samples
from voicertc.core.items import Item, Kind, Role
from voicertc.core.replies import CutShort, ToolCall, Usage
from voicertc.providers.base import (
    EachTurn,
    Final,
    HeardPiece,
    RecognitionRequest,
    Recognizer,
    SpeechChunk,
    SpeechToText,
    VoiceRequest,
    WordMark,
)
from voicertc.testing.fakes import word_starts

from .words import STORY, WORD_SECONDS, frequency_of

PHRASES = (
    "ten of clubs",
    "how old is the brooklyn bridge",
    "go forward ten meters",
    "we must find a new home in the stars",
)
"""What the recognizer can hear: people say them in the recordings of ``speech_dir``."""

USAGE = Usage(input_tokens=7, output_tokens=5, cached_tokens=3)
"""What every answer costs."""

_LOUDNESS = 8_000


class CountingAgent:
    """Answers by rules; whoever asks for the stars, or for counting, is counted to forty.

    ``asked`` holds what it was asked in each session: the proof of what a client's events have done.
    """

    name = "counting"
    greeting = None
    grammar = f"#JSGF V1.0;\ngrammar said;\npublic <said> = {' | '.join(PHRASES)};\n"

    def __init__(self) -> None:
        self.asked: dict[str, list[dict[str, Any]]] = {}

    async def start(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to free."""

    async def reply(self, request: AgentRequest) -> AsyncGenerator[AgentPiece, None]:
        """Answer."""
        self.asked.setdefault(request.session.id, []).append(_as_json(request))
        words, results = _asked(request)
        if results:
            yield f"The answer is {' and '.join(results)}."
        elif calls := _calls(request, words):
            for call in calls:
                yield call
        elif request.max_output_tokens is not None and "count" in words:
            yield "one, two, three"
            yield CutShort("max_output_tokens")
        elif "slowly" in words:
            for word in STORY.split(" "):
                await asyncio.sleep(WORD_SECONDS / 2)
                yield f"{word} "
        elif "count" in words or "stars" in words:
            yield STORY
        elif "wait" in words:
            await asyncio.sleep(60)
        elif "fail" in words:
            raise RuntimeError("asked to fail")
        elif "instructions" in words:
            yield request.instructions
        else:
            yield f"You said: {words}."
        yield USAGE


def _asked(request: AgentRequest) -> tuple[str, list[str]]:
    """Return what the user said last, and what functions have given back since."""
    results: list[str] = []
    for item in reversed(request.history):
        if item.kind is Kind.FUNCTION_CALL_OUTPUT:
            results.insert(0, item.text or "")
        elif item.kind is Kind.MESSAGE and item.role is Role.USER:
            return item.text or "", results
    return "", results


def _calls(request: AgentRequest, words: str) -> list[ToolCall]:
    """Return the calls of the client's functions that the words, or the client, ask for."""
    names = [tool.name for tool in request.tools]
    if request.tool_choice.mode == "none" or not names:
        return []
    if request.tool_choice.name is not None:
        return [ToolCall(request.tool_choice.name, '{"what": "chosen"}')]
    if "transfer" in words:
        return [ToolCall(name, "{}") for name in names if name.startswith("transfer_to_")]
    if "get_age" in names and "old" in words:
        things = ["the Brooklyn Bridge", "the Eiffel Tower"] if "both" in words else ["the Brooklyn Bridge"]
        return [ToolCall("get_age", json.dumps({"what": thing})) for thing in things]
    return [ToolCall(names[0], "{}")] if request.tool_choice.mode == "required" else []


class Ears:
    """A real recognizer; ``heard`` keeps the last turn with each prompt, ``(n,)`` int16 mono at 16 kHz."""

    def __init__(self, recognizer: SpeechToText) -> None:
        self._recognizer = recognizer
        self.name = recognizer.name
        self.heard: dict[str, Samples] = {}

    async def start(self) -> None:
        """Nothing: whoever gave the recognizer starts it."""

    async def close(self) -> None:
        """Nothing, likewise."""

    def attend(self, request: RecognitionRequest) -> Recognizer:
        """Listen in on each turn."""
        attention = self._recognizer.attend(request)

        def recognize(
            audio: AsyncIterator[PcmFrame], request: RecognitionRequest
        ) -> AsyncGenerator[HeardPiece, None]:
            return self._listen_in(attention, audio, request)

        return EachTurn(recognize)

    async def _listen_in(
        self, attention: Recognizer, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        frames: list[Samples] = []

        async def listened() -> AsyncIterator[PcmFrame]:
            async for frame in audio:
                frames.append(frame.samples)
                yield frame

        async with aclosing(attention.recognize(listened(), request)) as results:
            async for result in results:
                if isinstance(result, Final):
                    self.heard[request.prompt] = np.concatenate(frames)
                yield result


class ToneVoice:
    """Speaks each word as a tone of its own, ``WORD_SECONDS`` long, and marks the words as real voices do."""

    name = "tones"

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to free."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a chunk for each word."""
        await asyncio.sleep(0.05)
        for number, (start, word) in enumerate(zip(word_starts(text), text.split(), strict=True)):
            tone = tone_of(word, request.speed)
            yield SpeechChunk(tone, (WordMark(number * len(tone), start),))


def tone_of(word: str, speed: float = 1.0) -> Samples:
    """Return a word's sound, ``(n,)`` int16 mono at 24 kHz; its last sixth is silent."""
    n_samples = round(WORD_SECONDS / speed * PLAYOUT_RATE_HZ)
    seconds = np.arange(n_samples * 5 // 6) / PLAYOUT_RATE_HZ
    edge = np.minimum(1.0, np.minimum(seconds, seconds[::-1]) / 0.005)  # a click would be no tone
    tone = _LOUDNESS * edge * np.sin(2 * np.pi * frequency_of(word) * seconds)
    return np.pad(tone, (0, n_samples - len(tone))).astype(np.int16)


def _as_json(request: AgentRequest) -> dict[str, Any]:
    return {
        "cause": str(request.cause),
        "instructions": request.instructions,
        "language": request.language,
        "tools": [[tool.name, tool.description, json.loads(tool.parameters)] for tool in request.tools],
        "tool_choice": request.tool_choice.name or request.tool_choice.mode,
        "max_output_tokens": request.max_output_tokens,
        "history": [_item_as_json(item) for item in request.history],
    }


def _item_as_json(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "role": str(item.role),
        "kind": str(item.kind),
        "text": item.text,
        "name": item.name,
        "arguments": item.arguments,
        "call_id": item.call_id,
    }
