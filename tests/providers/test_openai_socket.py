from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from voicertc.errors import (
    ProviderBusy,
    ProviderCrashed,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
)
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_events import count, nested, word
from voicertc.providers.openai_socket import SocketTimes, socket_url
from voicertc.providers.openai_socket_errors import SessionRefused, closed_socket, realtime_error
from voicertc.providers.plan_b.blame import NoCredit, Refused
from voicertc.providers.secret import Secret
from voicertc.testing.contracts.rules import assert_tells_no_key
from voicertc.testing.fake_openai import (
    CloseSocket,
    Cut,
    FailInside,
    FakeOpenAI,
    Fault,
    LeaveOut,
    Mute,
    RealtimeScenario,
    Refuse,
    Scenario,
    SendFrame,
    Stall,
)

from .realtime_sockets import INTENT, LIMIT, TRANSCRIPTION, Listener, access_of, client_to, half_open_server

SHORT = SocketTimes(ready=0.2, send=0.2, heartbeat=0.1)
PLANTED = "sk-planted-0123456789abcdef"


def failing(*faults: Fault | None) -> Scenario:
    return Scenario(faults={"realtime": faults})


def transcription(**fields: Any) -> dict[str, Any]:
    heard = {**TRANSCRIPTION["audio"]["input"], "transcription": fields}
    return {"type": "transcription", "audio": {"input": heard}}


async def test_a_socket_is_ready_when_the_session_is_updated() -> None:
    async with FakeOpenAI() as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        record = fake.sockets[0]
        assert record.sent_types() == ["session.created", "session.updated"]
        assert [dict(event) for event in record.events] == [
            {"type": "session.update", "session": TRANSCRIPTION}
        ]
        assert record.query == INTENT
        assert record.headers["authorization"] == f"Bearer {fake.api_key}"
        assert not [name for name in record.headers if name.startswith(("openai", "cookie"))]
        assert socket.session["audio"]["input"]["turn_detection"] is None
        assert socket.is_open
        await socket.close()
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: not record.is_open)
        assert record.close_code == 1000


async def test_a_server_without_keys_is_sent_none() -> None:
    async with FakeOpenAI(Scenario(api_key=None)) as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        assert "authorization" not in fake.sockets[0].headers
        await socket.close()


def test_openai_itself_needs_a_key() -> None:
    async def start() -> None:
        async with client_to(OpenAIOptions()):
            pass

    with pytest.raises(ProviderUnavailable, match="needs an API key") as caught:
        asyncio.run(start())
    assert caught.value.provider == "openai-test"


@pytest.mark.parametrize(
    ("base_url", "query", "url"),
    [
        ("https://api.openai.com/v1", INTENT, "wss://api.openai.com/v1/realtime?intent=transcription"),
        ("http://127.0.0.1:8080/v1/", {"model": "a b"}, "ws://127.0.0.1:8080/v1/realtime?model=a+b"),
        ("https://host:444", {}, "wss://host:444/realtime"),
    ],
)
def test_the_address_is_the_roots(base_url: str, query: Mapping[str, str], url: str) -> None:
    assert str(socket_url(base_url, query)) == url


async def test_a_wrong_key_is_told_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeOpenAI() as fake, client_to(access_of(fake, api_key=Secret(PLANTED))) as client:
        with pytest.raises(ProviderUnavailable, match="refused the API key") as caught:
            await client.open(INTENT, TRANSCRIPTION)
        assert_tells_no_key(caught.value, caplog.text, PLANTED)
        assert "OPENAI_API_KEY" in caught.value.fix
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: not fake.sockets[0].is_open)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Refused),
        (403, Refused),
        (404, Refused),
        (429, ProviderBusy),
        (500, ProviderCrashed),
        (503, ProviderBusy),
        (400, ProviderError),
        (302, ProviderCrashed),
    ],
)
async def test_a_refused_handshake_means_what_it_means_for_a_request(
    status: int, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    refusal = Refuse(status, headers={"Retry-After": "1"}, message=f"Not with {PLANTED}.")
    async with (
        FakeOpenAI(failing(refusal)) as fake,
        client_to(access_of(fake, api_key=Secret(PLANTED))) as client,
    ):
        with pytest.raises(kind) as caught:
            await client.open(INTENT, TRANSCRIPTION)
        assert type(caught.value) is kind
        assert caught.value.provider == "openai-test"
        assert_tells_no_key(caught.value, caplog.text, PLANTED)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Stall(), ProviderTimeout),
        (Mute(), ProviderTimeout),
        (Stall(after=1), ProviderTimeout),
        (LeaveOut(("session.updated",)), ProviderTimeout),
        (Cut(after=1), ProviderCrashed),
        (SendFrame(after=1), ProviderCrashed),
        (SendFrame(after=1, frame="[]"), ProviderCrashed),
        (SendFrame(after=1, frame=b"\0"), ProviderCrashed),
        (CloseSocket(after=1, code=1011), ProviderCrashed),
        (CloseSocket(after=1, code=4000), SessionRefused),
        (CloseSocket(after=0, code=3000), Refused),
        (FailInside(after=1, code="insufficient_quota"), NoCredit),
        (FailInside(after=1, code="rate_limit_exceeded"), ProviderBusy),
        (FailInside(after=1), ProviderCrashed),
    ],
)
async def test_what_fails_before_the_session_is_set_up_fails_the_opening(
    fault: Fault, kind: type[ProviderError], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        FakeOpenAI(failing(fault)) as fake,
        client_to(access_of(fake, connect_timeout=0.2), SHORT) as client,
    ):
        async with asyncio.timeout(LIMIT):
            with pytest.raises(kind) as caught:
                await client.open(INTENT, TRANSCRIPTION)
        assert type(caught.value) is kind
        assert_tells_no_key(caught.value, caplog.text, fake.api_key)
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: not fake.sockets[0].is_open)
        # The next one finds nothing of it.
        await (await client.open(INTENT, TRANSCRIPTION)).close()


