from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from voicertc.addresses import machine_addresses
from voicertc.core.options import ConversationOptions, SessionOptions, SoundOptions
from voicertc.errors import SettingsError
from voicertc.providers.secret import Secret
from voicertc.rtc.peer import IceServer, RtcOptions
from voicertc.rtc.turn_credentials import ClientIceServers
from voicertc.settings import Settings
from voicertc.settings.checks import BOUNDS
from voicertc.settings.engines import installed
from voicertc.settings.schema import all_paths, member_of

EXAMPLE = Path(__file__).resolve().parent.parent / "voicertc.example.yaml"
KEYS = {".".join(path): annotation for path, annotation in all_paths(Settings)}


def load(text: str = "", *, directory: Path | None = None, **sources: object) -> Settings:
    path = None
    if directory is not None:
        path = directory / "my.yaml"
        path.write_text(text, encoding="utf-8")
    return Settings.load(path, **{"environ": {}, **sources})  # type: ignore[arg-type]  # whatever a test gives


def mistakes(text: str = "", *, directory: Path | None = None, **sources: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, directory=directory, **sources)
    return list(caught.value.mistakes)


class TestTheExampleFile:
    def test_it_loads_and_is_all_defaults(self) -> None:
        assert Settings.load(EXAMPLE, environ={}) == Settings()

    def test_it_names_every_key_and_no_other(self) -> None:
        sections = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
        named = {f"{section}.{key}" for section, keys in sections.items() for key in keys}
        assert named == set(KEYS)

    def test_every_key_has_a_comment(self) -> None:
        lines = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.startswith("  ")]
        assert [line for line in lines if not re.search(r"\S\s+# \S+ \S+", line)] == []


def test_every_number_has_bounds_and_its_default_keeps_them() -> None:
    numbers = {key for key, annotation in KEYS.items() if member_of(annotation) in (int, float)}
    assert numbers == set(BOUNDS)
    load()


def test_the_defaults_are_those_of_the_parts() -> None:
    settings = Settings()
    assert settings.session_options() == SessionOptions()
    assert settings.rtc_options() == RtcOptions()
    assert settings.vad_options() == type(settings.vad_options())()
    ours = settings.conversation_options()
    assert ours == ConversationOptions(backchannels=ours.backchannels)
    assert "uh-huh" in ours.backchannels


def test_nothing_is_read_that_was_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICERTC_SERVER__PORT", "1")
    monkeypatch.setenv("PORT", "1")
    assert Settings().server.port == 8080
    assert Settings.load().server.port == 1


class TestSources:
    FILE = "server: {port: 1001, host: file, base_path: /file}\nlimits: {max_calls: 7}\n"

    def test_flags_win_over_variables_over_the_file_over_defaults(self, tmp_path: Path) -> None:
        settings = load(
            self.FILE,
            directory=tmp_path,
            environ={"VOICERTC_SERVER__PORT": "1002", "VOICERTC_SERVER__HOST": "variable"},
            flags={"server.port": 1003, "server.tls": None},
        )
        server = settings.server
        assert (server.port, server.host, server.base_path) == (1003, "variable", "/file")
        assert (server.tls, settings.limits.max_calls, settings.limits.max_turn) == ("off", 7, 30.0)

    def test_a_variable_is_read_as_what_its_key_needs(self) -> None:
        environ = {
            "VOICERTC_AGENT__GREETING": "null",
            "VOICERTC_AGENT__IMPORT": "my.module:agent",
            "VOICERTC_INTERRUPTIONS__ENABLED": "no",
            "VOICERTC_LOGGING__LOG_TRANSCRIPTS": "true",
            "VOICERTC_SERVER__TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "VOICERTC_RTC__ICE_SERVERS": '[{"urls": ["turn:t:3478"], "username": "u", "credential": "c"}]',
            "VOICERTC_STT__LANGUAGE": "no",
            "VOICERTC_TTS__SPEED": "1.25",
            "VOICERTC_STT__PROMPT": "",
            "VOICERTC_TEST_SPEECH": "/not/a/setting",
            "OTHER": "x",
        }
        settings = load(environ=environ)
        assert settings == load(
            flags={
                "agent.greeting": "null",
                "agent.import": "my.module:agent",
                "interruptions.enabled": False,
                "logging.log_transcripts": True,
                "server.trusted_proxies": ("10.0.0.0/8", "::1"),
                "rtc.ice_servers": [{"urls": ["turn:t:3478"], "username": "u", "credential": "c"}],
                "stt.language": "no",
                "tts.speed": 1.25,
            }
        )
        assert settings.rtc.ice_servers == (IceServer(("turn:t:3478",), "u", "c"),)
        assert settings.agent.greeting is None
        assert settings.server.trusted_proxies == ("10.0.0.0/8", "::1")

    def test_the_file_is_yaml_where_no_and_off_are_words(self, tmp_path: Path) -> None:
        settings = load("stt: {language: no}\nserver: {tls: off}\nagent:\n", directory=tmp_path)
        assert (settings.stt.language, settings.server.tls) == ("no", "off")

    def test_an_empty_file_changes_nothing(self, tmp_path: Path) -> None:
        assert load("# nothing\n", directory=tmp_path) == Settings()

    def test_home_is_filled_into_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        assert load("journal: {dir: ~/j}", directory=tmp_path).journal.dir == tmp_path / "j"


