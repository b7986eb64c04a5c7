"""Takes the README's picture: ``python -m tests.browser.screenshot`` writes ``docs/page.png``.

A real call to the real server: a question, a story, and an interruption.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from .chromium import Chromium
from .server import Server
from .sound import spoken, write_microphone

PICTURE = Path(__file__).parents[2] / "docs" / "page.png"
VIEW = {"size": {"width": 1000, "height": 960, "deviceScaleFactor": 2}}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        questions = ["what time is it", "tell me a long story", "what is two plus two"]
        question, wish, other = (spoken(text, directory) for text in questions)
        wav = write_microphone(directory / "mic.wav", [4.0, question, 6.0, wish, 7.0, other, 5.0])
        with (
            Server(directory / "log", "agent.greeting=Hello.") as server,
            Chromium(server.url, wav=wav, view=VIEW) as chromium,
        ):
            chromium.click("#start")
            chromium.until("document.querySelector('.assistant.cut .unheard')?.textContent", within=40)
            chromium.until("document.querySelectorAll('.assistant').length === 4", within=15)
            chromium.until_state("speaking")
            chromium.until("Number(document.documentElement.style.getPropertyValue('--agent')) > 0.6")
            PICTURE.parent.mkdir(exist_ok=True)
            chromium.screenshot(PICTURE)


if __name__ == "__main__":
    main()
