"""What an operator may choose, from flags, ``VOICERTC_…`` variables and a YAML file, checked as one.

settings = Settings.load(Path("voicertc.yaml"))      # raises SettingsError with all mistakes

flags ─┐
env   ─┼─ layers.py: trees of values, each with its place ── settings.py: merged (pydantic-settings)
file  ─┘  file.py: YAML and ${VAR}                             │
          schema.py: which keys there are                      ├─ mistakes.py: types, in plain words
          sections.py: the keys themselves                     ├─ checks.py: bounds and contradictions
                                                                └─ engines.py: which engines there are
"""

from .engines import Stage
from .sections import (
    AgentSection,
    AudioSection,
    JournalSection,
    LimitsSection,
    LlmSection,
    OpenAISection,
    ServerSection,
    SttSection,
    TtsSection,
    TurnDetectionSection,
)
from .settings import Settings

__all__ = [
    "AgentSection",
    "AudioSection",
    "JournalSection",
    "LimitsSection",
    "LlmSection",
    "OpenAISection",
    "ServerSection",
    "Settings",
    "Stage",
    "SttSection",
    "TtsSection",
    "TurnDetectionSection",
]