async def test_a_handshake_that_is_cut_is_tried_once_more_and_no_more() -> None:
    async with FakeOpenAI(failing(Cut(), None, Cut(), Cut())) as fake, client_to(access_of(fake)) as client:
        await (await client.open(INTENT, TRANSCRIPTION)).close()
        with pytest.raises(ProviderCrashed):
            await client.open(INTENT, TRANSCRIPTION)
        assert len(fake.sockets) == 4


async def test_a_refused_configuration_names_its_field() -> None:
    async with FakeOpenAI() as fake, client_to(access_of(fake)) as client:
        with pytest.raises(SessionRefused, match=r"gpt-realtime-whisper|prompt") as caught:
            await client.open(INTENT, transcription(model="gpt-realtime-whisper", prompt="Oslo"))
        assert caught.value.param == "session.audio.input.transcription.prompt"
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: not fake.sockets[0].is_open)


async def test_a_model_that_does_not_exist_is_the_operators_to_mend() -> None:
    async with FakeOpenAI() as fake, client_to(access_of(fake)) as client:
        with pytest.raises(ProviderUnavailable, match="model") as caught:
            await client.open({"model": "gpt-nothing"}, {"type": "realtime"})
        assert "model" in caught.value.fix


@pytest.mark.parametrize(
    ("base_url", "kind"),
    [
        ("http://127.0.0.1:9/v1", ProviderCrashed),
        ("http://nobody.invalid/v1", ProviderUnavailable),
    ],
)
async def test_nobody_there(base_url: str, kind: type[ProviderError]) -> None:
    async with client_to(OpenAIOptions(base_url=base_url)) as client:
        with pytest.raises(kind):
            await client.open(INTENT, TRANSCRIPTION)


