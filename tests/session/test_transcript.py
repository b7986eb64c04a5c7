"""Sound and its transcript, cut into clauses."""

from __future__ import annotations

import re
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voicertc.core.clauses import Clause, heard_text
from voicertc.session.engine import AudioMade, ClauseClosed, ClauseOpened, Piece
from voicertc.session.transcript import DEFAULT_PACE, TranscribedSound

STORY = "Once upon a time there was a server. It answered the phone all day long. Then it slept, and woke."


def told(
    text: str,
    *,
    pace: float = DEFAULT_PACE,
    known: float = DEFAULT_PACE,
    take_from: float = 0.0,
    lead: float = 0.2,
) -> tuple[list[Piece], int]:
    """Pieces of a text spoken at ``pace``, taken as they come after ``take_from`` s; and all samples."""
    transcribed, pieces = TranscribedSound(known), list[Piece]()
    words = re.findall(r"\s*\S+", text)
    starts = [0, *accumulate(map(len, words))]
    total, n_words = round(len(text) * pace), 0

    def take() -> None:
        while (piece := transcribed.take()) is not None:
            pieces.append(piece)

    for start in range(0, total, 960):
        end = min(start + 960, total)
        while n_words < len(words) and starts[n_words] * pace <= end + lead * 24_000:
            transcribed.add_text(words[n_words])
            n_words += 1
        transcribed.add_sound(np.arange(start, end, dtype=np.int32).astype(np.int16))
        if start >= take_from * 24_000:
            take()
    transcribed.end()
    take()
    return pieces, total


def clauses(pieces: list[Piece]) -> list[Clause]:
    """The clauses as the conversation knows them."""
    found: list[Clause] = []
    n_samples = 0
    for piece in pieces:
        if isinstance(piece, ClauseOpened):
            found.append(Clause(piece.text, n_samples, 0))
        elif isinstance(piece, AudioMade):
            n_samples += len(piece.samples)
            last = found[-1]
            found[-1] = Clause(last.text, last.start, n_samples - last.start)
    return found


def test_what_has_come_before_it_is_asked_for_is_cut_into_whole_clauses() -> None:
    pieces, _ = told(STORY, take_from=99.0)
    assert [clause.text for clause in clauses(pieces)] == [
        "Once upon a time there was a server.",
        " It answered the phone all day long.",
        " Then it slept, and woke.",
    ]


@given(
    text=st.lists(
        st.sampled_from(["Well,", "it", "is", "three", "o'clock.", "Nobody", "knows!", "—"]),
        min_size=1,
        max_size=30,
    ).map(" ".join),
    pace=st.floats(600.0, 3_000.0),
    take_from=st.floats(0.0, 5.0),
    lead=st.floats(0.0, 3.0),
)
def test_no_sound_and_no_word_is_lost_or_said_twice(
    text: str, pace: float, take_from: float, lead: float
) -> None:
    pieces, total = told(text, pace=pace, take_from=take_from, lead=lead)
    sound = np.concatenate([piece.samples for piece in pieces if isinstance(piece, AudioMade)])
    assert np.array_equal(sound, np.arange(total, dtype=np.int32).astype(np.int16))
    said = "".join(clause.text for clause in clauses(pieces))
    assert text.startswith(said)
    assert not any(character.isalnum() for character in text[len(said) :])
    kinds = [type(piece) for piece in pieces]
    assert kinds.count(ClauseOpened) == kinds.count(ClauseClosed)
    assert all(clause.n_samples for clause in clauses(pieces))


def test_what_was_heard_of_it_is_known_to_within_a_word() -> None:
    pieces, total = told(STORY)
    for heard in range(0, total, 2_400):
        words = heard_text(clauses(pieces), heard)
        truth = int(heard / DEFAULT_PACE)
        assert STORY.startswith(words)
        assert truth - 14 <= len(words) <= truth + 1


def test_a_voice_that_is_slower_than_was_thought_is_known_when_all_has_come() -> None:
    slow = 1.5 * DEFAULT_PACE
    pieces, total = told(STORY, pace=slow, take_from=2.0)
    for heard in range(round(3.0 * 24_000), total, 2_400):
        assert abs(len(heard_text(clauses(pieces), heard)) - heard / slow) < 36
    pieces, total = told(STORY, pace=slow, known=slow)
    for heard in range(0, total, 2_400):
        assert -14 <= len(heard_text(clauses(pieces), heard)) - heard / slow <= 1


def test_sound_without_a_transcript_is_played_all_the_same() -> None:
    transcribed = TranscribedSound(DEFAULT_PACE)
    transcribed.add_sound(np.ones(24_000, np.int16))
    assert transcribed.take() == ClauseOpened("")
    transcribed.end()
    assert (
        sum(len(piece.samples) for piece in iter(transcribed.take, None) if isinstance(piece, AudioMade))
        == 24_000
    )


def test_of_an_answer_that_broke_off_no_more_text_is_kept_than_was_said() -> None:
    transcribed = TranscribedSound(DEFAULT_PACE)
    transcribed.add_text(STORY)
    transcribed.add_sound(np.ones(round(20 * DEFAULT_PACE), np.int16))
    transcribed.end(is_whole=False)
    pieces = list(iter(transcribed.take, None))
    (clause,) = clauses(pieces)
    assert not isinstance(pieces[-1], ClauseClosed)  # the conversation cuts it where the sound ends
    assert clause.text == "Once upon a time there was a server."
    assert clause.n_samples == round(20 * DEFAULT_PACE)
