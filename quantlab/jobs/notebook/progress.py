"""Progress in a notebook: one line per stage, with a bar while it lasts.

Plain HTML in a display that is updated in place: no widgets, so that every front end shows it, a notebook
executed without one keeps one line of text per stage, and nothing is left to break in a saved file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from quantlab.core.ports import Progress
from quantlab.jobs.output.terminal import TerminalProgress

_log = logging.getLogger(__name__)

#: A browser need not draw a bar more often.
_SECONDS_BETWEEN = 0.2
_STYLE = "font:13px system-ui,sans-serif;opacity:.8"


def progress_here() -> Progress:
    """The progress that suits the place: a notebook's inside a Jupyter kernel, else the terminal's."""
    shell = get_ipython()
    return NotebookProgress() if hasattr(shell, "kernel") else TerminalProgress()


@dataclass
class _Line:
    """One stage on the screen."""

    name: str
    total: float
    done: float = 0.0
    remark: str = ""
    began: float = field(default_factory=time.monotonic)
    drawn: float = -1.0
    handle: Any = None

    def advance(self, steps: float = 1.0) -> None:
        self.done += steps
        self._refresh()

    def set_remark(self, text: str) -> None:
        self.remark = text
        self._refresh()

    def draw(self, state: str = "") -> None:
        """Show it now; `state` takes the bar's place when it has ended."""
        self.drawn = time.monotonic()
        bundle = self._bundle(state)
        if self.handle is None:
            self.handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self.handle.update(bundle, raw=True)

    def _refresh(self) -> None:
        if time.monotonic() - self.drawn >= _SECONDS_BETWEEN:
            self.draw()

    def _bundle(self, state: str) -> dict[str, str]:
        seconds = time.monotonic() - self.began
        words = " ".join(filter(None, (self.name, self.remark)))
        if state:
            line = f"{state} {words} {seconds:.1f} s"
            return {"text/plain": line, "text/html": f'<span style="{_STYLE}">{escape(line)}</span>'}
        left = f", about {seconds * (self.total / self.done - 1.0):.0f} s left" if 0.0 < self.done < self.total else ""
        count = f"{self.done:g} of {self.total:g}{left}"
        bar = f'<progress value="{self.done:g}" max="{self.total:g}" style="vertical-align:middle"></progress>'
        html = f'<span style="{_STYLE}">{escape(words)} {bar} {escape(count)}</span>'
        return {"text/plain": f"{words}: {count}", "text/html": html}


@dataclass(frozen=True)
class NotebookProgress:
    """A :class:`quantlab.core.ports.Progress` for Jupyter."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[_Line]:
        """Open a stage; its line stays with its duration, also when the stage did not get to its end."""
        line = _Line(name, total)
        line.draw()
        state = "stopped"
        try:
            yield line
            state = "done"
        finally:
            line.draw(state)
            _log.info("%s: %s after %.1f s", name, state, time.monotonic() - line.began)
