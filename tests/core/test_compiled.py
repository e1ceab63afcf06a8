"""The compiled cache is keyed by every compiled source, so an edit anywhere starts afresh."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quantlab.core.compiled import compiled

OUTER = (
    "from quantlab.core.compiled import compiled\nfrom inner import f\n\n@compiled\ndef g(x):\n    return f(x) + 1.0\n"
)
INNER = "from quantlab.core.compiled import compiled\n\n@compiled\ndef f(x):\n    return x * {factor}\n"


def test_refuses_fastmath() -> None:
    with pytest.raises(TypeError, match="fastmath"):
        compiled(lambda x: x, fastmath=True)


def test_division_follows_numpy() -> None:
    @compiled
    def divide(a: float, b: float) -> float:
        return a / b

    assert divide(1.0, 0.0) == float("inf")


def test_an_edit_of_an_inner_function_in_another_file_is_seen(tmp_path: Path, repository: Path) -> None:
    """The trap that the decorator exists for: numba alone keeps running the old inner code."""
    package = tmp_path / "copy" / "quantlab"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core" / "__init__.py").write_text("")
    for name in ("compiled.py", "errors.py", "user_code_hash.py"):
        (package / "core" / name).write_text((repository / "quantlab" / "core" / name).read_text())
    shutil.copytree(repository / "quantlab" / "core" / "user_code", package / "core" / "user_code")
    (package / "outer.py").write_text(OUTER.replace("inner", "quantlab.inner"))

    def run(factor: float) -> str:
        (package / "inner.py").write_text(INNER.format(factor=factor))
        done = subprocess.run(
            [sys.executable, "-c", "from quantlab.outer import g; print(g(10.0))"],
            cwd=tmp_path / "copy",
            env={**os.environ, "PYTHONPATH": str(tmp_path / "copy"), "QUANTLAB_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert run(2.0) == "21.0"
    assert run(2.0) == "21.0"
    assert run(3.0) == "31.0"


MADE = """
import sys
from numba import types
from quantlab.core.compiled import compiled

ONE = types.float64(types.float64)

def times(factor):
    def product(x):
        return factor * x
    return compiled(signature=ONE)(product)

def call(f, x):
    return f(x)

call = compiled(signature=types.float64(types.FunctionType(ONE), types.float64))(call)
made = [times(float(factor)) for factor in sys.argv[1:]]
print(*(call(f, 10.0) for f in made))
"""


def test_functions_of_one_name_that_other_processes_compiled_are_told_apart(tmp_path: Path) -> None:
    """numba numbers the functions of a name anew in every process: two that were cached as the first are not one."""
    (tmp_path / "made.py").write_text(MADE)

    def run(*factors: int) -> str:
        done = subprocess.run(
            [sys.executable, "made.py", *map(str, factors)],
            cwd=tmp_path,
            env={**os.environ, "QUANTLAB_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert run(2) == "20.0"
    assert run(3) == "30.0"
    assert run(2, 3) == "20.0 30.0"
    assert run(3, 2, 5) == "30.0 20.0 50.0"


HELPED = """
import math
import sys
from numba import njit, types
from quantlab.core.compiled import compiled

def helper(factor):
    @njit
    def total(x):
        s = 0.0
        for i in range(int(x)):  # too long to be put into its callers
            if i % 3 == 0:
                s += factor * math.sin(i)
            elif i % 5 == 0:
                s -= factor * math.cos(i)
            else:
                s += factor * math.sqrt(i)
        for i in range(7):
            s = s * 1.0000001 + factor * math.exp(-i)
        return s
    return total

small, large = helper(1.0), helper(1000.0)

def first(x):
    return small(x) + small(2.0 * x) + small(x + 3.0)

def second(x):
    return large(x) + large(2.0 * x) + large(x + 3.0)

for name in sys.argv[1:]:
    print(compiled(signature=types.float64(types.float64))(globals()[name])(50.0), end=" ")
"""


def test_helpers_of_one_name_in_functions_that_other_processes_compiled_are_told_apart(tmp_path: Path) -> None:
    """A helper that is not put into its caller stands beside it in the cache, under a name of numba's."""
    (tmp_path / "helped.py").write_text(HELPED)

    def run(*names: str) -> list[float]:
        done = subprocess.run(
            [sys.executable, "helped.py", *names],
            cwd=tmp_path,
            env={**os.environ, "QUANTLAB_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        return [float(value) for value in done.stdout.split()]

    (small,), (large,) = run("first"), run("second")
    assert large == pytest.approx(1000.0 * small)
    assert run("first", "second") == [small, large]
    assert run("second", "first") == [large, small]


FORKED = """
import os
from numba.core.bytecode import FunctionIdentity
import quantlab.core.compiled

here, there = os.pipe()
if os.fork() == 0:
    os.write(there, str(next(FunctionIdentity._unique_ids)).encode())
    os._exit(0)
os.wait()
print(int(os.read(here, 64)) - next(FunctionIdentity._unique_ids))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_process_numbers_its_functions_apart_from_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    assert abs(int(done.stdout)) > 1_000
