"""``job=sweep``: what it tries, keeps and says, and that a killed one goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
import re
import signal as signals
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from quantlab.backtest.scan import Scan
from quantlab.backtest.sweep import SweepResult, sweep
from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.fakes import FixedSignal, SilentProgress
from quantlab.core.market import Bars
from quantlab.core.results import Study
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.metrics import sharpe_ratio
from quantlab.features import FeaturePipeline
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.sweep.chunks import Chunks, run_chunks
from quantlab.jobs.sweep.plan import plan_sweep
from quantlab.jobs.sweep.signals import CachedFeatures, LazySignals, SignalMaker, with_cached_features
from quantlab.jobs.sweep.simulations import PreparedSweep
from quantlab.jobs.sweep.sweep import run
from quantlab.learning.ensemble.thresholds import Thresholds
from quantlab.trading import Costs, EnsembleThreshold, FixedFraction, Limits, MovingAverageSignal, Strategy

CASH = 10_000.0
FILES = {
    "config.yaml", "metrics.json", "manifest.json", "report.html", "orders.parquet", "equity.parquet", "log.jsonl",
    "trades.parquet", "benchmarks.parquet",
    "sweep.parquet", "sweep.csv", "daily_returns.npy",
}  # fmt: skip
SPACE = "sweep.space={policy.stop_atr:[1.0,2.0],policy.horizon:{low:6,high:24,n:2},limits.breaker:[off,0.2]}"
TINY = ("job=sweep", "debug=tiny", "trading/policy=ensemble_threshold", "job.min_trades=1")


def a_strategy() -> Strategy:
    """The shipped defaults."""
    return Strategy(
        signal=FixedSignal(None),  # type: ignore[arg-type]
        policy=EnsembleThreshold(1.2, 2.0, 12, False),
        sizer=FixedFraction(0.1),
        limits=Limits(0.05, False, 0.12, 10, 0.1, 1.0, 1.0),
        costs=Costs(2.0, 0.05, 125.0),
    )


def swept(tmp_path: Path, *overrides: str) -> Path:
    """Run the job in this process; the run folder."""
    folders = (f"runs_dir={tmp_path / 'runs'}", f"cache_dir={tmp_path / 'cache'}")
    run(compose(*TINY, *folders, *overrides))
    return max((tmp_path / "runs" / "baseline").iterdir(), key=lambda path: path.name)


def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = swept(tmp_path, SPACE, "job.chunk=3")
    assert {path.name for path in folder.iterdir()} == FILES
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = pq.read_table(folder / "sweep.parquet").to_pandas()
    returns = np.load(folder / "daily_returns.npy", allow_pickle=False)
    assert len(rows) == len(returns) == metrics["sweep"]["tried"] == 8
    best = rows[rows["rank"] == 1].iloc[0]
    assert best["sharpe"] == rows["sharpe"].max() == metrics["evidence"]["sharpe"]
    assert best["final_equity"] == metrics["evidence"]["final_equity"]
    assert best["trades"] == metrics["evidence"]["trades"]
    for i in range(8):
        assert rows["sharpe"][i] == sharpe_ratio(returns[i])
    assert set(rows["limits.breaker"].dropna()) == {0.2}
    assert metrics["judgement"]["trials"] == 8
    assert metrics["verdict"] == "not enough data"
    assert len(metrics["sweep"]["top"]) == 8
    shown, page = capsys.readouterr().out, (folder / "report.html").read_text()
    for text in ("horizon", "verdict on the best", "report.html"):
        assert text in shown
    assert "Only 4 of 8 accounts differ" in shown  # the breaker is off while sweeping
    assert metrics["evidence"]["capacity_usd"] > 0.0
    for text in ("policy.stop_atr", "Sharpe ratios of all 8 parameter sets", 'id="distribution"', 'class="map"'):
        assert text in page
    assert len(page) < 7_000_000
    assert set(re.findall('href="([^"#]+)"', page[: page.index("<script")])) == FILES - {
        "config.yaml",
        "manifest.json",
        "report.html",
        "log.jsonl",
    }
    for name in metrics["benchmarks"]:
        assert name in page
    assert len(metrics["benchmarks"]) == 3
    read = pd.read_csv(folder / "sweep.csv")
    pd.testing.assert_frame_equal(read, rows, check_dtype=False, check_exact=True)
    assert len(list((tmp_path / "cache" / "sweeps").rglob("chunk-*.npz"))) == 3


def test_the_number_of_workers_and_the_chunks_change_no_byte(tmp_path: Path) -> None:
    settings = (("workers=1", "job.chunk=2"), ("workers=3", "job.chunk=5"), ("workers=1", "job.chunk=2"))
    folders = [swept(tmp_path, SPACE, *chosen) for chosen in settings]
    for name in ("metrics.json", "daily_returns.npy", "equity.parquet", "orders.parquet"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name


def test_windows_are_swept_and_impossible_ones_counted(tmp_path: Path) -> None:
    space = "sweep.space={signal.fast:[12,48,96],signal.slow:[48,96],costs.slippage_bps:[0.0,8.0]}"
    folder = swept(tmp_path, space, "trading.limits.breaker=0.01")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["lived"]["halted_at"] is not None  # only the best's second account knows the breaker
    assert metrics["lived"]["max_drawdown"] < metrics["evidence"]["max_drawdown"]
    sweep_ = metrics["sweep"]
    assert (sweep_["tried"], sweep_["simulated"], sum(sweep_["impossible"].values())) == (12, 6, 6)
    assert next(iter(sweep_["impossible"])) == "signal.fast < signal.slow"
    assert metrics["judgement"]["trials"] == 6  # of the dearer scenario: the configured slippage was not swept
    assert [one["assumed"]["costs.slippage_bps"] for one in sweep_["scenarios"]] == [0.0, 8.0]
    assert sweep_["judged_scenario"] == 1
    assert sweep_["best"]["values"]["costs.slippage_bps"] == 8.0
    page = (folder / "report.html").read_text()
    assert "costs.slippage_bps = 8, the dearest, since the configured one was not swept" in page
    assert "What was assumed" in page
    rows = pq.read_table(folder / "sweep.parquet").to_pylist()
    cfg = compose(*TINY)
    bars = history_cut(cfg).load(build(cfg.data))
    base = build(cfg.signal).signal(bars)
    first = int(np.argmax(np.isfinite(base.atr).any(axis=1)))
    strategy = build(cfg.strategy)(signal=build(cfg.signal))
    for row in rows:
        source = MovingAverageSignal(build(cfg.features), row["signal.fast"], row["signal.slow"])
        dearer = dataclasses.replace(
            strategy, costs=dataclasses.replace(strategy.costs, slippage_bps=row["costs.slippage_bps"])
        )
        said = source.signal(bars).rows(first, bars.n_bars)
        alone = Scan(CASH).run(bars.rows(first, bars.n_bars), said, dearer, limits_on=False)
        assert row["final_equity"] == alone.equity[-1]


def test_an_axis_of_costs_changes_nothing_in_the_judgement(tmp_path: Path) -> None:
    """Neither its trials nor its variance: bit for bit the same sweep without it, whatever else was assumed."""
    choices = "policy.stop_atr:[1.0,2.0],policy.horizon:[6,12,24]"
    space = f"{{costs.slippage_bps:[0.0,2.0,9.0],{choices},costs.participation:[off,0.05]}}"
    alone, beside = (
        json.loads((swept(tmp_path, f"sweep.space={one}") / "metrics.json").read_text())
        for one in (f"{{{choices}}}", space)
    )
    for name in ("judgement", "evidence", "lived", "verdict"):
        assert alone[name] == beside[name], name
    found = beside["sweep"]
    assert (alone["sweep"]["tried"], found["tried"]) == (6, 36)
    assert {one["tried"] for one in found["scenarios"]} == {6}
    judged = found["scenarios"][found["judged_scenario"]]
    assert judged["assumed"] == {"costs.slippage_bps": 2.0, "costs.participation": 0.05}  # as configured
    for name in ("luck_sharpe", "uncapped_luck_sharpe", "uncapped_dsr", "sharpe", "sharpe_deviation"):
        assert alone["sweep"][name] == found[name], name
    assert judged["elsewhere"][found["judged_scenario"]] == beside["evidence"]["sharpe"]


def test_costs_that_are_drawn_with_the_rest_are_not_judged_apart(tmp_path: Path) -> None:
    space = "{policy.stop_atr:{low:0.5,high:3.0},costs.slippage_bps:{low:2.0,high:2.001}}"
    folder = swept(tmp_path, "sweep=random", "sweep.n=12", f"sweep.space={space}")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["judgement"]["trials"] == 12
    assert len(metrics["sweep"]["scenarios"]) == 1
    page = (folder / "report.html").read_text()
    assert "what trading costs is no choice. Not every choice was tried under each of them" in page


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("{policy.stop_art:[1.0]}", "policy.stop_atr"),
        ("{policy.horizon:[0]}", "horizon"),
        ("{stop_atr:[1.0]}", "a parameter of policy"),
        ("{signal.fst:[1]}", "signal.fast"),
        ("{signal.fast:[400]}", "fast < signal.slow"),
        ("null", "at least one parameter"),
    ],
)
def test_a_space_that_cannot_be_leaves_nothing_behind(tmp_path: Path, space: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        swept(tmp_path, f"sweep.space={space}")
    assert list((tmp_path / "runs").rglob("metrics.json")) == []


def test_finished_chunks_are_kept_under_all_that_they_depend_on(
    case: tuple[Bars, Signal],
) -> None:
    bars, said = case
    maker = SignalMaker(FixedSignal(said), Study(said, 10, 500, FixedSignal(said), None), bars)
    points = [{"policy.stop_atr": 1.0}, {"policy.stop_atr": 2.0}]

    def sweep_of(
        history: Bars = bars, points: list[dict[str, Any]] = points, cash: float = CASH, **changes: Any
    ) -> PreparedSweep:
        other = dataclasses.replace(maker, study=dataclasses.replace(maker.study, **changes))
        return PreparedSweep(history, history.rows(10, 500), other, plan_sweep(a_strategy(), other, points), cash)

    ohlcv = bars.ohlcv.copy()
    ohlcv[5, 0, 3] = np.nextafter(ohlcv[5, 0, 3], 0.0)
    dear = tuple(dataclasses.replace(one, taker_fee_bps=one.taker_fee_bps + 1.0) for one in bars.instruments)
    flipped = dataclasses.replace(said, side=-said.side)
    others = [
        sweep_of(dataclasses.replace(bars, ohlcv=ohlcv)),
        sweep_of(dataclasses.replace(bars, instruments=dear)),
        sweep_of(points=points[::-1]),
        sweep_of(points=points[:1]),
        sweep_of(points=[{"policy.stop_atr": 1.0}, {"policy.stop_atr": 2.5}]),
        sweep_of(points=[{"costs.slippage_bps": 1.0}, {"costs.slippage_bps": 2.0}]),
        sweep_of(cash=CASH + 1.0),
        sweep_of(first_row=11),
        sweep_of(last_row=499),
        sweep_of(signal=flipped),
    ]
    assert sweep_of().key() == sweep_of().key()
    assert len({one.key() for one in (sweep_of(), *others)}) == 1 + len(others)


def some_results(bars: Bars, said: Signal, rows: Sequence[int]) -> SweepResult:
    strategies = [dataclasses.replace(a_strategy(), costs=Costs(float(row), 0.05, 125.0)) for row in rows]
    return sweep(bars, said, strategies, CASH, threads=1)


@pytest.fixture
def case(random_bars: Callable[..., Bars]) -> tuple[Bars, Signal]:
    bars = random_bars(n_bars=600)
    side = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], (600, 3)).astype(np.int8)
    ones = np.ones(side.shape)
    said = Signal(side, np.full((*side.shape, 3), 1 / 3), ones, ones, side * 0 + 1, 0.5 * ones)
    return bars, said


def test_finished_chunks_are_not_done_again(tmp_path: Path, case: tuple[Bars, Signal]) -> None:
    calls: list[list[int]] = []

    def work(rows: Sequence[int], limit: int = 99) -> SweepResult:
        if len(calls) == limit:
            raise KeyboardInterrupt
        calls.append(list(rows))
        return some_results(*case, rows)

    chunks = Chunks(tmp_path / "sweeps")
    with pytest.raises(KeyboardInterrupt):
        run_chunks(10, 3, lambda rows: work(rows, 2), chunks, SilentProgress())
    resumed = run_chunks(10, 3, work, chunks, SilentProgress())
    assert calls == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    whole = some_results(*case, range(10))
    for field in dataclasses.fields(SweepResult):
        found = np.concatenate([getattr(part, field.name) for part in resumed])
        np.testing.assert_array_equal(found, getattr(whole, field.name), strict=True)
    assert run_chunks(10, 3, lambda rows: pytest.fail("done again"), chunks, SilentProgress())


def test_a_damaged_chunk_is_refused(tmp_path: Path, case: tuple[Bars, Signal]) -> None:
    chunks = Chunks(tmp_path)
    chunks.save(0, some_results(*case, range(2)))
    path = tmp_path / "chunk-000000.npz"
    whole = path.read_bytes()
    assert chunks.load(0, 2) is not None
    assert chunks.load(1, 2) is None
    for damaged in (whole[:100], b"", whole[:400] + bytes([whole[400] ^ 255]) + whole[401:]):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            chunks.load(0, 2)
    path.write_bytes(whole)
    with pytest.raises(ArtifactError, match="3 finished"):
        chunks.load(0, 3)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_stopped(
    start_quantlab: Callable[..., subprocess.Popen[str]],
    quantlab_cli: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    command = (*TINY[:1], "trading/policy=ensemble_threshold", "history.bars=9000", "job.chunk=4", "workers=1",
               "sweep.space={policy.stop_atr:{low:0.5,high:3.0,n:100}}")  # fmt: skip
    process = start_quantlab(*command)
    cache, deadline = tmp_path / ".cache" / "sweeps", time.monotonic() + 300
    while len(list(cache.rglob("chunk-*.npz"))) < 3:
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signals.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("chunk-*.npz")}
    assert len(kept) < 25
    assert not list((tmp_path / "runs").rglob("metrics.json"))
    resumed = quantlab_cli(*command)
    assert resumed.returncode == 0, resumed.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert quantlab_cli(*command, cwd=elsewhere).returncode == 0
    one, other = ([*(root / "runs" / "baseline").glob("2*")] for root in (tmp_path, elsewhere))
    assert len(one) == len(other) == 1
    for name in ("metrics.json", "daily_returns.npy", "sweep.parquet"):
        assert (one[0] / name).read_bytes() == (other[0] / name).read_bytes()


def test_an_outer_sweep_of_sweeps(
    quantlab_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = quantlab_cli("-m", *TINY, "sweep.space={policy.stop_atr:[1.0,2.0]}", "cash=1000,2000,-1")
    assert done.returncode == 4, "one combination was refused"
    runs = sorted((tmp_path / "runs" / "baseline").glob("*/metrics.json"))
    found = [json.loads(path.read_text()) for path in runs]
    assert [one["evidence"]["initial_cash"] for one in found] == [1000.0, 2000.0]
    assert all(one["one_of_a_sweep"] for one in found)
    assert len(list((tmp_path / "runs" / "baseline").glob("*.failed.json"))) == 1


@dataclasses.dataclass(frozen=True)
class Rules:
    """The part of an ensemble that a sweep can change."""

    min_confidence: float
    min_consensus: float
    quorum: int

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.min_confidence, self.min_consensus, self.quorum, 0.0)


class Learned:
    """A learner that was asked before, and must not be asked again."""

    ensemble = Rules(0.34, 0.5, 1)

    def study(self, bars: Bars, progress: Any) -> Study:
        raise AssertionError("learned again")


def test_gates_are_swept_on_the_pooled_opinions(random_bars: Callable[..., Bars]) -> None:
    bars, rng = random_bars(n_bars=500), np.random.default_rng(5)
    proba = rng.dirichlet(np.full(3, 20.0), (500, 3))
    decision = np.argmax(proba, axis=2) - 1
    confidence, consensus = proba.max(axis=2), rng.choice([0.25, 0.5, 1.0], (500, 3))
    said = Signal(
        np.zeros((500, 3), np.int8),
        proba,
        confidence,
        consensus,
        np.full((500, 3), 2, np.int8),
        np.ones((500, 3)),
        np.ones((500, 3)),
    )
    maker = SignalMaker(Learned(), Study(said, 100, 500, None, None), bars)  # type: ignore[arg-type]
    chosen = plan_sweep(
        a_strategy(), maker, [{"signal.min_confidence": c, "policy.horizon": h} for c in (0.34, 0.45) for h in (6, 12)]
    )
    assert chosen.signals == ({"min_confidence": 0.34},) * 2 + ({"min_confidence": 0.45},) * 2
    for least in (0.34, 0.45):
        side = maker.make({"min_confidence": least}).side
        expected = np.where((confidence >= least) & (consensus >= 0.5), decision, 0)[100:]
        np.testing.assert_array_equal(side, expected)
    with pytest.raises(ConfigError, match=r"signal\.min_confidence"):
        plan_sweep(a_strategy(), maker, [{"signal.min_confidense": 0.4}])
    deaf = SignalMaker(object.__new__(type("Deaf", (Learned,), {"ensemble": None})), maker.study, bars)
    with pytest.raises(ConfigError, match="whose thresholds can be swept"):
        plan_sweep(a_strategy(), deaf, [{"signal.min_confidence": 0.4}])


def test_a_signal_is_made_once_for_its_neighbours_and_then_dropped(case: tuple[Bars, Signal]) -> None:
    made: list[int] = []
    guard = threading.Lock()

    def make(values: dict[str, Any]) -> Signal:
        with guard:
            made.append(values["x"])
        return case[1]

    lazy = LazySignals(make, [{"x": i // 4} for i in range(20)], keep=2)
    threads = [threading.Thread(target=lambda i=i: lazy[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 1]
    assert [lazy[i] is case[1] for i in range(20)] == [True] * 20
    assert sorted(made) == [0, 1, 2, 3, 4]
    assert lazy[0] is case[1]
    assert made[-1] == 0  # it had been dropped
    assert len(lazy[3:7]) == 4


def test_features_are_computed_once_for_all_windows(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=700)
    source = MovingAverageSignal(FeaturePipeline(bars.interval_ms, None, ()), 5, 20)
    once = with_cached_features(source)
    assert isinstance(once.features, CachedFeatures)  # type: ignore[union-attr]
    assert once.fingerprint == source.fingerprint  # type: ignore[union-attr]
    other = dataclasses.replace(once, fast=7)  # type: ignore[type-var]
    first, second = once.features.transform(bars), other.features.transform(bars)  # type: ignore[union-attr]
    assert first is second
    np.testing.assert_array_equal(other.signal(bars).side, dataclasses.replace(source, fast=7).signal(bars).side)  # type: ignore[union-attr]
    learner = Learned()
    assert with_cached_features(learner) is learner
