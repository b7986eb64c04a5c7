import re

import pytest

from voicertc.agents.offline_jsgf import grammar
from voicertc.agents.offline_phrases import Choice, Maybe, Reference, Row, Rules, Word, parse


def accepts(phrase: str, text: str, **rules: str) -> bool:
    known = Rules({name: parse(rule) for name, rule in rules.items()})
    return any(True for _ in known.find(parse(phrase), tuple(text.split())))


def test_the_notation_has_words_rows_choices_optional_parts_and_references() -> None:
    assert parse("[please] (set | start) a timer for <duration>") == Row(
        (
            Maybe(Word("please")),
            Choice((Word("set"), Word("start"))),
            Word("a"),
            Word("timer"),
            Word("for"),
            Reference("duration"),
        )
    )


@pytest.mark.parametrize("text", ["", "(a", "a)", "[a", "a | ", "()", "<>", "a <b", "a (b]"])
def test_what_is_no_phrase_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse(text)


@pytest.mark.parametrize("text", ["set a timer", "please set a timer", "start a timer"])
def test_every_way_to_say_a_phrase_is_accepted(text: str) -> None:
    assert accepts("[please] (set | start) a timer", text)


@pytest.mark.parametrize("text", ["", "set a", "a timer", "set a timer now", "do not set a timer", "please"])
def test_only_whole_phrases_are_accepted(text: str) -> None:
    assert not accepts("[please] (set | start) a timer", text)


def test_an_optional_part_is_given_back_when_what_follows_needs_it() -> None:
    assert accepts("[a] [a b] a c", "a b a c")
    assert accepts("[a] a", "a")


def test_the_place_of_each_outermost_slot_is_reported() -> None:
    rules = Rules(
        {"digit": parse("one | two"), "sum": parse("<digit> plus <digit>"), "x": parse("<digit>")},
        slots=("digit", "sum"),
    )
    words = ("one", "plus", "two", "and", "one")
    assert list(rules.find(parse("<sum> and <x>"), words)) == [(("sum", (0, 3)), ("digit", (4, 5)))]


@pytest.mark.parametrize("rules", [{"a": "<b>"}, {"a": "<a> x"}, {"a": "<b>", "b": "[<a>]"}])
def test_rules_that_lead_nowhere_or_in_a_circle_are_refused(rules: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="undefined or refers to itself"):
        Rules({name: parse(rule) for name, rule in rules.items()})


def test_a_grammar_holds_the_rules_it_needs_each_before_its_use() -> None:
    rules = Rules({"b": parse("<a> | c"), "a": parse("one | two"), "unused": parse("never")})
    assert grammar("demo", parse("[say] <b> now"), rules, {}) == (
        "#JSGF V1.0;\n"
        "grammar demo;\n"
        "\n"
        "<a> = (one | two);\n"
        "<b> = (<a> | c);\n"
        "public <command> = [say] <b> now;\n"
    )


def test_a_grammar_offers_contractions_beside_the_words_they_stand_for() -> None:
    contractions = {"what's": "what is", "whats": "what is", "can't": "cannot"}
    text = grammar("demo", parse("what is this | cannot | what"), Rules({}), contractions)
    assert "public <command> = ((what is | what's) this | (cannot | can't) | what);\n" in text
