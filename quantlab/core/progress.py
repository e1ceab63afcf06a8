"""Progress without a display; the visible kinds live where something is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class _SilentStage:
    def advance(self, steps: float = 1.0) -> None:
        """Show nothing."""

    def set_remark(self, text: str) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class SilentProgress:
    """Shows nothing; for tests, worker processes and pipes."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[_SilentStage]:
        yield _SilentStage()
