from __future__ import annotations

import json
from dataclasses import fields

import pytest

from voicertc.core import commands, events, facts, items, options, replies
from voicertc.core.journal import _CLASSES, _ENUMS, _dataclasses_of, decode, encode, replay
from voicertc.testing.world import World


def recorded() -> list[str]:
    world = World()
    world.user_says(5.0, "héllo “you”", lasts=0.8, confidence=0.7)
    world.user_says(9.0, "stop", lasts=0.8)
    world.run(until=30.0)
    return world.journal


def test_a_journal_replays_to_the_same_history() -> None:
    lines = recorded()
    report = replay(lines)
    assert report.differences == ()
    assert report.n_events == len(lines) - 1
    assert [item.text for item in report.items if item.role is items.Role.USER] == ["héllo “you”", "stop"]


def test_a_changed_behaviour_is_named_by_its_line() -> None:
    lines = recorded()
    number = next(n for n, line in enumerate(lines) if '"StartReply"' in line)
    lines[number] = lines[number].replace("StartReply", "CancelReply")
    report = replay(lines)
    assert [difference.line for difference in report.differences] == [number + 1]
    assert "CancelReply" in report.differences[0].recorded
    assert "StartReply" in report.differences[0].replayed


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1: the journal is empty"),
        (["nonsense"], "line 1: not JSON"),
        (["[]"], "line 1: not a JSON object"),
        (['{"voicertc": "1"}'], "line 1: no journal header"),
        ([*recorded()[:1], '{"now": 1, "event": {"_": "Nonsense"}}'], "line 2: no journal entry"),
        ([*recorded()[:1], '{"now": 1}'], "line 2: no journal entry"),
    ],
)
def test_what_is_no_journal_is_refused_with_the_line(lines: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replay(lines)


def test_no_two_kinds_share_a_name() -> None:
    modules = (events, commands, facts, items, options, replies)
    assert sum(len(_dataclasses_of(module)) for module in modules) == len(_CLASSES)


def test_a_field_named_like_an_enum_always_holds_it() -> None:
    for kind in _CLASSES.values():
        for field in fields(kind):
            if field.name in _ENUMS:
                assert _ENUMS[field.name].__name__ in str(field.type), f"{kind.__name__}.{field.name}"


def test_a_journal_from_before_there_were_sounds_is_read_with_their_defaults() -> None:
    chosen = options.SessionOptions(sounds=options.SoundOptions(enable_ambient=True, ambient_sound="rain"))
    written = json.loads(json.dumps(encode(chosen)))
    assert decode(written) == chosen
    del written["sounds"]
    assert decode(written) == options.SessionOptions()


def test_values_come_back_as_they_went() -> None:
    event = events.ItemSubmitted(items.Item("a", items.Role.USER, "hé"), None, events.Origin("peer", "e1"))
    assert decode(json.loads(json.dumps(encode(event)))) == event
