"""Compilation as it happens: numba reports every kernel that no cache holds before it starts on it.

Nothing is guessed: numba broadcasts ``numba:compile`` after it has looked for machine code on the disk in vain, so a
warm cache is silent. Kernels without a cache on the disk are compiled in every process and are not reported.

Only this process is watched. Worker processes begin after the process that starts them has compiled what they share
with it: what is left for them takes a tenth of a second. ``job=honesty`` alone compiles everything in its workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from numba.core.event import Event, Listener, install_listener

from quantlab.core import compiled

#: Takes the sentence that announces a kernel; "" when it is compiled.
Announce = Callable[[str], None]

#: Of one core, for a run that goes from bars to a report with nothing in the cache; measured.
_ALL_KERNELS_S = 40
#: Less is not worth words.
_SPOKEN_OF_S = 0.05


class CompilationWatch(Listener):
    """Announcer of kernels, and a clock of what they take.

    Parameters
    ----------
    announce : callable

    Attributes
    ----------
    seconds : float
        Spent compiling so far.
    """

    def __init__(self, announce: Announce) -> None:
        self.seconds = 0.0
        self._announce = announce
        self._depth = 0  # a kernel's callees are compiled inside it; numba compiles in one thread at a time
        self._started = 0.0

    @property
    def share(self) -> str:
        """Part of a sentence: how much of what took so long was compilation; "" if nothing to speak of."""
        return f", {self.seconds:.1f} s of it compiling" if self.seconds >= _SPOKEN_OF_S else ""

    def on_start(self, event: Event) -> None:
        """Announce the outermost kernel."""
        folder = event.data["dispatcher"].stats.cache_path
        if folder is None:
            return
        self._depth += 1
        if self._depth == 1:
            self._started = time.monotonic()
            self._announce(_sentence(Path(folder)))

    def on_end(self, event: Event) -> None:
        """Count its seconds."""
        if event.data["dispatcher"].stats.cache_path is None:
            return
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.monotonic() - self._started
            self._announce("")


@contextmanager
def watch_compilation(announce: Announce) -> Iterator[CompilationWatch]:
    """Announce every kernel that is compiled inside the block."""
    with install_listener("numba:compile", CompilationWatch(announce)) as watch:
        yield watch


def _sentence(folder: Path) -> str:
    """Say what is compiled and where it is kept: everything, or what the runs before this one did not need."""
    ours = compiled.compiled_cache()
    kept = ours if folder.is_relative_to(ours) else folder
    if any(ours.rglob("*.nbi")):
        return f"compiling kernels that no run has needed before; they are kept in {kept}"
    return (
        f"compiling kernels, the first time on this machine: about {_ALL_KERNELS_S} s in all; they are kept in {kept}"
    )
