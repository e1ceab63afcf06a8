"""Peak memory of a piece of work: a process of its own, measured by the system when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: ru_maxrss is in KiB, on macOS in bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_bytes(script: Path, *arguments: str) -> int:
    """Largest resident set of ``python script arguments``.

    Raises
    ------
    subprocess.CalledProcessError
        If it ends with an error.
    """
    command = [sys.executable, str(script), *arguments]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return int(usage.ru_maxrss) * _UNIT
