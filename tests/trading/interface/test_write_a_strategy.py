"""The page on strategies, followed literally: its files are written, its commands run, its code executed."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def page(repository: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall((repository / "docs" / "write-a-strategy.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def followed(page, tmp_path_factory) -> Path:
    """A folder in which every file of the page has been written, block after block."""
    folder = tmp_path_factory.mktemp("strategy")
    for _, name, content in page:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("a", encoding="utf-8") as file:
                file.write(content)
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    pieces = {
        "my_strategy.py",
        "test_my_strategy.py",
        "my_conf/trading/policy/dip.yaml",
        "run.py",
        "own.py",
        "hours.py",
    }
    assert written == pieces
    return folder


def do(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "COLUMNS": "200"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strategy_has_twenty_lines(page):
    """Without blank lines and imports: the step and its dataclass."""
    code = next(content for _, name, content in page if name == "my_strategy.py")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 24, len(lines)


def test_the_command_runs_the_policy_of_the_users_folder(page, followed):
    command = next(content for kind, _, content in page if kind == "console" and "policy=dip" in content)
    python, *rest = shlex.split(command)
    assert python == "python"
    do(followed, sys.executable, *rest)
    (metrics,) = (followed / "runs").rglob("metrics.json")
    assert "BuyTheDip" in (metrics.parent / "config.yaml").read_text()
    assert json.loads(metrics.read_text())


def test_the_python_of_the_page_runs_and_brought_signals_agree(page, followed):
    shown = do(followed, sys.executable, "run.py").splitlines()
    assert [int(line.split()[0]) for line in shown] == [24, 48, 96]
    assert all(int(line.split()[1]) > 20 for line in shown)
    code = "from own import *; print(len(result.orders), result.run.evidence.equity[-1])"
    orders, equity = do(followed, sys.executable, "-c", code).splitlines()[-1].split()
    assert orders == "3"
    command = next(content for kind, _, content in page if kind == "console" and "mine.parquet" in content)
    for name, more in {"brought": [], "bare": ["trading.signal.features=null"]}.items():
        rest = [word for word in shlex.split(command)[1:] if not word.startswith("experiment=")]
        do(followed, sys.executable, *rest, "experiment=baseline", f"experiment_name={name}", *more)
        (metrics,) = (followed / "runs" / name).rglob("metrics.json")
        evidence = json.loads(metrics.read_text())["evidence"]
        # Its rows lie in the features' warm-up and are played all the same.
        assert evidence["trades"] == 1
        assert pq.read_table(metrics.parent / "orders.parquet").num_rows == 2 * 3
        if name == "bare":
            assert evidence["final_equity"] == pytest.approx(float(equity), rel=0.01)  # there without funding


def test_hours_of_the_page_run_and_never_look_ahead(followed):
    """Its target, against closes of hours that have ended; its filter, against the same by another way."""
    code = (
        "from hours import *\n"
        "known = pd.to_datetime(bars.close_time_ms, unit='ms', utc=True)\n"
        "moved = weights.set_index(weights.index + pd.Timedelta('1h')).reindex(known).to_numpy()\n"
        "np.testing.assert_array_equal(target, moved)\n"
        "full = trend.ffill().reindex(known, method='ffill').to_numpy()\n"
        "np.testing.assert_array_equal(held, full)\n"
    )
    shown = do(followed, sys.executable, "-c", code).splitlines()
    assert int(shown[0]) > 20


def test_the_test_of_the_page_passes(followed, monkeypatch):
    monkeypatch.syspath_prepend(str(followed))
    importlib.import_module("test_my_strategy").test_it_buys_dips_and_sells_when_the_price_is_back()
    for name in ("my_strategy", "test_my_strategy"):
        sys.modules.pop(name)


def test_the_step_against_a_plain_loop(followed, random_bars, play, monkeypatch):
    """What the page says its policy does, in another form."""
    monkeypatch.syspath_prepend(str(followed))
    bars = random_bars(n_bars=300, n_symbols=1)
    close = bars.close[:, 0]
    mean = np.empty(300)
    mean[0] = close[0]
    for t in range(1, 300):
        mean[t] = mean[t - 1] + 2.0 / 21.0 * (close[t] - mean[t - 1])
    held, expected = False, []
    for t in range(299):
        if not held and close[t] < mean[t] - 0.3:
            held = True
            expected.append((t + 1, 0))
        elif held and close[t] > mean[t]:
            held = False
            expected.append((t + 1, 1))
    from_page = importlib.import_module("my_strategy").BuyTheDip(20, 0.3, 1e6)
    sys.modules.pop("my_strategy")
    result = play(bars, policy=from_page, atr=1.0)
    assert [(int(o["idx"]), int(o["side"])) for o in result.orders] == expected
    assert len(expected) > 10
