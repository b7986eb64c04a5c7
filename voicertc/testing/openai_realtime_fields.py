"""Which fields and values a client event may have: read out of the ``openai`` package's own request types.

A type of the SDK (``TypedDict``, ``Literal``, unions of them) is walked beside the JSON value; what it does
not name is refused, as the service does.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

from openai.types.realtime import RealtimeClientEventParam
from openai.types.realtime.response_create_event_with_references_param import (
    ResponseCreateEventWithReferencesParam,
)
from typing_extensions import is_typeddict

from .openai_refusals import RefusedError, unknown, wrong_type

_NULLABLE = {"noise_reduction", "transcription", "turn_detection", "response", "previous_item_id"}
"""Fields that may be ``null`` though the SDK's types do not say so."""
_WEBRTC_ONLY = "output_audio_buffer.clear"


def check_event(event: object) -> Mapping[str, Any]:
    """Return a client event, or refuse it: its type, its fields and their values."""
    if not isinstance(event, dict):
        raise wrong_type("event", "an object")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise _missing("type")
    if kind not in _event_types():
        raise _no_value(kind, tuple(_event_types()), "type")
    _check(event, _event_types()[kind], "")
    return event


@functools.cache
def _event_types() -> dict[str, Any]:
    known = (*get_args(RealtimeClientEventParam), ResponseCreateEventWithReferencesParam)
    named = {_tags(each)["type"][0]: each for each in known}
    return {kind: each for kind, each in named.items() if kind != _WEBRTC_ONLY}


def _check(value: Any, kind: Any, path: str) -> None:
    kind = _bare(kind)
    origin = get_origin(kind)
    if kind is Any or kind is object:
        return
    if origin in (Union, types.UnionType):
        _check_union(value, [_bare(each) for each in get_args(kind)], path)
    elif origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            raise _no_value(value, get_args(kind), path)
    elif is_typeddict(kind):
        _check_object(value, kind, path)
    elif origin is dict:
        if not isinstance(value, dict):
            raise wrong_type(path, "an object")
        for name, each in value.items():
            _check(each, get_args(kind)[1], f"{path}.{name}")
    elif origin is not None:  # every other generic type of the SDK's requests is some kind of list
        if not isinstance(value, list):
            raise wrong_type(path, "an array")
        for index, each in enumerate(value):
            _check(each, get_args(kind)[0], f"{path}[{index}]")
    else:
        _check_plain(value, kind, path)


def _check_object(value: Any, kind: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise wrong_type(path, "an object")
    fields = _fields(kind)
    for name, each in value.items():
        at = f"{path}.{name}" if path else name
        if name not in fields:
            raise unknown(at)
        if each is not None or name not in _NULLABLE:
            _check(each, fields[name], at)
    for name, hint in fields.items():
        if name not in value and get_origin(hint) is Required:
            raise _missing(f"{path}.{name}" if path else name)


def _check_union(value: Any, kinds: list[Any], path: str) -> None:
    if value is None and type(None) in kinds:
        return
    objects = [kind for kind in kinds if is_typeddict(kind)]
    if isinstance(value, dict) and objects:
        _check(value, _chosen(value, objects, path), path)
        return
    refused: RefusedError | None = None
    for kind in kinds:
        if kind not in objects and kind is not type(None):
            try:
                return _check(value, kind, path)
            except RefusedError as error:
                refused = refused or error
    raise refused or wrong_type(path, "an object")


def _chosen(value: Mapping[str, Any], kinds: list[Any], path: str) -> Any:
    """Find the type whose literal fields (``type``, ``role``) are those of ``value``."""
    for name in ("type", "role"):
        tagged = [(kind, _tags(kind)[name]) for kind in kinds if name in _tags(kind)]
        if len(kinds) == 1 or not tagged:
            continue
        if name not in value:
            raise _missing(f"{path}.{name}")
        fitting = [kind for kind, tags in tagged if value[name] in tags]
        if not fitting:
            raise _no_value(value[name], tuple(tag for _, tags in tagged for tag in tags), f"{path}.{name}")
        kinds = fitting
    return kinds[0]


def _check_plain(value: Any, kind: Any, path: str) -> None:
    names = {str: "a string", int: "an integer", float: "a number", bool: "a boolean"}
    allowed = {float: (int, float)}.get(kind, (kind,))
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise wrong_type(path, names.get(kind, "another type"))


@functools.cache
def _fields(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@functools.cache
def _tags(kind: Any) -> dict[str, tuple[Any, ...]]:
    hints = {name: _bare(hint) for name, hint in _fields(kind).items() if name in ("type", "role")}
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Required else kind


def _missing(name: str) -> RefusedError:
    message = f"Missing required parameter: '{name}'."
    return RefusedError(message, param=name, code="missing_required_parameter")


def _no_value(value: object, known: tuple[Any, ...], path: str) -> RefusedError:
    names = ", ".join(f"'{each}'" for each in known)
    message = f"Invalid value: '{value}'. Supported values are: {names}."
    return RefusedError(message, param=path, code="invalid_value")
