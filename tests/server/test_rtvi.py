"""The routes of Pipecat's clients, in front of an endpoint without media."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from voicertc.calls.call import Door
from voicertc.core.options import SessionOptions
from voicertc.errors import ClientError
from voicertc.rtc.ice import TrickledCandidate
from voicertc.server.starts import MAX_BYTES, START_LIFE, Starts

from .conftest import ServerClient
from .endpoints import ANSWER, OFFER, Asked, SilentEndpoint

DEFAULTS = SessionOptions()
KEY, OTHER_KEY = "sk-first", "sk-second"
CANDIDATE = "candidate:1 1 udp 2130706431 192.0.2.7 5000 typ host"


def offer(**more: object) -> dict[str, object]:
    return {"sdp": OFFER, "type": "offer", "pc_id": None, "restart_pc": False} | more


def asked(session: SessionOptions = DEFAULTS, owner: str = "") -> Asked:
    return Asked(OFFER, session, owner, door=Door.RTVI)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_an_offer_is_answered_and_its_call_is_named(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    response = await client.post("/api/offer", json=offer())
    assert (response.status, await response.json()) == (
        200,
        {"sdp": ANSWER, "type": "answer", "pc_id": "rtc_1"},
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert endpoint.asked[1:] == [asked()]


async def test_an_offer_may_bring_a_session(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    client = await serve(mounted_at="/agent")
    brief = {"session": {"instructions": "Be brief."}, "other": "the app's own"}
    await client.post("/agent/api/offer", json=offer(requestData=brief))
    await client.post("/agent/api/offer", json=offer(request_data=brief))
    await client.post("/agent/api/offer", json=offer(requestData="anything"))
    assert endpoint.asked[1:] == [
        asked(replace(DEFAULTS, instructions="Be brief.")),
        asked(replace(DEFAULTS, instructions="Be brief.")),
        asked(),
    ]


async def test_a_known_connection_goes_on_and_an_unknown_one_begins_anew(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    await client.post("/api/offer", json=offer())
    known = [
        await client.post("/api/offer", json=offer(pc_id="rtc_1")),
        await client.post("/api/offer", json=offer(pc_id="rtc_1", restart_pc=True)),
        await client.post("/api/offer", json=offer(pc_id="rtc_unknown", restart_pc=True)),
    ]
    endpoint.ended.add("rtc_1")
    known.append(await client.post("/api/offer", json=offer(pc_id="rtc_1", restart_pc=True)))
    assert [(await response.json())["pc_id"] for response in known] == ["rtc_1", "rtc_1", "rtc_2", "rtc_3"]
    assert endpoint.asked[1:] == [
        asked(),
        ("rtc_1", OFFER, False),
        ("rtc_1", OFFER, True),
        asked(),
        ("rtc_1", OFFER, True),
        asked(),
    ]


async def test_what_started_a_session_is_what_its_call_begins_with(
    serve: ServerClient, endpoint: SilentEndpoint
) -> None:
    client = await serve()
    body = {"session": {"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}}
    wanted = {"transport": "webrtc", "createDailyRoom": False, "enableDefaultIceServers": True, "body": body}
    started = await client.post("/start", json=wanted)
    (session_id,) = (await started.json()).values()
    url = f"/sessions/{session_id}/api/offer"
    own = {"session": {"audio": {"output": {"voice": "cedar"}}}}
    assert (await client.post(url, json=offer())).status == 200
    assert (await client.post(url, json=offer(requestData=own))).status == 200
    brief = replace(DEFAULTS, instructions="Be brief.", voice="marin")
    assert endpoint.asked[1:] == [asked(brief), asked(replace(brief, voice="cedar"))]


async def test_a_session_may_be_started_with_nothing(serve: ServerClient) -> None:
    client = await serve()
    started = await client.post("/start")
    assert list(await started.json()) == ["sessionId"]


async def test_a_session_is_forgotten_but_not_its_call(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    now = 1000.0
    client = await serve(clock=lambda: now)
    session_id = (await (await client.post("/start", json={})).json())["sessionId"]
    url = f"/sessions/{session_id}/api/offer"
    assert (await client.post(url, json=offer())).status == 200
    now += START_LIFE
    late = await client.post(url, json=offer())
    assert (late.status, (await late.json())["detail"]) == (404, "There is no such session; start another.")
    assert (await client.post(url, json=offer(pc_id="rtc_1", restart_pc=True))).status == 200


async def test_candidates_are_passed_on(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    client = await serve()
    await client.post("/api/offer", json=offer())
    candidates = [
        {"candidate": CANDIDATE, "sdp_mid": "0", "sdp_mline_index": 0},
        {"candidate": "", "sdp_mid": None, "sdp_mline_index": 1},
    ]
    for url in ("/api/offer", "/sessions/any/api/offer"):
        response = await client.patch(url, json={"pc_id": "rtc_1", "candidates": candidates})
        assert (response.status, await response.json()) == (200, {"status": "success"})
        assert endpoint.asked[-1] == (
            "rtc_1",
            TrickledCandidate(CANDIDATE, "0", 0),
            TrickledCandidate("", None, 1),
        )


async def test_a_call_is_its_owners(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    client = await serve(api_keys=(KEY, OTHER_KEY))
    secret = {"session": {"instructions": "Sing."}}
    (own, foreign) = [
        (await (await client.post("/v1/realtime/client_secrets", json=wish, headers=bearer(KEY))).json())[
            "value"
        ]
        for wish in (secret, {})
    ]
    assert (await client.post("/api/offer", json=offer())).status == 401
    started = await client.post("/start", json={}, headers=bearer(own))
    url = f"/sessions/{(await started.json())['sessionId']}/api/offer"
    assert (await client.post(url, json=offer(), headers=bearer(foreign))).status == 404
    assert (await client.post(url, json=offer(), headers=bearer(own))).status == 200
    trickle = {"pc_id": "rtc_1", "candidates": []}
    assert (await client.patch(url, json=trickle, headers=bearer(foreign))).status == 404
    assert (await client.patch(url, json=trickle, headers=bearer(KEY))).status == 200
    stolen = await client.post("/api/offer", json=offer(pc_id="rtc_1"), headers=bearer(foreign))
    assert (await stolen.json())["pc_id"] == "rtc_2"
    first = endpoint.asked[1]
    assert isinstance(first, Asked)
    assert (first.session, first.owner[:3]) == (replace(DEFAULTS, instructions="Sing."), "ek-")


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "detail"),
    [
        ("POST", "/api/offer", "", 400, "The request must be a JSON object."),
        ("POST", "/api/offer", "[]", 400, "The request must be a JSON object."),
        ("POST", "/api/offer", '{"type": "offer"}', 400, "sdp is missing."),
        ("POST", "/api/offer", '{"sdp": 5}', 400, "sdp must be a string."),
        ("POST", "/api/offer", '{"sdp": "v", "type": "answer"}', 400, 'type must be one of "offer".'),
        ("POST", "/api/offer", '{"sdp": "v", "pc_id": 5}', 400, "pc_id must be a string."),
        ("POST", "/api/offer", '{"sdp": "v", "restart_pc": 1}', 400, "restart_pc must be true or false."),
        (
            "POST",
            "/api/offer",
            '{"sdp": "v", "requestData": {"session": {"instructions": 5}}}',
            400,
            "requestData.session.instructions must be a string.",
        ),
        (
            "POST",
            "/api/offer",
            '{"sdp": "v", "requestData": {"session": 5}}',
            400,
            "requestData.session must be an object.",
        ),
        ("POST", "/api/offer", "x" * 300_000, 413, "The offer may have 196608 bytes at most."),
        ("POST", "/sessions/none/api/offer", '{"sdp": "v"}', 404, "There is no such session; start another."),
        ("POST", "/start", "5", 400, "The request must be a JSON object."),
        ("POST", "/start", '{"transport": "daily"}', 400, 'This server has one transport: "webrtc".'),
        ("POST", "/start", '{"createDailyRoom": true}', 400, 'This server has one transport: "webrtc".'),
        (
            "POST",
            "/start",
            '{"body": {"session": {"audio": 5}}}',
            400,
            "body.session.audio must be an object.",
        ),
        ("PATCH", "/api/offer", "{}", 400, "pc_id is missing."),
        ("PATCH", "/api/offer", '{"pc_id": "rtc_1"}', 400, "candidates is missing."),
        ("PATCH", "/api/offer", '{"pc_id": "rtc_9", "candidates": []}', 404, "There is no such call."),
        (
            "PATCH",
            "/api/offer",
            '{"pc_id": "rtc_1", "candidates": [5]}',
            400,
            "candidates[0] must be an object.",
        ),
        (
            "PATCH",
            "/api/offer",
            '{"pc_id": "rtc_1", "candidates": [{"candidate": "c", "sdp_mline_index": -1}]}',
            400,
            "candidates[0].sdp_mline_index must be a number from 0 to 255.",
        ),
        (
            "PATCH",
            "/api/offer",
            json.dumps({"pc_id": "rtc_1", "candidates": [{}] * 65}),
            400,
            "candidates may be 64 at most.",
        ),
    ],
)
async def test_a_bad_request_is_refused_in_both_ways_of_saying_so(
    serve: ServerClient, method: str, url: str, body: str, status: int, detail: str
) -> None:
    client = await serve()
    response = await client.request(method, url, data=body)
    answer = await response.json()
    assert (response.status, answer["detail"], answer["error"]["message"]) == (status, detail, detail)


async def test_a_call_that_is_over_takes_no_candidates(serve: ServerClient, endpoint: SilentEndpoint) -> None:
    client = await serve()
    await client.post("/api/offer", json=offer())
    endpoint.ended.add("rtc_1")
    response = await client.patch("/api/offer", json={"pc_id": "rtc_1", "candidates": []})
    assert (response.status, (await response.json())["detail"]) == (404, "There is no such call.")


@pytest.mark.parametrize("pc_id", [None, "rtc_1"])
async def test_what_helps_to_try_again_is_no_4xx(
    serve: ServerClient, endpoint: SilentEndpoint, pc_id: str | None
) -> None:
    client = await serve()
    await client.post("/api/offer", json=offer())
    endpoint.failure = ClientError("All lines are busy.", code="too_many_calls", status=503, retry_after=5)
    response = await client.post("/api/offer", json=offer(pc_id=pc_id))
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert (await response.json())["detail"] == "All lines are busy."


async def test_pages_elsewhere_may_call_if_they_are_allowed(serve: ServerClient) -> None:
    client = await serve(cors_origins=("https://app.example",))
    asking = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "content-type",
    }
    for url in ("/start", "/api/offer", "/sessions/x/api/offer"):
        preflight = await client.options(url, headers=asking)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
    refused = await client.post("/api/offer", json=offer(), headers={"Origin": "https://evil.example"})
    assert (refused.status, "Access-Control-Allow-Origin" in refused.headers) == (403, False)


async def test_what_a_key_brings_to_a_start_takes_room_as_well(serve: ServerClient) -> None:
    client = await serve()
    bound = {"session": {"type": "realtime", "instructions": "x" * 120_000}}
    key = (await (await client.post("/v1/realtime/client_secrets", json=bound)).json())["value"]
    first = (await (await client.post("/start", headers=bearer(key))).json())["sessionId"]
    for _ in range(MAX_BYTES // 120_000):
        await client.post("/start", headers=bearer(key))
    response = await client.post(f"/sessions/{first}/api/offer", json=offer(), headers=bearer(key))
    assert (response.status, (await response.json())["error"]["code"]) == (404, "session_not_found")


def test_the_oldest_start_gives_way() -> None:
    starts = Starts(clock=lambda: 0.0)
    half = MAX_BYTES // 2 - 1_000
    first, second = (starts.add(DEFAULTS, "", half) for _ in range(2))
    assert [starts.get(session_id) is not None for session_id in (first, second)] == [True, True]
    third = starts.add(DEFAULTS, "", 10)
    known = [starts.get(session_id) is not None for session_id in (first, second, third)]
    assert known == [False, True, True]


def test_expired_starts_take_no_room() -> None:
    now = 0.0
    starts = Starts(clock=lambda: now)
    ids: list[Any] = [starts.add(DEFAULTS, "", MAX_BYTES // 2 - 1_000)]
    now = START_LIFE
    ids += [starts.add(DEFAULTS, "", MAX_BYTES // 2 - 1_000) for _ in range(2)]
    assert [starts.get(session_id) is not None for session_id in ids] == [False, True, True]
