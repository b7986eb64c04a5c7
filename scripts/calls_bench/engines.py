"""Which engines hear, think and speak in a benchmark, and how long the fake services behind them take."""

from __future__ import annotations

from dataclasses import asdict, dataclass

STAGES = ("stt", "llm", "tts")
SETS: dict[str, tuple[str, ...]] = {
    "chat": ("openai-file", "openai-chat", "openai-speech"),
    "streaming": ("openai-live", "openai-responses", "openai-reader"),
    "speech": ("openai-realtime",),
    "local": ("pocketsphinx", "offline", "espeak"),
}
"""By name: recognizer, language model and voice; or the one engine that is all three (speech to speech).

A set can be spelled out as well: ``openai-live+openai-responses+openai-speech``.
"""


@dataclass(frozen=True, slots=True)
class Delays:
    """What the services take, in seconds: from the end of a turn to its text, to the first token, to the
    first sound of a clause."""

    recognition: float
    first_token: float
    first_audio: float

    def critical_path(self, engines: tuple[str, ...]) -> float:
        """Return what nobody can save: all three in a row, or what a speech-to-speech service takes.

        Such a service needs no text to answer, so its words may come when they like.
        """
        own = self.first_token + self.first_audio
        return own if len(engines) == 1 else self.recognition + own

    def as_fields(self) -> dict[str, float]:
        """Return it as JSON values, for ``fakes``."""
        return asdict(self)


FIXED = Delays(0.15, 0.2, 0.12)
"""Those of all earlier measurements of this project, and of those of other servers."""
REALISTIC = Delays(0.2, 0.25, 0.1)
"""Good services' medians."""


def named(name: str) -> tuple[str, ...]:
    """Return a set of engines; raises ``ValueError`` if there is none of this name."""
    engines = SETS.get(name) or tuple(name.split("+"))
    if len(engines) not in (1, len(STAGES)) or (len(engines) == 1 and name not in SETS):
        raise ValueError(f"{name!r} is none of {', '.join(SETS)}, and no recognizer+model+voice either")
    return engines


def needs_fake(engines: tuple[str, ...]) -> bool:
    """Whether any of them asks OpenAI."""
    return any(engine.startswith("openai") for engine in engines)


def environment(engines: tuple[str, ...], base_url: str, api_key: str) -> dict[str, str]:
    """Return the settings with which a server uses these engines; the rest but the greeting is default."""
    chosen = {"VOICERTC_AGENT__GREETING": "null"}
    if len(engines) == 1:
        chosen["VOICERTC_AGENT__ENGINE"] = engines[0]
    else:
        pairs = zip(STAGES, engines, strict=True)
        chosen |= {f"VOICERTC_{stage.upper()}__ENGINE": engine for stage, engine in pairs}
    if needs_fake(engines):
        chosen |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": api_key}
    return chosen
