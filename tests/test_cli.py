from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from voicertc import __version__
from voicertc.cli import main
from voicertc.core.conversation import Conversation
from voicertc.core.events import CallConnected
from voicertc.core.journal import entry_line, header_line
from voicertc.core.options import ConversationOptions, SessionOptions
from voicertc.errors import ProviderUnavailable

ELSEWHERE = ("--set", "openai.base_url=http://127.0.0.1:9/v1", "tts.engine=openai")
"""All three stages on a server that is never asked: a start-up without engines to load."""

AGENT = """
import os, time

async def agent(request):
    yield "Hello"

class Stuck:
    name, grammar, greeting = "stuck", None, None
    def reply(self, request): ...
    async def start(self): ...
    async def close(self):
        time.sleep(60)

class SlowToStart(Stuck):
    async def start(self):
        import asyncio
        print("starting", flush=True)
        await asyncio.sleep(60)
    async def close(self): ...
"""


class Server:
    """A ``voicertc serve`` of its own process, in a directory of its own, with the state it needs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        """Read what it says until a line holds ``pattern``; the test's own limit is the deadline."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            found = re.search(pattern, line)
            if found:
                return found
        pytest.fail(f"it ended with {self.process.wait(10)} and said {self.lines} {self.errors()}")

    def url(self) -> str:
        """Wait until it is ready and return the first URL it names."""
        return self.read_until(r"is ready: (\S+)").group(1)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; return the exit code and how many seconds the exit took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - began

    def errors(self) -> str:
        """Return all it wrote to standard error; only after its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    (tmp_path / "kitchen.py").write_text(AGENT)
    processes = []

    def start(*arguments: str, **environ: str) -> Server:
        known = {
            name: value for name, value in os.environ.items() if not name.startswith(("VOICERTC_", "OPENAI_"))
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "voicertc", "serve", "--port", "0", *arguments],
            cwd=tmp_path,
            env={**known, "XDG_STATE_HOME": str(tmp_path / "state"), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return Server(process)

    yield start
    for process in processes:
        with process:
            process.kill()


def fetch(url: str, context: ssl.SSLContext | None = None) -> tuple[int, object]:
    with urllib.request.urlopen(url, timeout=10, context=context) as response:
        return response.status, json.load(response)


CARRIES = r"  carries   UDP port \d+ for all calls; libopus \d\.\d+\.\d+ \(PyAV\)"


class TestServing:
    @pytest.mark.engines
    def test_out_of_the_box_everything_runs_here_and_leaves_nothing_behind(self, serve: Serve) -> None:
        server = serve()
        assert fetch(f"{server.url()}healthz") == (200, {"status": "ok"})
        server.read_until("--agent")
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        assert children
        code, seconds = server.stop()
        assert (code, seconds < 3) == (0, True)
        assert re.fullmatch(CARRIES, server.lines.pop(4))
        assert server.lines[1:5] == [
            "  hearing   pocketsphinx (on this machine)",
            "  thinking  offline (on this machine)",
            "  speaking  espeak (on this machine)",
            "  Set OPENAI_API_KEY to hear, think and speak with OpenAI, or name an engine for each:",
        ]
        assert [child for child in children if Path(f"/proc/{child}").exists()] == []

    def test_it_says_where_it_is_and_what_it_uses_and_ends_in_time(self, serve: Serve) -> None:
        server = serve("--agent", "kitchen:agent", *ELSEWHERE)
        url = server.url()
        assert fetch(f"{url}healthz") == (200, {"status": "ok"})
        server.read_until("--agent")
        code, seconds = server.stop(signal.SIGINT)
        assert re.fullmatch(CARRIES, server.lines.pop(4))
        assert [re.sub(r":\d{4,5}", ":PORT", line) for line in server.lines] == [
            f"voicertc {__version__} is ready: http://127.0.0.1:PORT/",
            "  hearing   openai-file gpt-transcribe at http://127.0.0.1:9/v1",
            "  thinking  kitchen:agent (your agent)",
            "  speaking  openai-speech gpt-4o-mini-tts at http://127.0.0.1:9/v1",
            "  Choose another engine for any of them:",
            "  --set stt.engine=… llm.engine=… tts.engine=… agent.engine=…, or --agent module:name, your own",
        ]
        assert (code, "Traceback" in server.errors()) == (0, False)
        assert seconds < 3

    def test_settings_come_from_file_variables_and_flags(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "my.yaml").write_text(
            "openai: {base_url: 'http://127.0.0.1:9/v1'}\nstt: {model: of-file}\n"
            "tts: {engine: openai, model: of-file}\nlogging: {format: json}\n"
        )
        server = serve(
            "--config", "my.yaml", "--set", "tts.model=of-flag", "--base-path", "/voice",
            VOICERTC_STT__WORKERS="3", VOICERTC_TTS__MODEL="of-variable",
        )  # fmt: skip
        url = server.url()
        assert url.endswith("/voice/")
        assert fetch(f"{url}healthz") == (200, {"status": "ok"})
        server.read_until("speaking")
        hearing, _, speaking = server.lines[1:]
        assert ("of-file" in hearing, "of-flag" in speaking) == (True, True)
        assert server.stop()[0] == 0
        told = {line["event"]: line for line in map(json.loads, server.errors().splitlines())}
        assert "udp_port_opened" in told
        assert told["server_stopping"]["signal"] == "SIGTERM"

    def test_self_signed_tls_serves_https_and_keeps_its_certificate(
        self, serve: Serve, tmp_path: Path
    ) -> None:
        certificate = tmp_path / "state" / "voicertc" / "self-signed.pem"
        kept = []
        for _ in range(2):
            server = serve("--tls", "self-signed", *ELSEWHERE)
            url = server.url()
            assert url.startswith("https://127.0.0.1:")
            context = ssl.create_default_context(cafile=str(certificate))
            assert fetch(f"{url}healthz", context) == (200, {"status": "ok"})
            server.read_until("--host 0.0.0.0")
            assert server.stop()[0] == 0
            kept.append(certificate.read_bytes())
        assert kept[0] == kept[1]

    def test_a_certificate_of_the_operators_is_used(self, serve: Serve, tmp_path: Path) -> None:
        serve("--tls", "self-signed", *ELSEWHERE).url()
        pem = str(tmp_path / "state" / "voicertc" / "self-signed.pem")
        url = serve("--tls-cert", pem, "--tls-key", pem, *ELSEWHERE).url()
        assert fetch(f"{url}healthz", ssl.create_default_context(cafile=pem)) == (200, {"status": "ok"})

    def test_listening_everywhere_names_every_address(self, serve: Serve) -> None:
        server = serve("--host", "0.0.0.0", *ELSEWHERE)
        server.url()
        urls = server.lines[0].partition("is ready: ")[2].split()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", urls[-1])
        assert fetch(f"{urls[-1]}healthz") == (200, {"status": "ok"})

    def test_a_service_that_cannot_start_is_told_and_the_rest_runs(self, serve: Serve) -> None:
        server = serve(
            "--set",
            "llm.engine=openai",
            "stt.base_url=http://127.0.0.1:9/v1",
            "tts.base_url=http://127.0.0.1:9/v1",
        )
        url = server.url()
        line = server.read_until("thinking").string
        assert re.match(r"  thinking  openai-responses NOT AVAILABLE: .*OPENAI_API_KEY", line)
        assert fetch(f"{url}healthz") == (200, {"status": "ok"})
        assert server.stop()[0] == 0

    def test_a_changed_agent_is_reloaded_in_dev(self, serve: Serve, tmp_path: Path) -> None:
        server = serve("--dev", "--agent", "kitchen:agent", *ELSEWHERE)
        server.read_until("--dev")
        (tmp_path / "kitchen.py").write_text(AGENT + "# changed\n")
        assert server.process.stderr is not None
        for line in server.process.stderr:
            if "agent_reloaded" in line:
                break
        assert line.endswith("INFO    agent_reloaded agent=kitchen:agent\n")
        assert server.stop()[0] == 0


class TestEnding:
    def test_what_hangs_does_not_keep_it_alive(self, serve: Serve) -> None:
        server = serve("--agent", "kitchen:Stuck", *ELSEWHERE)
        server.url()
        code, seconds = server.stop()
        assert (code, seconds < 3.5) == (1, True)
        assert server.errors().endswith("voicertc: something did not end in time; ended by force\n")

    def test_a_signal_while_it_starts_ends_it(self, serve: Serve) -> None:
        server = serve("--agent", "kitchen:SlowToStart", *ELSEWHERE)
        server.read_until("starting")
        code, seconds = server.stop()
        assert (code, seconds < 3) == (0, True)
        assert "Traceback" not in server.errors()


@pytest.mark.usefixtures("own_logging")
class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (
                ["--agent", "cellar:agent"],
                "voicertc: agent.import: there is no module cellar here ({here}) or installed\n",
            ),
            (
                ["--tls-cert", "text", "--tls-key", "text"],
                "voicertc: server.tls_cert: text is not a PEM file (it has no '-----BEGIN' line)\n",
            ),
            (
                ["--host", "192.0.2.77", "--port", "0"],
                "voicertc: server.port: cannot listen on 192.0.2.77:0: cannot assign requested address; "
                "stop what listens there, or choose another with --port\n",
            ),
            (
                ["--host", "no.such.host.invalid"],
                "voicertc: server.host: 'no.such.host.invalid' is no address of this machine\n",
            ),
            (
                ["--set", "stt.engine"],
                "voicertc: --set stt.engine: must be key=value, like stt.engine=openai\n",
            ),
            (
                ["--log-level", "loud", "--set", "stt.engin=x"],
                "voicertc: 2 mistakes:\n"
                "  - stt.engin (flag): there is no such setting; did you mean stt.engine?\n"
                "  - logging.level (flag): 'loud' is not one of debug, info, warning, error\n",
            ),
        ],
    )
    def test_are_told_in_plain_words_at_start(
        self,
        arguments: list[str],
        expected: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / "text").write_text("text")
        assert main(["serve", *arguments]) == 2
        assert capsys.readouterr().err == expected.format(here=tmp_path)

    def test_a_missing_part_that_no_call_can_do_without_is_told_with_its_fix(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def without_a_model(*_: object, **__: object) -> int:
            raise ProviderUnavailable("no model", provider="silero", fix="Install it.")

        monkeypatch.setattr("voicertc.cli.serve", without_a_model)
        assert main(["serve"]) == 2
        assert capsys.readouterr().err == "voicertc: no model. Install it.\n"

    def test_a_port_in_use_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert main(["serve", "--port", str(port)]) == 2
        assert capsys.readouterr().err == (
            f"voicertc: server.port: cannot listen on 127.0.0.1:{port}: address already in use; "
            "stop what listens there, or choose another with --port\n"
        )


@contextmanager
def ending_with(code: int) -> Iterator[None]:
    with pytest.raises(SystemExit) as caught:
        yield
    assert caught.value.code == code


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with ending_with(0):
        main(["--version"])
    assert capsys.readouterr().out == f"voicertc {__version__}\n"


def test_without_a_command_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with ending_with(2):
        main([])
    assert "usage: voicertc [-h] [--version] COMMAND" in capsys.readouterr().err


class TestReplay:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Path:
        conversation = Conversation(ConversationOptions(), SessionOptions(), id_prefix="t_")
        lines = [header_line(__version__, conversation, "t_")]
        lines.append(entry_line(0.5, CallConnected(), conversation.handle(CallConnected(), 0.5)))
        path = tmp_path / "session.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def test_the_same_decisions_are_told(self, journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["replay", str(journal)]) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"1 events in 0.5 s, recorded by voicertc {__version__}",
            "Every decision is the same, byte for byte.",
        ]

    def test_a_difference_is_shown_with_its_line(
        self, journal: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = journal.read_text(encoding="utf-8").replace(__version__, "0.0.9")
        journal.write_text(re.sub(r'"commands":\[.*\]', '"commands":["other"]', text), encoding="utf-8")
        assert main(["replay", str(journal)]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[:4] == [
            "1 events in 0.5 s, recorded by voicertc 0.0.9",
            f"This is voicertc {__version__}: a difference may be a change on purpose.",
            "line 2",
            '  recorded {"now":0.5,"event":{"_":"CallConnected"},"commands":["other"]}',
        ]
        assert lines[-1] == "1 line differs"

    def test_what_is_no_journal_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        empty = tmp_path / "empty"
        empty.write_text("")
        assert main(["replay", str(empty)]) == 2
        assert main(["replay", str(tmp_path / "absent")]) == 2
        assert capsys.readouterr().err.splitlines() == [
            f"voicertc: {empty}: line 1: the journal is empty",
            f"voicertc: {tmp_path / 'absent'}: cannot be read: No such file or directory",
        ]
