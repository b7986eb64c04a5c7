"""A form as browsers and SDKs post it (multipart/form-data, RFC 7578), read from bytes that have arrived.

aiohttp's own reader takes a stream, keeps files on disk and raises half a dozen kinds of errors; two small
fields need none of it.
"""

from __future__ import annotations

import re
from typing import AnyStr

from ..errors import ClientError

MAX_PARTS = 16
"""Fields of a form; two are read, and SDKs add few of their own."""

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(
    rb'^content-disposition:[^\r\n]*?;[ \t]*name=(?:"([^"\r\n]*)"|([^\s;"]+))', re.IGNORECASE | re.MULTILINE
)


def read_form(body: bytes, content_type: str) -> dict[str, bytes]:
    """Return the fields of a form by name, the first of each; ``content_type`` is the request's header.

    Parts may have any type, a file name or none. Raises ``ClientError`` 400 ``invalid_form``.
    """
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise _invalid("has no boundary in its Content-Type")
    delimiter = b"\r\n--" + _found(boundary).encode("utf-8", "surrogateescape")
    # What stands before the first delimiter and behind the last is no part (RFC 2046 §5.1.1).
    _, *parts = (b"\r\n" + body).split(delimiter, MAX_PARTS + 1)
    if len(parts) > MAX_PARTS:
        raise _invalid(f"has more than {MAX_PARTS} parts")
    if not parts or not parts[-1].startswith(b"--"):
        raise _invalid("does not end with its boundary")
    fields: dict[str, bytes] = {}
    for part in parts[:-1]:
        head, blank, content = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not blank or name is None:
            raise _invalid("has a part without a name")
        fields.setdefault(_found(name).decode("utf-8", "replace"), content)
    return fields


def _found(match: re.Match[AnyStr]) -> AnyStr:
    """Return what the one group holds that matched, quoted or not."""
    assert match.lastindex is not None
    return match[match.lastindex]


def _invalid(problem: str) -> ClientError:
    return ClientError(f"The form {problem}; send multipart/form-data.", code="invalid_form")
