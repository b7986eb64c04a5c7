from __future__ import annotations

import asyncio
import io
import json
import logging
import re

import pytest

from voicertc import logs
from voicertc.logs import LoggingOptions, Spoken

log = logging.getLogger("voicertc.session.test")
library = logging.getLogger("aiolibrary")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


pytestmark = pytest.mark.usefixtures("own_logging")


def written(options: LoggingOptions, *, secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    logs.setup(options, secrets=secrets, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[str]:
    return [TIME.sub("TIME", line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_event_name_with_its_call_session_and_fields() -> None:
    stream = written(LoggingOptions())
    with logs.bind(call="call_7", session="sess_2"):
        logs.event(log, logging.INFO, "turn_answered", latency=0.4123456, reply="reply_1", voice=None)
    logs.event(log, logging.WARNING, "worker_restarted")
    assert lines(stream) == [
        "TIME INFO    turn_answered call=call_7 session=sess_2 latency=0.412346 reply=reply_1",
        "TIME WARNING worker_restarted",
    ]


def test_json_lines_carry_the_same_as_objects() -> None:
    stream = written(LoggingOptions(format="json"))
    with logs.bind(call="call_7", session="sess_2"):
        logs.event(log, logging.INFO, "turn_answered", latency_ms=412, level="loud")
    entry = json.loads(stream.getvalue())
    assert TIME.fullmatch(entry.pop("time"))
    assert entry == {
        "level": "INFO",
        "event": "turn_answered",
        "logger": "voicertc.session.test",
        "call": "call_7",
        "session": "sess_2",
        "latency_ms": 412,
        "level_": "loud",
    }


async def test_a_task_keeps_the_call_it_was_made_in() -> None:
    stream = written(LoggingOptions())

    async def work() -> None:
        logs.event(log, logging.INFO, "worked")

    tasks = []
    for call in ("call_1", "call_2"):
        with logs.bind(call=call), logs.bind(session=f"sess of {call}"):
            tasks.append(asyncio.create_task(work()))
    await asyncio.gather(*tasks)
    await work()
    assert lines(stream) == [
        'TIME INFO    worked call=call_1 session="sess of call_1"',
        'TIME INFO    worked call=call_2 session="sess of call_2"',
        "TIME INFO    worked",
    ]


def test_a_value_cannot_forge_a_line_or_a_field() -> None:
    stream = written(LoggingOptions())
    logs.event(log, logging.INFO, "refused", reason='x" call=other\n2026 INFO paid', empty="")
    log.info("free text\nof two lines")
    assert lines(stream) == [
        'TIME INFO    refused reason="x\\" call=other\\n2026 INFO paid" empty=""',
        "TIME INFO    free text\\nof two lines",
    ]


def test_spoken_words_are_counted_unless_the_operator_opts_in() -> None:
    heard = Spoken("my card number is one two three")
    stream = written(LoggingOptions())
    logs.event(log, logging.INFO, "turn_ended", heard=heard)
    assert lines(stream) == ['TIME INFO    turn_ended heard="(7 words)"']
    stream = written(LoggingOptions(log_transcripts=True))
    logs.event(log, logging.INFO, "turn_ended", heard=heard)
    assert lines(stream) == ['TIME INFO    turn_ended heard="my card number is one two three"']


def test_spoken_words_show_at_debug_only_on_debug_lines() -> None:
    stream = written(LoggingOptions(level="debug"))
    logs.event(log, logging.DEBUG, "interim", heard=Spoken("my card"))
    logs.event(log, logging.INFO, "turn_ended", heard=Spoken("my card"))
    assert lines(stream) == [
        'TIME DEBUG   interim heard="my card"',
        'TIME INFO    turn_ended heard="(2 words)"',
    ]


@pytest.mark.parametrize("format_", ["text", "json"])
def test_user_and_password_of_an_address_are_masked(format_: str) -> None:
    stream = written(LoggingOptions(format=format_))  # type: ignore[arg-type]  # parametrized
    logging.getLogger("httpx2").warning('POST http://me:hunter2@127.0.0.1:9/v1/chat "200 OK"')
    logs.event(log, logging.INFO, "seen", url="https://hunter2@proxy.test:3128", mail="me@example.test")
    logs.event(log, logging.INFO, "seen", url="http://me:p@hunter2/x@odd.test/v1")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "http://***@127.0.0.1:9/v1/chat" in text
    assert "https://***@proxy.test:3128" in text
    assert "http://***@odd.test/v1" in text
    assert "me@example.test" in text


@pytest.mark.parametrize("format_", ["text", "json"])
def test_keys_are_masked_wherever_they_appear(format_: str) -> None:
    stream = written(LoggingOptions(format=format_), secrets=("hunter2", "hunter2-long", ""))  # type: ignore[arg-type]  # parametrized
    logs.event(log, logging.INFO, "called", url="https://api/?key=hunter2-long", header="Bearer abc.def")
    library.error("refused key sk-proj-abcdefghijklmnop of hunter2")
    try:
        raise ValueError("bad key hunter2")
    except ValueError:
        logs.event(log, logging.ERROR, "failed", exc_info=True)
    text = stream.getvalue()
    assert [secret for secret in ("hunter2", "abc.def", "sk-proj", "-long") if secret in text] == []
    assert text.count("***") == 6
    assert "Traceback" in text
    if format_ == "json":
        assert [json.loads(line)["level"] for line in text.splitlines()] == ["INFO", "ERROR", "ERROR"]


def test_audio_events_are_written_only_if_asked_for() -> None:
    for wanted, expected in ((False, []), (True, ["TIME INFO    speech_started at=4.2"])):
        stream = written(LoggingOptions(log_audio_events=wanted))
        logs.audio_event("speech_started", at=4.2)
        assert lines(stream) == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["ours debug", "ours info", "ours warning", "theirs info", "theirs warning"]),
        ("info", ["ours info", "ours warning", "theirs warning"]),
        ("warning", ["ours warning", "theirs warning"]),
        ("error", []),
    ],
)
def test_libraries_are_heard_from_warning_on(level: str, expected: list[str]) -> None:
    stream = written(LoggingOptions(level=level))  # type: ignore[arg-type]  # parametrized
    for logger, whose in ((log, "ours"), (library, "theirs")):
        for name in ("debug", "info", "warning"):
            getattr(logger, name)(f"{whose} {name}")
    assert [line.split(maxsplit=2)[2].removeprefix("aiolibrary: ") for line in lines(stream)] == expected


def test_a_second_set_up_replaces_the_first() -> None:
    first = written(LoggingOptions())
    second = written(LoggingOptions(format="json"))
    logs.event(log, logging.INFO, "once")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