class TestVariablesInTheFile:
    def test_they_are_filled_in_with_their_defaults(self, tmp_path: Path) -> None:
        text = """
server:
  host: ${HOST}
  port: ${PORT:-9000}
  trusted_proxies: ["${PROXY}", "10.0.${NET:-0}.1"]
agent:
  instructions: "Say ${WORD:-hello world} and $${this} for 5$"
  greeting: ${GREETING:-null}
stt:
  model: ${MODEL:-}
interruptions:
  enabled: ${INTERRUPTIONS:-false}
"""
        settings = load(text, directory=tmp_path, environ={"HOST": "0.0.0.0", "PROXY": "::1", "MODEL": ""})
        assert settings == load(
            flags={
                "server.host": "0.0.0.0",
                "server.port": 9000,
                "server.trusted_proxies": ["::1", "10.0.0.1"],
                "agent.instructions": "Say hello world and ${this} for 5$",
                "agent.greeting": "null",
                "interruptions.enabled": False,
            }
        )

    def test_one_that_is_not_set_is_named_with_its_line(self, tmp_path: Path) -> None:
        text = "openai:\n  api_key: ${MY_KEY}\nserver:\n  trusted_proxies: ['${A B}']\n"
        assert mistakes(text, directory=tmp_path) == [
            "openai.api_key (my.yaml line 2): the environment variable MY_KEY is not set; "
            "set it, or write ${MY_KEY:-default}",
            "server.trusted_proxies (my.yaml line 4): ${A B} is not a variable; "
            "write ${NAME} or ${NAME:-default}",
        ]

    def test_what_they_hold_is_never_read_as_yaml(self, tmp_path: Path) -> None:
        text = "agent:\n  instructions: ${TEXT}\n"
        told = "x\nserver: {port: 1}"
        settings = load(text, directory=tmp_path, environ={"TEXT": told})
        assert (settings.agent.instructions, settings.server.port) == (told, 8080)


