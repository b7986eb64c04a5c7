"""``Settings``: one frozen value made of flags, environment, file and defaults, in this order of strength."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .. import languages
from ..audio.speech_bounds import VadOptions
from ..core.options import (
    ConversationOptions,
    EndpointingOptions,
    InterruptionOptions,
    Phrases,
    SessionOptions,
    SoundOptions,
    TurnDetection,
)
from ..errors import SettingsError
from ..logs import LoggingOptions
from ..providers.openai_address import at_openai
from ..providers.secret import Secret
from ..rtc.peer import RtcOptions
from ..rtc.turn_credentials import ClientIceServers
from . import sections
from .checks import find_mistakes
from .engines import Stage, automatic, of_openai
from .file import read_file
from .layers import Layer, read_environment, read_flags
from .mistakes import place, sentence
from .schema import Path as KeyPath
from .schema import annotation_at, is_section


class Settings(BaseSettings):
    """Everything an operator may choose; nothing else in the program reads environment or files.

    ``Settings.load`` reads all sources and checks everything. Built in code (``Settings()``), it holds the
    defaults and what it is given, and reads nothing.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    server: sections.ServerSection = Field(default_factory=sections.ServerSection)
    rtc: sections.RtcSection = Field(default_factory=sections.RtcSection)
    openai: sections.OpenAISection = Field(default_factory=sections.OpenAISection)
    stt: sections.SttSection = Field(default_factory=sections.SttSection)
    llm: sections.LlmSection = Field(default_factory=sections.LlmSection)
    tts: sections.TtsSection = Field(default_factory=sections.TtsSection)
    vad: sections.VadSection = Field(default_factory=sections.VadSection)
    turn_detection: sections.TurnDetectionSection = Field(default_factory=sections.TurnDetectionSection)
    interruptions: InterruptionOptions = Field(default_factory=InterruptionOptions)
    agent: sections.AgentSection = Field(default_factory=sections.AgentSection)
    audio: sections.AudioSection = Field(default_factory=sections.AudioSection)
    limits: sections.LimitsSection = Field(default_factory=sections.LimitsSection)
    logging: LoggingOptions = Field(default_factory=LoggingOptions)
    journal: sections.JournalSection = Field(default_factory=sections.JournalSection)

    @staticmethod
    def load(
        path: Path | None = None,
        *,
        flags: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the file at ``path``, ``environ`` (the process's) and ``flags`` (``{"server.port": 8080}``).

        Raises ``SettingsError`` with every mistake of every source, one plain sentence for each.
        """
        environ = os.environ if environ is None else environ
        layers = [read_flags(flags or {}, Settings), read_environment(environ, Settings)]
        if path is not None:
            layers.append(read_file(path, environ, Settings))
        mistakes = [mistake for layer in layers for mistake in layer.mistakes]
        settings, wrong = _parsed(layers, mistakes)
        for key, problem in find_mistakes(settings, wrong):
            mistakes.append(f"{place(tuple(key.split('.')), layers)}: {problem}")
        if mistakes:
            raise SettingsError(sorted(mistakes, key=_line))
        return settings

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: ``load`` puts the sources in."""
        return (init_settings,)

    def engines(self, stage: Stage) -> tuple[str, ...]:
        """Return the engines of a stage, best first, with ``auto`` and ``openai`` decided."""
        names: tuple[str, ...] = getattr(self, stage).engine
        key, base_url = self.openai_access(stage)
        is_openai = at_openai(base_url)
        if names == ("auto",):
            has_access = key is not None or base_url is not None
            names = automatic(stage, has_access=has_access, is_openai=is_openai)
        named = (of_openai(stage, is_openai=is_openai) if name == "openai" else name for name in names)
        return tuple(dict.fromkeys(named))

    def openai_access(self, stage: Stage) -> tuple[Secret | None, str | None]:
        """Return key and base URL for a stage: its own, else those of the section ``openai``.

        A stage with a base URL of its own does not inherit the key: it belongs to another server.
        """
        section = getattr(self, stage)
        if section.base_url is not None:
            return section.api_key, section.base_url
        return section.api_key or self.openai.api_key, self.openai.base_url

    def secrets(self) -> tuple[str, ...]:
        """Return every key and password in use, for ``logs.setup`` to mask."""
        own = (section.api_key for section in (self.openai, self.stt, self.llm, self.tts))
        keys = (*own, *self.server.api_keys, self.rtc.turn_secret)
        servers = (*self.rtc.ice_servers, *self.rtc.client_ice_servers)
        credentials = (server.credential for server in servers)
        return (*(key.reveal() for key in keys if key), *(secret for secret in credentials if secret))

    def rtc_options(self) -> RtcOptions:
        """Return how peers connect. Raises ``ValueError`` for values that ``load`` would have refused."""
        known = {field.name for field in fields(RtcOptions)}
        return RtcOptions(**{key: value for key, value in self.rtc if key in known})

    def client_ice_servers(self) -> ClientIceServers:
        """Return the STUN and TURN servers that clients are told."""
        secret = self.rtc.turn_secret
        return ClientIceServers(
            self.rtc.client_ice_servers,
            turn_secret=secret.reveal() if secret else None,
            turn_ttl=self.rtc.turn_ttl,
        )

    def vad_options(self) -> VadOptions:
        """Return what counts as speech. Raises ``SettingsError`` for what ``load`` would have refused."""
        return VadOptions(**dict(self.vad))

    def session_options(self) -> SessionOptions:
        """Return what a session begins with, before its client chooses."""
        audio = self.audio
        return SessionOptions(
            engine=self.agent.engine,
            instructions=self.agent.instructions,
            voice=self.tts.voice,
            speed=self.tts.speed,
            language=self.stt.language,
            transcription_prompt=self.stt.prompt,
            turn_detection=TurnDetection(
                prefix_padding=self.turn_detection.prefix_padding, silence=self.turn_detection.silence
            ),
            sounds=SoundOptions(
                enable_thinking_sound=audio.enable_thinking_sound,
                thinking_volume=audio.thinking_volume,
                enable_ambient=audio.enable_ambient,
                ambient_volume=audio.ambient_volume,
            ),
        )

    def conversation_options(self) -> ConversationOptions:
        """Return the operator's choices for a conversation."""
        code = self.stt.language
        language = languages.get(code if code in languages.known() else "en")
        greeting = language.greeting if self.agent.greeting == "default" else self.agent.greeting
        filler = language.waiting if self.agent.filler == "default" else self.agent.filler
        limits = self.limits
        is_slow = self.engines("stt")[0] == "pocketsphinx"
        return ConversationOptions(
            endpointing=EndpointingOptions(
                eager_silence=None if is_slow else self.turn_detection.eager_silence,
                max_turn=limits.max_turn,
                final_timeout=limits.final_timeout,
                reply_timeout=limits.reply_timeout,
            ),
            interruptions=self.interruptions,
            phrases=Phrases(
                greeting=greeting,
                not_heard=language.not_heard,
                busy=language.busy,
                apology=language.apology,
                waiting=filler,
                still_waiting=language.still_waiting,
            ),
            backchannels=language.backchannels,
        )


def _line(mistake: str) -> float:
    """Order mistakes as an editor shows the file; those of flags and variables come after."""
    found = re.search(r" line (\d+)\)?:", mistake)
    return int(found.group(1)) if found else math.inf


class _LayerSource(PydanticBaseSettingsSource):
    """One layer as pydantic-settings wants it."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:
        """Return one section (the base class demands it; ``__call__`` is what is used)."""
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all this layer says."""
        return self._layer.values


def _parsed(layers: Sequence[Layer], mistakes: list[str]) -> tuple[Settings, frozenset[str]]:
    """Merge ``layers``, strongest first; a value of the wrong type is told and left out, so the rest is read.

    Returns the settings and the keys that were left out.
    """

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_LayerSource(settings_cls, layer) for layer in layers)

    wrong: set[str] = set()
    while True:
        try:
            loaded = Loaded()
        except ValidationError as error:
            # One sentence for a key shows the place, however many things pydantic has against its value.
            refused = {_key_path(details): details for details in reversed(error.errors(include_url=False))}
            for path, details in reversed(refused.items()):
                mistakes.append(sentence(details, path, Settings, layers))
                wrong.add(".".join(path))
                dropped = [layer.drop(path) for layer in layers]
                assert any(dropped), f"nobody said {path}"
        else:
            sections_read = {name: getattr(loaded, name) for name in Settings.model_fields}
            return Settings(**sections_read), frozenset(wrong)


def _key_path(details: ErrorDetails) -> KeyPath:
    """Return the key an error belongs to: pydantic's location without what lies inside the value."""
    path: KeyPath = ()
    annotation: object = Settings
    for part in details["loc"]:
        if not is_section(annotation):
            break
        path = (*path, str(part))
        annotation = annotation_at(Settings, path)
    return path
