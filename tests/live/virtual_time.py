"""An event loop whose time jumps to the next thing that is due, so that minutes of waiting take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps: where nothing is ready, its clock moves to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 0.0

    def time(self) -> float:
        return self._virtual

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            self._virtual = max(self._virtual, min(timers, default=self._virtual))
        super()._run_once()  # type: ignore[misc]


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of its own.

    Raises
    ------
    TimeoutError
        After an hour of the loop's time.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        # Tasks of a process that died leave errors that nobody asks for.
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        return runner.run(asyncio.wait_for(work, 3_600.0))