def test_all_mistakes_of_all_sources_are_told_together(tmp_path: Path) -> None:
    text = """
server:
  prot: 1
  base_path: voice/
  tls: true
stt:
  engine: [openai, opnai]
  workers: 0
  workers: 1
vad: loud
llm:
  api_key: 12345
limits:
  max_calls: many
  max_turn: .nan
voice: x
"""
    environ = {"VOICERTC_STT__ENGIN": "x", "VOICERTC_LOGGING": "x", "VOICERTC_LIMITS__MAX_TURN_S": "3"}
    assert mistakes(text, directory=tmp_path, environ=environ, flags={"limits.reply_timeout": 500.0}) == [
        "server.prot (my.yaml line 3): there is no such setting; did you mean server.port?",
        "server.base_path (my.yaml line 4): "
        "'voice/' must begin with a slash and end without one, like /voice",
        "server.tls (my.yaml line 5): True is not one of off, self-signed",
        "stt.engine (my.yaml line 7): 'opnai' is not one of auto, openai, openai-live, openai-file, "
        "pocketsphinx; did you mean openai?",
        "stt.workers (my.yaml line 8): 0 is not within 1 to 64",
        "stt.workers (my.yaml line 9): stands here for the second time",
        "my.yaml line 10: vad must hold 'key: value' lines",
        "llm.api_key (my.yaml line 12): the value is not text; put it in quotes",
        "limits.max_calls (my.yaml line 14): 'many' is not a whole number",
        "limits.max_turn (my.yaml line 15): nan is not within 1 to 300",
        "voice (my.yaml line 16): there is no such setting; did you mean tts.voice?",
        "stt.engin (VOICERTC_STT__ENGIN): there is no such setting; did you mean VOICERTC_STT__ENGINE?",
        "limits.max_turn_s (VOICERTC_LIMITS__MAX_TURN_S): there is no such setting; "
        "did you mean VOICERTC_LIMITS__MAX_TURN?",
        "logging (VOICERTC_LOGGING): is a section; "
        "its settings are level, format, log_transcripts, log_audio_events",
        "limits.reply_timeout (flag): 500 is not within 1 to 120",
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"server.port": "80x"}, "server.port (flag): '80x' is not a whole number"),
        ({"server.port": 80.5}, "server.port (flag): 80.5 is not a whole number"),
        ({"server.port": 65_536}, "server.port (flag): 65536 is not within 0 to 65535"),
        ({"tts.speed": "fast"}, "tts.speed (flag): 'fast' is not a number"),
        ({"tts.speed": 0.1}, "tts.speed (flag): 0.1 is not within 0.25 to 1.5"),
        ({"stt.prompt": 5}, "stt.prompt (flag): 5 is not text; put it in quotes"),
        ({"server.tls_cert": 5}, "server.tls_cert (flag): 5 is not a path"),
        ({"server.trusted_proxies": 5}, "server.trusted_proxies (flag): 5 is not a list"),
        (
            {"interruptions.enabled": "maybe"},
            "interruptions.enabled (flag): 'maybe' is neither true nor false",
        ),
        ({"server.host": "null"}, "server.host (flag): needs a value; leave the key out for its default"),
        ({"sever.port": 1}, "sever (flag): there is no such setting; did you mean server?"),
        ({"zebra": 1}, "zebra (flag): there is no such setting"),
        ({"server.port.x": 1}, "server.port (flag): {'x': 1} is not a whole number"),
        (
            {"server.trusted_proxies": "[1"},
            "server.trusted_proxies (flag): begins like a JSON list and is none: "
            "Expecting ',' delimiter: line 1 column 3 (char 2)",
        ),
        (
            {"server.trusted_proxies": "1.2.3.4,proxy"},
            "server.trusted_proxies (flag): 'proxy' is neither an address nor a network like 10.0.0.0/8",
        ),
        (
            {"rtc.ice_servers": [{"urls": ["stun:x"]}, {"username": "x"}]},
            "rtc.ice_servers (flag): entry 2: urls: must be given",
        ),
        (
            {"rtc.ice_servers": [{"urls": ["turn:x"], "credential": 1234}]},
            "rtc.ice_servers (flag): entry 1: credential: the value is not text; put it in quotes",
        ),
        (
            {"rtc.announced_address": "example.org"},
            "rtc.announced_address (flag): 'example.org' must be an IP address; names are not looked up",
        ),
        (
            {"rtc.announced_address": "203.0.113.4, 203.0.113.5"},
            "rtc.announced_address (flag): '203.0.113.4, 203.0.113.5' has two addresses of one IP version; "
            "one of each can be announced",
        ),
        ({"rtc.udp_port": 70_000}, "rtc.udp_port (flag): 70000 is not within 0 to 65535"),
        (
            {"rtc.client_ice_servers": [{"urls": ["stun:x"]}, {"urls": ["turn:x"]}]},
            "rtc.client_ice_servers (flag): entry 2: a TURN server needs username and credential, "
            "or rtc.turn_secret",
        ),
        (
            {"rtc.client_ice_servers": [{"urls": ["turn:x"], "username": "u"}], "rtc.turn_secret": "s"},
            "rtc.client_ice_servers (flag): entry 1: needs both username and credential, in plain ASCII",
        ),
        (
            {"rtc.client_ice_servers": [{"urls": ["turn:x"], "username": "u", "credential": "a\nb"}]},
            "rtc.client_ice_servers (flag): entry 1: needs both username and credential, in plain ASCII",
        ),
        (
            {"rtc.client_ice_servers": [{"urls": ["stun:x", "stun:x?transport=udp"]}]},
            "rtc.client_ice_servers (flag): entry 1: 'stun:x?transport=udp' must be like stun:host:3478, "
            "turn:host:3478?transport=udp or turns:host:5349",
        ),
        ({"rtc.turn_secret": 5}, "rtc.turn_secret (flag): the value is not text; put it in quotes"),
        (
            {"rtc.pause_after": 20},
            "rtc.pause_after (flag): must be shorter than rtc.close_after: "
            "a client is away before it is gone",
        ),
        (
            {"vad.suspect_threshold": 0.9},
            "vad (flag): the thresholds must be ordered: 0 < stop <= suspect <= start < 1",
        ),
        (
            {"server.api_keys": "sixteen-are-enough,fifteen-are-not"},
            "server.api_keys (flag): entry 2 is too short to be safe; 16 characters are the least, "
            "and openssl rand -hex 16 makes a good one",
        ),
        (
            {"server.api_keys": ["a key with spaces in it"]},
            "server.api_keys (flag): entry 1 has a character that no HTTP header can carry; "
            "use letters, digits and hyphens",
        ),
        ({"server.api_keys": 5}, "server.api_keys (flag): the value is not a list"),
        (
            {"server.api_keys": ["sixteen-are-enough", 1234567890123456]},
            "server.api_keys (flag): entry 2: the value is not text; put it in quotes",
        ),
        (
            {"server.cors_origins": "https://app.example.com,app.example.com"},
            "server.cors_origins (flag): 'app.example.com' must be an origin like https://app.example.com, "
            "without a path, or *",
        ),
        (
            {"server.cors_origins": ["https://app.example.com/"]},
            "server.cors_origins (flag): 'https://app.example.com/' must be an origin like "
            "https://app.example.com, without a path, or *",
        ),
        ({"server.cors_origins": 5}, "server.cors_origins (flag): 5 is not a list"),
        ({"vad.hangover": 3}, "vad.hangover (flag): 3 is not within 0 to 2"),
        ({"stt.language": "English"}, "stt.language (flag): 'English' must be an ISO 639-1 code, like en"),
        (
            {"audio.thinking_sound": "bells", "audio.thinking_volume": 0},
            "audio.thinking_sound (flag): 'bells' is neither a file nor one of breath, pulse, soft_ticks",
        ),
        (
            {"audio.ambient_sound": "/absent.wav"},
            "audio.ambient_sound (flag): '/absent.wav' is neither a file nor one of office, rain, room",
        ),
        ({"audio.ambient_volume": 2}, "audio.ambient_volume (flag): 2 is not within 0 to 1"),
        (
            {"agent.import": "my_agent"},
            "agent.import (flag): 'my_agent' must be module:attribute, like my_module:my_agent",
        ),
        (
            {"server.tls_cert": "/absent.pem", "server.tls_key": __file__},
            "server.tls_cert (flag): there is no file /absent.pem",
        ),
        (
            {"server.tls_cert": __file__},
            "server.tls_cert (flag): needs server.tls_key, the certificate's private key",
        ),
        (
            {"server.tls_key": __file__},
            "server.tls_key (flag): needs server.tls_cert, the certificate it belongs to",
        ),
        (
            {"server.tls": "self-signed", "server.tls_cert": __file__, "server.tls_key": __file__},
            "server.tls (flag): self-signed makes a certificate; "
            "leave server.tls_cert and server.tls_key out",
        ),
        ({"server.static_dir": __file__}, f"server.static_dir (flag): there is no directory {__file__}"),
        ({"journal.dir": __file__}, f"journal.dir (flag): {__file__} is a file, not a directory"),
        (
            {"llm.base_url": "localhost/v1"},
            "llm.base_url (flag): 'localhost/v1' must be an address like https://api.openai.com/v1",
        ),
        (
            {"llm.base_url": "ftp://h/v1"},
            "llm.base_url (flag): 'ftp://h/v1' must be an address like https://api.openai.com/v1",
        ),
        (
            {"llm.base_url": "http://h:port/v1"},
            "llm.base_url (flag): 'http://h:port/v1' must be an address like https://api.openai.com/v1",
        ),
        (
            {"llm.base_url": "me:sk-planted@h/v1"},
            "llm.base_url (flag): '***@h/v1' must be an address like https://api.openai.com/v1",
        ),
        (
            {"llm.base_url": "http://me:pass/sk-planted@h/v1"},
            "llm.base_url (flag): 'http://***@h/v1' must be an address like https://api.openai.com/v1",
        ),
        (
            {"llm.base_url": "http://me:sk-planted@h/v1?api-key=sk-planted"},
            "llm.base_url (flag): 'http://***@h/v1?***' must end with its path, for each request "
            "adds its own; a key goes into llm.api_key",
        ),
        (
            {"openai.base_url": "http://h/v1#sk-planted"},
            "openai.base_url (flag): 'http://h/v1#***' must end with its path, for each request "
            "adds its own; a key goes into openai.api_key",
        ),
        (
            {"tts.base_url": "http://me:sk-planted@h/v1", "tts.api_key": "sk-planted"},
            "tts.base_url (flag): 'http://***@h/v1' has a user, and there is tts.api_key: requests can "
            "carry only one; leave the other out",
        ),
        (
            {"openai.base_url": "http://me:sk-planted@localhost:8080/v1"},
            "openai.base_url (flag): http://***@localhost:8080/v1 is this very server, which would call "
            "itself; name the server that does the work",
        ),
        (
            {"stt.api_key": "[sk-planted]"},
            "stt.api_key (flag): is one key, no list: leave the brackets out",
        ),
        (
            {"tts.api_key": "sk\nplanted"},
            "tts.api_key (flag): has a character that no HTTP header can carry",
        ),
    ],
)
def test_a_mistake_is_told_in_plain_words(flags: dict[str, object], expected: str) -> None:
    assert mistakes(flags=flags) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n", "my.yaml line 1: the file must hold 'key: value' lines"),
        (
            "server: {port: 1\n",
            "my.yaml line 2: is not valid YAML: expected ',' or '}', but got '<stream end>'",
        ),
        ("a: b: c\n", "my.yaml line 1: is not valid YAML: mapping values are not allowed here"),
        (
            "stt: {model: !!python/object/apply:os.getcwd []}",
            "my.yaml line 1: is not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.getcwd'",
        ),
        (
            "server: {port: '\0'}",
            "my.yaml: is not valid YAML: unacceptable character #x0000: special characters are not allowed",
        ),
    ],
)
def test_a_file_that_is_no_settings_file_is_told_with_its_line(
    text: str, expected: str, tmp_path: Path
) -> None:
    assert mistakes(text, directory=tmp_path) == [expected]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml: cannot be read: No such file or directory"):
        Settings.load(tmp_path / "absent.yaml", environ={})
    (tmp_path / "latin.yaml").write_bytes(b"agent: {greeting: Gr\xfc\xdf Gott}")
    with pytest.raises(SettingsError, match=r"latin\.yaml: is not UTF-8 text"):
        Settings.load(tmp_path / "latin.yaml", environ={})


