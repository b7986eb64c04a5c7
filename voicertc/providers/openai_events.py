"""Events of OpenAI's Realtime protocol as JSON gives them: what is missing, or of a wrong type, is empty.

A field that a service leaves out, or fills with something else than it should, must not end a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
