"""Where the conversation's parts put their orders while one event is handled."""

from __future__ import annotations

from .commands import Command, Publish
from .facts import Fact


class Outbox:
    """Collects commands in order; emptied once per event by the ``Conversation``."""

    def __init__(self) -> None:
        self._commands: list[Command] = []

    def order(self, command: Command) -> None:
        """Order the session to do something."""
        self._commands.append(command)

    def publish(self, fact: Fact) -> None:
        """Tell every wire."""
        self._commands.append(Publish(fact))

    def take(self) -> list[Command]:
        """Return what has been collected, and begin anew."""
        commands, self._commands = self._commands, []
        return commands