async def test_a_server_without_tls() -> None:
    async with FakeOpenAI() as fake:
        access = access_of(fake, base_url=fake.base_url.replace("http:", "https:"))
        async with client_to(access) as client:
            with pytest.raises(ProviderUnavailable, match="TLS"):
                await client.open(INTENT, TRANSCRIPTION)


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Cut(after=3), ProviderCrashed, ""),
        (SendFrame(after=3), ProviderCrashed, "no JSON"),
        (SendFrame(after=3, frame="7"), ProviderCrashed, "no event"),
        (SendFrame(after=3, frame=b"sound"), ProviderCrashed, "bytes"),
        (CloseSocket(after=3, code=1011), ProviderCrashed, "1011"),
        (CloseSocket(after=3, code=1013), ProviderBusy, "1013"),
        (CloseSocket(after=3, code=3000), Refused, "key"),
    ],
)
async def test_an_open_socket_is_lost_once_and_its_owner_told_why(
    fault: Fault, kind: type[ProviderError], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeOpenAI(failing(fault)) as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        listener = Listener(socket)
        await socket.send({"type": "input_audio_buffer.clear"})
        error = await listener.until_lost()
        assert type(error) is kind
        assert words in error.message
        assert_tells_no_key(error, caplog.text, fake.api_key)
        assert not socket.is_open
        with pytest.raises(kind):
            await socket.send({"type": "input_audio_buffer.clear"})
        await socket.close()
        assert listener.lost == [error]


async def test_the_error_before_the_end_explains_it() -> None:
    scenario = Scenario(realtime=RealtimeScenario(session_seconds=0.1))
    async with FakeOpenAI(scenario) as fake, client_to(access_of(fake)) as client:
        listener = Listener(await client.open(INTENT, TRANSCRIPTION))
        error = await listener.until_lost()
        assert isinstance(error, ProviderCrashed)
        assert "too old" in error.message
        assert [event["type"] for event in listener.events] == ["error"]


async def test_an_old_error_does_not_explain_a_later_end() -> None:
    async with FakeOpenAI() as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        listener = Listener(socket)
        await socket.send({"type": "input_audio_buffer.commit", "event_id": "mine"})
        told = await listener.until_event("error")
        assert nested(told, "error")["event_id"] == "mine"
        assert "100ms" in socket.error_in(told).message
        await socket.send({"type": "input_audio_buffer.clear"})
        await listener.until_event("input_audio_buffer.cleared")
        await fake.__aexit__(None, None, None)
        assert "100ms" not in (await listener.until_lost()).message


async def test_what_is_new_in_the_protocol_is_handed_on_and_harms_nobody() -> None:
    scenario = Scenario(realtime=RealtimeScenario(adds_unknown=True))
    async with FakeOpenAI(scenario) as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        listener = Listener(socket)
        await socket.send({"type": "input_audio_buffer.clear"})
        await listener.until_event("input_audio_buffer.cleared")
        assert listener.events[0]["type"] == "response.weather.updated"
        await socket.close()


async def test_a_half_open_line_is_found_out_by_pings() -> None:
    async with half_open_server() as base_url, client_to(OpenAIOptions(base_url=base_url), SHORT) as client:
        listener = Listener(await client.open(INTENT, TRANSCRIPTION))
        assert isinstance(await listener.until_lost(), ProviderTimeout)


async def test_a_line_that_takes_nothing_is_given_up() -> None:
    patient = SocketTimes(send=0.2, heartbeat=60.0)
    async with half_open_server() as base_url, client_to(OpenAIOptions(base_url=base_url), patient) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        listener = Listener(socket)

        async def flood() -> None:
            while True:
                await socket.send({"type": "input_audio_buffer.append", "audio": "A" * 1_000_000})

        with pytest.raises(ProviderTimeout):
            await asyncio.wait_for(flood(), LIMIT)
        assert isinstance(await listener.until_lost(), ProviderTimeout)
        async with asyncio.timeout(LIMIT):
            await socket.close()


async def test_closing_is_quick_silent_and_may_be_done_twice() -> None:
    async with half_open_server() as base_url, client_to(OpenAIOptions(base_url=base_url)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        listener = Listener(socket)
        async with asyncio.timeout(LIMIT):
            await socket.close()
            await socket.close()
        assert listener.lost == []
        with pytest.raises(ProviderError, match="was closed"):
            await socket.send({"type": "input_audio_buffer.clear"})


async def test_a_closed_client_opens_nothing() -> None:
    async with FakeOpenAI() as fake:
        async with client_to(access_of(fake)) as client:
            await client.close()
            with pytest.raises(ProviderError, match="is closed"):
                await client.open(INTENT, TRANSCRIPTION)
        assert fake.sockets == ()


async def test_cancelling_an_opening_leaves_nothing_open() -> None:
    async with FakeOpenAI(failing(Mute())) as fake, client_to(access_of(fake)) as client:
        opening = asyncio.create_task(client.open(INTENT, TRANSCRIPTION))
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: fake.sockets and fake.sockets[0].is_open)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await fake.until(lambda: not fake.sockets[0].is_open)


async def test_a_bug_in_whoever_listens_ends_the_socket_and_shows(caplog: pytest.LogCaptureFixture) -> None:
    lost: asyncio.Future[ProviderError] = asyncio.get_running_loop().create_future()

    def fail(event: object) -> None:
        raise KeyError("a bug of ours")

    async with FakeOpenAI() as fake, client_to(access_of(fake)) as client:
        socket = await client.open(INTENT, TRANSCRIPTION)
        socket.listen(fail, lost.set_result)
        with caplog.at_level(logging.ERROR):
            await socket.send({"type": "input_audio_buffer.clear"})
            async with asyncio.timeout(LIMIT):
                assert isinstance(await lost, ProviderCrashed)
        assert [record.message for record in caplog.records] == ["openai_socket_failed"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_api_key", Refused),
        ("insufficient_quota", NoCredit),
        ("model_not_found", ProviderUnavailable),
        ("forbidden", ProviderUnavailable),
        ("rate_limit_exceeded", ProviderBusy),
        ("session_limit_reached", ProviderBusy),
        ("session_expired", ProviderCrashed),
        ("server_error", ProviderCrashed),
        (None, ProviderCrashed),
    ],
)
def test_the_codes_of_errors_have_meanings(code: str | None, kind: type[ProviderError]) -> None:
    told = {"type": "some_error", "code": code, "message": f"It failed for {PLANTED}.", "param": None}
    error = realtime_error(told, provider="openai-test", key=PLANTED)
    assert type(error) is kind
    assert PLANTED not in error.message


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011])
def test_any_other_end_is_worth_another_try(code: int | None) -> None:
    assert closed_socket(code, provider="openai-test").retryable


def test_a_field_of_another_type_reads_as_an_empty_one() -> None:
    event = {"a": 1, "b": "x", "c": {"d": True}}
    assert (word(event, "a"), word(event, "b"), word(event, "z")) == ("", "x", "")
    assert (nested(event, "b"), nested(event, "c")) == ({}, {"d": True})
    assert (count(event, "a"), count(event, "b"), count(nested(event, "c"), "d")) == (1, 0, 0)
