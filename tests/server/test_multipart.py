from __future__ import annotations

import pytest

from voicertc.errors import ClientError
from voicertc.server.multipart import read_form


def read(body: bytes, boundary: str = "limit") -> dict[str, bytes]:
    return read_form(body.replace(b"|", b"\r\n"), f"multipart/form-data; boundary={boundary}")


def test_what_a_part_holds_is_kept_to_the_byte() -> None:
    body = b'--limit|Content-Disposition: form-data; name="a"||\r\n\xff--limit \n|--limit--'
    assert read(body) == {"a": b"\r\n\xff--limit \n"}


def test_names_and_boundaries_that_are_no_utf_8_are_taken_as_they_come() -> None:
    body = b'--\xff|Content-Disposition: form-data; name="\xfe"||x|--\xff--'
    assert read(body, "\udcff") == {"\N{REPLACEMENT CHARACTER}": b"x"}


@pytest.mark.parametrize(
    "body",
    [
        b'--limit|Content-Disposition: form-data; name="sdp"|--limit--',
        b'--limit|Content-Type: text/plain; name="sdp"||x|--limit--',
        b'--limit|Content-Disposition: form-data; filename="sdp"||x|--limit--',
        b'x--limit|Content-Disposition: form-data; name="sdp"||x|--limit--'.replace(b"|--", b""),
    ],
)
def test_a_part_without_a_name_or_without_a_body_is_no_part(body: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        read(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_form")