def test_variables_that_contradict_each_other_are_both_named() -> None:
    environ = {"VOICERTC_VAD__HANGOVER": "0.1", "VOICERTC_VAD": "x"}
    assert mistakes(environ=environ) == [
        "vad.hangover (VOICERTC_VAD__HANGOVER): contradicts VOICERTC_VAD",
        "vad (VOICERTC_VAD): is a section; "
        "its settings are start_threshold, suspect_threshold, stop_threshold, hangover, gate_mode",
    ]
    assert mistakes(environ={"VOICERTC_VAD": "x", "VOICERTC_VAD_": "y"})[-1].startswith(
        "vad_ (VOICERTC_VAD_):"
    )


def test_no_sentence_is_written_in_pydantics_words() -> None:
    for key in KEYS:
        for wrong in ({"x": object()}, [None], object()):
            told = mistakes(flags={key: wrong})
            assert not re.search(r"input|validation|pydantic|dict|instance", " ".join(told), re.IGNORECASE)


LIVE, FILE, SPHINX = ("openai-live",), ("openai-file",), ("pocketsphinx",)


class TestEngines:
    @pytest.mark.parametrize(
        "text",
        [
            "stt: {engine: [openai-file, pocketsphinx]}",
            "stt: {engine: 'openai-file, pocketsphinx'}",
            "stt: [openai-file, pocketsphinx]",
            "stt: openai-file,pocketsphinx",
            "stt: ${EARS}",
        ],
    )
    def test_are_a_list_however_it_is_written(self, text: str, tmp_path: Path) -> None:
        in_file = load(text, directory=tmp_path, environ={"EARS": "openai-file,pocketsphinx"})
        assert in_file == load(flags={"stt.engine": FILE + SPHINX})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("VOICERTC_STT", "openai-file,pocketsphinx"),
            ("VOICERTC_STT__ENGINE", "openai-file, pocketsphinx"),
            ("VOICERTC_STT__ENGINE", '["openai-file", "pocketsphinx"]'),
        ],
    )
    def test_can_be_a_variable(self, name: str, value: str) -> None:
        assert load(environ={name: value}).stt.engine == FILE + SPHINX

    def test_can_be_a_flag_and_the_longer_name_counts(self) -> None:
        assert load(flags={"stt": "pocketsphinx"}).stt.engine == SPHINX
        assert load(flags={"stt": ["pocketsphinx"]}).stt.engine == SPHINX
        environ = {"VOICERTC_STT": "pocketsphinx", "VOICERTC_STT__ENGINE": "openai-file"}
        assert load(environ=environ).stt.engine == FILE

    def test_beside_the_short_form_other_keys_come_from_elsewhere(self, tmp_path: Path) -> None:
        settings = load("stt: openai-file", directory=tmp_path, environ={"VOICERTC_STT__LANGUAGE": "en"})
        assert (settings.stt.engine, settings.stt.language) == (FILE, "en")

    @pytest.mark.parametrize(
        ("names", "problem"),
        [
            ([], "names no engine; leave the key out for auto"),
            ("auto,espeak", "auto stands alone, for it is a list by itself"),
            ("espeak,espeak", "names an engine twice"),
            (
                "openai,espaek",
                "'espaek' is not one of auto, openai, openai-reader, openai-speech, espeak; "
                "did you mean espeak?",
            ),
        ],
    )
    def test_that_make_no_sense_are_told(self, names: object, problem: str) -> None:
        assert mistakes(flags={"tts.engine": names}) == [f"tts.engine (flag): {problem}"]

    def test_that_could_never_stand_in_are_told(self) -> None:
        flags: dict[str, object] = {
            "tts.engine": "openai,espeak",
            "tts.first_timeout": 5,
            "stt.first_timeout": 5,
        }
        assert mistakes(flags={**flags, "limits.final_timeout": 5, "limits.reply_timeout": 5}) == [
            "tts.first_timeout (flag): must be shorter than limits.reply_timeout, "
            "or no other engine has time to stand in"
        ]

    def test_of_installed_packages_are_known_by_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info = tmp_path / "some_voices-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-voices\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[voicertc.tts]\nbells = bells:voice\nespeak = bells:voice\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        assert load(flags={"tts.engine": "bells,espeak"}).engines("tts") == ("bells", "espeak")
        assert list(installed("tts")) == ["bells"]
        (told,) = mistakes(flags={"tts.engine": "bell"})
        assert told.endswith("openai-speech, espeak, bells; did you mean bells?")


