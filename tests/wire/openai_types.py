"""Judges a server event by the types of the ``openai`` package: strictly, and nothing may be made up."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai._models import BaseModel
from openai.types.realtime import RealtimeServerEvent

_UNION, *_ = get_args(RealtimeServerEvent)
_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(_UNION)
}

_KNOWN_EXTRAS = {
    # The types of the session are those of the request; the server adds these (REALTIME: session object).
    "session": {"id", "object", "voicertc"},
}


def check(text: str) -> dict[str, Any]:
    """Return the event that ``text`` holds; fail unless the ``openai`` package takes every field of it."""
    event: dict[str, Any] = json.loads(text)
    if event["type"].startswith("voicertc."):
        assert isinstance(event["event_id"], str)
        return event
    model = _MODELS[event["type"]].model_validate_json(text, strict=True)
    assert sorted(_extras(model, "")) == []
    return event


def _extras(value: object, path: str) -> list[str]:
    """Return the paths of all fields that the types do not name."""
    if isinstance(value, list):
        return [extra for entry in value for extra in _extras(entry, f"{path}[]")]
    if not isinstance(value, BaseModel):
        return []
    known = _KNOWN_EXTRAS.get(path, set())
    found = [f"{path}.{name}" for name in value.model_extra or {} if name not in known]
    for name in type(value).model_fields:
        found += _extras(getattr(value, name), f"{path}.{name}" if path else name)
    return found
