import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.agents.offline_memory import (
    Memory,
    Planned,
    Question,
    Timer,
    Topic,
    clauses,
    last_said,
    open_question,
    open_turn,
    plain_words,
    unheard,
)
from voicertc.core.items import Item, Kind, Role

STORY = "Once there was a king, who had three sons. The first was tall, the second was small."


def user(name: str, text: str | None = "hm") -> Item:
    return Item(name, Role.USER, text)


def agent(name: str, text: str) -> Item:
    return Item(name, Role.ASSISTANT, text)


@given(st.text(max_size=60))
def test_clauses_joined_are_the_text_again(text: str) -> None:
    assert "".join(clauses(text)) == text


def test_clauses_end_after_punctuation() -> None:
    assert clauses("Well, yes. Go!") == ["Well, ", "yes. ", "Go!"]


def test_the_open_turn_is_what_the_user_said_since_the_agent_was_last_heard() -> None:
    history = (
        user("u1"),
        agent("a1", "Hello."),
        user("u2"),
        agent("a2", ""),
        Item("f1", Role.ASSISTANT, "{}", Kind.FUNCTION_CALL_OUTPUT),
        user("u3", None),
        user("u4"),
    )
    assert [item.id for item in open_turn(history)] == ["u2", "u4"]
    assert open_turn(history[:2]) == ()
    assert last_said(history) == history[1]


@pytest.mark.parametrize(
    ("heard", "rest"),
    [
        ("", STORY),
        ("Once", STORY),
        ("Once there was a", STORY),
        ("Once there was a king,", "who had three sons. The first was tall, the second was small."),
        ("Once there was a king, who", "who had three sons. The first was tall, the second was small."),
        ("once there was a king who had three sons", "The first was tall, the second was small."),
        ("Once there was a king, who had three sons. The first was tall, the", "the second was small."),
        (STORY, ""),
    ],
)
def test_what_is_unheard_begins_with_the_clause_that_was_cut(heard: str, rest: str) -> None:
    assert unheard(Planned(STORY, after="u1"), (user("u1"), agent("a1", heard), user("u2"))) == rest


def test_a_reply_to_an_earlier_turn_is_not_taken_for_this_one() -> None:
    history = (user("u1"), agent("a1", STORY), user("u2"), agent("a2", "Once there"), user("u3"))
    assert unheard(Planned(STORY, after="u1"), history) == ""
    assert unheard(Planned(STORY, after="u2"), history) == STORY


def test_what_the_history_has_lost_counts_as_heard() -> None:
    assert unheard(Planned(STORY, after="u1"), (user("u7"),)) == ""


@given(st.integers(0, 17))
def test_heard_and_unheard_together_hold_every_word(n_words: int) -> None:
    heard = " ".join(STORY.split()[:n_words])
    rest = plain_words(unheard(Planned(STORY, after=None), (agent("a1", heard),)))
    meant = plain_words(STORY)
    assert meant[len(meant) - len(rest) :] == rest
    assert len(meant) - len(rest) <= n_words


WHALE = Question(Topic.QUIZ, "Is a whale a fish?")
AGAIN = Question(Topic.TIMER_AGAIN, "Shall I set another?", "Your five minute timer is up.", 300)


@pytest.mark.parametrize(
    ("heard", "question"),
    [
        ("Is a whale a fish?", WHALE),
        ("Here is a question. Is a whale a fish?", WHALE),
        ("Here is a question. Is a whale", WHALE),
        ("Here is a question. Is a", None),
        ("Is a whale a fish? No.", None),
        ("Your five minute timer is up. Shall I set another?", AGAIN),
        ("Your five minute timer is up. Shall I", AGAIN),
        ("Your five minute timer is up.", None),
        ("Shall I set another?", None),
        ("", None),
    ],
)
def test_a_question_is_open_when_half_of_it_was_heard_at_the_end(
    heard: str, question: Question | None
) -> None:
    memory = Memory(question=WHALE, expired=(Timer(1.0, AGAIN),))
    assert open_question(memory, (user("u1"), agent("a1", heard), user("u2"))) == question
