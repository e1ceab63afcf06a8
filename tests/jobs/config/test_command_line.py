"""Help, refusals and sweeps, as a user meets them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose

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


def left_behind(folder: Path) -> list[str]:
    """Every file in `folder`, hidden or not, and what is half written; but for the tests' own data."""
    found = [path for path in folder.rglob("*") if path.is_file() or path.name.startswith(".")]
    return sorted(path.relative_to(folder).as_posix() for path in found if path.suffix != ".parquet")


def partial_names(folder: Path) -> list[Path]:
    """What was left half written."""
    return list(folder.rglob(".partial-*"))


def refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """The one sentence of a refusal, after checking that it is one and that nothing was left behind."""
    assert done.returncode == 2, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("quantlab: ")]
    assert len(sentences) == 1, done.stderr
    assert left_behind(folder) == [], "a refused run left something behind"
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
        ("experiment=nothing", "found experiment=nothing. Known are baseline"),
        ("experiment_name=../../../x", "experiment_name"),
        ("runs_dir=/dev/null", "runs_dir"),
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
        ("experiment=ensemble_v2 learning.ensemble.quorum=5", "quorum"),
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


@pytest.mark.parametrize(("given", "quoted"), [
    ("data.symbols=[币安人生USDT]", "data.symbols=['币安人生USDT']"),
    ("data.symbols=[BTCUSDT,币安人生USDT]", "data.symbols=[BTCUSDT,'币安人生USDT']"),
    ("data.root=/tmp/a (1)", "data.root='/tmp/a (1)'"),
])  # fmt: skip
def test_values_that_need_quotes_are_told_them(given: str, quoted: str) -> None:
    with pytest.raises(ConfigError) as error:
        compose("experiment=baseline", "data=parquet", given)
    assert f'in quotes of their own, "{quoted}"' in str(error.value)
    key = given.split("=", maxsplit=1)[0].split(".")[1]
    value = compose("experiment=baseline", "data=parquet", quoted).data[key]
    assert str(value).replace(" ", "").replace("'", "") == given.split("=")[1].replace(" ", "")


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


def test_an_unknown_key_is_told_the_known_ones(quantlab_cli: Command, tmp_path: Path) -> None:
    sentence = refused(quantlab_cli("+foo=1"), tmp_path)
    assert "a known key; found foo" in sentence
    assert "seed, signal, strategy" in sentence
    for inner in ("_self_", "override", "debug"):
        assert inner not in sentence


def test_a_sweep_in_processes_leaves_whole_runs_only(quantlab_cli: Command, tmp_path: Path) -> None:
    done = quantlab_cli("-m", "job=backtest", "debug=tiny", "cash=-5,20000", "hydra/launcher=joblib")
    assert done.returncode == 4, done.stderr
    assert "quantlab: 1 of 2 combinations were refused" in done.stderr
    runs = sorted((tmp_path / "runs" / "baseline").iterdir())
    assert sorted(path.suffix for path in runs) == ["", ".json"]
    assert partial_names(tmp_path) == []
    (ranking,) = (tmp_path / "runs" / "sweeps").glob("*/ranking.json")
    best, refused_one = json.loads(ranking.read_text())["combinations"]
    (run,) = (path for path in runs if path.is_dir())
    assert best["settings"] == {"cash": "20000"}
    assert best["run"] == f"baseline/{run.name}"
    assert best["objective"] == json.loads((run / "metrics.json").read_text())["evidence"]["sharpe"]
    assert "cash as a number of USD above 0; found -5" in refused_one["reason"]
    assert "no run: cash=-5: expected cash" in done.stdout
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["overrides"] == ["job=backtest", "debug=tiny", "cash=20000"]
    assert manifest["multirun"] == {"folder": ranking.parent.name, "combination": "1"}


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_of_refused_combinations_fails(quantlab_cli: Command, tmp_path: Path, launcher: str) -> None:
    done = quantlab_cli("-m", "job=backtest", "debug=tiny", "cash=-5,-6", f"hydra/launcher={launcher}")
    assert done.returncode == 2, done.stderr
    assert "no combination of the sweep could be run" in done.stderr
    assert len(list((tmp_path / "runs" / "baseline").glob("*.failed.json"))) == 2


def test_a_sweep_below_a_file_gets_one_sentence(quantlab_cli: Command, tmp_path: Path) -> None:
    assert "runs_dir" in refused(quantlab_cli("-m", "runs_dir=/dev/null", "seed=1,2"), tmp_path)


#: Stands for a job with a bug: called with a configuration, this class raises a plain ValueError.
BUG = "job.entry=quantlab.core.market.BarState"


def test_a_bug_keeps_its_traceback_and_its_place_in_the_sweep(quantlab_cli: Command, tmp_path: Path) -> None:
    once = quantlab_cli("job=backtest", BUG)
    assert once.returncode == 1
    assert "ValueError" in once.stderr
    done = quantlab_cli("-m", "job=backtest", BUG, "cash=1,2")
    assert done.returncode == 1
    assert "ValueError" in done.stderr
    reasons = [json.loads(path.read_text())["reason"] for path in tmp_path.glob("runs/baseline/*.failed.json")]
    assert len(reasons) == 2
    assert all(reason.startswith("ValueError: ") for reason in reasons)
    assert "no run: cash=1: ValueError: " in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing_half_written(
    start_quantlab: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: int, code: int
) -> None:
    process = start_quantlab("job=warmup", "debug=tiny", "job.restarts=1_000_000")
    wait_for(lambda: partial_names(tmp_path), process)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert partial_names(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_in_processes_is_cleaned_up_by_the_next_run(
    quantlab_cli: Command,
    start_quantlab: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    number: int,
) -> None:
    process = start_quantlab(
        "-m", "job=warmup", "debug=tiny", "job.restarts=1_000_000", "seed=1,2", "hydra/launcher=joblib"
    )
    wait_for(lambda: len(partial_names(tmp_path)) >= 2, process)
    os.killpg(process.pid, number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert quantlab_cli("job=backtest", "debug=tiny").returncode == 0
    assert partial_names(tmp_path) == []


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Until `condition` holds, as long as `process` lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_goes_on_past_a_refused_combination(quantlab_cli: Command, tmp_path: Path, launcher: str) -> None:
    done = quantlab_cli("-m", "debug=tiny", "cash=-5,10000,20000", f"hydra/launcher={launcher}")
    assert done.returncode == 4, done.stderr
    runs = sorted((tmp_path / "runs" / "baseline").iterdir())
    assert [path.is_dir() for path in runs].count(True) == 2
    failed = [json.loads(path.read_text()) for path in runs if path.suffix == ".json"]
    assert len(failed) == 1
    assert "cash" in failed[0]["reason"]
    assert failed[0]["config"]["cash"] == -5