class TestChoosingOpenAI:
    def engines(self, **environ: str) -> list[tuple[str, ...]]:
        settings = load(environ=environ)
        return [settings.engines("stt"), settings.engines("llm"), settings.engines("tts")]

    def test_without_a_key_everything_runs_here(self) -> None:
        assert self.engines() == [SPHINX, ("offline",), ("espeak",)]

    @pytest.mark.parametrize("name", ["OPENAI_API_KEY", "VOICERTC_OPENAI__API_KEY"])
    def test_a_key_switches_all_three(self, name: str) -> None:
        assert self.engines(**{name: "sk-x"}) == [
            LIVE + FILE,
            ("openai-responses",),
            ("openai-reader", "espeak"),
        ]

    def test_so_does_the_url_of_a_compatible_server(self) -> None:
        assert self.engines(OPENAI_BASE_URL="http://127.0.0.1:9/v1") == [
            FILE,
            ("openai-chat",),
            ("openai-speech", "espeak"),
        ]

    def test_a_region_of_openais_is_openai(self) -> None:
        regional = {"OPENAI_BASE_URL": "https://eu.api.openai.com/v1", "OPENAI_API_KEY": "sk-x"}
        assert self.engines(**regional)[0] == LIVE + FILE

    def test_where_espeak_is_not_installed_nothing_stands_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_library(name: str) -> None:
            raise OSError(f"{name}: cannot open shared object file")

        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr("ctypes.CDLL", no_library)
        assert self.engines(OPENAI_API_KEY="sk-x")[2] == ("openai-reader",)

    def test_each_stage_can_be_chosen_by_name(self) -> None:
        engines = self.engines(OPENAI_API_KEY="sk-x", VOICERTC_STT__ENGINE="pocketsphinx")
        assert engines == [SPHINX, ("openai-responses",), ("openai-reader", "espeak")]
        assert self.engines(VOICERTC_LLM__ENGINE="openai")[1] == ("openai-responses",)

    def test_openai_and_what_it_stands_for_are_asked_once(self) -> None:
        assert self.engines(VOICERTC_STT="openai,openai-live,openai-file")[0] == LIVE + FILE

    def test_a_key_for_one_stage_switches_that_one(self) -> None:
        engines = self.engines(VOICERTC_TTS__API_KEY="sk-x")
        assert engines == [SPHINX, ("offline",), ("openai-reader", "espeak")]

    def test_a_stage_with_a_server_of_its_own_never_sends_it_the_common_key(self) -> None:
        settings = load(
            environ={"OPENAI_API_KEY": "sk-common", "VOICERTC_LLM__BASE_URL": "http://127.0.0.1:11434/v1"}
        )
        key, url = settings.openai_access("llm")
        assert (key, url) == (None, "http://127.0.0.1:11434/v1")
        key, url = settings.openai_access("stt")
        assert key is not None
        assert (key.reveal(), url) == ("sk-common", None)

    def test_our_own_variable_wins_over_openais(self) -> None:
        settings = load(environ={"OPENAI_API_KEY": "sk-a", "VOICERTC_OPENAI__API_KEY": "sk-b"})
        assert settings.secrets() == ("sk-b",)


