"""A command line run inside the test's own process, and the folder of the table that is imported."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hydra.core.global_hydra import GlobalHydra

from quantlab.__main__ import main

sys.path.insert(0, str(Path(__file__).parent))


class Ended(NamedTuple):
    """A finished command."""

    code: int
    errors: str
    output: str


@pytest.fixture
def run_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ended]:
    """``python -m quantlab LINE`` in an empty folder, without a process of its own; ``{dir}`` is that folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("HYDRA_FULL_ERROR", "QUANTLAB_TRACEBACK"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.excepthook

    def run(line: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["quantlab", *shlex.split(line.replace("{dir}", str(tmp_path)))])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            GlobalHydra.instance().clear()
            for number, handler in handlers.items():
                signal.signal(number, handler)
            monkeypatch.setattr(sys, "excepthook", hook)
        out, err = capsys.readouterr()
        return Ended(code, err, out)

    return run
