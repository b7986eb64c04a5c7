"""The requests of OpenAI's own Python SDK, whose server this one stands in for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI

from voicertc.core.items import Modality
from voicertc.core.options import SessionOptions

from .conftest import ServerClient
from .endpoints import ANSWER, OFFER, Asked, SilentEndpoint
from .test_access import KEY


@pytest.fixture
async def sdk(serve: ServerClient) -> AsyncIterator[AsyncOpenAI]:
    client = await serve(api_keys=[KEY])
    async with AsyncOpenAI(base_url=str(client.make_url("/v1")), api_key=KEY, max_retries=0) as sdk:
        yield sdk


async def test_it_makes_calls_in_both_forms_and_hangs_up(sdk: AsyncOpenAI, endpoint: SilentEndpoint) -> None:
    plain = await sdk.realtime.calls.create(sdp=OFFER)
    with_session = await sdk.realtime.calls.create(
        sdp=OFFER,
        session={"type": "realtime", "instructions": "Söng.", "output_modalities": ["text"]},
    )
    assert [plain.text, with_session.text] == [ANSWER, ANSWER]
    owner = endpoint.owners["rtc_1"]
    assert endpoint.asked[1:] == [
        Asked(OFFER, owner=owner),
        Asked(OFFER, SessionOptions(instructions="Söng.", output=Modality.TEXT), owner),
    ]
    call_id = with_session.response.headers["Location"].rpartition("/")[2]
    await sdk.realtime.calls.hangup(call_id)
    assert endpoint.ended == {"rtc_2"}


async def test_it_makes_keys_that_work(sdk: AsyncOpenAI, endpoint: SilentEndpoint) -> None:
    made = await sdk.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 30},
        session={"type": "realtime", "instructions": "Sing."},
    )
    await sdk.with_options(api_key=made.value).realtime.calls.create(sdp=OFFER)
    (asked,) = [asked for asked in endpoint.asked if isinstance(asked, Asked)]
    assert asked.session == SessionOptions(instructions="Sing.")


async def test_it_raises_its_own_errors(sdk: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await sdk.realtime.calls.hangup("rtc_9")
    assert unknown.value.code == "call_not_found"
    for refuse in ("accept", "reject"):
        with pytest.raises(openai.NotFoundError, match="SIP"):
            await getattr(sdk.realtime.calls, refuse)(
                "rtc_9", **{"type": "realtime"} if refuse == "accept" else {}
            )
    with pytest.raises(openai.AuthenticationError) as refused:
        await sdk.with_options(api_key="wrong").realtime.calls.create(sdp=OFFER)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as wrong:
        await sdk.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 1})
    assert (wrong.value.code, wrong.value.param) == ("invalid_value", "expires_after.seconds")
