"""However a conversation goes: clients are told the truth of it, in an order that makes sense."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from voicertc.core import events

from .theatre import Theatre

CHOICES = st.lists(st.integers(0, 10**6), max_size=80)


@settings(max_examples=300, deadline=None)
@given(CHOICES, st.booleans())
def test_what_clients_are_told_is_the_truth_and_everything_that_began_ends(
    choices: list[int], is_client_paced: bool
) -> None:
    theatre = Theatre(is_client_paced=is_client_paced)
    for choice in choices:
        theatre.choose(choice)
    theatre.settle()
    theatre.onlooker.look_back()


@settings(max_examples=100, deadline=None)
@given(CHOICES, st.booleans())
def test_hanging_up_ends_all_that_was_begun_and_is_told_last(
    choices: list[int], is_client_paced: bool
) -> None:
    theatre = Theatre(is_client_paced=is_client_paced)
    for choice in choices:
        theatre.choose(choice)
    theatre.post(events.CallEnded("hangup"))
    theatre.onlooker.look_at_end()


@settings(max_examples=100, deadline=None)
@given(CHOICES)
def test_a_transcription_session_never_replies_whatever_happens(choices: list[int]) -> None:
    theatre = Theatre(is_client_paced=True, is_transcription=True)
    for choice in choices:
        theatre.choose(choice)
    theatre.settle()
    theatre.onlooker.look_back()
    assert theatre.onlooker.responses == {}
