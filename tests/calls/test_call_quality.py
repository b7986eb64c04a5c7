"""A call's quality as its client and the log are told of it: real peers over loopback."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from voicertc import Endpoint, Settings
from voicertc.agents.base import as_agent
from voicertc.session.setup import Services
from voicertc.settings.sections import AgentSection
from voicertc.testing.client import HeadlessClient
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

pytestmark = pytest.mark.network

NOISE = np.random.default_rng(1).normal(0, 4000, 4 * 16_000).astype(np.int16)
"""A tone would take so few bits that its coding would be thought poor."""


async def test_a_client_that_asks_is_told_and_the_log_sums_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="voicertc")
    services = Services(
        FakeRecognizer(()), as_agent(lambda _: "hello"), FakeVoice(first_audio=0.0), LoudnessDetector()
    )
    endpoint = Endpoint(Settings(agent=AgentSection(greeting="Welcome to this call.")), services=services)
    await endpoint.start()
    try:

        async def answer(offer: str) -> str:
            return await endpoint.answer(offer, is_loopback_client=True)

        async with HeadlessClient(answer) as client:
            await client.channel_opened()
            client.send(
                {
                    "type": "session.update",
                    "session": {"type": "realtime", "voicertc": {"events": ["voicertc.link"]}},
                }
            )
            client.begin_saying(NOISE)
            while True:
                event = (await client.next_event("voicertc.link")).event
                # The first receiver report may have left before our first sender report came: it tells of
                # losses, but nothing of the round trip.
                if event["outbound"]["mos"] is not None and event["round_trip_ms"] is not None:
                    break
    finally:
        await endpoint.close()
    for direction in (event["inbound"], event["outbound"]):
        assert direction["loss"] == 0.0
        assert direction["mos"] > 4.2
    assert event["inbound"]["kbps"] > 20
    assert event["round_trip_ms"] < 500
    (ended,) = (record for record in caplog.records if record.message == "call_ended")
    fields = ended.voicertc_fields  # type: ignore[attr-defined]  # ours
    assert (fields["loss_in"], fields["loss_out"]) == (0.0, 0.0)
    assert min(fields["mos_in"], fields["mos_out"]) > 4.2