class TestAServerThatWouldCallItself:
    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "0.0.0.0", str(machine_addresses()[0])]
    )
    def test_is_refused(self, host: str) -> None:
        url = f"http://{host}:8080/v1"
        assert mistakes(environ={"OPENAI_BASE_URL": url}) == [
            f"openai.base_url (OPENAI_BASE_URL): {url} is this very server, which would call itself; "
            "name the server that does the work"
        ]

    def test_is_found_at_the_schemes_own_port_and_for_one_stage_too(self) -> None:
        told = mistakes(flags={"server.port": 80, "tts.base_url": "http://localhost/v1"})
        assert [line.partition(" ")[0] for line in told] == ["tts.base_url"]

    @pytest.mark.parametrize(
        "url", ["http://localhost:8081/v1", "http://192.0.2.1:8080/v1", "https://o.test/v1"]
    )
    def test_is_not_seen_where_it_is_another(self, url: str) -> None:
        assert load(environ={"OPENAI_BASE_URL": url}).openai.base_url == url


class TestTheServersOwnKeys:
    def test_they_are_written_as_a_list_or_with_commas(self, tmp_path: Path) -> None:
        expected = (Secret("key-of-the-first-app"), Secret("key-of-the-second-app"))
        text = "server: {api_keys: ['key-of-the-first-app', '${SECOND}']}"
        in_file = load(text, directory=tmp_path, environ={"SECOND": "key-of-the-second-app"})
        in_variable = load(
            environ={"VOICERTC_SERVER__API_KEYS": "key-of-the-first-app, key-of-the-second-app"}
        )
        assert in_file.server.api_keys == in_variable.server.api_keys == expected
        one = load("server: {api_keys: key-of-the-first-app}", directory=tmp_path)
        assert one.server.api_keys == expected[:1]

    def test_they_show_in_no_mistake(self, tmp_path: Path) -> None:
        for wrong in (
            "[short]",
            "[{a: short}]",
            "{a: short}",
            "[[short]]",
            "'short, with spaces'",
            "[5, short]",
        ):
            told = mistakes(f"server: {{api_keys: {wrong}}}", directory=tmp_path)
            assert told
            assert "short" not in " ".join(told).replace("too short", "")
        told = mistakes(environ={"VOICERTC_SERVER__API_KEYS": "[short"})
        assert "short" not in " ".join(told)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None),
        ("[]", ()),
        ("'*'", ("*",)),
        ("https://a.example", ("https://a.example",)),
        ("['https://a.example', 'http://[::1]:3000']", ("https://a.example", "http://[::1]:3000")),
    ],
)
def test_origins_are_a_list_or_all_or_left_to_the_server(
    text: str, expected: tuple[str, ...] | None, tmp_path: Path
) -> None:
    assert load(f"server: {{cors_origins: {text}}}", directory=tmp_path).server.cors_origins == expected


