from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicertc.agents.spoken import SpokenText


def said(*pieces: str) -> str:
    spoken = SpokenText()
    return "".join([spoken.feed(piece) for piece in pieces] + [spoken.flush()])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Hello there, how are you?", "Hello there, how are you?"),
        ("**Two** things:\n- tea\n- *milk*", "Two things: tea. milk"),
        ("# Title\nText here\n\nMore text", "Title. Text here. More text"),
        ("1. Milk\n2. Eggs\n3) Bread\n\nThat is all.", "1: Milk. 2: Eggs. 3: Bread. That is all."),
        ("42. That is the answer.", "42. That is the answer."),
        ("It is 3.5 pounds, or 12.", "It is 3.5 pounds, or 12."),
        ("First.\n\nSecond.", "First. Second."),
        ("one line\nand the same sentence", "one line and the same sentence"),
        ("> a quote\n> goes on", "a quote. goes on"),
        ("* **Bold**: text\n* other", "Bold: text. other"),
        ("Use `print` and __this__ _now_.", "Use print and this now."),
        ("```python\nprint(1)\n```\nDone.", "print(1) Done."),
        ("2 * 3 = 6 and 2*3, snake_case, ~5", "2 * 3 = 6 and 2*3, snake_case, ~5"),
        ("~~old~~ new", "old new"),
        (r"\*not bold\* and C:\dir", r"*not bold* and C:\dir"),
        ("See [the docs](https://a.b/c?d=e).", "See the docs."),
        ("![A cat](cat.png) sleeps [1].", "A cat sleeps [1]."),
        ("[https://www.example.com/](https://www.example.com/)", "example.com"),
        (
            "See https://www.example.com/docs/a?x=1#y. Or (http://foo.org)!",
            "See example.com/docs/a. Or (foo.org)!",
        ),
        ("https://example.com/" + "very/" * 20 + "long is it", "example.com is it"),
        ("How? Here: http is a word, https:// too", "How? Here: http is a word, https:// too"),
        ("Great 😀. Nice! 👍🏽 Yes ☎️", "Great. Nice! Yes"),
        ("| A | B |\n|---|---|\n| 1 | 2 |", "A, B. 1, 2"),
        ("Here:\n\n|Day|Sun|\n|:--|--:|\n|Mon|4 h|\n|Tue||\nAll.", "Here: Day, Sun. Mon, 4 h. Tue. All."),
        ("A | B\n--- | ---\n1 | **2**", "A, B. 1, 2"),
        ("Above\n\n---\n\nBelow", "Above. Below"),
        ("Title\n=====\nText\n* * *", "Title. Text"),
        ("- [ ] milk\n- [x] eggs\n- [see](a.b)", "milk. eggs. see"),
        ("- a\n  - b\n    1. c", "a. b. 1: c"),
        ("### 2. Step\nMix.", "2. Step. Mix."),
        ("Run:\n```sh\nls\n```", "Run: ls"),
        ("See <https://www.x.org/a>, 5 < 6, <h", "See x.org/a, 5 < 6, <h"),
        ("👋 Hi 👩‍👩‍👧‍👦! 🇩🇪 1️⃣", "Hi! 1"),
        ("It is 20 °C — fine…  really", "It is 20 °C — fine… really"),
        ("Grüße! 你好。 再见", "Grüße! 你好。 再见"),
        ("  \n Hello \n", "Hello"),
        ("***", ""),
        ("", ""),
    ],
)
def test_markup_is_not_spoken(written: str, expected: str) -> None:
    assert said(written).rstrip() == expected
    assert said(*written).rstrip() == expected


FRAGMENTS = [
    "a", "B", "h", "1", ".", ")", " ", "\n", "*", "**", "_", "-", "#", ">", "`", "```", "[", "]", "(", "!",
    ":", "|", "~", "\\", "😀", "https://", "www.x.org/", "- ", "1. ", "[a](b)", "---\n", "<", "[x] ",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25), st.data())
def test_it_does_not_matter_where_a_stream_is_cut(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=10)))
    pieces = [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]
    assert said(*pieces) == said(text)


@given(st.text(st.characters(exclude_characters="[`hH"), max_size=200))
def test_words_are_never_lost(text: str) -> None:
    letters = [char for char in text if char.isalnum()]
    assert [char for char in said(text) if char.isalnum()] == letters


def test_plain_words_are_not_held_back() -> None:
    spoken = SpokenText()
    pieces = ["Well", ",", " that", " is", " one", ".", " How", " are", " you", "?"]
    assert [spoken.feed(piece) for piece in pieces] == pieces


def test_a_sentence_is_complete_before_the_next_one_is_known() -> None:
    spoken = SpokenText()
    assert [spoken.feed(piece) for piece in ("Done", ".", "\n\n", "Next")] == ["Done", ".", " ", "Next"]


def test_a_bracket_without_end_is_let_go() -> None:
    spoken = SpokenText()
    given_back = spoken.feed("[" + "x" * 300)
    assert given_back == "[" + "x" * 300
