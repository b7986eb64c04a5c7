"""The sections of the settings: what an operator may choose, each with its unit, reason and default.

A section whose keys are exactly one part's own options is that part's dataclass, used directly (see
``settings.py``); those that gather choices for several parts are defined here. Bounds of numbers stand in
``checks.py``. ``voicertc.example.yaml`` repeats every key for people; a test keeps the two equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf

from ..providers.secret import Secret
from ..rtc.peer import IceServer

STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)
"""Unknown keys are mistakes; nothing changes after the start; an error never shows a key's value."""


def _expanded(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) else value


def _hidden(value: object) -> object:
    return Secret(value) if isinstance(value, str) else value


def _several(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_expanded)]
"""A path in which ``~`` is the user's home, as in a shell."""

Engines = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""Names of engines, best first; one alone, or several with commas, may be written as a text."""

Key = Annotated[InstanceOf[Secret], BeforeValidator(_hidden)]
"""A key, hidden from the moment it is read."""


class ServerSection(BaseModel):
    """Where the server listens, and how the world reaches it."""

    model_config = STRICT

    host: str = "127.0.0.1"
    """Address to listen on; the default is reached from this machine alone, 0.0.0.0 from everywhere."""
    port: int = 8080
    """TCP port to listen on; 0 takes any free one and prints it."""
    base_path: str = ""
    """Path under which a proxy serves it, like /voice; empty for the root."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-… headers are believed; nobody's by default."""
    api_keys: Annotated[tuple[Key, ...], BeforeValidator(_several)] = ()
    """Keys of which a client must send one; empty lets in whoever reaches the server."""
    cors_origins: Annotated[tuple[str, ...] | None, BeforeValidator(_several)] = None
    """Origins whose pages may use it, * for all; null is this machine's, or all once api_keys are set."""
    tls: Literal["off", "self-signed"] = "off"
    """Serve https with a certificate made here; phones need https for the microphone."""
    tls_cert: FilePath | None = None
    """Certificate chain (PEM) to serve https with; needs tls_key."""
    tls_key: FilePath | None = None
    """Private key (PEM, without passphrase) of tls_cert."""
    static_dir: FilePath | None = None
    """Directory with a page of your own instead of the one that comes along."""


class RtcSection(BaseModel):
    """How calls reach this server, and when a client counts as gone."""

    model_config = STRICT

    udp_port: int | None = 0
    """UDP port of all calls; 0 takes any free one, null opens random ports for each call."""
    announced_address: str | None = None
    """Public IP address for answers, behind one-to-one NAT or in a container; null: the machine's own. An
    IPv4 and an IPv6 address are separated by a comma."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN or TURN servers for the server itself; none, because a dead one delays every call by seconds."""
    client_ice_servers: tuple[IceServer, ...] = ()
    """STUN or TURN servers that clients are told, for networks that block UDP; none are needed elsewhere."""
    turn_secret: Key | None = None
    """Secret shared with the TURN servers (coturn: static-auth-secret), for passwords that expire."""
    turn_ttl: float = 86_400.0
    """Seconds for which such a password is taken: a day, for coturn may ask for it again during a call."""
    connect_timeout: float = 15.0
    """Seconds from the answer until media must flow; slow mobile networks need up to ten."""
    pause_after: float = 5.0
    """Seconds without any packet until a client counts as away; a live one sends every two seconds."""
    close_after: float = 15.0
    """Seconds without any packet until the call is given up: long enough to walk through a lift."""


class OpenAISection(BaseModel):
    """The account or compatible server that stages with an engine of OpenAI's use."""

    model_config = STRICT

    api_key: Key | None = None
    """The key; OPENAI_API_KEY is read too. A server without authentication needs none."""
    base_url: str | None = None
    """Root of the API, like http://127.0.0.1:11434/v1; OPENAI_BASE_URL is read too."""


class SttSection(BaseModel):
    """Hearing: what turns speech into text."""

    model_config = STRICT

    engine: Engines = ("auto",)
    """Who hears: openai, openai-live, openai-file, pocketsphinx or installed ones, best first; the others
    stand in when it fails. auto is openai if a key or base URL is known, else pocketsphinx."""
    model: str = "auto"
    """Model that the first of OpenAI's engines transcribes with; auto is the engine's own default."""
    first_timeout: float = 1.5
    """Seconds from the end of a turn to its text, for an engine with another behind it: the slowest good
    service's p99 is 1.7, and the next one needs the rest of the 3 s in which a caller is answered."""
    language: str | None = None
    """ISO 639-1 code of what callers speak; null lets the model find out."""
    prompt: str = ""
    """Words the recognizer should expect, like names of products."""
    workers: int = 2
    """Recognizer processes of pocketsphinx: that many callers can be heard at once, 60 MB each."""
    api_key: Key | None = None
    """Key for this stage only; null is openai.api_key."""
    base_url: str | None = None
    """API root for this stage only; null is openai.base_url."""


class LlmSection(BaseModel):
    """Thinking: what answers, unless agent.import names an agent of your own."""

    model_config = STRICT

    engine: Engines = ("auto",)
    """Who answers: openai, openai-responses, openai-chat, offline or installed ones, best first; the others
    stand in when it fails. auto is openai if a key or base URL is known, else the built-in agent."""
    model: str = "auto"
    """Model that the first of OpenAI's engines answers with; auto is the engine's own default."""
    temperature: float | None = None
    """How freely it chooses its words, 0 to 2; null leaves it to the model. Those that think take none."""
    max_output_tokens: int = 800
    """Tokens of an answer at most, about five minutes of speech: a bound, not a wish."""
    first_timeout: float = 2.0
    """Seconds until the first word, for an engine with another behind it: four times the usual."""
    api_key: Key | None = None
    """Key for this stage only; null is openai.api_key."""
    base_url: str | None = None
    """API root for this stage only; null is openai.base_url."""