def test_origins_can_be_a_variable_too() -> None:
    told = {
        "null": None,
        "*": ("*",),
        "https://a.example, https://b.example": ("https://a.example", "https://b.example"),
        '["https://a.example"]': ("https://a.example",),
    }
    for text, expected in told.items():
        assert load(environ={"VOICERTC_SERVER__CORS_ORIGINS": text}).server.cors_origins == expected


def test_keys_show_nowhere() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-one",
        "VOICERTC_STT__API_KEY": "sk-two",
        "VOICERTC_SERVER__API_KEYS": "sixteen-letters-or-more,and-another-one-here",
    }
    turn = [{"urls": ["turn:t"], "username": "u", "credential": "pass-three"}]
    told = [{"urls": ["turn:c"], "username": "u", "credential": "pass-four"}]
    flags = {"rtc.ice_servers": turn, "rtc.client_ice_servers": told, "rtc.turn_secret": "shared-five"}
    settings = load(environ=environ, flags=flags)
    own = ("sixteen-letters-or-more", "and-another-one-here")
    assert settings.secrets() == ("sk-one", "sk-two", *own, "shared-five", "pass-three", "pass-four")
    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.client_ice_servers()!r}"
    for credential in ("pass-three", "pass-four"):
        shown = shown.replace(f"'credential': '{credential}'", "")
    assert not any(secret in shown for secret in settings.secrets())


