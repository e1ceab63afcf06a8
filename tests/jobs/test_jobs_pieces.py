"""The small parts of jobs: benchmarks, truth, history cuts, run folders, suspicions."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.fakes import BarsSource, SilentProgress
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import MemberReport, SignalReport
from quantlab.core.types import Signal
from quantlab.data.series.history_cut import HistoryCut
from quantlab.data.synthetic.oracle import measure_oracle
from quantlab.data.synthetic.source import SyntheticSource
from quantlab.jobs.config.composition import compose
from quantlab.jobs.output.run_folder import record_failure, run_folder
from quantlab.jobs.research.benchmarks import rotated_signal, run_benchmarks
from quantlab.jobs.research.metrics import entry_weight, judge, metrics_document, suspicions
from quantlab.jobs.research.oracle import oracle_numbers
from quantlab.jobs.research.pipeline import backtest, setup
from quantlab.jobs.research.results import load_history, result_remarks
from quantlab.trading import ConfidenceFraction, FixedFraction

CELLS = (400, 5)


def signal_of(side: np.ndarray) -> Signal:
    """A signal with the given sides and plain companions."""
    ones = np.ones(side.shape)
    return Signal(
        side.astype(np.int8), np.full((*side.shape, 3), 1 / 3), ones, ones, np.ones(side.shape, dtype=np.int8), ones
    )


def test_a_rotated_signal_trades_as_often_and_knows_nothing() -> None:
    side, close = np.random.default_rng(0).integers(-1, 2, CELLS), np.ones(CELLS)
    turned = rotated_signal(signal_of(side), close, seed=1)
    for s in range(CELLS[1]):
        offsets = [k for k in range(CELLS[0]) if np.array_equal(np.roll(side[:, s], k), turned.side[:, s])]
        assert len(offsets) == 1
        assert CELLS[0] // 10 <= offsets[0] < CELLS[0] - CELLS[0] // 10 + 1
    assert np.array_equal(rotated_signal(signal_of(side), close, seed=1).side, turned.side)
    assert not np.array_equal(rotated_signal(signal_of(side), close, seed=2).side, turned.side)


def test_all_that_is_decided_on_is_rotated_together() -> None:
    """A user's targets and distances too: what stayed in its place would still know."""
    rng = np.random.default_rng(3)
    side, close = rng.integers(-1, 2, CELLS), np.exp(rng.normal(0.0, 0.5, CELLS))
    mine = {name: rng.uniform(0.1, 0.9, CELLS) for name in ("confidence", "consensus", "gain_bps", "target", "atr")}
    proba, share = rng.dirichlet(np.ones(3), CELLS), rng.uniform(0.01, 0.1, CELLS)
    said = dataclasses.replace(
        signal_of(side), **mine, proba=proba, stop_distance=share * close, take_distance=np.full(CELLS, np.inf)
    )
    turned = rotated_signal(said, close, seed=1)
    for s in range(CELLS[1]):
        (offset,) = (k for k in range(CELLS[0]) if np.array_equal(np.roll(side[:, s], k), turned.side[:, s]))
        for name in ("confidence", "consensus", "gain_bps", "target", "proba"):
            found = getattr(turned, name)[:, s]
            np.testing.assert_array_equal(found, np.roll(getattr(said, name)[:, s], offset, axis=0), err_msg=name)
        moved = np.asarray(turned.stop_distance)[:, s] / close[:, s]
        np.testing.assert_allclose(moved, np.roll(share[:, s], offset), rtol=1e-12)
    np.testing.assert_array_equal(turned.atr, said.atr)
    assert np.isposinf(turned.take_distance).all()
    assert turned.trail_distance is None


