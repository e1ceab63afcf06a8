"""Ports of a long job's progress display."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

#: Takes the share of a piece of work that is done, 0 .. 1, never falling.
ProgressCallback = Callable[[float], None]


class Stage(Protocol):
    """One running stage of a long job."""

    def advance(self, steps: float = 1.0) -> None:
        """Say that `steps` more of the stage's total are done."""
        ...

    def set_remark(self, text: str) -> None:
        """Show a remark beside the stage, in place of the last one."""
        ...


class Progress(Protocol):
    """Shows what a long job is doing and how long it will take."""

    def stage(self, name: str, total: float) -> AbstractContextManager[Stage]:
        """Open a stage of `total` steps; closing it removes or completes its bar."""
        ...