def test_calls_share_a_port_unless_there_is_to_be_none() -> None:
    assert load().rtc_options().udp_port == 0
    assert load(environ={"VOICERTC_RTC__UDP_PORT": "5000"}).rtc_options().udp_port == 5000
    assert load(environ={"VOICERTC_RTC__UDP_PORT": "null"}).rtc_options().udp_port is None


def test_an_address_of_each_ip_version_can_be_announced() -> None:
    both = load(environ={"VOICERTC_RTC__ANNOUNCED_ADDRESS": "203.0.113.4, 2001:db8::4"})
    assert both.rtc_options().announced_address == "203.0.113.4, 2001:db8::4"


def test_clients_are_told_their_own_ice_servers() -> None:
    turn = {"urls": ["stun:a.example:3478", "turns:[2001:db8::1]:5349?transport=tcp"]}
    flags = {"rtc.client_ice_servers": [turn], "rtc.turn_secret": "north", "rtc.turn_ttl": 600}
    settings = load(flags=flags)
    assert settings.client_ice_servers() == ClientIceServers(
        (IceServer(("stun:a.example:3478", "turns:[2001:db8::1]:5349?transport=tcp")),), "north", 600.0
    )
    assert settings.rtc_options().ice_servers == ()
    assert load().client_ice_servers() == ClientIceServers()


def test_what_is_heard_beside_the_voice_is_the_sessions_and_the_sounds_themselves_are_not() -> None:
    flags = {
        "audio.enable_thinking_sound": False,
        "audio.thinking_sound": "breath",
        "audio.thinking_volume": 0.5,
        "audio.enable_ambient": True,
        "audio.ambient_volume": 1,
    }
    # The session says "default"; what that is, a file perhaps, clients need not know.
    assert load(flags=flags).session_options().sounds == SoundOptions(
        enable_thinking_sound=False, thinking_volume=0.5, enable_ambient=True, ambient_volume=1.0
    )


def test_a_sound_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "café.wav"
    soundfile.write(path, np.zeros(8_000, np.int16), 8_000)
    assert load(flags={"audio.ambient_sound": str(path)}).audio.ambient_sound == str(path)
    path.write_bytes(b"no sound")
    (told,) = mistakes(flags={"audio.ambient_sound": str(path)})
    assert told.startswith(f"audio.ambient_sound (flag): {path} cannot be read as sound: ")


def test_settings_do_not_change(tmp_path: Path) -> None:
    settings = load()
    for target, name in ((settings, "server"), (settings.server, "port"), (settings.logging, "level")):
        with pytest.raises((ValueError, AttributeError)):
            setattr(target, name, "x")


def test_a_language_without_phrases_of_its_own_is_answered_in_english() -> None:
    phrases = load(flags={"stt.language": "de"}).conversation_options().phrases
    assert phrases.apology == "Sorry, something went wrong. Please try again."


def test_the_operators_choices_reach_the_conversation() -> None:
    settings = load(
        flags={
            "agent.greeting": "null",
            "agent.filler": "Hm, let me see.",
            "agent.instructions": "Be brief.",
            "limits.max_turn": 20,
            "limits.reply_timeout": 5,
            "limits.final_timeout": 4,
            "turn_detection.silence": 0.8,
            "turn_detection.prefix_padding": 0.1,
            "interruptions.min_speech": 0.4,
            "tts.voice": "nova",
            "tts.speed": 1.2,
            "stt.language": "en",
            "stt.prompt": "Oslo",
        }
    )
    conversation, session = settings.conversation_options(), settings.session_options()
    turns = session.turn_detection
    assert turns is not None
    assert (
        (conversation.phrases.greeting, conversation.phrases.waiting),
        conversation.endpointing.max_turn,
        conversation.endpointing.reply_timeout,
        conversation.endpointing.final_timeout,
        conversation.interruptions.min_speech,
        session.instructions,
        (session.voice, session.speed, session.language, session.transcription_prompt),
        (turns.silence, turns.prefix_padding),
    ) == ((None, "Hm, let me see."), 20, 5, 4, 0.4, "Be brief.", ("nova", 1.2, "en", "Oslo"), (0.8, 0.1))
