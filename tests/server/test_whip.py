"""What WHIP (RFC 9725) has of a call, beside OpenAI's routes."""

from __future__ import annotations

import pytest

from voicertc.rtc.ice import TrickledCandidate

from .conftest import ServerClient
from .endpoints import OFFER, UFRAG, SilentEndpoint
from .test_calls import CALLS, SDP, error_of

CALL = f"{CALLS}/rtc_1"
ETAG = '"ice-rtc_1"'
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
HOST = "candidate:1 1 udp 2130706431 192.0.2.1 61665 typ host"
FRAGMENT = (
    f"a=ice-ufrag:{UFRAG}\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
    f"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na={HOST}\r\na=end-of-candidates\r\n"
)


async def test_a_call_has_a_strong_quoted_entity_tag_of_its_own(serve: ServerClient) -> None:
    client = await serve()
    tags = [(await client.post(CALLS, data=OFFER, headers=SDP)).headers["ETag"] for _ in range(2)]
    assert tags == [ETAG, '"ice-rtc_2"']


async def test_options_tell_what_can_be_posted(serve: ServerClient) -> None:
    client = await serve()
    response = await client.options(CALLS)
    assert (response.status, response.headers["Accept-Post"]) == (204, "application/sdp")
    assert "PATCH" in (await client.options(CALL)).headers["Allow"]


async def test_looking_at_a_call_or_the_endpoint_shows_nothing(serve: ServerClient) -> None:
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    for path in (CALLS, CALL):
        for method in ("GET", "HEAD"):
            response = await client.request(method, path)
            assert (response.status, await response.read()) == (204, b"")
    assert (await client.get(f"{CALLS}/rtc_9")).status == 404


@pytest.mark.parametrize("match", [ETAG, f'"other", {ETAG}', "*"])
async def test_candidates_found_later_reach_the_call(
    serve: ServerClient, endpoint: SilentEndpoint, match: str
) -> None:
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    response = await client.patch(CALL, data=FRAGMENT, headers=TRICKLE | {"If-Match": match})
    assert (response.status, await response.read()) == (204, b"")
    assert "ETag" not in response.headers
    assert endpoint.asked[-1] == ("rtc_1", TrickledCandidate(f"a={HOST}", "0"))


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (f"{CALLS}/rtc_9", FRAGMENT, {"If-Match": ETAG}, 404, "call_not_found"),
        (
            CALL,
            FRAGMENT,
            {"If-Match": ETAG, "Content-Type": "application/sdp"},
            415,
            "unsupported_media_type",
        ),
        (CALL, FRAGMENT, {}, 428, "precondition_required"),
        (CALL, FRAGMENT, {"If-Match": ""}, 428, "precondition_required"),
        (CALL, FRAGMENT, {"ETag": ETAG}, 428, "precondition_required"),
        (CALL, FRAGMENT, {"If-Match": '"ice-rtc_2"'}, 412, "precondition_failed"),
        (CALL, FRAGMENT, {"If-Match": f"W/{ETAG}"}, 412, "precondition_failed"),
        (CALL, FRAGMENT, {"If-Match": "ice-rtc_1"}, 412, "precondition_failed"),
        (CALL, FRAGMENT.replace(UFRAG, "NewOne"), {"If-Match": "*"}, 422, "ice_restart_unsupported"),
        (CALL, FRAGMENT.replace(UFRAG, "NewOne"), {"If-Match": ETAG}, 422, "ice_restart_unsupported"),
        (CALL, "", {"If-Match": ETAG}, 400, "invalid_fragment"),
        (CALL, "hello", {"If-Match": ETAG}, 400, "invalid_fragment"),
        (CALL, FRAGMENT.replace(UFRAG, "x y"), {"If-Match": ETAG}, 400, "invalid_fragment"),
        (CALL, b"\xff\xfe", {"If-Match": ETAG}, 400, "invalid_fragment"),
        (CALL, "a=x\r\n" * 4_000, {"If-Match": ETAG}, 413, "fragment_too_large"),
    ],
)
async def test_what_is_no_trickle_is_refused(
    serve: ServerClient,
    endpoint: SilentEndpoint,
    path: str,
    body: str | bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    n_asked = len(endpoint.asked)
    answered, error = await error_of(await client.patch(path, data=body, headers=TRICKLE | headers))
    assert (answered, error["code"]) == (status, code)
    assert endpoint.asked[n_asked:] == []


async def test_an_ended_call_takes_no_candidates_and_can_be_ended_again(serve: ServerClient) -> None:
    client = await serve()
    await client.post(CALLS, data=OFFER, headers=SDP)
    for _ in range(2):
        assert (await client.delete(CALL, headers={"If-Match": '"whatever"'})).status == 200
    response = await client.patch(CALL, data=FRAGMENT, headers=TRICKLE | {"If-Match": ETAG})
    assert (await error_of(response))[0] == 404


@pytest.mark.parametrize("word", ["accept", "reject", "refer"])
async def test_there_is_no_sip(serve: ServerClient, word: str) -> None:
    client = await serve()
    response = await client.post(f"{CALL}/{word}", json={"type": "realtime", "target_uri": "tel:+1"})
    status, error = await error_of(response)
    assert (status, error["code"], error["message"]) == (404, "no_sip", "This server takes no calls by SIP.")
