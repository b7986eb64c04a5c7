"""When OpenAI's models end: start-up warns an operator months before a model is switched off.

Dates as announced in the docstrings of the ``openai`` package 3.51 and on developers.openai.com, read on
2026-11-20; what ended before May 2026 is left out. A name without a date is taken to end with the last of its
dated models, and an older dated model with the newer one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

_ENDS: tuple[tuple[date, str], ...] = (
    (
        date(2026, 5, 7),
        "gpt-4o-audio-preview gpt-4o-audio-preview-2024-12-17 gpt-4o-audio-preview-2025-06-03 "
        "gpt-4o-mini-audio-preview gpt-4o-mini-audio-preview-2024-12-17",
    ),
    (
        date(2026, 7, 23),
        "gpt-5.1-codex gpt-5.1-chat-latest gpt-5-chat-latest gpt-4o-search-preview "
        "gpt-4o-mini-search-preview gpt-4o-search-preview-2025-03-11 gpt-4o-mini-search-preview-2025-03-11",
    ),
    (date(2026, 8, 10), "gpt-5.3-chat-latest gpt-5.2-chat-latest"),
    (date(2026, 9, 28), "gpt-3.5-turbo-1106"),
    (
        date(2026, 10, 23),
        "gpt-4.1-nano gpt-4.1-nano-2025-04-14 o4-mini o4-mini-2025-04-16 o3-mini o3-mini-2025-01-31 "
        "o1 o1-2024-12-17 gpt-4o-2024-05-13 gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-1106-preview "
        "gpt-4 gpt-4-0613 gpt-3.5-turbo gpt-3.5-turbo-0125",
    ),
    (
        date(2026, 12, 11),
        "gpt-5 gpt-5-mini gpt-5-nano gpt-5-2025-08-07 gpt-5-mini-2025-08-07 gpt-5-nano-2025-08-07 "
        "o3 o3-2025-04-16",
    ),
    (date(2027, 1, 6), "tts-1 tts-1-hd gpt-4o-mini-tts gpt-4o-mini-tts-2025-12-15"),
    (
        date(2027, 1, 14),
        "gpt-4.1 gpt-4.1-mini gpt-4.1-2025-04-14 gpt-4.1-mini-2025-04-14 gpt-4o gpt-4o-2024-11-20 "
        "gpt-4o-2024-08-06 gpt-4o-mini gpt-4o-mini-2024-07-18",
    ),
    (
        date(2027, 1, 20),
        "gpt-realtime gpt-realtime-2025-08-28 gpt-realtime-mini gpt-realtime-mini-2025-10-06 "
        "gpt-realtime-mini-2025-12-15 gpt-audio-mini gpt-audio-mini-2025-10-06 gpt-audio-mini-2025-12-15",
    ),
    (
        date(2027, 2, 26),
        "whisper-1 gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-mini-transcribe-2025-12-15 "
        "gpt-4o-transcribe-diarize",
    ),
    (date(2027, 4, 1), "gpt-5.4-nano gpt-5.4-nano-2026-03-17 gpt-5.1 gpt-5.1-2025-11-13"),
)

SHUTDOWNS: Mapping[str, date] = MappingProxyType(
    {name: day for day, names in _ENDS for name in names.split()}
)
"""The day from which each model that is about to end no longer answers."""
