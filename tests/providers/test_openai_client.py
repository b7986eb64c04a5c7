from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping
from itertools import repeat

import pytest

from voicertc.errors import ProviderBusy, ProviderCrashed, ProviderError, ProviderTimeout, ProviderUnavailable
from voicertc.providers.openai_access import OpenAIOptions
from voicertc.providers.openai_chat import OpenAIChat, OpenAIChatOptions
from voicertc.providers.openai_client import OpenAIClient
from voicertc.providers.openai_fields import OptionalFields, least_effort
from voicertc.providers.openai_models import SHUTDOWNS
from voicertc.providers.patience import Patience
from voicertc.providers.plan_b.blame import NoCredit, Refused
from voicertc.providers.secret import Secret
from voicertc.testing.fake_openai import Cut, FakeOpenAI, Fault, Refuse, Scenario, Send, Stall, spoken

from .openai_stages import LIMIT, all_left, client_of

TEXT = "Hello there."
SOUND = spoken(TEXT).astype("<i2").tobytes()


async def speech(
    client: OpenAIClient, *, patience: Patience | None = None, refuse: tuple[str, ...] = ()
) -> bytes:
    """The body of one answer, by the plainest request there is."""
    patience = patience or Patience("openai-speech", first=LIMIT, idle=LIMIT)
    fields = OptionalFields("audio/speech").of_request({})
    body = b""
    stream = client.stream(
        lambda api: api.audio.speech.with_streaming_response.create(
            input=TEXT, model="gpt-4o-mini-tts", voice="alloy", response_format="pcm"
        ),
        patience,
        fields,
        refuse=refuse,
    )
    async for piece in stream:
        body += piece
    return body


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(500),
        Refuse(503),
        Refuse(429, "rate_limit_exceeded"),
        Refuse(429, "rate_limit_exceeded", headers={"retry-after-ms": "30"}),
        Refuse(502, body=b"<html>Bad Gateway</html>", content_type="text/html"),
        Cut(),
    ],
    ids=str,
)
async def test_one_failure_before_the_first_byte_is_not_noticed(fault: Fault) -> None:
    async with FakeOpenAI(Scenario(faults={"speech": [fault]})) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        assert await speech(client) == SOUND
        assert [request.outcome for request in fake.requests] == ["failed", "answered"]
        await client.release()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Refuse(500), ProviderCrashed),
        (Refuse(503), ProviderBusy),
        (Cut(), ProviderCrashed),
    ],
    ids=str,
)
async def test_a_second_failure_is_an_error(fault: Fault, expected: type[ProviderError]) -> None:
    async with FakeOpenAI(Scenario(faults={"speech": repeat(fault)})) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        with pytest.raises(ProviderError) as caught:
            await speech(client)
        assert (type(caught.value), caught.value.retryable) == (expected, True)
        assert len(fake.requests) == 2
        await client.release()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Refuse(429, "rate_limit_exceeded", headers={"retry-after": "2"}), ProviderBusy),
        (Refuse(429, "insufficient_quota"), NoCredit),
        (Refuse(500, headers={"x-should-retry": "false"}), ProviderCrashed),
        (Refuse(400, "invalid_value"), ProviderError),
        (Refuse(403), Refused),
        (Refuse(404, "model_not_found"), Refused),
        (Cut(after=2), ProviderCrashed),
    ],
    ids=str,
)
async def test_what_a_second_try_cannot_mend_is_tried_once(
    fault: Fault, expected: type[ProviderError]
) -> None:
    async with FakeOpenAI(Scenario(faults={"speech": repeat(fault)})) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        with pytest.raises(ProviderError) as caught:
            await speech(client)
        assert type(caught.value) is expected
        assert len(fake.requests) == 1
        await client.release()


@pytest.mark.parametrize(("after", "said"), [(0, "gave no answer within"), (2, "stopped in the middle for")])
async def test_a_service_that_hangs_is_given_up_and_told_so(after: int, said: str) -> None:
    async with FakeOpenAI(Scenario(faults={"speech": repeat(Stall(after))})) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        with pytest.raises(ProviderTimeout, match=said):
            await speech(client, patience=_short(after))
        assert len(fake.requests) == 1
        await all_left(fake)
        await client.release()


