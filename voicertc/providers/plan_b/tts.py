"""Speaking with a plan B: each clause by the first voice that gives a sound for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from ...core.clauses import is_speakable
from ...errors import ProviderCrashed
from ..base import SpeechChunk, TextToSpeech, VoiceRequest, WarmedVoice
from ..checks import speech_mistake
from .chain import Chain, ChainReport, Clock
from .member import Member
from .probes import ProbeOptions
from .stream import with_plan_b

FIRST_TIMEOUT = 1.2
"""Seconds until a clause's first sound: several times the usual; the rest of 3 s is the next voice's."""


class FallbackTextToSpeech:
    """A voice made of several, best first. One object serves all calls.

    A client's voice is a name of the first one's; the others speak with their own default.
    """

    def __init__(
        self,
        members: Sequence[Member[TextToSpeech]],
        *,
        first_timeout: float = FIRST_TIMEOUT,
        probes: ProbeOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.chain = Chain("tts", members, probes=probes, clock=clock)
        self._first_timeout = first_timeout

    @property
    def name(self) -> str:
        """The first one's name."""
        return self.chain.primary.name

    async def start(self) -> None:
        """Start all; raise ``ProviderUnavailable`` if none can."""
        await self.chain.start()

    async def close(self) -> None:
        """Close all; may be called twice."""
        await self.chain.close()

    def warm(self, request: VoiceRequest) -> None:
        """Have the one ready that would be asked now."""
        voice: object = self.chain.current().provider
        if isinstance(voice, WarmedVoice):
            voice.warm(request)

    def report(self) -> ChainReport:
        """Say how the voices fare."""
        return self.chain.report()

    def synthesize(self, text: str, request: VoiceRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text``; who fails before the first sound is replaced by the next."""

        def speak(member: Member[TextToSpeech]) -> AsyncGenerator[SpeechChunk, None]:
            is_own = member is self.chain.primary
            how = request if is_own else replace(request, voice="default")
            return _audible(member, text, how, is_substitute=not is_own)

        return with_plan_b(self.chain, speak, lambda chunk: len(chunk.samples) > 0, self._first_timeout)


async def _audible(
    member: Member[TextToSpeech], text: str, request: VoiceRequest, *, is_substitute: bool
) -> AsyncGenerator[SpeechChunk, None]:
    """Speak ``text``; a voice that makes no sound of words, or anything else than sound, has failed."""
    is_silent = True
    async with aclosing(member.provider.synthesize(text, request)) as chunks:
        async for chunk in chunks:
            if mistake := speech_mistake(chunk):
                raise ProviderCrashed(f"{member.name} {mistake}", provider=member.name)
            is_silent = is_silent and not len(chunk.samples)
            yield replace(chunk, is_substitute=True) if is_substitute else chunk
    if is_silent and is_speakable(text):
        raise ProviderCrashed(f"{member.name} made no sound", provider=member.name)
