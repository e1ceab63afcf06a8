"""Work that is found by its name in another process."""

from __future__ import annotations

import os
import time
from pathlib import Path

from quantlab.core.ports import ProgressCallback


def pid_of(pause_s: float) -> int:
    """Which process works, after a while in which another one must take the next call."""
    time.sleep(pause_s)
    return os.getpid()


def threads_of(_: int) -> str | None:
    """What the numeric libraries of this process were told."""
    return os.environ.get("OMP_NUM_THREADS")


def write_pid(name: str, folder: Path, on_progress: ProgressCallback) -> None:
    """Leave the process's number in a file; fail or die if the name says so."""
    on_progress(0.5)
    if name == "bad":
        raise ZeroDivisionError
    if name == "dead":
        os._exit(9)
    (folder / name).write_text(str(os.getpid()))
