"""Events of OpenAI's Realtime protocol as JSON gives them: what is missing, or of a wrong type, is empty.

A field that a service leaves out, or fills with something else than it should, must not end a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.replies import Usage

Event = Mapping[str, Any]
"""One message, either way: a JSON object with a ``type``."""


def nested(event: Event, name: str) -> Mapping[str, Any]:
    """Return the object in a field, an empty one if it is something else."""
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def word(event: Event, name: str) -> str:
    """Return the text in a field, an empty one if it is something else."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def count(event: Event, name: str) -> int:
    """Return the number in a field, 0 if it is something else."""
    value = event.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def tokens(usage: Event, provider: str) -> Usage | None:
    """Return what a response's ``usage`` counts; those of sound are part of each sum."""
    if not usage:
        return None
    given, made = nested(usage, "input_token_details"), nested(usage, "output_token_details")
    return Usage(
        count(usage, "input_tokens"),
        count(usage, "output_tokens"),
        cached_tokens=count(given, "cached_tokens"),
        input_audio_tokens=count(given, "audio_tokens"),
        output_audio_tokens=count(made, "audio_tokens"),
        cached_audio_tokens=count(nested(given, "cached_tokens_details"), "audio_tokens"),
        provider=provider,
    )
