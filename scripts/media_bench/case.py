"""How a case is measured, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from .material import Material

Result = dict[str, Any]
"""What came of a case, as JSON has it. Keys end in their unit."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """``kind`` is whose server is measured, ``our`` or ``stock``; ``n_calls`` and ``seconds`` take the place
    of a case's own. ``directory`` holds the material, ``clips`` recordings with their words, if any.
    """

    kind: str
    is_quick: bool
    directory: Path
    clips: Path | None = None
    n_calls: int | None = None
    seconds: float | None = None

    def pick(self, quick: _T, full: _T) -> _T:
        """Return what suits the time there is."""
        return quick if self.is_quick else full

    @cached_property
    def material(self) -> Material:
        """What is said."""
        return Material.load(self.directory)
