"""Orders of events that a fake server does not give: a socket that only pretends, and what it leads to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, cast

import pytest

from voicertc.core.replies import Usage
from voicertc.errors import ProviderCrashed, ProviderError, ProviderTimeout
from voicertc.providers.openai_live_ear import LiveEar, Transcript
from voicertc.providers.openai_socket import RealtimeSocket
from voicertc.testing import virtual_time

from .realtime_sockets import PLANTED_KEY, PretendedSocket

TRANSCRIPTION = "conversation.item.input_audio_transcription"


class TranscriptionSocket(PretendedSocket):
    provider = "openai-live"

    def write(self, item_id: str, delta: str) -> None:
        self.say(f"{TRANSCRIPTION}.delta", item_id=item_id, delta=delta)

    def complete(self, item_id: str, text: str, **fields: Any) -> None:
        self.say(f"{TRANSCRIPTION}.completed", item_id=item_id, transcript=text, **fields)

    def commit(self, item_id: str) -> None:
        self.say("input_audio_buffer.committed", item_id=item_id)


class Rig:
    def __init__(self) -> None:
        self.socket = TranscriptionSocket()
        self.used: list[tuple[float, Usage | None]] = []
        self.lost: list[ProviderError] = []
        self.ear = LiveEar(
            cast(RealtimeSocket, self.socket),
            update_timeout=1.0,
            on_used=lambda seconds, tokens: self.used.append((seconds, tokens)),
            on_lost=lambda _, error: self.lost.append(error),
        )

    def begin(self) -> Transcript:
        return self.ear.begin(lambda: None)

    async def committed(self) -> Transcript:
        transcript = self.begin()
        await self.ear.append(b"\0\0")
        await self.ear.commit(transcript)
        return transcript


async def test_words_before_the_commit_are_of_the_turn_that_is_being_sent() -> None:
    rig = Rig()
    first = await rig.committed()
    rig.socket.write("a", "One")
    rig.socket.commit("a")
    second = rig.begin()
    rig.socket.write("b", "Two")
    rig.socket.write("a", " more")
    assert (first.so_far, second.so_far) == ("One more", "Two")


async def test_the_commits_answer_has_the_last_word_on_whose_words_they_are() -> None:
    rig = Rig()
    first = await rig.committed()
    rig.socket.write("stray", "Nobody's words")
    rig.socket.commit("a")
    assert first.so_far == ""
    rig.socket.complete("stray", "Nobody's words")
    rig.socket.complete("a", "One.")
    assert first.final == "One."


async def test_an_item_that_is_done_with_gives_no_words_to_the_next_turn() -> None:
    rig = Rig()
    first = await rig.committed()
    rig.socket.commit("a")
    rig.ear.forget(first)
    second = rig.begin()
    rig.socket.write("a", "Late")
    rig.socket.complete("a", "Late words.")
    assert (first.final, second.so_far, second.final) == (None, "", None)
    rig.socket.write("b", "Two")
    assert second.so_far == "Two"


async def test_a_turn_given_up_before_its_commit_was_answered_takes_its_answer_along() -> None:
    rig = Rig()
    first = await rig.committed()
    rig.ear.forget(first)
    second = await rig.committed()
    rig.socket.commit("a")
    rig.socket.commit("b")
    rig.socket.complete("a", "One.")
    rig.socket.complete("b", "Two.")
    assert (first.final, second.final) == (None, "Two.")
    assert rig.ear.n_due == 1


async def test_words_of_a_dropped_turn_that_come_before_it_is_cleared_are_nobodys() -> None:
    rig = Rig()
    dropped = rig.begin()
    await rig.ear.drop(dropped)
    second = rig.begin()
    rig.socket.write("a", "Gone")
    rig.socket.say("input_audio_buffer.cleared")
    rig.socket.write("a", " on")
    rig.socket.write("b", "Two")
    assert (dropped.so_far, second.so_far) == ("", "Two")


async def test_a_commit_of_too_little_sound_is_a_turn_without_words() -> None:
    rig = Rig()
    first = await rig.committed()
    event_id = rig.socket.sent[-1]["event_id"]
    rig.socket.refuse(event_id, "input_audio_buffer_commit_empty")
    assert (first.final, first.error, first.over.is_set()) == ("", None, True)
    second = await rig.committed()
    rig.socket.commit("b")
    rig.socket.complete("b", "Two.")
    assert second.final == "Two."


async def test_a_commit_that_is_refused_fails_its_turn_only(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    first, second = await rig.committed(), await rig.committed()
    rig.socket.refuse(rig.socket.sent[1]["event_id"], "server_error")
    assert isinstance(first.error, ProviderCrashed)
    assert PLANTED_KEY not in first.error.message
    assert not second.over.is_set()


async def test_an_error_about_nothing_changes_nothing_and_shows_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    first = await rig.committed()
    with caplog.at_level(logging.DEBUG):
        rig.socket.refuse(None, "server_error")
    assert not first.over.is_set()
    (record,) = caplog.records
    assert record.message == "openai_live_error"
    assert PLANTED_KEY not in str(record.__dict__)


async def test_all_that_is_due_ends_with_the_socket() -> None:
    rig = Rig()
    first = await rig.committed()
    rig.socket.commit("a")
    second = rig.begin()
    lost = ProviderCrashed("lost", provider="openai-live")
    rig.socket.on_lost(lost)
    assert [(each.error, each.is_lost) for each in (first, second)] == [(lost, True)] * 2
    assert rig.lost == [lost]
    await asyncio.wait_for(rig.ear.settled(), 1.0)


async def test_an_update_is_waited_for_and_may_be_refused() -> None:
    rig = Rig()
    update = asyncio.create_task(rig.ear.configure({"type": "transcription"}))
    await asyncio.sleep(0)
    rig.socket.say("session.updated", session={})
    await update
    update = asyncio.create_task(rig.ear.configure({"type": "transcription"}))
    await asyncio.sleep(0)
    rig.socket.refuse(rig.socket.sent[-1]["event_id"], "invalid_value")
    with pytest.raises(ProviderError):
        await update


def test_an_update_that_is_not_answered_is_a_timeout() -> None:
    async def update() -> None:
        await Rig().ear.configure({"type": "transcription"})

    with pytest.raises(ProviderTimeout):
        virtual_time.run(update())


@pytest.mark.parametrize(
    ("fields", "language", "confidence"),
    [
        ({}, None, None),
        ({"languages": [], "logprobs": []}, None, None),
        ({"languages": [{"code": "nb"}, {"code": "en"}]}, "nb", None),
        ({"languages": ["nb"]}, "nb", None),
        ({"languages": 7, "logprobs": 7}, None, None),
        (
            {"logprobs": [{"logprob": 0.0}, {"logprob": -1.0}, {}, "x"]},
            None,
            pytest.approx(0.6065, abs=1e-3),
        ),
    ],
)
async def test_what_else_is_told_of_a_turn(
    fields: dict[str, Any], language: str | None, confidence: float | None
) -> None:
    rig = Rig()
    first = await rig.committed()
    rig.socket.commit("a")
    rig.socket.complete("a", " One. ", **fields)
    assert (first.final, first.language, first.confidence) == ("One.", language, confidence)


@pytest.mark.parametrize(
    ("usage", "used"),
    [
        ({"type": "duration", "seconds": 3}, (3.0, None)),
        ({"type": "tokens", "input_tokens": 9, "output_tokens": 2}, (0.0, Usage(9, 2))),
        ({"type": "tokens", "input_tokens": "x", "input_token_details": None}, (0.0, Usage())),
        (None, (0.0, None)),
    ],
)
async def test_what_an_item_cost_is_told_whoever_waits_for_it(usage: Any, used: object) -> None:
    rig = Rig()
    rig.socket.complete("unheard of", "Words.", usage=usage)
    assert rig.used == [used]


@pytest.mark.parametrize(
    "event",
    [
        {"type": f"{TRANSCRIPTION}.delta"},
        {"type": f"{TRANSCRIPTION}.delta", "item_id": 7, "delta": None},
        {"type": f"{TRANSCRIPTION}.segment", "item_id": "a", "text": "One"},
        {"type": f"{TRANSCRIPTION}.failed", "item_id": "z", "error": {}},
        {"type": "input_audio_buffer.committed"},
        {"type": "input_audio_buffer.cleared"},
        {"type": "session.updated"},
        {"type": "error", "error": {}},
        {"type": 7},
        {},
    ],
)
async def test_an_event_without_sense_does_no_harm(event: Mapping[str, Any]) -> None:
    rig = Rig()
    rig.socket.on_event(event)
    first = await rig.committed()
    rig.socket.commit("b")
    rig.socket.complete("b", "Two.")
    assert first.final == "Two."
