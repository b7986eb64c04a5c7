"""A server in another network namespace: all real but for who hears, answers and speaks.

``python -m tests.rtc.far_server KEY=VALUE…`` takes settings, and prints a line when it is ready. It hears a
tone and says how high it was, in another tone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
from aiohttp import web

from voicertc import Endpoint, Settings, logs
from voicertc.agents.base import AgentRequest, as_agent
from voicertc.audio.pcm import HEARING_RATE_HZ, PLAYOUT_RATE_HZ, PcmFrame
from voicertc.providers.base import Final, HeardPiece, RecognitionRequest, SpeechChunk, VoiceRequest
from voicertc.server.app import assemble
from voicertc.session.setup import Services
from voicertc.testing.fakes import FakeRecognizer, FakeVoice, LoudnessDetector

from .calls import pitch, tone

VOICE_HZ = 660.0
VOICE_SECONDS = 0.8


class PitchRecognizer(FakeRecognizer):
    """Understands how high a tone is."""

    async def recognize(
        self, audio: AsyncIterator[PcmFrame], request: RecognitionRequest
    ) -> AsyncGenerator[HeardPiece, None]:
        frames = [frame.samples async for frame in audio]
        yield Final(f"{round(pitch(np.concatenate(frames), HEARING_RATE_HZ), -1):.0f} hertz")


class ToneVoice(FakeVoice):
    """Says everything as the same tone."""

    async def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(tone(VOICE_SECONDS, PLAYOUT_RATE_HZ, VOICE_HZ), ())


async def parrot(request: AgentRequest) -> AsyncGenerator[str, None]:
    yield f"You said: {request.user_text}"


async def serve(settings: Settings) -> None:
    services = Services(PitchRecognizer([]), as_agent(parrot), ToneVoice(), LoudnessDetector())
    endpoint = Endpoint(settings, services=services)
    app = assemble(endpoint, settings.server, ice_servers=settings.client_ice_servers())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, settings.server.host, settings.server.port).start()
    print("ready", flush=True)  # noqa: T201 (for whoever started it)
    await asyncio.Event().wait()


if __name__ == "__main__":
    chosen = Settings.load(flags=dict(pair.split("=", 1) for pair in sys.argv[1:]), environ={})
    logs.setup(chosen.logging)
    asyncio.run(serve(chosen))
