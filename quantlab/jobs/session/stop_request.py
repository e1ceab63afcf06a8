"""Stop requests by signal: a session ends between two bars, and at once when asked again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class StopRequest:
    """A request to stop, which a signal makes.

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
        """Sleep that ends early when a stop is requested."""
        return self.event.wait(seconds)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal.

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
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request; outside the main thread no signal comes."""
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