def test_the_market_leader_is_chosen_before_the_tested_bars(random_bars: Callable[..., Bars]) -> None:
    """What will be traded most is not known when holding begins."""
    bars = random_bars(n_bars=400, n_symbols=3)
    ohlcv = bars.ohlcv.copy()
    ohlcv[:150, 1, 4] *= 50.0
    ohlcv[150:, 2, 4] *= 5_000.0
    history = dataclasses.replace(bars, ohlcv=ohlcv)
    tested, ones = history.rows(150, 400), np.ones((250, 3))
    account = SimpleNamespace(initial_cash=1e4, equity=1e4 * ones[:, 0])
    result = SimpleNamespace(
        history=history,
        bars=tested,
        signal=signal_of(ones),
        strategy=None,
        study=SimpleNamespace(first_row=150),
        evidence=account,
    )
    parts = SimpleNamespace(engine=SimpleNamespace(run=lambda *_, **__: account))
    benchmarks = run_benchmarks(parts, result, seed=1)  # type: ignore[arg-type]
    assert next(iter(benchmarks.curves)) == f"{bars.symbols[1]} buy and hold"


def test_the_verdict_rests_on_the_evidence_also_where_the_breaker_ended_the_other_account() -> None:
    cfg = compose("debug=tiny", "trading.limits.breaker=0.01", "evaluation/stress@stress=none")
    parts = setup(cfg)
    result = backtest(parts, load_history(parts, SilentProgress()), SilentProgress())
    judged = judge(cfg, parts, result)
    assert judged.lived["halted_at"] is not None
    for name in ("sharpe", "trades"):
        assert judged.verdict.numbers[name] == judged.evidence[name] != judged.lived[name]


