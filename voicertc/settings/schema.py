"""What keys there are: one walk over the sections, for messages, for environment lists and for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import get_args, get_origin, get_type_hints

from pydantic import BaseModel

Path = tuple[str, ...]
"""A key's place, like ``("server", "port")``; ``server.port`` for people."""

_CHOICE = "engine"
"""The key that a section's value is, where one is written in place of the section."""


@cache
def keys_of(section: type) -> dict[str, object]:
    """Return the keys of a section (model or dataclass) with their annotations, in the order they stand."""
    if issubclass(section, BaseModel):
        return {field.alias or name: field.annotation for name, field in section.model_fields.items()}
    assert dataclasses.is_dataclass(section)
    hints = get_type_hints(section)
    return {field.name: hints[field.name] for field in dataclasses.fields(section)}


def is_section(annotation: object) -> bool:
    """Whether a key of this annotation holds further keys."""
    if not isinstance(annotation, type):
        return False
    return issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)


def annotation_at(root: type, path: Path) -> object | None:
    """Return the annotation of the key at ``path``, or ``None`` if there is no such key."""
    annotation: object = root
    for part in path:
        if not (isinstance(annotation, type) and is_section(annotation)):
            return None
        annotation = keys_of(annotation).get(part)
    return annotation


def value_path(root: type, path: Path) -> Path:
    """Return where a value written at ``path`` belongs: ``stt: openai`` stands for ``stt.engine: openai``."""
    section = annotation_at(root, path)
    is_choice = isinstance(section, type) and is_section(section) and _CHOICE in keys_of(section)
    return (*path, _CHOICE) if is_choice else path


def all_paths(root: type, prefix: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield every key that holds a value, with its annotation; sections themselves are left out."""
    for name, annotation in keys_of(root).items():
        if isinstance(annotation, type) and is_section(annotation):
            yield from all_paths(annotation, (*prefix, name))
        else:
            yield (*prefix, name), annotation


def is_sequence(annotation: object) -> bool:
    """Whether a key of this annotation takes several values."""
    return get_origin(member_of(annotation)) in (tuple, list, frozenset, set)


def member_of(annotation: object) -> object:
    """Return the annotation without ``| None``."""
    members = [member for member in get_args(annotation) if member is not type(None)]
    return members[0] if len(members) == 1 and type(None) in get_args(annotation) else annotation
