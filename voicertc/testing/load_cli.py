"""The command line of the load test: ``scripts/load_test.py``."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .load import Call, LoadOptions, LoadReport, run_load
from .load_report import to_json, to_table
from .utterance import Utterance

_DESCRIPTION = """\
Hold calls with a voice agent and measure what its callers hear.

Each caller connects by WebRTC (POST {url}/v1/realtime/calls), listens to a greeting if there is one, plays a
recording as its microphone and waits for the reply; then again. All times are taken at the arrival of RTP
packets, without a jitter buffer:

  setup           from the offer's request until media can flow
  voice_to_voice  from the last speech packet sent to the first audible packet of the reply
  barge_in_stop   from the onset of speech into a reply to the reply's last audible packet
                  (inaudible: 30 dB below the reply's level)
  gap             sound missing or late by more than 60 ms within a reply

Where speech begins and ends in a recording is read from a manifest.json beside it (a list of objects with
"file", "start" and "end" in seconds), else found by energy.
"""

_EPILOG = """\
examples:
  load_test.py --wav question.wav                                  one caller, three turns
  load_test.py --wav a.wav b.wav --calls 20 --ramp 5 --turns 5     twenty callers within five seconds
  load_test.py --wav a.wav --calls 50 --duration 120 --barge-in --json figures.json

The exit status is 0 if every call went well, 1 if one failed (refused, not connected, no reply, lost), 2 if
the command line is wrong.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the load test and return its exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        utterances = tuple(Utterance.from_wav(path) for path in arguments.wav)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    report = asyncio.run(run_load(arguments.url, utterances, _options(arguments), _on_done(arguments.quiet)))
    _write(report, arguments.json, arguments.quiet)
    return 1 if report.failed else 0


def _parser() -> argparse.ArgumentParser:
    defaults = LoadOptions()
    parser = argparse.ArgumentParser(
        prog="load_test.py",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", default="http://127.0.0.1:8080", help="base URL of the server (default: %(default)s)")
    add("--wav", type=Path, nargs="+", required=True, metavar="FILE", help="recordings, said in turn")
    add("--calls", type=_positive, default=defaults.calls, help="callers at a time (default: %(default)s)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--turns", type=_positive, default=defaults.turns, help="turns per call (default: %(default)s)"
    )
    length.add_argument("--duration", type=_seconds, metavar="S", help="begin turns for S seconds instead")
    add("--barge-in", action="store_true", help="speak into each reply instead of waiting for its end")
    add(
        "--barge-in-after",
        type=_seconds,
        default=defaults.barge_in_after,
        metavar="S",
        help="seconds of a reply heard before it is spoken into (default: %(default)s)",
    )
    add(
        "--ramp",
        type=_seconds,
        default=defaults.ramp,
        metavar="S",
        help="seconds over which the calls begin (default: %(default)s)",
    )
    add(
        "--reply-timeout",
        type=_seconds,
        default=defaults.reply_timeout,
        metavar="S",
        help="seconds to wait for a reply before the call has failed (default: %(default)s)",
    )
    add("--api-key", metavar="KEY", help="bearer token for the server")
    add("--json", type=Path, metavar="FILE", help="write all figures to FILE; - is standard output")
    add("--quiet", action="store_true", help="no line per call")
    return parser


def _options(arguments: argparse.Namespace) -> LoadOptions:
    return LoadOptions(
        calls=arguments.calls,
        turns=arguments.turns,
        duration=arguments.duration,
        barges_in=arguments.barge_in,
        barge_in_after=arguments.barge_in_after,
        ramp=arguments.ramp,
        reply_timeout=arguments.reply_timeout,
        api_key=arguments.api_key,
    )


def _on_done(is_quiet: bool) -> Callable[[Call], None]:
    def tell(call: Call) -> None:
        if not is_quiet:
            sys.stderr.write(f"{call.name}: {call.error or f'{len(call.turns)} turns'}\n")

    return tell


def _write(report: LoadReport, path: Path | None, is_quiet: bool) -> None:
    text = json.dumps(to_json(report), indent=2) + "\n"
    if path == Path("-"):
        sys.stdout.write(text)
        return
    sys.stdout.write(to_table(report, per_call=not is_quiet) + "\n")
    if path is not None:
        path.write_text(text, encoding="utf-8")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a length of time in seconds")
    return number