def _short(after: int) -> Patience:
    """A patience of 0.2 s for what is not to come."""
    patience = Patience("openai-speech", first=0.2 if after == 0 else LIMIT, idle=0.2)
    if after:
        patience.something_came()
    return patience


async def test_patience_counts_only_waiting() -> None:
    patience = Patience("openai-speech", first=0.05, idle=0.05)
    await patience.wait(asyncio.sleep(0))
    await asyncio.sleep(0.1)
    assert await patience.wait(asyncio.sleep(0, "in time")) == "in time"


async def test_bytes_that_say_nothing_buy_no_time() -> None:
    patience = Patience("openai-speech", first=0.1, idle=LIMIT)

    async def comments_for_ever() -> None:
        while True:
            await patience.wait(asyncio.sleep(0.02))

    with pytest.raises(ProviderTimeout):
        await asyncio.wait_for(comments_for_ever(), LIMIT)


async def test_a_librarys_own_timeout_is_not_taken_for_ours() -> None:
    async def fail() -> None:
        raise TimeoutError("of somebody else")

    with pytest.raises(TimeoutError, match="of somebody else"):
        await Patience("openai-speech", first=1, idle=1).wait(fail())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Send(b'{"error": {"message": "out of memory"}}', "application/json"), "out of memory"),
        (Send(b"<html>Sign in to the hotel</html>", "text/html; charset=utf-8"), "Sign in to the hotel"),
        (Send(b"", "application/json"), "application/json"),
    ],
    ids=["json", "html", "empty"],
)
async def test_a_page_instead_of_an_answer_is_quoted(fault: Fault, said: str) -> None:
    async with FakeOpenAI(Scenario(faults={"speech": [fault]})) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        with pytest.raises(ProviderCrashed, match=said):
            await speech(client, refuse=("application/json", "text/"))
        await client.release()


async def test_nobody_listening_is_a_crash() -> None:
    async with FakeOpenAI() as fake:
        gone = fake.base_url
    client = OpenAIClient(OpenAIOptions(base_url=gone))
    client.acquire("openai-speech")
    with pytest.raises(ProviderCrashed, match=r"server 127.0.0.1:\d+ refuses connections; is it running"):
        await speech(client)
    await client.release()


