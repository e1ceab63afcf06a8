"""Progress of a job on the terminal."""

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
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from quantlab.jobs.output.compilation import watch_compilation
from quantlab.jobs.output.console import stderr_console

_log = logging.getLogger(__name__)


@dataclass
class _Bar:
    progress: Progress
    task: TaskID
    remark: str = ""

    def advance(self, steps: float = 1.0) -> None:
        self.progress.advance(self.task, steps)

    def set_remark(self, text: str) -> None:
        self.remark = text
        self.progress.update(self.task, remark=text)

    def set_compiling(self, now: bool) -> None:
        self.progress.update(self.task, remark="compiling" if now else self.remark)


@dataclass
class TerminalProgress:
    """A bar with time left for every stage on a terminal; one line per finished stage elsewhere.

    Where a kernel has to be compiled, a line says so as it begins, once, and the end of the stage how long it took.
    """

    console: Console = field(default_factory=stderr_console)
    compilation_announced: bool = field(default=False, init=False)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[_Bar]:
        """Open a stage; its duration is logged when it ends."""
        started = time.monotonic()
        # Steps of a stage can be minutes apart.
        with progress_display(self.console, SpinnerColumn(), speed_window_s=3600.0) as progress:
            bar = _Bar(progress, progress.add_task(name, total=total))
            with watch_compilation(lambda sentence: self._show_compilation(bar, sentence)) as compilation:
                yield bar
        seconds = time.monotonic() - started
        _log.info("%s: %.1f s", name, seconds)
        remark = f" {bar.remark}" if bar.remark else ""
        took = f"{seconds:.1f} s{compilation.share}"
        self.console.print(Text.assemble(("done", "green"), f" {name}{remark} ", (took, "dim")))

    def _show_compilation(self, bar: _Bar, sentence: str) -> None:
        bar.set_compiling(bool(sentence))
        if sentence and not self.compilation_announced:
            self.compilation_announced = True
            self.console.print(Text(sentence, style="yellow"), soft_wrap=True)


class _StageColumn(ProgressColumn):
    """Name and remark of a stage, as they are: a text column would read ``[...]`` in them as markup."""

    def render(self, task: Task) -> Text:
        remark = task.fields.get("remark", "")
        return Text.assemble(task.description, (f" {remark}" if remark else "", "dim"), no_wrap=True)


def progress_display(console: Console, *first: ProgressColumn, speed_window_s: float = 30.0) -> Progress:
    """Build bars with counts and times; nothing is shown where `console` is no terminal, and nothing stays at the end.

    Parameters
    ----------
    console : Console
    *first : ProgressColumn
        Columns before the description.
    speed_window_s : float
        Seconds of the past that the time left is estimated from.
    """
    return Progress(
        *first,
        _StageColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", style="dim", markup=False),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=speed_window_s,
        transient=True,
        disable=not console.is_terminal,
    )
