"""Peak memory of a piece of work: a process of its own, measured by the system when it ends.

The system counts into a child's peak what its parent held when it was started. So a small process stands between the
bench, which has grown by then, and the work: this file as a script.
"""

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
    between = [sys.executable, __file__, str(script), *arguments]
    said = subprocess.run(between, stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(said.splitlines()[-1])


def _watch(command: list[str]) -> int:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    print(int(usage.ru_maxrss) * _UNIT)
    return child.returncode


if __name__ == "__main__":
    sys.exit(_watch([sys.executable, *sys.argv[1:]]))
