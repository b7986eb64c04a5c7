"""The conversation item of OpenAI Realtime ⇄ ``Item``.

What a client gives as several parts becomes one text; what a server tells of speech is its transcript.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.items import Item, Kind, Modality, Role, Status
from ..errors import ClientError
from .fields import Fields, array, choice, identifier, record, string

_KINDS = tuple(kind.value for kind in Kind if kind is not Kind.ITEM_REFERENCE)
_ROLES = tuple(role.value for role in Role)
_MAX_PARTS = 64
_MAX_CHARACTERS = 256 * 1024
"""Of an item's words, or of a function's arguments or output: a book's chapter, and thousands are kept."""


def render_item(item: Item, *, shows_transcripts: bool = True) -> dict[str, object]:
    """Return the item as clients are shown it.

    A user's speech has a ``transcript`` always, ``null`` until it is known (agents-realtime 0.20 throws
    without it), and for good when the session does not transcribe.
    """
    shown: dict[str, object] = {"id": item.id, "object": "realtime.item", "type": item.kind.value}
    match item.kind:
        case Kind.MESSAGE:
            shown |= {"role": item.role.value, "content": _parts(item, shows_transcripts)}
        case Kind.FUNCTION_CALL:
            shown |= {
                "call_id": item.call_id or "",
                "name": item.name or "",
                "arguments": item.arguments or "",
            }
        case Kind.FUNCTION_CALL_OUTPUT:
            shown |= {"call_id": item.call_id or "", "output": item.text or ""}
        case Kind.ITEM_REFERENCE:
            raise AssertionError("a reference is resolved before anybody is shown it")
    return shown | {"status": item.status.value}


def read_item_or_reference(fields: Fields) -> Item:
    """Return an entry of a response's own ``input``; one that names an item of the history is not it yet."""
    if fields.need("type", string) == Kind.ITEM_REFERENCE:
        return Item(fields.need("id", identifier), kind=Kind.ITEM_REFERENCE)
    return read_item(fields)


def read_item(fields: Fields) -> Item:
    """Return the item of a ``conversation.item.create``; ``id`` is empty if the client gave none."""
    item_id = fields.read("id", identifier, absent="", null="")
    kind = Kind(fields.need("type", choice(_KINDS)))
    if kind is Kind.MESSAGE:
        return _read_message(fields, item_id)
    call_id = fields.need("call_id", identifier)
    if kind is Kind.FUNCTION_CALL:
        name, arguments = fields.need("name", identifier), fields.need("arguments", _words)
        return Item(item_id, Role.ASSISTANT, kind=kind, call_id=call_id, name=name, arguments=arguments)
    return Item(item_id, text=fields.need("output", _words), kind=kind, call_id=call_id)


def recording_in(fields: Fields) -> str | None:
    """Return the coded sound of an item that is recorded speech without its words, or ``None``."""
    if fields.read("type", string, absent="", null="") != Kind.MESSAGE:
        return None
    if fields.read("role", string, absent="", null="") != Role.USER:
        return None
    parts = fields.read("content", array(record), absent=[], null=[])
    recorded = [part for part in parts if _is_recording(part)]
    if not recorded:
        return None
    if len(parts) > 1:
        message = "Recorded speech must be the only part of its item."
        raise ClientError(message, code="invalid_value", param=fields.path("content"))
    return recorded[0].need("audio", string)


def _is_recording(part: Fields) -> bool:
    is_speech = part.read("type", string, absent="", null="") == "input_audio"
    return is_speech and "audio" in part and "transcript" not in part


def _parts(item: Item, shows_transcripts: bool) -> list[dict[str, object]]:
    if item.role is Role.ASSISTANT:
        if item.status is Status.IN_PROGRESS and not item.text:
            return []
        if item.modality is Modality.AUDIO:
            return [{"type": "output_audio", "transcript": item.text or ""}]
        return [{"type": "output_text", "text": item.text or ""}]
    if item.modality is Modality.AUDIO:
        return [{"type": "input_audio", "transcript": item.text if shows_transcripts else None}]
    return [{"type": "input_text", "text": item.text or ""}]


def _read_message(fields: Fields, item_id: str) -> Item:
    role = Role(fields.need("role", choice(_ROLES)))
    parts = fields.need("content", array(record))
    if not 1 <= len(parts) <= _MAX_PARTS:
        path = fields.path("content")
        raise ClientError(f"{path} must have 1 to {_MAX_PARTS} parts.", code="invalid_value", param=path)
    read_part = _PART_READERS[role]
    found = [read_part(part) for part in parts]
    is_spoken = any(modality is Modality.AUDIO for _, modality in found)
    text = _words("\n".join(text for text, _ in found), fields.path("content"))
    return Item(item_id, role, text, modality=Modality.AUDIO if is_spoken else Modality.TEXT)


def _words(value: object, path: str) -> str:
    text = string(value, path)
    if len(text) > _MAX_CHARACTERS:
        message = f"{path} may have {_MAX_CHARACTERS} characters at most."
        raise ClientError(message, code="invalid_value", param=path)
    return text


def _user_part(part: Fields) -> tuple[str, Modality]:
    match part.need("type", string):
        case "input_text":
            return part.need("text", string), Modality.TEXT
        case "input_audio":
            # Restored history: what was said is known, whether or not the sound is there still.
            return part.need("transcript", string), Modality.AUDIO
        case "input_image":
            raise _unsupported(part.path("type"), "Images are not understood by this server.")
    raise _wrong_part(part, "input_text")


def _assistant_part(part: Fields) -> tuple[str, Modality]:
    match part.need("type", string):
        case "output_text":
            return part.need("text", string), Modality.TEXT
        case "output_audio":
            return part.need("transcript", string), Modality.AUDIO
    raise _wrong_part(part, "output_text")


def _system_part(part: Fields) -> tuple[str, Modality]:
    if part.need("type", string) == "input_text":
        return part.need("text", string), Modality.TEXT
    raise _wrong_part(part, "input_text")


_PART_READERS: dict[Role, Callable[[Fields], tuple[str, Modality]]] = {
    Role.USER: _user_part,
    Role.ASSISTANT: _assistant_part,
    Role.SYSTEM: _system_part,
}


def _wrong_part(part: Fields, right: str) -> ClientError:
    path = part.path("type")
    return ClientError(
        f'{path} is no part of such a message; send "{right}".', code="invalid_value", param=path
    )


def _unsupported(path: str, message: str) -> ClientError:
    return ClientError(message, code="not_supported", param=path)
