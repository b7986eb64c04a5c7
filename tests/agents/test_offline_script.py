"""The data of the offline agent: all of it is understood, none of it twice, and everything can be spoken."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voicertc.agents.offline_phrases import Choice, Maybe, Node, Reference, Row, Rules, Word
from voicertc.agents.offline_script import Script, load

SCRIPT = load("en")
STAND_INS = {
    "number": ("five", "a hundred and twenty one"),
    "duration": ("five minutes", "an hour and a half"),
    "span": ("five minute", "half hour"),
    "sum": ("two plus two",),
    "could": ("can you",),
}
"""A few instances for the rules that have very many, so that the rest can be written out."""


def instances(node: Node, rules: Rules) -> Iterator[str]:
    """Write out a phrase in all its ways, with ``STAND_INS``."""
    match node:
        case Word(text):
            yield text
        case Row(parts):
            for texts in product(*(list(instances(part, rules)) for part in parts)):
                yield " ".join(filter(None, texts))
        case Choice(options):
            for option in options:
                yield from instances(option, rules)
        case Maybe(part):
            yield ""
            yield from instances(part, rules)
        case Reference(name):
            yield from STAND_INS.get(name) or instances(rules[name], rules)


@st.composite
def instance(draw: st.DrawFn, node: Node, rules: Rules) -> str:
    """Draw one way to say a phrase."""
    match node:
        case Word(text):
            return text
        case Row(parts):
            return " ".join(filter(None, [draw(instance(part, rules)) for part in parts]))
        case Choice(options):
            return draw(instance(options[draw(st.integers(0, len(options) - 1))], rules))
        case Maybe(part):
            return draw(instance(part, rules)) if draw(st.booleans()) else ""
        case Reference(name):
            return draw(instance(rules[name], rules))


def intents(text: str) -> set[str]:
    return {meaning.intent for meaning in SCRIPT.meanings(text)}


@pytest.mark.parametrize("intent", SCRIPT.spoken)
def test_every_spoken_phrase_means_its_intent_and_nothing_else(intent: str) -> None:
    wrong = {
        text: found
        for text in instances(SCRIPT.spoken[intent], SCRIPT.rules)
        if (found := intents(text)) != {intent}
    }
    assert wrong == {}


@pytest.mark.parametrize("intent", SCRIPT.typed)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_typed_phrase_means_its_intent_and_nothing_else(intent: str, data: st.DataObject) -> None:
    text = data.draw(instance(SCRIPT.typed[intent], SCRIPT.wider))
    assert intents(text) == {intent}


@pytest.mark.parametrize("rule", ["number", "duration", "span", "sum"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_spoken_can_also_be_typed(rule: str, data: st.DataObject) -> None:
    words = tuple(data.draw(instance(SCRIPT.rules[rule], SCRIPT.rules)).split())
    assert list(SCRIPT.wider.find(Reference(rule), words)) != []


@settings(max_examples=150, deadline=None)
@given(number=st.integers(0, 999))
def test_every_number_below_a_thousand_is_in_the_grammar(number: int) -> None:
    words = SCRIPT.words(str(number))
    assert list(SCRIPT.rules.find(Reference("number"), words)) != []


@pytest.mark.parametrize("intent", SCRIPT.typed)
def test_upper_case_punctuation_and_hesitation_change_nothing(intent: str) -> None:
    text = next(instances(SCRIPT.typed[intent], SCRIPT.wider))
    assert intents(f"Um, {text.upper()}?!") == {intent}


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("how much is 12 times 12?", "sum"),
        ("What's 12*12?", "sum"),
        ("12*12=", "sum"),
        ("Could you please tell me what time it is?", "time"),
        ("what\u2019s the time, please", "time"),
        ("Set a timer for 5 minutes.", "timer_set"),
        ("set a five-minute timer please", "timer_set"),
        ("Set a timer for 1 hour, 30 minutes and 10 seconds", "timer_set"),
        ("can you cancel the 5 minute timer", "timer_cancel"),
        ("how much time is left?", "timer_left"),
        ("Go on.", "go_on"),
        ("Stop!", "stop"),
        ("Good-bye.", "goodbye"),
        ("goodbye", "goodbye"),
        ("what can't you do?", "limits"),
        ("OK", "yes"),
    ],
)
def test_people_put_it_in_many_ways(text: str, intent: str) -> None:
    assert intents(text) == {intent}


@pytest.mark.parametrize(
    "text",
    [
        "what's the weather next week mycroft",
        "how old is the brooklyn bridge",
        "today",
        "two people",
        "book a room",
        "mountain view",
        "two thirty p m",
        "go forward ten meters",
        "two nine three four zero",
        "ten of clubs",
        "five five",
        "eight of spades four of clubs seven of hearts",
        "one two three",
        "want to three",
        "you don't mean that you thought me so silly",
        "sunday is the best part of the week",
        "ask not what your country can do for you ask what you can do for your country",
        "do not set a timer for five minutes",
        "don't stop",
        "stop the world",
        "I said goodbye to her",
        "what is the time in Tokyo",
        "what is (2 + 3) * 4",
        "what is 2 to the power of 3",
        "set a timer for 10:30",
        "set a timer for five",
        "set a timer for minutes",
        "cancel",
        "yes and no",
        "tell me a story about a dragon",
        "",
        "...",
        "please " * 80,
    ],
)
def test_everything_else_is_not_understood(text: str) -> None:
    assert SCRIPT.understand(text) is None


def test_every_word_of_the_grammar_is_in_the_recognizers_dictionary() -> None:
    reason = "pocketsphinx is missing: pip install voicertc[local]"
    decoder = pytest.importorskip("pocketsphinx", reason=reason).Decoder(lm=None, loglevel="FATAL")
    body = re.sub(r"<\w+>|^(?:#|grammar|public)[^;=]*", "", SCRIPT.grammar, flags=re.MULTILINE)
    words = set(re.findall(r"[^\s\[\]()|=;]+", body))
    assert {"what's", "timer", "ninety"} <= words
    assert sorted(word for word in words if decoder.lookup_word(word) is None) == []


def test_the_recognizer_accepts_the_grammar() -> None:
    reason = "pocketsphinx is missing: pip install voicertc[local]"
    decoder = pytest.importorskip("pocketsphinx", reason=reason).Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("offline", SCRIPT.grammar)
    decoder.activate_search("offline")
    assert decoder.current_search() == "offline"


def spoken_texts(script: Script) -> list[str]:
    texts = [script.greeting, script.story, *(text for texts in script.says.values() for text in texts)]
    return texts + [text for entry in script.quiz for text in (entry.question, entry.because)]


def test_every_text_holds_only_words_that_can_be_spoken() -> None:
    speakable = re.compile(
        r"(?:[A-Za-z]+(?:['-][a-z]+)*|\{[a-z]+\})(?:[,.?!]? (?:[A-Za-z]+(?:['-][a-z]+)*|\{[a-z]+\}))*[.,?!]?"
    )
    assert [text for text in spoken_texts(SCRIPT) if not speakable.fullmatch(text)] == []


def test_every_text_is_a_sentence_or_goes_into_one() -> None:
    parts = {"timer_left.each"}
    texts = [text for key, texts in SCRIPT.says.items() if key not in parts for text in texts]
    assert [text for text in texts if not re.fullmatch(r"[A-Z{].*[.?!}]", text)] == []


def test_the_greeting_is_one_short_sentence_after_hello() -> None:
    assert re.fullmatch(r"Hello! [^.?!]+\.", SCRIPT.greeting)
    assert len(SCRIPT.greeting.split()) <= 25


def test_the_story_is_longer_than_a_minute_and_has_many_clauses() -> None:
    fastest = 200 / 60  # words per second of a hurried voice
    assert len(SCRIPT.story.split()) / fastest > 60
    assert len(re.findall("[,.]", SCRIPT.story)) > 40


def test_the_agents_own_examples_are_understood() -> None:
    examples = [
        ("how much is twelve times twelve", "sum"),
        ("set a timer for five minutes", "timer_set"),
        ("tell me a story", "story"),
        ("ask me a question", "quiz"),
        ("go on", "go_on"),
    ]
    told = SCRIPT.says["help"][0].lower()
    assert [(text, intents(text)) for text, _ in examples if text in told] == [
        (text, {intent}) for text, intent in examples
    ]
