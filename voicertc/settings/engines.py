"""Which engines there are: those that come along, and those of installed packages (entry points).

    [project.entry-points."voicertc.tts"]
    my-voice = "my_package:make_voice"

makes ``tts.engine: [my-voice, espeak]`` possible. ``services.context`` tells what an entry point is given.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, get_args

Stage = Literal["stt", "llm", "tts"]
"""Hearing, thinking, speaking, as the settings call them."""

STAGES: tuple[Stage, ...] = get_args(Stage)

BUILT_IN: dict[Stage, tuple[str, ...]] = {
    "stt": ("openai", "openai-live", "openai-file", "pocketsphinx"),
    "llm": ("openai", "openai-responses", "openai-chat", "offline"),
    "tts": ("openai", "openai-reader", "openai-speech", "espeak"),
}
"""The engines that come along. ``openai`` is one of the next two: see ``of_openai``."""

_LOCAL: dict[Stage, str] = {"stt": "pocketsphinx", "llm": "offline", "tts": "espeak"}
"""What runs on this machine."""

_AT_OPENAI: dict[Stage, str] = {"stt": "openai-live", "llm": "openai-responses", "tts": "openai-reader"}
_ELSEWHERE: dict[Stage, str] = {"stt": "openai-file", "llm": "openai-chat", "tts": "openai-speech"}


def installed(stage: Stage) -> dict[str, EntryPoint]:
    """Return the engines of installed packages; a name that is taken already does not count."""
    points = entry_points(group=f"voicertc.{stage}")
    return {point.name: point for point in points if point.name not in (*BUILT_IN[stage], "auto")}


def of_openai(stage: Stage, *, is_openai: bool) -> str:
    """Return what ``openai`` means: OpenAI's fastest where it is OpenAI, else what all servers understand."""
    return _AT_OPENAI[stage] if is_openai else _ELSEWHERE[stage]


def automatic(stage: Stage, *, has_access: bool, is_openai: bool) -> tuple[str, ...]:
    """Return what ``auto`` means; ``has_access``: there is a key, or a server that may need none."""
    if not has_access:
        return (_LOCAL[stage],)
    if stage == "stt" and is_openai:
        return ("openai", "openai-file")
    return ("openai", "espeak") if stage == "tts" and _has_espeak() else ("openai",)


def find_engine_problem(stage: Stage, names: tuple[str, ...]) -> str | None:
    """Return what is wrong with a list of engines, in plain words, or ``None``."""
    return next(_problems(stage, names), None)


def _problems(stage: Stage, names: tuple[str, ...]) -> Iterator[str]:
    if not names:
        yield "names no engine; leave the key out for auto"
    if "auto" in names and len(names) > 1:
        yield "auto stands alone, for it is a list by itself"
    if len(set(names)) < len(names):
        yield "names an engine twice"
    if set(names) - {"auto", *BUILT_IN[stage]}:
        known = ["auto", *BUILT_IN[stage], *sorted(installed(stage))]
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield f"{name!r} is not one of {', '.join(known)}{hint}"


def _has_espeak() -> bool:
    """Whether espeak-ng is on this machine, as a wheel or as the system's library."""
    if importlib.util.find_spec("espeakng_loader"):
        return True
    try:
        ctypes.CDLL("libespeak-ng.so.1")
    except OSError:
        return False
    return True
