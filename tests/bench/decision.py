"""The row about a decision: 100 symbols, one closed bar, features, four members, the vote, and the policy's step."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from measure import INTERVAL, Row, market
from nets_data import MEMBERS, dataset, member, rows

from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.features import NAMES, FeaturePipeline
from quantlab.jobs.config.composition import build, compose
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.ensemble.members import lookback
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member
from quantlab.trading.bar.replay import Replay

SYMBOLS = 100
#: Enough that every feature and window is ready before the first bar that counts.
WARM_BARS, TIMED_BARS = 1_700, 300
TREE_ROUNDS = 100


def decision_rows() -> list[Row]:
    """p50 and p99 of a decision at a bar's close, against the libraries' own predictions of that bar."""
    bars = market(WARM_BARS + TIMED_BARS, SYMBOLS)
    source = _source()
    stream = source.stream(bars.symbols, INTERVAL)
    account = _account(bars, source)
    seconds, bare = [], []
    for t in range(bars.n_bars):
        bar = bars.rows(t, t + 1)
        before = time.perf_counter()
        signal: Signal = stream.update(bar)
        account.update(bar, signal)
        seconds.append(time.perf_counter() - before)
        if t >= WARM_BARS:
            assert (signal.live_members == len(MEMBERS)).all()
            bare.append(_bare(source, stream.window))
    p50, p99 = np.percentile(np.array(seconds[WARM_BARS:]) * 1e3, [50, 99])
    floor = float(np.median(bare)) * 1e3
    return [
        Row(
            f"decision at a bar's close, {SYMBOLS} symbols, four members",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            f"the four models alone {floor:.1f} ms",
            float(p50) / floor,
        )
    ]


def _source() -> EnsembleSignal:
    """Four members that are as large as fitted ones are, with equal weights."""
    pipeline = FeaturePipeline(interval_ms=INTERVAL, threads=1, extra=())
    data = dataset(500, SYMBOLS)
    data = _relabelled(data, pipeline)
    train, valid = rows(data, 0, 300), rows(data, 300, 480)
    few = {name: {"max_steps": 5, "check_every_steps": 5} for name in ("nhits", "patchtst")}
    many = {"max_rounds": TREE_ROUNDS, "early_stopping_rounds": TREE_ROUNDS}
    fitted = {name: member(name, **few.get(name, many)).fit(train, valid) for name in MEMBERS}
    rules = build(compose().learning.ensemble)
    ensemble = FittedEnsemble(rules=rules, names=MEMBERS, weights=(0.25,) * 4, temperature=1.0)
    return EnsembleSignal(pipeline, tuple(Member(name, fitted[name], name) for name in MEMBERS), ensemble)


def _relabelled(data: Any, pipeline: FeaturePipeline) -> Any:
    """The same rows under the pipeline's own contract."""
    return replace(data, features=replace(data.features, names=NAMES, fingerprint=pipeline.fingerprint))


def _account(bars: Bars, source: EnsembleSignal) -> Replay:
    cfg = compose("trading/sizer=confidence_fraction")
    strategy = build(cfg.strategy)(signal=source)
    return Replay(strategy, bars.symbols, bars.instruments, INTERVAL, 10_000.0)


def _bare(source: EnsembleSignal, window: Any) -> float:
    """Seconds that the members' own predictions of the last row take, without anything around them."""
    total = 0.0
    for one in source.members:
        seen = window.rows(len(window.ready) - lookback(one.model), len(window.ready))
        before = time.perf_counter()
        one.model.predict_proba(seen)
        total += time.perf_counter() - before
    return total
