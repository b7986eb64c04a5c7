"""A client in another network namespace, which calls a ``far_server``, says a tone and tells what it heard.

``python -m tests.rtc.far_client URL [relay]`` prints a line of JSON: ``Told``, or ``{"failure": …}``. With
``relay`` it goes through the TURN server that the server tells, and no other way.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass

import aiohttp
import numpy as np

from voicertc.audio.pcm import HEARING_RATE_HZ
from voicertc.errors import VoicertcError
from voicertc.rtc.options import IceServer
from voicertc.testing.client import ClientOptions, HeadlessClient

from .calls import pitch, tone

TONE_HZ = 440.0
_TIMEOUT = 6.0
"""Seconds for the connection, and for each thing that is waited for on it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the call: what the server heard, how high its voice was, and for how many seconds."""

    transcript: str
    voice_hz: float
    voice_seconds: float


async def call(url: str, *, relay_only: bool) -> Told:
    ice_servers = await fetch_ice_servers(url) if relay_only else ()
    options = ClientOptions(ice_servers=ice_servers, relay_only=relay_only, connect_timeout=_TIMEOUT)
    async with HeadlessClient(url, options) as client:
        await client.say(tone(0.8, HEARING_RATE_HZ, TONE_HZ))
        done = "conversation.item.input_audio_transcription.completed"
        transcript = (await client.next_event(done, timeout=_TIMEOUT)).event["transcript"]
        await client.next_event("output_audio_buffer.stopped", timeout=_TIMEOUT)
        frames = [frame.samples for frame in client.reply_audio()]
    loud = np.concatenate([frame for frame in frames if np.abs(frame.astype(np.int32)).max() > 2_000])
    return Told(transcript, round(pitch(loud, HEARING_RATE_HZ), -1), len(loud) / HEARING_RATE_HZ)


async def fetch_ice_servers(url: str) -> tuple[IceServer, ...]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/v1/realtime/ice_servers") as response:
        told = (await response.json())["iceServers"]
    return tuple(IceServer(tuple(one["urls"]), one.get("username"), one.get("credential")) for one in told)


async def main(url: str, how: str) -> dict[str, object]:
    try:
        return asdict(await call(url, relay_only=how == "relay"))
    except (OSError, TimeoutError, VoicertcError) as error:
        return {"failure": type(error).__name__}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], (sys.argv + ["direct"])[2]))))  # noqa: T201, RUF005
