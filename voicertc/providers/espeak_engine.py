"""espeak-ng in a worker process: text in, 22.05 kHz chunks and word positions out.

espeak-ng is GPL-3, so it is never loaded into the server: only this file, in a child, touches the library.
It speaks about a thousand times faster than real time; what matters is how soon the first chunk leaves.

    speak {voice, words_per_minute} text   ->
                                           <-   chunk {marks: [[sample, text_start], ...]} int16 native-endian
                                           <-   done
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from .worker_engine import Cancelled, EngineUnavailable, Request

FIX = "pip install 'voicertc[local]', or apt-get install libespeak-ng1"

# speak_lib.h, API revision 12
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_ENDPAUSE = 0x1000
_POS_CHARACTER = 1
_RATE = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1

_BUFFER_MS = 60
"""What espeak-ng gives at a time; asked for less, version 1.52 gives 60 ms all the same."""
_CHUNK_BYTES = 2 * 22_050 // 5
"""200 ms; the first chunk leaves as it comes, the others are gathered to this to spare messages."""


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Espeak:
    """The engine. ``options``: ``voice``, the usual one; ``library``, its path if not in the usual places."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._library, data = _open(options.get("library"))
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        rate = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data and data.encode(), _INITIALIZE_DONT_EXIT
        )
        if rate <= 0:
            raise EngineUnavailable(f"espeak-ng finds no voice data (error {rate})", fix=FIX)
        self._rate_hz = int(rate)
        self._answer: _Answer | None = None
        self._callback = _Callback(self._on_speech)
        self._library.espeak_SetSynthCallback(self._callback)
        # The first words take 15 ms more than any others: nobody is to wait for these.
        self._library.espeak_SetVoiceByName(str(options.get("voice", "en-us")).encode())
        self._speak(b"one")

    def facts(self) -> Mapping[str, object]:
        """Version, sampling rate and voices: ``[name, description]`` each."""
        version: bytes = self._library.espeak_Info(None)
        return {"version": version.decode(), "rate_hz": self._rate_hz, "voices": self._voices()}

    def serve(self, request: Request) -> None:
        """Speak one text."""
        fields = request.first.fields
        self._library.espeak_SetVoiceByName(str(fields["voice"]).encode())
        self._library.espeak_SetParameter(_RATE, int(fields["words_per_minute"]), 0)
        answer = self._answer = _Answer(request)
        self._speak(request.first.body)
        if answer.error is not None:
            raise answer.error
        answer.finish()

    def _speak(self, text: bytes) -> None:
        size = ctypes.c_size_t(len(text) + 1)
        flags = _CHARS_UTF8 | _ENDPAUSE
        self._library.espeak_Synth(text + b"\0", size, 0, _POS_CHARACTER, 0, flags, None, None)

    def _voices(self) -> list[list[str]]:
        voices: list[list[str]] = []
        listed = self._library.espeak_ListVoices(None)
        while listed[len(voices)]:
            voice = listed[len(voices)].contents
            # A language list begins with a byte of priority.
            voices.append([voice.languages[1:].decode(), voice.name.decode()])
        return voices

    def _on_speech(self, samples: Any, n_samples: int, events: Any) -> int:
        """Called by espeak-ng; returns 1 to stop it. An exception would be lost in C: it is kept instead."""
        answer = self._answer
        if answer is None:
            return 0
        try:
            if answer.request.is_cancelled:
                raise Cancelled
            pcm = ctypes.string_at(samples, 2 * n_samples) if samples and n_samples else b""
            answer.add(pcm, _marks(events))
        except Exception as error:
            answer.error = error
            return 1
        return 0


class _Answer:
    """The chunks of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.error: Exception | None = None
        self._pcm = b""
        self._marks: list[tuple[int, int]] = []
        self._limit = 1

    def add(self, pcm: bytes, marks: list[tuple[int, int]]) -> None:
        self._pcm += pcm
        self._marks += marks
        if len(self._pcm) >= self._limit:
            self._send("chunk")
            self._limit = _CHUNK_BYTES

    def finish(self) -> None:
        self._send("done", last=True)

    def _send(self, kind: str, *, last: bool = False) -> None:
        self.request.send(kind, self._pcm, last=last, marks=self._marks)
        self._pcm, self._marks = b"", []


def _marks(events: Any) -> list[tuple[int, int]]:
    """``(sample, character)`` of each word event; espeak-ng counts characters from one."""
    marks: list[tuple[int, int]] = []
    index = 0
    while (event := events[index]).type != _EVENT_LIST_TERMINATED:
        if event.type == _EVENT_WORD:
            marks.append((event.sample, event.text_position - 1))
        index += 1
    return marks


def _open(path: str | None) -> tuple[Any, str | None]:
    """Return the library and its data directory: the wheel's, or else the system's (``None``: it knows)."""
    if path is None and importlib.util.find_spec("espeakng_loader"):
        loader = importlib.import_module("espeakng_loader")  # an extra, and this is its one door
        locate: Callable[[], str] = loader.get_library_path
        return _load(locate()), str(loader.get_data_path())
    return _load(path or "libespeak-ng.so.1"), None


def _load(path: str) -> Any:
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise EngineUnavailable(f"the espeak-ng library cannot be loaded: {error}", fix=FIX) from error
