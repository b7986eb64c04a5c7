"""What is said again and again: voiced in one call, sent from memory in the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np

from tests.session.conftest import QUIET, Stage
from voicertc.audio import clips
from voicertc.audio.pcm import Samples
from voicertc.audio.playout import PlayoutBuffer, Pulled
from voicertc.core import events, facts
from voicertc.core.events import Event
from voicertc.core.items import Item
from voicertc.core.options import ConversationOptions, Phrases
from voicertc.core.replies import Cause, ReplyRequest
from voicertc.providers.phrasebook import Phrasebook
from voicertc.session.engine import AudioMade, ClauseClosed, ClauseOpened, Piece
from voicertc.session.setup import SessionSetup
from voicertc.session.speaking import Speaking
from voicertc.session.tasks import Tasks
from voicertc.session.usage_count import UsageCount
from voicertc.testing import virtual_time
from voicertc.testing.fakes import FakeVoice, voiced

WORDS = "Welcome to the library. What are you looking for?"
CLAUSES = ["Welcome to the library.", "What are you looking for?"]
GREETING = SessionSetup(
    conversation=ConversationOptions(phrases=Phrases(greeting=WORDS), greeting_delay=0.39)
)


async def listen(stage: Stage, until: float) -> list[tuple[float, Pulled]]:
    """What a peer pulls every 20 ms, and when; nothing is said into the call."""
    loop = asyncio.get_running_loop()
    began, heard = loop.time(), []
    while (now := loop.time() - began) < until:
        if pulled := stage.session.playout.pull(loop.time()):
            heard.append((round(now, 2), pulled))
        await asyncio.sleep(0.02)
    return heard


def sound(heard: list[tuple[float, Pulled]]) -> Samples:
    return np.concatenate([pulled.samples for _, pulled in heard])


def packets(heard: list[tuple[float, Pulled]]) -> list[bytes | None]:
    return [pulled.packet for _, pulled in heard]


def test_the_second_caller_is_greeted_at_once_without_synthesis_and_without_an_encode() -> None:
    async def main() -> None:
        voice, book = FakeVoice(), Phrasebook()
        calls = []
        for _ in range(2):
            stage = Stage(setup=GREETING, voice=voice, phrasebook=book)
            calls.append(await listen(stage, until=6.0))
            assert stage.line.history == [("assistant", WORDS)]
            assert stage.line.when(facts.PlayoutStopped)
            await stage.session.close()
        first, second = calls
        assert voice.texts == CLAUSES
        assert None not in packets(first)
        assert packets(second) == packets(first)
        assert np.array_equal(sound(second), sound(first))
        assert (first[0][0], second[0][0]) == (0.5, 0.4)  # the voice takes 0.1 s to its first sound
        assert book.n_phrases == 2

    virtual_time.run(main())


def test_the_sound_of_a_greeting_is_the_voices_own() -> None:
    async def main() -> None:
        stage = Stage(setup=GREETING)
        heard = sound(await listen(stage, until=6.0))
        expected = [clips.encode(voiced(clause)).samples for clause in CLAUSES]
        assert np.array_equal(heard, np.concatenate(expected))
        await stage.session.close()

    virtual_time.run(main())


def test_what_an_agent_has_said_unasked_is_known_and_what_it_answers_is_not() -> None:
    async def main() -> None:
        voice, book = FakeVoice(), Phrasebook()
        for _ in range(2):
            stage = Stage(["hello"], voice=voice, phrasebook=book)
            stage.session.for_agent.say("Your time is up.")
            stage.line.says(3.0, lasts=1.0)
            await stage.line.run(until=8.0)
            assert [text for _, text in stage.line.history] == [
                "Your time is up.",
                "hello",
                "You said hello.",
            ]
            await stage.session.close()
        assert voice.texts == ["Your time is up.", "You said hello.", "You said hello."]

    virtual_time.run(main())


def test_an_apology_that_was_said_before_is_heard_although_the_voice_is_down() -> None:
    async def main() -> None:
        voice, book = FakeVoice(fail_after=2), Phrasebook()
        apology = QUIET.conversation.phrases.apology
        for n_calls in (1, 2):
            stage = Stage(["hello"], lambda _: RuntimeError("broken"), voice=voice, phrasebook=book)
            stage.line.says(1.0, lasts=1.0)
            await stage.line.run(until=12.0)
            assert stage.line.history[-1] == ("assistant", apology)
            assert stage.line.audible, f"call {n_calls}"
            await stage.session.close()
        assert len(voice.texts) == 2  # the apology is two clauses; a third text would have failed

    virtual_time.run(main())


def test_a_greeting_cut_by_a_barge_in_is_in_the_history_as_far_as_it_was_heard() -> None:
    async def main() -> None:
        voice, book = FakeVoice(), Phrasebook()
        for begins in (0.5, 0.4):
            stage = Stage(["stop"], setup=GREETING, voice=voice, phrasebook=book)
            # Loud from here on; it is held two frames later, and what is on its way to the ear is not heard.
            stage.line.says(begins + 1.0, lasts=0.8)
            await stage.line.run(until=3.4)
            assert stage.line.audible[0][1] == round(begins + 1.04, 2)
            assert stage.line.history[0] == ("assistant", "Welcome to the")  # "library" has begun
            await stage.session.close()
            assert await learn(book, voice) == 2  # now the whole of it is known, however far it came

    virtual_time.run(main())


async def learn(book: Phrasebook, voice: FakeVoice) -> int:
    stage = Stage(setup=GREETING, voice=voice, phrasebook=book)
    await listen(stage, until=6.0)
    await stage.session.close()
    return book.n_phrases


def test_a_client_that_paces_itself_is_greeted_from_the_book_too() -> None:
    async def main() -> None:
        voice, book = FakeVoice(), Phrasebook()
        pieces: list[Samples] = []
        received = []

        def take(reply_id: str, samples: Samples) -> None:
            pieces.append(samples)

        for _ in range(2):
            stage = Stage(setup=GREETING, voice=voice, phrasebook=book, sink=take)
            await asyncio.sleep(6.0)
            assert stage.line.history == [("assistant", WORDS)]
            await stage.session.close()
            received.append(np.concatenate(pieces))
            pieces.clear()
        assert voice.texts == CLAUSES
        assert np.array_equal(*received)

    virtual_time.run(main())


CLIP = clips.encode(voiced("Two.")[:960])


class Mouth:
    """Speaks pieces into a buffer, as a session does; what it posts is in ``posted``."""

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = pieces
        self.posted: list[Event] = []
        self.playout = PlayoutBuffer()
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks("test")
        self._speaking = Speaking(
            engine=self,
            playout=self.playout,
            post=self.posted.append,
            post_first=self.posted.append,
            note=lambda reply_id, mark: None,
            usage=UsageCount(),
            clock=self._loop.time,
            tasks=self._tasks,
        )

    async def reply(
        self, request: ReplyRequest, history: tuple[Item, ...], reply_id: str = ""
    ) -> AsyncGenerator[Piece, None]:
        for piece in self._pieces:
            yield piece

    async def speak(self) -> list[Pulled]:
        """All that is pulled of the reply."""
        self._speaking.start("r1", ReplyRequest(Cause.SAY, "One. Two."), ())
        await asyncio.sleep(0.1)
        pulled = []
        while (each := self.playout.pull(self._loop.time())) is not None:
            pulled.append(each)
        await asyncio.sleep(0.1)
        await self._tasks.close()
        return pulled

    @property
    def voiced(self) -> list[Event]:
        return [event for event in self.posted if isinstance(event, events.ClauseVoiced)]


def test_packets_behind_plain_sound_leave_as_they_are_and_every_sample_is_accounted_for() -> None:
    async def main() -> None:
        mouth = Mouth(
            ClauseOpened("One. "),
            AudioMade(voiced("One.")[:1000]),
            ClauseClosed(),
            ClauseOpened("Two."),
            AudioMade(CLIP.samples, (), CLIP.packets),
            ClauseClosed(),
        )
        pulled = await mouth.speak()
        n = len(CLIP.samples)
        assert [each.packet for each in pulled] == [None] * 3 + list(CLIP.packets)
        # The 440 samples between them fill up the first clause's last frame; they belong to neither.
        assert mouth.voiced == [
            events.ClauseVoiced("r1", 0, 0, 1000),
            events.ClauseVoiced("r1", 1, 1440, n),
        ]
        assert [event.index for event in mouth.posted if isinstance(event, events.ClauseBegan)] == [0, 1]
        assert mouth.playout.heard_samples("r1", 1.0) == 1440 + n

    virtual_time.run(main())


def test_a_clause_is_never_torn_for_the_sake_of_its_packets() -> None:
    async def main() -> None:
        mouth = Mouth(
            ClauseOpened("One. "),
            AudioMade(voiced("One.")[:1000]),
            AudioMade(CLIP.samples, (), CLIP.packets),
            ClauseClosed(),
        )
        pulled = await mouth.speak()
        n = 1000 + len(CLIP.samples)
        assert {each.packet for each in pulled} == {None}
        said = np.concatenate([each.samples for each in pulled])[:n]
        assert np.array_equal(said, np.concatenate((voiced("One.")[:1000], CLIP.samples)))
        assert mouth.voiced == [events.ClauseVoiced("r1", 0, 0, n)]

    virtual_time.run(main())
