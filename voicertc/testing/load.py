"""Many callers at once: what each of them has to wait for, and whether the sound is whole.

A caller speaks a recording, waits for the answer, speaks again: when the answer is over, or into it. What is
measured is measured at its ear, from the arrival of packets:

    caller   |#### speech ####|                        |#### barge-in ####|
    server                      |#### reply ##########→ ####|
                              |←→|voice to voice       |←→ |stop
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import ClientError
from . import ear as hearing
from .client import Answer, ClientOptions, HeadlessClient
from .ear import Ear
from .mouth import Spoken
from .utterance import Utterance

_CHANNEL_TIMEOUT = 2.0
"""Seconds to wait for the data channel."""
_POLL = 0.05
"""Seconds between looks at the ear; what is measured are times of arrival, not of looking."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What the callers do. Lengths of time are seconds."""

    calls: int = 1
    """How many call at the same time."""
    turns: int = 3
    """What each says before it hangs up."""
    duration: float | None = None
    """Instead of a number of turns: each begins turns until this long after its call was set up."""
    barges_in: bool = False
    """Whether callers speak into the replies instead of waiting for their end."""
    barge_in_after: float = 1.0
    """How much of a reply is heard before it is spoken into."""
    ramp: float = 1.0
    """Over how long the calls begin."""
    reply_timeout: float = 15.0
    """From the end of speech to the first sound of the reply; then the call has failed."""
    reply_max: float = 60.0
    """Longest reply; then the call has failed."""
    greeting_timeout: float = 1.5
    """How long to wait for a greeting after the call is set up; one that comes is listened to."""
    api_key: str | None = field(default=None, repr=False)
    """Bearer token for the server."""


@dataclass(slots=True)
class Turn:
    """One thing said and its reply, in seconds."""

    voice_to_voice: float | None = None
    """From the last speech packet sent to the first audible packet of the reply; ``None`` if it cut in."""
    cut_in: bool = False
    """The server spoke before the caller was through."""
    stop: float | None = None
    """From the onset of the next speech to the last audible packet of this reply, if it was spoken into."""
    reply: float = 0.0
    """How long the reply was."""
    gaps: list[float] = field(default_factory=list)
    """Holes in the reply."""


@dataclass(slots=True)
class Call:
    """What came of one call."""

    name: str
    setup: float | None = None
    """From the offer's request until media could flow, in seconds."""
    turns: list[Turn] = field(default_factory=list)
    n_received: int = 0
    n_lost: int = 0
    skipped: int = 0
    """Packets that this program sent too late: above zero its own machine is overloaded."""
    error: str | None = None
    """What went wrong, if anything did."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of all calls."""

    calls: tuple[Call, ...]
    elapsed: float
    """Seconds in all."""
    cpu: float
    """Seconds of CPU that the callers themselves took."""

    @property
    def failed(self) -> tuple[Call, ...]:
        """The calls that did not go as they should."""
        return tuple(call for call in self.calls if call.error is not None)


class _Failure(Exception):
    """A call did not go as it should; the message says how. Never leaves this module."""


async def run_load(
    target: str | Answer,
    utterances: tuple[Utterance, ...],
    options: LoadOptions,
    on_done: Callable[[Call], None] = lambda call: None,
) -> LoadReport:
    """Hold the calls and report; ``on_done`` is told of each. A call's failure is reported, not raised."""
    began, cpu = time.monotonic(), time.process_time()

    async def hold(index: int) -> Call:
        await asyncio.sleep(options.ramp * index / max(1, options.calls))
        call = await _Caller(target, utterances, options, f"call-{index + 1}").hold()
        on_done(call)
        return call

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(hold(index), name=f"load/call-{index + 1}") for index in range(options.calls)
        ]
    calls = tuple(task.result() for task in tasks)
    return LoadReport(calls, time.monotonic() - began, time.process_time() - cpu)


