"""What every provider and every engine must do, whoever made it: suites of tests to inherit from.

    from voicertc.testing.contracts.text_to_speech import TextToSpeechContract

    class TestMyVoice(TextToSpeechContract):
        @pytest.fixture
        async def voice(self): ...yield a started provider, close it...

They need pytest and pytest-asyncio in its auto mode: ``pip install voicertc[testing]``. Fixtures that a
suite declares are abstract: one that is forgotten fails, it does not pass silently. Attributes of the class
say what a kind of provider cannot do by its nature. Every wait has the deadline ``rules.LIMIT``, so a hang is
a failure; no test measures the machine's speed, but for one that notices a blocked event loop
(``event_loop``). ``docs/providers.md`` is the guide.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("event_loop", "language_model", "provider", "reply_engine", "rules")),
    *(f"{__name__}.{name}" for name in ("speech_to_text", "text_to_speech", "turns")),
)
