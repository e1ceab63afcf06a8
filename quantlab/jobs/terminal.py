"""What a person sees while a job runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_log = logging.getLogger(__name__)


@dataclass
class _Bar:
    progress: Progress
    task: TaskID

    def advance(self, steps: float = 1.0) -> None:
        self.progress.advance(self.task, steps)


@dataclass
class TerminalProgress:
    """A bar with time left for every stage on a terminal; one line per finished stage elsewhere."""

    console: Console = field(default_factory=lambda: Console(stderr=True))

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[_Bar]:
        """Open a stage; its duration is logged when it ends."""
        started = time.monotonic()
        with _bars(self.console) as progress:
            yield _Bar(progress, progress.add_task(name, total=total))
        seconds = time.monotonic() - started
        _log.info("%s: %.1f s", name, seconds)
        self.console.print(f"[green]done[/] {name} [dim]{seconds:.1f} s[/]", highlight=False)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]left[/]"),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=3600.0,  # steps of a stage can be minutes apart
        transient=True,
        disable=not console.is_terminal,
    )
