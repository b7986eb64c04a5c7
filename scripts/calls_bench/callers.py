"""Callers that take turns with a server: what they say are ready packets, what they hear is kept for later.

    caller   |#### speech ####|                                  |#### speech …
    server                      · · · |###### reply ######|
             ^ due: begins + n · period                          ^ the next one, or later if the reply is long

While the call goes on a packet that comes is looked at for its size alone, because decoding would keep the
clients' core busy; when the reply was heard is found out afterwards (``judging``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from voicertc.audio.opus import SILENCE
from voicertc.errors import ClientError
from voicertc.testing.client import ClientOptions, HeadlessClient, ReceivedEvent
from voicertc.testing.ear import PAUSE
from voicertc.testing.mouth import Spoken
from voicertc.testing.received import ReceivedPacket
from voicertc.testing.utterance import Utterance

_LOOK = 0.05
"""Seconds between looks at what has come; what is measured are times of arrival, not of looking."""
_REST = 0.2
"""Seconds from when a reply is known to be over to the next turn, at least."""
_LONGEST_REPLY = 30.0
"""Seconds; then something is wrong with the call."""
_SOUND_BYTES = 3
"""Packets of at most this size hold no sound."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How callers talk. Lengths of time are seconds."""

    period: float = 0.0
    """From one turn's beginning to the next one's, unless the reply takes longer; 0: behind the reply."""
    reply_timeout: float = 5.0
    """From the end of speech to the reply's first packet; then the turn has failed."""
    background: Utterance | None = None
    """What a microphone sends while nobody speaks, over and over; else digital silence."""
    wants_metrics: bool = False
    """Whether the server is asked for its own figures of each turn."""


@dataclass(slots=True)
class Said:
    """A turn as it was taken. ``failure``: why there is no reply to be judged."""

    spoken: Spoken
    failure: str | None = None


class Caller:
    """One call, from ``connect`` to ``close``."""

    def __init__(self, url: str, utterances: Sequence[Utterance], habits: Habits, number: int = 0) -> None:
        self.name = f"call-{number}"
        self.turns: list[Said] = []
        self.packets: list[ReceivedPacket] = []
        self._utterances = utterances
        self._habits = habits
        self._number = number
        self._last_sound = 0.0
        self._murmur: Spoken | None = None
        self._loop = asyncio.get_running_loop()
        self._client = HeadlessClient(url, ClientOptions(on_packet=self._keep, connect_timeout=60.0))

    @property
    def events(self) -> list[ReceivedEvent]:
        """What the server told."""
        return self._client.events

    @property
    def skipped(self) -> int:
        """Packets that this process sent too late: above zero it measures itself."""
        return self._client.skipped

    async def connect(self) -> None:
        """Set up the call, as a page does: with its data channel."""
        await self._client.connect()
        await self._client.channel_opened(30.0)
        # A thinking sound would be taken for the reply.
        own: dict[str, object] = {"sounds": {"enable_thinking_sound": False, "enable_ambient": False}}
        if self._habits.wants_metrics:
            own["events"] = ["voicertc.metrics"]
        self._client.send({"type": "session.update", "session": {"type": "realtime", "voicertc": own}})

    async def converse(
        self, begins: float, *, until: float | None = None, n_turns: int | None = None
    ) -> None:
        """Take turns, the first at ``begins`` (the loop's time), until no more are to begin."""
        due = begins
        while n_turns is None or len(self.turns) < n_turns:
            while (now := self._loop.time()) < due:
                await self._look(min(_LOOK, due - now))
            if until is not None and now >= until:
                return
            await self._take_turn()
            due = max(due + self._habits.period, self._loop.time() + _REST)

    async def idle(self, until: float) -> None:
        """Say nothing for a while."""
        while self._loop.time() < until:
            await self._look()

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()

    async def _take_turn(self) -> None:
        utterance = self._utterances[(self._number + len(self.turns)) % len(self._utterances)]
        turn = Said(self._client.begin_saying(utterance))
        self._murmur = turn.spoken
        self.turns.append(turn)
        try:
            await self._listen(turn)
        except (ConnectionError, ClientError, OSError) as error:
            turn.failure = str(error)
            raise

    async def _listen(self, turn: Said) -> None:
        """Wait until the reply has begun and ended, or has not come in time."""
        spoken = turn.spoken
        while not spoken.is_over:
            await self._look()
        while self._last_sound <= spoken.end:
            if self._loop.time() - spoken.end > self._habits.reply_timeout:
                turn.failure = f"no reply within {self._habits.reply_timeout:g} s"
                return
            await self._look()
        began = self._loop.time()
        while self._loop.time() - self._last_sound < PAUSE:
            if self._loop.time() - began > _LONGEST_REPLY:
                turn.failure = "a reply that does not end"
                return
            await self._look()

    async def _look(self, pause: float = _LOOK) -> None:
        await asyncio.sleep(pause)
        if not self._client.is_connected:
            raise ConnectionError("the server ended the call")
        background, murmur = self._habits.background, self._murmur
        if background is None:
            return
        # The next bit is queued before the last one ends, so that no gap of digital silence is between them.
        if murmur is None or len(murmur.utterance.packets) - len(murmur.sent) <= 2 + _LOOK / 0.02:
            self._murmur = self._client.begin_saying(background)

    def _keep(self, packet: ReceivedPacket) -> None:
        self.packets.append(packet)
        if len(packet.payload) > _SOUND_BYTES and packet.payload != SILENCE:
            self._last_sound = packet.at
