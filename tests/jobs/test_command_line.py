"""Help, refusals and sweeps, as a user meets them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = (
    "torch",
    "vectorbt",
    "xgboost",
    "lightgbm",
    "neuralforecast",
    "ccxt",
    "sklearn",
    "plotly",
    "arch",
    "pandas",
    "numba",
)


def refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The one sentence of a refusal, after checking that it is one and that nothing was left behind."""
    assert done.returncode == 2, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("quantlab: ")]
    assert len(sentences) == 1, done.stderr
    assert not list(folder.glob("runs/*/*")), "a refused run left something behind"
    return sentences[0]


def test_help_lists_every_job_and_experiment(quantlab_cli: Command, repository: Path) -> None:
    text = quantlab_cli("--help").stdout
    for group in ("job", "experiment", "data", "debug"):
        options = ", ".join(sorted(path.stem for path in (repository / "conf" / group).glob("*.yaml")))
        assert re.search(rf"^  {group} +{options}$", text, re.MULTILINE), (group, text)
    assert "data=parquet data.root=" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['quantlab', '--help']\n"
        "from quantlab.__main__ import main\n"
        "main()\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("experiment=nothing", "experiment/nothing"),
        ("barriers.horizzon=3", "horizzon"),
        ("+foo=1", "found foo"),
        ("+history.barz=1", "Did you mean history.bars?"),
        ("+trading.costs.slipage_bps=1", "slipage_bps"),
        ("data=parquet", "data.root"),
        ("history.start=yesterday", "ISO 8601"),
        ("history.bars=0", "history.bars"),
        ("trading.instrument.taker_fee_bps=-1", "taker_fee_bps"),
        ("trading.limits.daily_loss_limit=0.5", "daily_loss_limit"),
        ("cash=-5", "cash"),
        ("experiment=ensemble_v2 learning.ensemble.quorum=3", "quorum"),
    ],
)
def test_impossible_configurations_get_one_sentence(
    quantlab_cli: Command, tmp_path: Path, override: str, words: str
) -> None:
    sentence = refused(quantlab_cli("debug=tiny", *override.split()), tmp_path)
    assert words in sentence


def write_bars(folder: Path, n_bars: int = 400, **columns: np.ndarray) -> None:
    """A small, valid parquet folder of one symbol, with `columns` replaced."""
    rng = np.random.default_rng(1)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, n_bars)))
    table = {
        "timestamp": pa.array(1_742_083_200_000 + 300_000 * np.arange(n_bars), pa.timestamp("ms", tz="UTC")),
        "open": close,
        "high": close * 1.001,
        "low": close * 0.999,
        "close": close,
        "volume": np.full(n_bars, 10.0),
        **columns,
    }
    folder.mkdir()
    pq.write_table(
        pa.table({name: column for name, column in table.items() if column is not None}), folder / "AAA.parquet"
    )


def test_bad_data_gets_one_sentence(quantlab_cli: Command, tmp_path: Path) -> None:
    nan = np.full(400, 100.0)
    nan[7] = np.nan
    write_bars(tmp_path / "short")
    write_bars(tmp_path / "nan", close=nan)
    write_bars(tmp_path / "column", close=None)
    cases = {
        "absent": ("absent", []),
        "short": ("warm-up", []),
        "nan": ("close", []),
        "column": ("close", []),
        "unknown": ("BBB", ["data.symbols=[BBB]"]),
    }
    for name, (words, more) in cases.items():
        root = tmp_path / ("short" if name == "unknown" else name)
        sentence = refused(quantlab_cli("data=parquet", f"data.root={root}", *more), tmp_path)
        assert words in sentence, (name, sentence)


def test_a_traceback_is_shown_when_asked_for(quantlab_cli: Command) -> None:
    done = quantlab_cli("cash=-5", "debug=tiny", QUANTLAB_TRACEBACK="1")
    assert "Traceback" in done.stderr
    assert done.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_goes_on_past_a_refused_combination(quantlab_cli: Command, tmp_path: Path, launcher: str) -> None:
    done = quantlab_cli("-m", "debug=tiny", "cash=-5,10000,20000", f"hydra/launcher={launcher}")
    assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "runs" / "baseline").iterdir())
    assert [path.is_dir() for path in runs].count(True) == 2
    failed = [json.loads(path.read_text()) for path in runs if path.suffix == ".json"]
    assert len(failed) == 1
    assert "cash" in failed[0]["reason"]
    assert failed[0]["config"]["cash"] == -5
