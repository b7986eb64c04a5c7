"""A real Chromium for tests: commands to ``call.mjs``, and what it answers, as values."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent


class ChromiumError(AssertionError):
    """A command could not be carried out; the message holds what the page showed at that time."""


class Chromium:
    """One browser with one page, closed at the end of its ``with``.

    ``wav`` is what the microphone hears, once, from the moment it is opened; ``microphone`` is ``allow`` or
    ``deny``, or ``none`` for a machine without one; ``setup`` is JavaScript that runs before the page's own.
    """

    def __init__(
        self,
        url: str,
        *,
        wav: Path | None = None,
        microphone: str = "allow",
        flags: Sequence[str] = (),
        setup: str | None = None,
        view: Mapping[str, object] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            ["node", str(HERE / "call.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # so that it can be killed with all of its children
        )
        self._options = {
            "url": url,
            "wav": str(wav) if wav else None,
            "microphone": microphone,
            "flags": list(flags),
            "setup": setup,
            "view": view,
        }

    def __enter__(self) -> Self:
        try:
            self._ask("open", self._options, within=30)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def click(self, selector: str) -> None:
        """Click as soon as it can be clicked."""
        self._ask("click", selector)

    def type(self, words: str, into: str = "#text") -> None:
        """Write into a text field and press Enter."""
        self._ask("type", into, words)

    def press(self, key: str) -> None:
        """Press a key."""
        self._ask("press", key)

    def until(self, condition: str, within: float = 15) -> None:
        """Wait for a JavaScript expression to become true, ``within`` seconds."""
        try:
            self._ask("until", condition, within, within=within + 10)
        except ChromiumError as error:
            shown = json.dumps(self.page(), indent=1)
            raise ChromiumError(f"{error}\nThe page shows: {shown}\nFaults: {self.faults()}") from None

    def until_state(self, *states: str, within: float = 15) -> None:
        """Wait for the page to be in one of these states."""
        self.until(f"{json.dumps(states)}.includes(document.body.dataset.state)", within)

    def until_event(self, kind: str, *, count: int = 1, within: float = 15) -> None:
        """Wait for the server to have sent ``count`` events of a type."""
        self.until(f"ears.heard.received.filter(([, e]) => e.type === {kind!r}).length >= {count}", within)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self._ask("evaluate", expression)

    def page(self) -> dict[str, Any]:
        """Return what the page shows (``ears.mjs``: ``readPage``)."""
        shown: dict[str, Any] = self._ask("page")
        return shown

    def heard(self) -> dict[str, Any]:
        """Return what was heard and said on the wire (``ears.mjs``: ``Heard``)."""
        heard: dict[str, Any] = self._ask("heard")
        return heard

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the server's events, of one type or all."""
        return [event for _, event in self.heard()["received"] if kind in (None, event["type"])]

    def faults(self) -> list[str]:
        """Return the console's errors and warnings, and uncaught exceptions."""
        faults: list[str] = self._ask("faults")
        return faults

    def requests(self) -> list[str]:
        """Return all requests as ``METHOD path status``."""
        requests: list[str] = self._ask("requests")
        return requests

    def screenshot(self, path: Path) -> None:
        """Write a PNG."""
        self._ask("screenshot", str(path))

    def leave(self) -> None:
        """Go to another page, as a person who closes the tab does."""
        self._ask("leave")

    def open_tab(self) -> None:
        """Open the page once more; from now on that tab is meant."""
        self._ask("tab")

    def _ask(self, name: str, *values: object, within: float = 20) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, *values]) + "\n")
        answer = json.loads(self._line(time.monotonic() + within, name))
        if "error" in answer:
            raise ChromiumError(answer["error"])
        return answer["value"]

    def _line(self, deadline: float, name: str) -> str:
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(deadline - time.monotonic()):
                raise ChromiumError(f"no answer to {name!r} in time")
        line = self._process.stdout.readline()
        if not line:
            raise ChromiumError(f"the browser is gone, in {name!r}")
        return line

    def _close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        finally:
            self._process.stdout.close()
