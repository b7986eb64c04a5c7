"""What a Realtime session is told, so that it remembers what our history holds."""

from __future__ import annotations

from voicertc.core.items import Item, Kind, Modality, Role
from voicertc.providers.openai_live_ear import Transcript
from voicertc.providers.openai_speech_items import Entry, Mirror

ASKED = Item("item_a", Role.USER, "What is it?")
SPOKEN = Item("item_b", Role.USER, modality=Modality.AUDIO)
SAID = Item("item_c", Role.ASSISTANT, "It is three.", modality=Modality.AUDIO)


def committed(service_id: str) -> Transcript:
    return Transcript(lambda: None, item_id=service_id, is_committed=True)


def test_a_new_session_is_told_all_as_text_and_nothing_twice() -> None:
    memory = Mirror()
    call = Item("item_d", Role.ASSISTANT, kind=Kind.FUNCTION_CALL, call_id="call_1", name="f", arguments="{}")
    output = Item("item_e", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1", text="ok")
    history = [Item("item_s", Role.SYSTEM, "Be kind."), ASKED, SAID, call, output]
    created = [event["item"] for event in memory.follow(history)]
    assert [{**item, "id": ""} for item in created] == [
        {
            "id": "",
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Be kind."}],
        },
        {
            "id": "",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is it?"}],
        },
        {
            "id": "",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "It is three."}],
        },
        {"id": "", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"id": "", "type": "function_call_output", "call_id": "call_1", "output": "ok"},
    ]
    assert len({item["id"] for item in created}) == 5
    assert memory.follow(history) == []


def test_what_cannot_be_told_is_left_out() -> None:
    memory = Mirror()
    orphan = Item("item_e", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_0", text="ok")
    unheard = Item("item_f", Role.ASSISTANT, "", modality=Modality.AUDIO)
    assert memory.follow([SPOKEN, orphan, unheard]) == []


def test_a_new_item_comes_where_it_is_in_the_history() -> None:
    memory = Mirror()
    memory.expect("item_b", committed("srv_b"))
    first, second, last = memory.follow([ASKED, Item("item_0", Role.USER, "And?"), SPOKEN, SAID])
    assert first["previous_item_id"] == "root"
    assert second["previous_item_id"] == first["item"]["id"]
    assert "previous_item_id" not in last


def test_behind_a_turn_that_has_no_name_yet_it_comes_to_the_end() -> None:
    memory = Mirror()
    memory.expect("item_b", Transcript(lambda: None))
    (created,) = memory.follow([SPOKEN, ASKED])
    assert "previous_item_id" not in created


def test_what_is_not_in_the_history_is_forgotten() -> None:
    memory = Mirror()
    memory.expect("item_noise", committed("srv_noise"))
    memory.put_out(Entry("srv_unheard", reply_id="resp_1", ms=500.0))
    deleted = [{"type": "conversation.item.delete", "item_id": name} for name in ("srv_noise", "srv_unheard")]
    *forgotten, created = memory.follow([ASKED])
    assert forgotten == deleted
    told = created["item"]["id"]
    assert memory.follow([]) == [{"type": "conversation.item.delete", "item_id": told}]


def test_a_turn_that_the_service_did_not_take_is_told_as_text() -> None:
    memory = Mirror()
    refused = Transcript(lambda: None)
    refused.end()
    memory.expect("item_b", refused)
    (created,) = memory.follow([Item("item_b", Role.USER, "Hello.", modality=Modality.AUDIO)])
    assert created["item"]["content"] == [{"type": "input_text", "text": "Hello."}]


def test_an_answer_is_ours_once_it_is_kept_and_cut_to_what_was_heard() -> None:
    memory = Mirror()
    memory.put_out(Entry("srv_1", reply_id="resp_1", ms=2000.0))
    memory.put_out(Entry("srv_2", reply_id="resp_1", ms=1000.0))
    memory.keep("resp_1", SAID)
    assert memory.follow([SAID]) == []
    memory.cut("item_c", 2300.4)
    truncated = {
        "type": "conversation.item.truncate",
        "item_id": "srv_2",
        "content_index": 0,
        "audio_end_ms": 300,
    }
    assert memory.follow([SAID]) == [truncated]
    memory.cut("item_c", 2600.0)  # nothing comes back
    assert memory.follow([SAID]) == []
    memory.cut("item_c", 1500.0)
    assert [(event["item_id"], event["audio_end_ms"]) for event in memory.follow([SAID])] == [
        ("srv_1", 1500),
        ("srv_2", 0),
    ]


def test_all_of_it_heard_is_no_cut() -> None:
    memory = Mirror()
    memory.put_out(Entry("srv_1", reply_id="resp_1", ms=2000.0))
    memory.keep("resp_1", SAID)
    memory.cut("item_c", 2000.0)
    assert memory.follow([SAID]) == []


def test_a_call_is_answered_under_the_name_that_the_service_gave_it() -> None:
    memory = Mirror()
    memory.put_out(Entry("srv_1", kind=Kind.FUNCTION_CALL, reply_id="resp_1", call_id="call_srv"))
    call = Item("item_d", Role.ASSISTANT, kind=Kind.FUNCTION_CALL, call_id="call_1", name="f", arguments="{}")
    memory.keep("resp_1", call)
    output = Item("item_e", kind=Kind.FUNCTION_CALL_OUTPUT, call_id="call_1", text="ok")
    (created,) = memory.follow([call, output])
    assert created["item"]["call_id"] == "call_srv"


def test_what_is_given_out_of_band_refers_to_what_is_known_and_changes_nothing() -> None:
    memory = Mirror()
    memory.expect("item_b", committed("srv_b"))
    given = memory.input([SPOKEN, ASKED])
    assert given[0] == {"type": "item_reference", "id": "srv_b"}
    assert given[1]["content"] == [{"type": "input_text", "text": "What is it?"}]
    assert memory.input([]) == []
    assert [each["type"] for each in memory.follow([SPOKEN, ASKED])] == ["conversation.item.create"]
