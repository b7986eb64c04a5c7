from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.core.clauses import SAMPLES_PER_CHARACTER, Clause, ClauseSplitter, heard_text


def split(*pieces: str) -> list[str]:
    splitter = ClauseSplitter()
    clauses = [clause for piece in pieces for clause in splitter.feed(piece)]
    return clauses + splitter.flush()


def test_a_full_stop_at_the_end_of_a_piece_ends_the_clause_at_once() -> None:
    assert ClauseSplitter().feed("Hello there.") == ["Hello there."]


def test_sentences_become_clauses() -> None:
    assert split("One. Two! Three? Four") == ["One.", " Two!", " Three?", " Four"]


def test_a_number_is_not_torn_apart_even_when_its_pieces_come_one_by_one() -> None:
    assert split("It is 3", ".", "5 degrees.") == ["It is 3.5 degrees."]


@pytest.mark.parametrize("text", ["Ask Dr. Who.", "J. Austen wrote it.", "Fruit, e.g. apples."])
def test_abbreviations_and_initials_do_not_end_a_sentence(text: str) -> None:
    assert split(text) == [text]


def test_the_first_clause_may_end_at_a_comma_once_it_is_long_enough_to_sound_natural() -> None:
    text = "Well, that is a very good question, and the answer is long."
    assert split(text) == ["Well, that is a very good question,", " and the answer is long."]


def test_an_endless_sentence_is_cut_at_a_space() -> None:
    clauses = split("word " * 100)
    assert max(map(len, clauses)) <= 240
    assert "".join(clauses).split() == ["word"] * 100


def test_what_cannot_be_spoken_makes_no_clause() -> None:
    assert split("...", " — ", "!!") == []


@given(st.lists(st.text(alphabet="ab1 .,!?;:—é\n", max_size=12), max_size=30))
def test_the_clauses_joined_are_the_text_however_it_comes(pieces: list[str]) -> None:
    text = "".join(pieces)
    joined = "".join(split(*pieces))
    assert text.startswith(joined)
    assert not any(character.isalnum() for character in text[len(joined) :])


def test_what_was_heard_follows_the_voices_own_word_marks() -> None:
    clause = Clause("one two three", 0, 24_000, ((0, 0), (6_000, 4), (15_000, 8)))
    assert heard_text([clause], 5_999) == ""
    assert heard_text([clause], 6_000) == "one"
    assert heard_text([clause], 20_000) == "one two"
    assert heard_text([clause], 24_000) == "one two three"


def test_without_marks_words_are_counted_by_proportion_and_never_half() -> None:
    clauses = [Clause("Hello there.", 0, 24_000), Clause(" How are you?", 24_000, 24_000)]
    assert heard_text(clauses, 0) == ""
    assert heard_text(clauses, 24_000) == "Hello there."
    assert heard_text(clauses, 24_000 + 14_000) == "Hello there. How"
    assert heard_text(clauses, 48_000) == "Hello there. How are you?"


def test_a_clause_that_is_still_synthesized_is_measured_by_a_slow_readers_pace() -> None:
    clauses = [Clause("Hello there.", 0, 24_000), Clause(" How are you?")]
    assert heard_text(clauses, 24_000 + 5 * SAMPLES_PER_CHARACTER) == "Hello there. How"


@given(st.integers(0, 60_000), st.integers(0, 60_000))
def test_hearing_more_never_means_fewer_words(first: int, second: int) -> None:
    clauses = [
        Clause("one two three.", 0, 30_000, ((0, 0), (9_000, 4))),
        Clause(" four five", 30_000, 20_000),
    ]
    less, more = sorted((first, second))
    assert heard_text(clauses, more).startswith(heard_text(clauses, less))
