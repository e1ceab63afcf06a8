"""Ending a session when somebody asks: between two bars, and at once when asked again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class Stop:
    """Whether somebody asked.

    Parameters
    ----------
    event : threading.Event
        Set by the first signal.
    reason : str or None
        The signal's name.
    """

    event: threading.Event = field(default_factory=threading.Event)
    reason: str | None = None

    def wait(self, seconds: float) -> bool:
        """Sleep that ends early when somebody asks."""
        return self.event.wait(seconds)

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler.

        Raises
        ------
        KeyboardInterrupt
            When asked a second time.
        """
        if self.event.is_set():
            raise KeyboardInterrupt
        self.reason = signal.Signals(number).name
        self.event.set()


@contextmanager
def stop_when_asked() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a request; outside the main thread nobody can ask."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