async def test_a_key_never_shows(caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-wrong-but-still-a-secret"
    caplog.set_level(logging.DEBUG, logger="")
    async with FakeOpenAI() as fake:
        client = client_of(fake, api_key=Secret(key))
        client.acquire("openai-speech")
        with pytest.raises(ProviderUnavailable) as caught:
            await speech(client)
        assert fake.requests[0].headers["authorization"] == f"Bearer {key}"
        client.warm("gpt-6-luna")
        await asyncio.sleep(0)
        await client.release()
    shown = "".join(traceback.format_exception(caught.value))
    assert key not in shown + caplog.text + repr(client.options) + str(caught.value.__dict__)
    assert caught.value.message == "openai-speech refused the API key (HTTP 401 invalid_api_key)"


async def test_a_harmless_cause_is_kept_for_the_log() -> None:
    async with FakeOpenAI(
        Scenario(faults={"speech": [Refuse(400, "invalid_value", "no such voice")]})
    ) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        with pytest.raises(ProviderError, match="no such voice") as caught:
            await speech(client)
        assert caught.value.__cause__ is not None
        await client.release()


async def test_a_server_that_needs_no_key_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-private")
    async with FakeOpenAI(Scenario(api_key=None)) as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        assert await speech(client) == SOUND
        sent = fake.requests[0].headers
        assert {"authorization", "openai-organization", "openai-project"} & set(sent) == set()
        await client.release()


async def test_starting_does_not_touch_the_network() -> None:
    async with FakeOpenAI() as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        await asyncio.sleep(0.05)
        assert fake.requests == ()
        await client.release()


async def test_a_turn_finds_its_connections_open() -> None:
    async with FakeOpenAI() as fake:
        client = client_of(fake)
        client.acquire("openai-speech")
        client.warm("gpt-6-luna")
        client.warm("gpt-6-luna")
        assert client._warming is not None
        await asyncio.wait_for(client._warming, LIMIT)
        warmed = {request.connection for request in fake.requests_to("models")}
        assert await speech(client) == SOUND
        assert fake.requests_to("speech")[0].connection in warmed
        client.warm("gpt-6-luna")
        await asyncio.sleep(0.05)
        assert len(fake.requests_to("models")) == 2
        await client.release()


async def test_connections_about_to_expire_are_renewed() -> None:
    async with FakeOpenAI() as fake:
        client = client_of(fake, keep_alive=10.0)  # less than a turn may last
        client.acquire("openai-speech")
        await speech(client)
        client.warm("gpt-6-luna")
        async with asyncio.timeout(LIMIT):
            await fake.until(lambda: fake.requests_to("models"))
        await client.release()


@pytest.mark.parametrize("fault", [Refuse(404), Cut(), Stall()], ids=str)
async def test_a_failed_warm_up_harms_nobody(fault: Fault) -> None:
    async with FakeOpenAI(Scenario(faults={"models": repeat(fault)})) as fake:
        client = client_of(fake, connect_timeout=0.1)
        client.acquire("openai-speech")
        client.warm("gpt-6-luna")
        await asyncio.sleep(0.05)
        assert await speech(client) == SOUND
        await client.release()


async def test_cancelled_answers_give_their_connections_back() -> None:
    async with FakeOpenAI(Scenario(faults={"speech": [Stall(after=1)] * 12})) as fake:
        client = client_of(fake, max_connections=3)
        client.acquire("openai-speech")
        for _ in range(4):
            tasks = [asyncio.create_task(speech(client)) for _ in range(3)]
            async with asyncio.timeout(LIMIT):
                await fake.until(lambda: fake.n_open == 3)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await fake.idle()
        assert await speech(client) == SOUND
        await client.release()


async def test_the_pool_lives_as_long_as_its_last_user() -> None:
    async with FakeOpenAI() as fake:
        client = client_of(fake)
        first, second = (OpenAIChat(OpenAIChatOptions(), client) for _ in range(2))
        for stage in (first, first, second):
            await stage.start()
        for stage in (first, first):
            await stage.close()
        assert await speech(client) == SOUND
        await second.close()
        with pytest.raises(ProviderError, match="openai-speech is closed"):
            await speech(client)
        await second.start()
        assert await speech(client) == SOUND
        await second.close()


async def test_openai_without_a_key_is_known_at_the_start() -> None:
    stage = OpenAIChat(OpenAIChatOptions(), OpenAIClient(OpenAIOptions()))
    with pytest.raises(ProviderUnavailable) as caught:
        await stage.start()
    assert caught.value.provider == "openai-chat"
    assert caught.value.fix.startswith("Set OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("base_url", "is_openai"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://api.openai.com.evil.example/v1", False),
        ("http://127.0.0.1:11434/v1", False),
    ],
)
def test_openai_is_known_by_its_host(base_url: str, is_openai: bool) -> None:
    assert OpenAIOptions(base_url=base_url).is_openai is is_openai


@pytest.mark.parametrize(
    "base_url", ["http://me:sk-planted@h/v1?x", "http://h/v1#sk-planted", "me:sk-planted@h"]
)
def test_a_base_url_that_may_hold_a_key_is_refused_without_it(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url") as caught:
        OpenAIOptions(base_url=base_url)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("base_url", ["", "localhost:8000", "ftp://host/v1", "http:///v1"])
def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        OpenAIOptions(base_url=base_url)


def test_a_field_that_was_refused_is_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    learnt = OptionalFields("chat/completions")
    given: Mapping[str, object] = {"a": 1, "b": 0, "c": None, "d": ""}
    assert learnt.of_request(given).current == {"a": 1, "b": 0}
    learnt.learn("a")
    learnt.learn("a")
    assert learnt.of_request(given).current == {"b": 0}
    assert [record.message for record in caplog.records] == ["openai_field_refused"]


@pytest.mark.parametrize(
    ("model", "effort"),
    [
        ("gpt-6-luna", "none"),
        ("gpt-5.6-luna", "none"),
        ("gpt-5.1", "none"),
        ("gpt-5-mini", "minimal"),
        ("gpt-5.3-chat-latest", None),
        ("gpt-4.1", None),
        ("gpt-oss-120b", None),
        ("llama3.3", None),
    ],
)
def test_a_model_thinks_as_little_as_it_can(model: str, effort: str | None) -> None:
    assert least_effort(model) == effort


def test_the_table_of_shutdowns_has_real_names() -> None:
    assert len(SHUTDOWNS) > 30
    assert all(name == name.strip().lower() for name in SHUTDOWNS)
