"""Waits of a job, said on the terminal as they begin: somebody did not answer and is asked again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from quantlab.core.logs import attach_handler
from quantlab.core.redaction import redact


class _Lines(logging.Handler):
    """A handler that prints the records that are marked with ``extra={"shown": True}``."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        if getattr(record, "shown", False):
            self._console.print(f"waiting: {redact(record.getMessage())}", soft_wrap=True)


@contextmanager
def shown_waits(console: Console) -> Iterator[None]:
    """Print every wait for a server inside the block.

    Parameters
    ----------
    console : Console
        That the job's progress is shown on, so that bars and lines do not overwrite each other.
    """
    with attach_handler(_Lines(console)):
        yield