class TtsSection(BaseModel):
    """Speaking: what turns text into speech."""

    model_config = STRICT

    engine: Engines = ("auto",)
    """Who speaks: openai, openai-reader, openai-speech, espeak or installed ones, best first; the others
    stand in when it fails. auto is openai, then espeak, if a key or base URL is known, else espeak."""
    model: str = "auto"
    """Model that the first of OpenAI's engines speaks with; auto is the engine's own default."""
    first_timeout: float = 1.2
    """Seconds until a clause's first sound, for an engine with another behind it: several times the usual."""
    cache: bool = True
    """Whether clauses that were spoken are kept in memory, a bounded number, and shared by all calls; false
    where nothing that was said may outlive its call."""
    rate_hz: int = 24_000
    """Samples per second of the sound that openai.base_url returns; OpenAI's own is 24000."""
    voice: str = "default"
    """Voice, in the engine's own words; default is the engine's first choice."""
    speed: float = 1.0
    """Speaking rate as a factor."""
    workers: int = 2
    """Synthesis processes of espeak-ng; one speaks hundreds of times faster than real time."""
    api_key: Key | None = None
    """Key for this stage only; null is openai.api_key."""
    base_url: str | None = None
    """API root for this stage only; null is openai.base_url."""


class VadSection(BaseModel):
    """What counts as speech. Probabilities are those of silero-vad 5, for windows of 32 ms."""

    model_config = STRICT

    start_threshold: float = 0.85
    """Probability at which one window is speech for certain; clicks and noise stay below 0.4."""
    suspect_threshold: float = 0.5
    """Probability at which two windows in a row lower the reply's volume."""
    stop_threshold: float = 0.35
    """Probability below which speech has paused; lower than the others, so that soft syllables go on."""
    hangover: float = 0.128
    """Seconds below stop_threshold that end speech; consonants like p and t are silent for up to 0.1."""
    gate_mode: int = 0
    """How much webrtcvad rejects before the model is asked, 0 (little, loses no speech) to 3."""


class TurnDetectionSection(BaseModel):
    """When the user's turn begins and ends, unless the client chooses for its session."""

    model_config = STRICT

    silence: float = 0.5
    """Seconds without speech that end a turn; shorter answers sooner and cuts off more people."""
    prefix_padding: float = 0.3
    """Seconds before the detected start that count as part of the turn: first consonants are quiet."""
    eager_silence: float | None = 0.15
    """Seconds without speech after which an answer is prepared, unheard, in case the turn is over; requests
    are made in vain where it is not. null waits for the end; pocketsphinx, too slow to hear twice, always."""


class AgentSection(BaseModel):
    """Who answers, and what the server says on its own account."""

    model_config = STRICT

    engine: Literal["cascade", "openai-realtime"] = "cascade"
    """How sessions begin to hear and answer: cascade (the stages stt, llm, tts), or OpenAI's speech-to-speech
    model, which has llm's key and base_url, with the cascade to stand in. A client may choose for itself."""
    model: str = "auto"
    """Model of openai-realtime; auto is the engine's own default."""
    import_: str | None = Field(default=None, alias="import")
    """Agent of your own as module:attribute, like my_module:my_agent; null is the stage llm's."""
    instructions: str = ""
    """System prompt for the agent; a client may replace it for its session."""
    greeting: str | None = "default"
    """Said first, when the call is up; default is the language's own, null waits for the caller."""
    filler: str | None = "default"
    """Said when an answer takes longer than 2.4 s; default is the language's own, null waits in silence."""


class AudioSection(BaseModel):
    """The sound that is sent."""

    model_config = STRICT

    bit_rate: int = 48_000
    """Opus bits per second of the agent's voice at most; where packets get lost, less and with FEC."""
    enable_thinking_sound: bool = True
    """Whether an agent that has worked for 0.7 s is heard to work: silence sounds like a broken line."""
    thinking_sound: str = "soft_ticks"
    """What that sounds like: soft_ticks, pulse, breath, or a sound file to be looped."""
    thinking_volume: float = 0.3
    """Its loudness, 0 to 1; 0.3 is some 18 dB below a voice, there and not in the way."""
    enable_ambient: bool = False
    """Whether calls lie on a bed of sound; off, for it costs an encoder that never rests."""
    ambient_sound: str = "room"
    """What that sounds like: room, office, rain, or a sound file to be looped."""
    ambient_volume: float = 0.1
    """Its loudness, 0 to 1; 0.1 is 20 dB below a voice."""


class LimitsSection(BaseModel):
    """How much is taken on, and how long is waited."""

    model_config = STRICT

    max_calls: int = 32
    """Calls at a time; a further one is refused with 503. One core holds about this many."""
    max_turn: float = 30.0
    """Seconds after which a turn is ended although the user still speaks: recognizers need a bound."""
    final_timeout: float = 6.0
    """Seconds to wait for the final transcript after a turn: more than the slowest service's p99."""
    max_requests: int = 64
    """Requests at a time that one provider is sent; the next ones wait for half a second, then the engine
    behind it is asked. A call has at most three, and services limit how many an account may have."""
    reply_timeout: float = 12.0
    """Seconds until the first sound of a reply; later the user hears an apology instead."""


class JournalSection(BaseModel):
    """The flight recorder: what voicertc replay reads."""

    model_config = STRICT

    dir: FilePath | None = None
    """Directory for one journal per session, spoken words included; null keeps the last events in memory."""
