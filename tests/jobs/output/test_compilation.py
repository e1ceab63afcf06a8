"""Compilation announced as it happens: before a kernel is compiled, and not a word where the cache is warm."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from quantlab.core import compiled as compiled_module
from quantlab.jobs.output.terminal import TerminalProgress

FIRST = "compiling kernels, the first time on this machine"
LATER = "compiling kernels that no run has needed before"
SOURCE = """\
from quantlab.core.compiled import compiled

@compiled
def inner(x):
    return x + 1.0

@compiled
def kernel(x):
    return inner(x) * 2.0

@compiled(cache=False)
def uncached(x):
    return x - 1.0
"""


def load(path: Path, name: str) -> Callable[[float], float]:
    """A new dispatcher of a function in `path`, as a new process has it."""
    spec = importlib.util.spec_from_file_location("kernels_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[float], float] = getattr(module, name)
    return function


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_a_cold_cache_is_announced_before_the_work_and_a_warm_one_is_silent(
    on_a_terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(compiled_module, "compiled_cache", lambda: cache)
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)

    def lines_of(*names: str) -> str:
        output = io.StringIO()
        console = Console(file=output, force_terminal=on_a_terminal, width=240, color_system=None)
        progress = TerminalProgress(console)
        for name in names:
            with progress.stage(f"stage {name}", 1) as stage:
                stage.set_remark("a remark")
                console.print("before")
                assert load(path, name)(1.0) > -1.0
        return output.getvalue()

    cold = lines_of("kernel", "inner")
    assert cold.count(FIRST) == 1
    assert str(cache) in cold
    assert cold.index("before") < cold.index(FIRST) < cold.index("done stage kernel a remark")
    assert " s of it compiling" in cold[cold.index("done stage kernel") :]
    assert LATER not in cold  # one line in a process
    for warm in (lines_of("kernel", "inner"), lines_of("uncached")):
        assert "compiling" not in warm
    path.write_text(SOURCE.replace("2.0", "4.0"))
    assert LATER in lines_of("kernel")


def test_nothing_is_watched_when_a_stage_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_module, "compiled_cache", lambda: tmp_path / "cache")
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)
    output = io.StringIO()
    with pytest.raises(ZeroDivisionError), TerminalProgress(Console(file=output)).stage("fails", 1):
        raise ZeroDivisionError
    load(path, "kernel")(1.0)
    assert output.getvalue() == ""