def test_a_result_on_unmended_prices_says_so_where_it_is_read() -> None:
    cfg = compose("debug=tiny", "evaluation/stress@stress=none", "trading.costs.coarsest_order_usd=5")
    parts = setup(cfg)
    history = load_history(parts, SilentProgress())
    ohlcv = history.ohlcv.copy()
    ohlcv[history.n_bars // 2 :, 1, :4] *= 1000.0
    ohlcv[history.n_bars // 2 :, 1, 4] /= 1000.0
    result = backtest(parts, dataclasses.replace(history, ohlcv=ohlcv), SilentProgress())
    judged = judge(cfg, parts, result)
    (step,) = metrics_document(cfg, parts, result, judged, {})["breaks"]
    time = iso_utc(int(history.open_time_ms[history.n_bars // 2]))
    assert (step["symbol"], step["time"], round(step["ratio"], -2)) == (history.symbols[1], time, 1000.0)
    remarks = result_remarks(judged)
    assert any(f"the price of {history.symbols[1]} steps to" in line and time in line for line in remarks)
    # The smallest notional, 10 USD, is unknown by that setting, and the command line names it.
    assert any("trading.costs.coarsest_order_usd, 5," in line for line in remarks)


def synthetic(edge: float) -> SyntheticSource:
    """A small world."""
    rules = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)
    return SyntheticSource(
        seed=3,
        days=20,
        n_symbols=4,
        interval_ms=300_000,
        start="2025-01-01",
        edge=edge,
        late_listings=1,
        instrument=rules,
    )


def test_the_oracle_is_measured_on_exactly_the_bars_of_the_run() -> None:
    source = synthetic(1.5)
    bars = source.history()
    label = np.sign(np.nan_to_num(source.truth().flow)).astype(np.int8) + 1
    whole = oracle_numbers(source, bars, label, horizon=12, cost_bps=6.5)
    assert whole is not None
    assert whole.pop("label_auc") == 1.0  # labels that are the hidden flow itself
    assert whole == dataclasses.asdict(measure_oracle(bars, source.truth(), horizon=12, cost_bps=6.5))
    cut = bars.rows(1000, 4000).first_symbols(2)
    part = oracle_numbers(source, cut, label[1000:4000, :2], horizon=12, cost_bps=6.5)
    assert part is not None
    assert part["label_auc"] == 1.0
    assert part["auc"] > 0.53
    shifted = source.truth().score(12)[1001:4001, :2]
    assert not np.array_equal(shifted, source.truth().score(12)[1000:4000, :2], equal_nan=True)
    assert oracle_numbers(BarsSource(bars), bars, label, horizon=12, cost_bps=6.5) is None


def test_history_cuts_the_newest_bars_and_the_first_symbols(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=300)
    cut = HistoryCut(None, None, 100, 2).load(BarsSource(bars))
    np.testing.assert_array_equal(cut.ohlcv, bars.ohlcv[200:, :2])
    day = HistoryCut("2025-03-16T01:00", "2025-03-16T02:00", None, None).load(BarsSource(bars))
    np.testing.assert_array_equal(day.open_time_ms, bars.open_time_ms[12:24])
    assert HistoryCut(None, None, 9_999, 9_999).load(BarsSource(bars)).ohlcv.shape == bars.ohlcv.shape
    for bad in ({"bars": 0}, {"symbols": -1}, {"start": "soon"}, {"bars": "many"}):
        with pytest.raises(ConfigError, match="history"):
            HistoryCut(**{"start": None, "end": None, "bars": None, "symbols": None, **bad})


def test_a_run_folder_holds_its_log_and_vanishes_on_an_error(tmp_path: Path) -> None:
    cfg = OmegaConf.create(
        {"runs_dir": str(tmp_path / "runs"), "experiment_name": "x", "seed": 1, "cache_dir": str(tmp_path / "cache")}
    )
    with run_folder(cfg) as folder:
        logging.getLogger("quantlab.somewhere").info("hello %s", "there")
        logging.getLogger("quantlab.somewhere").info("asked with apiKey=%s", "hush")
    lines = [json.loads(line) for line in (folder.final / "log.jsonl").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["hello there", "asked with apiKey=[hidden]"]
    assert folder.final.stat().st_mode & 0o077 == 0o055
    with pytest.raises(DataError), run_folder(cfg):
        raise DataError("a", found="b", fix="c")
    assert [path.name for path in (tmp_path / "runs" / "x").iterdir()] == [folder.final.name]
    assert logging.getLogger("quantlab").handlers == []
    failed = record_failure(cfg, "because")
    assert json.loads(failed.read_text()) == {"reason": "because", "config": OmegaConf.to_container(cfg)}


def test_too_good_to_be_true_is_said() -> None:
    def said(auc: float | None, se: float | None, oracle: float | None = None) -> bool:
        members = {"tree": MemberReport(auc, se, 1.0, 1.0, 1.0)}
        report = SignalReport(None, None, None, members, (), 0)
        return bool(suspicions(report, None if oracle is None else {"label_auc": oracle}))

    assert said(0.60, 0.01)
    assert not said(0.60, 0.02)
    assert not said(None, None)
    assert not suspicions(None, None)
    # In a made-up market the bound is what its own oracle knows.
    assert not said(0.60, 0.01, oracle=0.61)
    assert said(0.55, 0.01, oracle=0.52)


def test_an_entrys_weight_is_what_the_sizer_says_at_the_median_confidence(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=CELLS[0], n_symbols=CELLS[1])
    side = np.ones(CELLS)
    signal = dataclasses.replace(signal_of(side), confidence=np.full(CELLS, 0.4))
    limits = SimpleNamespace(max_weight=0.1)

    def weight(sizer: FixedFraction | ConfidenceFraction, **change: np.ndarray) -> float | None:
        strategy = SimpleNamespace(sizer=sizer, limits=limits, policy=None)
        account = SimpleNamespace(initial_cash=1e4)
        said = dataclasses.replace(signal, **change)
        return entry_weight(SimpleNamespace(signal=said, bars=bars, strategy=strategy, evidence=account))  # type: ignore[arg-type]

    assert weight(FixedFraction(0.05)) == 0.05
    assert weight(ConfidenceFraction(0.2)) == pytest.approx(0.08)
    assert weight(ConfidenceFraction(0.5)) == 0.1
    assert weight(FixedFraction(0.05), side=np.zeros(CELLS, dtype=np.int8)) is None
    assert weight(FixedFraction(0.05), target=np.zeros(CELLS)) is None