class _Caller:
    """One caller, from setting up to hanging up."""

    def __init__(
        self, target: str | Answer, utterances: tuple[Utterance, ...], options: LoadOptions, name: str
    ) -> None:
        self._utterances = utterances
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._ear = Ear()
        self._call = Call(name)
        self._n_said = 0
        self._client = HeadlessClient(
            target, ClientOptions(on_packet=self._ear.take, api_key=options.api_key)
        )

    async def hold(self) -> Call:
        """Hold the call; what goes wrong is noted in it."""
        try:
            await self._client.connect()
            self._call.setup = self._client.setup_time
            await self._ask_for_silence()
            await self._converse()
        except (_Failure, ClientError, OSError, TimeoutError) as error:
            self._call.error = str(error) or type(error).__name__
        finally:
            await self._client.close()
        self._call.n_received, self._call.n_lost = self._ear.n_received, self._ear.n_lost
        self._call.skipped = self._client.skipped
        return self._call

    async def _ask_for_silence(self) -> None:
        """Have only replies sounded, for what is heard is taken for one. Other servers may refuse."""
        with contextlib.suppress(TimeoutError):
            await self._client.channel_opened(_CHANNEL_TIMEOUT)
            sounds = {"enable_thinking_sound": False, "enable_ambient": False}
            session = {"type": "realtime", "voicertc": {"sounds": sounds}}
            self._client.send({"type": "session.update", "session": session})

    async def _converse(self) -> None:
        hang_up_at = self._loop.time() + (self._options.duration or 0.0)
        await self._listen_to_greeting()
        spoken = self._speak()
        while True:
            turn = Turn()
            self._call.turns.append(turn)
            await self._hear_reply(turn, spoken)
            if self._options.duration is None:
                is_last = self._n_said >= self._options.turns
            else:
                is_last = self._loop.time() >= hang_up_at
            if self._options.barges_in and not is_last:
                await self._look(self._options.barge_in_after)
                self._judge(turn, spoken)
                spoken = await self._barge_in(turn)
            else:
                await self._quiet(self._options.reply_max, "A reply did not end")
                self._judge(turn, spoken)
                if is_last:
                    return
                spoken = self._speak()

    def _speak(self) -> Spoken:
        utterance = self._utterances[self._n_said % len(self._utterances)]
        self._n_said += 1
        self._ear.forget()
        return self._client.begin_saying(utterance)

    async def _listen_to_greeting(self) -> None:
        until = self._loop.time() + self._options.greeting_timeout
        while self._loop.time() < until and not self._ear.last_audible:
            await self._look()
        await self._quiet(self._options.reply_max, "The greeting did not end")

    async def _hear_reply(self, turn: Turn, spoken: Spoken) -> None:
        """Wait for the first sound behind the end of speech."""
        while not spoken.is_over:
            await self._look()
        # A reply that was spoken into may still sound at the onset, but not half of the speech later.
        middle = (spoken.onset + spoken.end) / 2
        turn.cut_in = any(middle < sound.at <= spoken.end for sound in hearing.audible(self._ear.sounds))
        while self._ear.last_audible <= spoken.end:
            if self._loop.time() - spoken.end > self._options.reply_timeout:
                raise _Failure(f"No reply within {self._options.reply_timeout:g} s of the end of speech.")
            await self._look()
        self._ear.sounds = [sound for sound in self._ear.sounds if sound.at > spoken.end]

    async def _barge_in(self, turn: Turn) -> Spoken:
        """Speak into the reply and measure how soon it stops; one that is over by then is not measured."""
        before = self._ear.sounds
        spoken = self._speak()
        while not spoken.is_over:
            await self._look()
        heard = hearing.audible(before + self._ear.sounds)
        if any(spoken.onset - 0.1 < sound.at <= spoken.onset for sound in heard):
            rest = [sound for sound in heard if sound.at > spoken.onset]
            turn.stop = hearing.sound_end(rest, spoken.onset) - spoken.onset
        return spoken

    def _judge(self, turn: Turn, spoken: Spoken) -> None:
        """Note what the reply was like, from its sounds so far."""
        heard = hearing.audible(self._ear.sounds)
        if not heard:
            return  # cannot be: its first sound was waited for
        if not turn.cut_in:
            turn.voice_to_voice = heard[0].at - spoken.end
        turn.reply = heard[-1].at - heard[0].at
        turn.gaps = hearing.gaps(self._ear.sounds, heard)

    async def _quiet(self, timeout: float, failure: str) -> None:
        """Wait until nothing was heard for a while."""
        until = self._loop.time() + timeout
        while self._loop.time() - self._ear.last_audible < hearing.PAUSE:
            if self._loop.time() > until:
                raise _Failure(f"{failure} within {timeout:g} s.")
            await self._look()

    async def _look(self, pause: float = _POLL) -> None:
        await asyncio.sleep(pause)
        if not self._client.is_connected:
            raise _Failure("The server ended the call.")
