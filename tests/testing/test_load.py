from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicertc.testing.load import Call, LoadOptions, LoadReport, Turn, run_load
from voicertc.testing.load_cli import main
from voicertc.testing.load_report import Spread, figures, to_json, to_table
from voicertc.testing.utterance import Utterance

from ..rtc.calls import tone
from .answering import answering

network = pytest.mark.network

SAID = Utterance.from_samples(np.concatenate((tone(0.5, 16_000), np.zeros(8000, np.int16))))

REPORT = LoadReport(
    calls=(
        Call(
            "call-1",
            setup=0.03,
            turns=[
                Turn(voice_to_voice=0.5, stop=0.2, reply=2.0, gaps=[0.08]),
                Turn(voice_to_voice=0.7, reply=1.0),
                Turn(cut_in=True, reply=1.0),
            ],
            n_received=200,
            n_lost=1,
        ),
        Call("call-2", error="No reply within 15 s of the end of speech.", skipped=3),
    ),
    elapsed=12.0,
    cpu=0.5,
)


def test_a_spread_of_nothing_is_none() -> None:
    assert Spread.of([]) is None
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(3, 2.0, pytest.approx(2.9), 3.0)  # type: ignore[arg-type]


def test_figures_are_in_milliseconds_over_all_turns() -> None:
    measured = figures(REPORT.calls)
    assert measured["voice_to_voice_ms"] == Spread(2, 600.0, pytest.approx(690.0), 700.0)  # type: ignore[arg-type]
    assert measured["barge_in_stop_ms"] == Spread(1, 200.0, 200.0, 200.0)
    assert measured["setup_ms"] == Spread(1, 30.0, 30.0, 30.0)


def test_the_report_for_machines_holds_every_turn() -> None:
    report = json.loads(json.dumps(to_json(REPORT)))
    assert {key: report[key] for key in ("calls", "failed", "turns", "cut_in", "gaps", "packets_lost")} == {
        "calls": 2,
        "failed": 1,
        "turns": 3,
        "cut_in": 1,
        "gaps": 1,
        "packets_lost": 1,
    }
    assert report["per_call"][0]["turns"][0] == {
        "voice_to_voice_ms": 500.0,
        "cut_in": False,
        "barge_in_stop_ms": 200.0,
        "reply_s": 2.0,
        "gaps_ms": [80.0],
    }


def test_the_table_names_what_failed_and_warns_of_a_machine_that_is_too_slow() -> None:
    table = to_table(REPORT)
    assert "call-1          30      3      600    700       200     1     1" in table
    assert "FAILED call-2: No reply within 15 s" in table
    assert "WARNING: 3 packets were sent too late" in table
    assert "call-1" not in to_table(REPORT, per_call=False)
    assert max(map(len, table.splitlines())) <= 100


@network
async def test_callers_measure_what_they_wait_for() -> None:
    async with answering(reply=tone(1.2, 24_000)) as (url, _):
        report = await run_load(url, (SAID,), LoadOptions(calls=2, turns=2, ramp=0.2, greeting_timeout=0.1))
    assert [call.error for call in report.calls] == [None, None]
    turns = [turn for call in report.calls for turn in call.turns]
    assert len(turns) == 4
    for turn in turns:
        assert turn.voice_to_voice is not None
        assert turn.voice_to_voice > 0.2  # the server's own wait
        assert turn.reply > 1.0
        assert turn.stop is None


@network
async def test_callers_that_barge_in_measure_how_soon_the_reply_stops() -> None:
    options = LoadOptions(turns=2, ramp=0.0, greeting_timeout=0.1, barges_in=True, barge_in_after=0.3)
    async with answering(reply=tone(2.0, 24_000)) as (url, _):
        report = await run_load(url, (SAID,), options)
    (call,) = report.calls
    assert call.error is None
    assert call.turns[0].stop is not None
    assert 0 <= call.turns[0].stop < 2.0
    assert call.turns[1].stop is None


@network
async def test_a_server_that_says_nothing_has_failed_and_the_others_go_on() -> None:
    options = LoadOptions(turns=1, ramp=0.0, greeting_timeout=0.0, reply_timeout=0.5)
    async with answering(wait=60.0) as (url, _):
        report = await run_load(url, (SAID,), options)
    assert [call.error for call in report.failed] == ["No reply within 0.5 s of the end of speech."]
    async with answering(refuses_after=1) as (url, _):
        report = await run_load(url, (SAID,), LoadOptions(calls=2, turns=1, ramp=0.5, greeting_timeout=0.0))
    assert [call.error for call in report.calls] == [None, "Busy."]


@network
async def test_a_call_that_the_server_ends_has_failed() -> None:
    async with answering(wait=60.0) as (url, calls):
        loaded = run_load(url, (SAID,), LoadOptions(turns=1, ramp=0.0, greeting_timeout=0.0))

        async def end() -> None:
            while not (calls and calls[0].frames):  # noqa: ASYNC110 (a test's poll)
                await asyncio.sleep(0.02)
            await calls[0].peer.close()

        report, _ = await asyncio.gather(loaded, end())
    assert [call.error for call in report.failed] == ["The server ended the call."]


@network
async def test_the_command_line_prints_a_table_writes_json_and_fails_when_a_call_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav, figures_file = tmp_path / "said.wav", tmp_path / "figures.json"
    soundfile.write(wav, np.concatenate((tone(0.5, 16_000), np.zeros(8000, np.int16))), 16_000)
    base = ["--wav", str(wav), "--turns", "1", "--ramp", "0", "--json", str(figures_file)]
    async with answering() as (url, _):
        code = await asyncio.to_thread(main, ["--url", url, *base])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "call-1: 1 turns\n")
    assert "voice_to_voice_ms" in out
    assert json.loads(figures_file.read_text())["failed"] == 0
    async with answering(refuses_after=0) as (url, _):
        code = await asyncio.to_thread(main, ["--url", url, *base, "--quiet", "--json", "-"])
    out, err = capsys.readouterr()
    assert (code, err, json.loads(out)["failed"]) == (1, "", 1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--wav", "/none.wav"], "none.wav"),
        (["--wav", "x", "--calls", "0"], "0 is not above 0"),
        (["--wav", "x", "--ramp", "-1"], "-1 is not a length of time"),
        (["--wav", "x", "--turns", "2", "--duration", "5"], "not allowed with"),
        ([], "--wav"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_script_explains_itself() -> None:
    script = Path(__file__).parents[2] / "scripts" / "load_test.py"
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "voice_to_voice  from the last speech packet sent" in done.stdout
