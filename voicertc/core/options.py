"""What can be chosen about a conversation: by the operator once, by the client at any time.

``ConversationOptions`` are the operator's and fixed for a session. ``SessionOptions`` are the part of the
OpenAI Realtime session object that changes behaviour; the wire merges ``session.update`` into them. All
lengths of time are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .items import Modality


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """When the user's turn begins and ends (OpenAI Realtime: ``turn_detection``)."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    """Which detector the client asked for; ``semantic_vad`` maps its eagerness onto ``silence``."""
    threshold: float = 0.5
    """Activation threshold 0–1 that the client asked for; 0.5 leaves the server's own thresholds."""
    prefix_padding: float = 0.3
    """Seconds of audio before the detected start that count as part of the turn."""
    silence: float = 0.5
    """Seconds without speech, counted from the last speech frame, that end a turn."""
    create_response: bool = True
    """Whether a turn is answered without being asked to."""
    interrupt_response: bool = True
    """Whether speech may interrupt a reply."""
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """How soon ``semantic_vad`` ends a turn."""
    idle_timeout: float | None = None
    """Seconds of silence after a reply until the agent is asked to say something more; ``None``: never."""


@dataclass(frozen=True, slots=True)
class NoiseReduction:
    """How the user's sound is cleaned before anything listens to it."""

    type: Literal["near_field", "far_field"] = "near_field"
    """Where the microphone is: at the mouth (headset), or somewhere in the room (laptop)."""
    strength: float = 1.0
    """How much of it, 0–1."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client runs when the agent calls it (OpenAI Realtime: a ``function`` tool)."""

    name: str
    description: str = ""
    parameters: str = "{}"
    """JSON Schema of its arguments, as JSON text."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may, must not or must be called; ``name``: this one must be."""

    mode: Literal["auto", "none", "required", "function"] = "auto"
    name: str | None = None


AudioFormat = Literal["pcm16", "pcmu", "pcma"]
"""How a WebSocket client's audio is coded: 16-bit little-endian at 24 kHz, or G.711 at 8 kHz; always mono."""

BYTES_PER_SECOND: dict[AudioFormat, int] = {"pcm16": 48_000, "pcmu": 8_000, "pcma": 8_000}
"""How much of it a second of sound is."""


ThinkingSound = Literal["default", "soft_ticks", "pulse", "breath"]
"""A sound for while the agent works; ``default`` is the operator's choice, which may be a file."""
AmbientSound = Literal["default", "room", "office", "rain"]
"""A sound beneath the whole call; ``default`` as above."""


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """What is heard beside the voice, over WebRTC: a client that plays for itself mixes for itself.

    Sounds go by name only: a client that could name a file would read the server's disk.
    """

    enable_thinking_sound: bool = True
    """Whether an agent that has worked for 0.7 s is heard to work: silence sounds like a broken line."""
    thinking_sound: ThinkingSound = "default"
    """What that sounds like."""
    thinking_volume: float = 0.3
    """How loud it is, 0–1; 0.3 is some 18 dB below a voice, there and not in the way."""
    enable_ambient: bool = False
    """Whether the call lies on a bed of sound; off, for it costs an encoder that never rests."""
    ambient_sound: AmbientSound = "default"
    """What that sounds like."""
    ambient_volume: float = 0.1
    """How loud it is, 0–1; 0.1 is 20 dB below a voice."""


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a client may choose for its session (OpenAI Realtime: the session object)."""

    model: str = "voicertc"
    """The model name the client asked for; it is echoed and chooses nothing here."""
    instructions: str = ""
    """The system prompt the agent is given."""
    output: Modality = Modality.AUDIO
    """Whether replies are spoken or only written."""
    voice: str = "default"
    """The voice's name, in the speech provider's own words; ``default`` is the provider's first choice."""
    speed: float = 1.0
    """Speaking rate as a factor, 0.25–1.5."""
    language: str | None = None
    """ISO 639-1 code of the user's language, if the client named it."""
    transcription_model: str | None = "voicertc"
    """The recognizer's name the client asked for; ``None`` hides transcripts of the user's speech."""
    transcription_prompt: str = ""
    """Words the recognizer should expect."""
    turn_detection: TurnDetection | None = field(default_factory=TurnDetection)
    """How turns are found; ``None`` is push-to-talk."""
    noise_reduction: NoiseReduction | None = None
    """How noise is taken out of the user's sound; ``None``: not at all."""
    is_transcription: bool = False
    """Whether the session only writes down what it hears, and never replies; fixed for a session."""
    tools: tuple[Tool, ...] = ()
    """Functions the agent may call and the client runs."""
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    """Whether the agent may, must not or must call one."""
    max_output_tokens: int | None = None
    """Tokens a language model may spend on one reply; ``None``: as many as it takes."""
    engine: str = "cascade"
    """Who makes replies: the cascade (recognizer, agent, voice), or a speech-to-speech service by name."""
    input_format: AudioFormat = "pcm16"
    """How audio that a client appends is coded; over WebRTC it says nothing."""
    output_format: AudioFormat = "pcm16"
    """How audio is coded that a client is sent as events; over WebRTC it says nothing."""
    sounds: SoundOptions = field(default_factory=SoundOptions)
    """What is heard beside the voice."""

    @property
    def answers_sound(self) -> bool:
        """Whether replies are made of the user's sound itself, so that nobody waits for its words."""
        return self.engine != "cascade"


