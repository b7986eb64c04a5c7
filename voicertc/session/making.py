"""How far one reply has been made: what ``speaking`` keeps of each that is being made or heard."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..core.items import Modality
from ..core.replies import ReplyRequest


@dataclass(slots=True)
class Making:
    """One reply: ``n_samples`` of it in all, and the clause at work. Owned by ``Speaking``.

    A clause is numbered and told of once it has sound; a silent one never was.
    """

    request: ReplyRequest
    task: asyncio.Task[None] | None = None
    bridge: asyncio.Task[None] | None = None
    """Says a filler."""
    mouth: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who has begun a clause, so that no filler gets into its middle."""
    n_samples: int = 0
    index: int = -1
    text: str = ""
    start: int = 0
    has_sound: bool = False
    is_filler: bool = False
    marks: list[tuple[int, int]] = field(default_factory=list)
    """Where words lie that nobody has been told of yet."""
    cut_short: str | None = None
    is_told: bool = False
    """Whether the core knows that there will be no more of it."""
    is_drained: bool = False
    hunger: asyncio.TimerHandle | None = None
    """Runs while playout is empty in the middle of the reply."""
    is_starved: bool = False

    @property
    def is_spoken(self) -> bool:
        """Whether it is to be heard."""
        return self.request.output is Modality.AUDIO

    def stop(self) -> None:
        """Nothing more of it is wanted."""
        self.feed()
        for task in (self.task, self.bridge):
            if task:
                task.cancel()

    def feed(self) -> None:
        """Playout is empty no more, or it does not matter."""
        if self.hunger:
            self.hunger.cancel()
            self.hunger = None

    def open_clause(self, text: str, *, is_filler: bool = False) -> None:
        """The sound that follows is that of ``text``."""
        self.text, self.start, self.is_filler = text, self.n_samples, is_filler
        self.has_sound = False
        self.marks.clear()

    def move_clause(self, n_samples: int) -> None:
        """Let the clause begin so much later, behind silence."""
        self.n_samples += n_samples
        self.start += n_samples
