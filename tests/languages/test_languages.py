import re

import pytest

from voicertc import languages
from voicertc.core.options import Phrases

WORDS = re.compile(r"[a-z]+(?:['-][a-z]+)*(?: [a-z]+(?:['-][a-z]+)*)*")


def test_english_is_there() -> None:
    assert "en" in languages.known()


@pytest.mark.parametrize("code", ["en", "EN", "en-GB", "en_US"])
def test_a_region_and_the_case_of_a_code_do_not_matter(code: str) -> None:
    assert languages.get(code) is languages.get("en")
    assert languages.get(code).code == "en"


@pytest.mark.parametrize("code", ["xx", "", "../en"])
def test_an_unknown_language_is_refused_with_the_known_ones_named(code: str) -> None:
    with pytest.raises(KeyError, match="there is en"):
        languages.get(code)


@pytest.mark.parametrize("code", languages.known())
def test_every_list_holds_plain_lower_case_words_each_once(code: str) -> None:
    language = languages.get(code)
    for words in (language.fillers, language.conjunctions, language.backchannels):
        assert words
        assert [entry for entry in words if not WORDS.fullmatch(entry)] == []
        assert len(set(words)) == len(words)


@pytest.mark.parametrize("code", languages.known())
def test_every_sentence_ends_like_one(code: str) -> None:
    language = languages.get(code)
    for sentence in (
        language.greeting,
        language.not_heard,
        language.busy,
        language.apology,
        language.waiting,
        language.still_waiting,
    ):
        assert re.fullmatch(r"[A-Z].*[.?!]", sentence)


def test_the_core_speaks_english_by_default() -> None:
    english = languages.get("en")
    phrases = Phrases(
        english.greeting,
        english.not_heard,
        english.busy,
        english.apology,
        english.waiting,
        english.still_waiting,
    )
    assert phrases == Phrases()


@pytest.mark.parametrize("word", ["mm-hm", "uh huh", "yeah", "right", "okay"])
def test_a_listener_may_agree_without_taking_the_floor(word: str) -> None:
    assert word in languages.get("en").backchannels