@dataclass(frozen=True, slots=True)
class EndpointingOptions:
    """Deciding that a turn is over, and what happens when nothing comes of it."""

    eager_silence: float | None = None
    """Seconds of silence after which an answer is prepared on the guess that the turn is over; it is heard
    only when it is. ``None``: nothing is begun before."""
    is_agent_guessing: bool = True
    """Whether the agent, too, may be asked on a guess; else only the recognizer is. The agent's to say."""
    max_turn: float = 30.0
    """Seconds after which a turn is ended although the user still speaks: recognizers need a bound."""
    final_timeout: float = 6.0
    """Seconds to wait for the final transcript after a turn: more than the slowest service's p99."""
    reply_timeout: float = 12.0
    """Seconds until the first sound of a reply; later the user hears an apology instead."""


@dataclass(frozen=True, slots=True)
class InterruptionOptions:
    """When speech over a reply is a barge-in, and what happens when it was not."""

    enabled: bool = True
    """Whether the user may interrupt at all; the client can switch it off for its session too."""
    min_speech: float = 0.4
    """Seconds from the hold to a claim to the floor: a cough is over, and known to be, by then."""
    min_confidence: float = 0.5
    """What a recognizer must say of words shorter than that, for them to be a claim all the same."""
    resume_after: float = 1.0
    """Seconds after the last sound of a false interruption until the reply goes on."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """What the server says on its own account, in the caller's language."""

    greeting: str | None = "Hello, I am voicertc. How can I help you?"
    """Said first, when the call is up; ``None`` waits for the user."""
    not_heard: str = "Sorry, I did not catch that."
    """Said when no words were found in what was meant as some."""
    busy: str = "Sorry, I am busy with other callers. Please try again in a moment."
    """Said when every recognizer is taken."""
    apology: str = "Sorry, something went wrong. Please try again."
    """Said when a turn could not be recognized, or a reply failed before it could be heard."""
    waiting: str | None = "One moment, please."
    """Said when an answer takes its time; ``None``: the caller waits in silence."""
    still_waiting: str | None = "I am still working on it."
    """Said when it takes longer still, every few seconds."""

    def all(self) -> tuple[str, ...]:
        """Return whatever may have to be said."""
        may_be_said = (
            self.greeting,
            self.not_heard,
            self.busy,
            self.apology,
            self.waiting,
            self.still_waiting,
        )
        return tuple(phrase for phrase in may_be_said if phrase)


@dataclass(frozen=True, slots=True)
class ConversationOptions:
    """The operator's choices for one conversation, fixed while it lasts."""

    endpointing: EndpointingOptions = field(default_factory=EndpointingOptions)
    interruptions: InterruptionOptions = field(default_factory=InterruptionOptions)
    phrases: Phrases = field(default_factory=Phrases)
    backchannels: tuple[str, ...] = ()
    """Words that make no claim to the floor, in lower case, from the language's data."""
    greeting_delay: float = 0.4
    """Seconds a greeting waits for what the client does first: set up its session, say or ask something."""
    max_queued_says: int = 8
    """Utterances waiting for the floor (timers, ``session.say``); the oldest is dropped beyond it."""
    is_client_paced: bool = False
    """Whether the client plays replies at its own pace (WebSocket); the transport's choice, nobody else's."""
    max_asides: int = 8
    """Written replies outside the conversation at once; more are refused."""
    max_recordings: int = 16
    """Items of recorded speech whose words are due at once; more are refused, for each has a recognition."""
    max_items: int = 2000
    """Items kept in the history; the oldest is dropped beyond it, so that memory is flat."""
    max_characters: int = 4_000_000
    """Characters of their texts kept in all: what a client adds may be large."""
