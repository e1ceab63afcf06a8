"""Progress bars of a collection: one in total, and one for every symbol under way."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import TaskID
from rich.text import Text

from quantlab.jobs.output.console import stderr_console
from quantlab.jobs.output.terminal import progress_display

_log = logging.getLogger(__name__)
#: Symbols shown at once: those that moved last.
_SHOWN = 8


class CollectProgressBars:
    """A :class:`~quantlab.core.ports.CollectProgress` for a terminal; one line at the end elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or stderr_console()
        self._progress = progress_display(self._console)
        self._total = self._progress.add_task("all symbols", total=None)
        self._tasks: dict[str, TaskID] = {}
        self._recent: list[str] = []
        self._started = time.monotonic()

    @property
    def console(self) -> Console:
        """The console that the bars are shown on."""
        return self._console

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        seconds, done = time.monotonic() - self._started, self._progress.tasks[0].completed
        _log.info("collect: %.0f steps in %.1f s", done, seconds)
        word = ("done", "green") if error is None else ("stopped", "red")
        self._console.print(Text.assemble(word, f" collect: {done:.0f} steps ", (f"{seconds:.1f} s", "dim")))

    def plan(self, steps: Mapping[str, int]) -> None:
        """A bar for every symbol, shown once it moves."""
        self._progress.update(self._total, total=sum(steps.values()))
        for symbol, count in steps.items():
            self._tasks[symbol] = self._progress.add_task(symbol, total=count, visible=False)

    def advance(self, symbol: str) -> None:
        """Move the symbol's bar and the total; the bar that moved longest ago makes room."""
        self._progress.advance(self._total)
        task = self._tasks[symbol]
        self._progress.update(task, advance=1, visible=True)
        self._recent = [name for name in self._recent if name != symbol] + [symbol]
        for name in self._recent[:-_SHOWN]:
            self._progress.update(self._tasks[name], visible=False)
        self._recent = self._recent[-_SHOWN:]
