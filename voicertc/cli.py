"""The command line: ``voicertc serve``, ``voicertc replay FILE``, ``voicertc --version``.

Exit codes: 0 all is well, 1 a replay differs, 2 the operator has to mend something (it is said what).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import __version__, logs
from .core.journal import ReplayReport, replay
from .errors import ProviderUnavailable, SettingsError
from .serve import serve
from .settings import Settings

_SHORT_FLAGS = {
    "host": ("server.host", "address to listen on (127.0.0.1)"),
    "port": ("server.port", "TCP port to listen on (8080)"),
    "base_path": ("server.base_path", "path under which a proxy serves it, like /voice"),
    "tls": ("server.tls", "self-signed: https with a certificate made here"),
    "tls_cert": ("server.tls_cert", "certificate (PEM) to serve https with"),
    "tls_key": ("server.tls_key", "its private key (PEM)"),
    "agent": ("agent.import", "agent of your own, as module:attribute"),
    "log_level": ("logging.level", "debug, info, warning or error (info)"),
    "log_format": ("logging.format", "text or json (text)"),
}
"""Flags with a name of their own, the settings they stand for, and what ``--help`` says of them."""

_SHOWN_DIFFERENCES = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return _replay(given.file) if given.command == "replay" else _serve(given)
    except SettingsError as error:
        _complain(error.mistakes)
        return 2
    except ProviderUnavailable as error:  # one that no call can do without
        _complain([f"{error.message}. {error.fix}"])
        return 2
    except KeyboardInterrupt:  # before the server listens to signals itself
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voicertc", description="A self-hosted WebRTC voice-agent server.")
    parser.add_argument("--version", action="version", version=f"voicertc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    server = commands.add_parser("serve", help="start the server", description=_SERVE)
    server.add_argument("--config", type=Path, metavar="FILE", help="YAML file with settings")
    for name, (key, text) in _SHORT_FLAGS.items():
        flag = f"--{name.replace('_', '-')}"
        server.add_argument(flag, metavar=key.rpartition(".")[2].upper(), help=f"{text} [{key}]")
    server.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="any setting, like stt.engine=openai",
    )
    server.add_argument("--dev", action="store_true", help="reload the agent when its files change")
    player = commands.add_parser("replay", help="replay a recorded session", description=_REPLAY)
    player.add_argument("file", type=Path, metavar="FILE", help="a journal, one JSON line per event")
    return parser


_SERVE = (
    "Start the server. Every setting is a flag (--set key=value), a variable (VOICERTC_SECTION__KEY) or a "
    "line of the file; voicertc.example.yaml in the source names them all. Flags win over variables, "
    "variables over the file."
)
_REPLAY = "Feed a journal to a new conversation and compare, byte for byte, what it decides."


def _serve(given: argparse.Namespace) -> int:
    settings = Settings.load(given.config, flags=_flags(given))
    logs.setup(settings.logging, secrets=settings.secrets())
    return asyncio.run(serve(settings, _say, dev=given.dev))


def _flags(given: argparse.Namespace) -> Mapping[str, object]:
    """Return the settings given as flags, by key. Raises ``SettingsError`` for a ``--set`` without ``=``."""
    flags: dict[str, object] = {key: getattr(given, name) for name, (key, _) in _SHORT_FLAGS.items()}
    broken = [pair for pair in given.set if "=" not in pair]
    if broken:
        raise SettingsError([f"--set {pair}: must be key=value, like stt.engine=openai" for pair in broken])
    return flags | dict(pair.split("=", 1) for pair in given.set)


def _replay(path: Path) -> int:
    try:
        with path.open(encoding="utf-8") as lines:
            report = replay(lines)
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SettingsError([f"{path}: {error}"]) from error
    for line in _told(report):
        _say(line)
    return 1 if report.differences else 0


def _told(report: ReplayReport) -> list[str]:
    """Return a replay as lines: the history, then how far it agrees with the record."""
    lines = [f"{item.role or item.kind}: {item.text}" for item in report.items]
    lines.append(f"{report.n_events} events in {report.seconds:.1f} s, recorded by voicertc {report.version}")
    if report.version != __version__:
        lines.append(f"This is voicertc {__version__}: a difference may be a change on purpose.")
    for difference in report.differences[:_SHOWN_DIFFERENCES]:
        lines += [
            f"line {difference.line}",
            f"  recorded {difference.recorded}",
            f"  replayed {difference.replayed}",
        ]
    total = len(report.differences)
    verdict = {0: "Every decision is the same, byte for byte.", 1: "1 line differs"}
    lines.append(verdict.get(total, f"{total} lines differ"))
    return lines


def _complain(mistakes: Sequence[str]) -> None:
    if len(mistakes) == 1:
        print(f"voicertc: {mistakes[0]}", file=sys.stderr)
        return
    print(f"voicertc: {len(mistakes)} mistakes:", file=sys.stderr)
    for mistake in mistakes:
        print(f"  - {mistake}", file=sys.stderr)


def _say(line: str) -> None:
    print(line, flush=True)  # at once: whoever reads it through a pipe waits for it
