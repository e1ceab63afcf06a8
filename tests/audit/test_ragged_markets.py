"""The third score: histories that begin where hindsight wants, and markets in which symbols list late and die."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.audit.counterfactuals import another_future, delisted, other_half_delisted, ragged_rows, shuffled_future
from quantlab.audit.features import check_features
from quantlab.audit.findings import AuditLog, AuditReport
from quantlab.audit.labels import check_labels
from quantlab.core.market import Bars, BarState
from quantlab.core.progress import SilentProgress
from quantlab.core.types import NO_LABEL, Features, Labels
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research.audit import audit
from quantlab.learning.samples.triple_barrier import TripleBarrier

sys.path.insert(0, str(Path(__file__).parent))  # the planted parts are named in configurations
_RAGGED = importlib.import_module("ragged")
PLANTED: tuple[Any, ...] = _RAGGED.THIRD_PLANTED
CLEAN: tuple[Any, ...] = _RAGGED.THIRD_CLEAN

#: Those that learn nothing, one for each kind of mistake.
SAMPLE = ("survivors_listed", "back_filled", "funding_filled", "leaves_in_time")
CLEAN_SAMPLE = ("ragged_rule", "newest_days")


def audit_of(pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest) -> AuditReport:
    """The pipeline's audit, with folders of its own."""
    where = [f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}"]
    market_data = request.getfixturevalue("market_data") if pipeline.needs_market_data else None
    quick = ["job.checks.many_cuts=40"] if pipeline.name in (*SAMPLE, *CLEAN_SAMPLE) else []  # these run every time
    return audit(compose(*pipeline.composed_of(market_data), "job=audit", *where, *quick), SilentProgress())


def cases(pipelines: tuple[Any, ...], sample: tuple[str, ...]) -> list[Any]:
    """All of them, those outside `sample` as slow ones."""
    return [pytest.param(one, id=one.name, marks=() if one.name in sample else pytest.mark.slow) for one in pipelines]


@pytest.mark.parametrize("pipeline", cases(PLANTED, SAMPLE))
def test_a_leak_in_a_ragged_market_is_found_and_named(
    pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first_finding = audit_of(pipeline, tmp_path, request).first_finding
    assert first_finding is not None
    assert first_finding.stage == pipeline.stage


@pytest.mark.parametrize("pipeline", cases(CLEAN, CLEAN_SAMPLE))
def test_a_clean_pipeline_in_a_ragged_market_is_not_accused(
    pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert audit_of(pipeline, tmp_path, request).findings == ()


@dataclass(frozen=True)
class Survivors(TripleBarrier):
    """A label's weight, or the label itself, knows whether its symbol will be there at the end."""

    of: str = ""

    def label(self, bars: Bars, atr: Any) -> Labels:
        found = super().label(bars, atr)
        alive = bars.state[-1] != BarState.ABSENT
        if self.of == "weights":
            return dataclasses.replace(found, weight=np.where(alive, found.weight, 0.5 * found.weight))
        if self.of == "label":
            return dataclasses.replace(found, label=np.where(alive, found.label, NO_LABEL).astype(np.int8))
        return found


@pytest.mark.parametrize("of", ["", "weights", "label"])
def test_labels_and_weights_that_know_who_survives_are_found(random_bars: Any, of: str) -> None:
    """Prices alone do not tell: only a market in which symbols die does."""
    log, bars = AuditLog(), random_bars()
    check_labels(log, Survivors(2.0, 1.2, 12, of), bars, 0.004 * bars.close, 4, 0)
    assert {one.stage for one in log.findings} == ({of} if of else set())
    assert all("stopped printing" in one.evidence for one in log.findings)


def test_other_futures_begin_where_a_history_is_ragged(random_bars: Any) -> None:
    bars = random_bars(n_bars=400, n_symbols=4)
    assert ragged_rows(bars, 2) == []
    state = bars.state.copy()
    state[:100, 0] = BarState.ABSENT
    state[150:160, 1] = BarState.FILLED
    state[300:, 2] = BarState.ABSENT
    state[350:, 3] = BarState.OUTSIDE
    ragged = dataclasses.replace(bars, state=state)
    assert ragged_rows(ragged, 2) == [101, 151, 301, 351]
    state[200:203, 1] = state[250:253, 1] = state[260:263, 1] = BarState.FILLED
    assert ragged_rows(dataclasses.replace(bars, state=state), 1) == [101, 151, 301, 351]


def test_each_survivor_dies_in_one_of_two_markets_and_one_is_always_left(random_bars: Any) -> None:
    for n_symbols in (1, 2, 5):
        bars = random_bars(n_symbols=n_symbols)
        dead = [one(bars, 200, 3).state[-1] == BarState.ABSENT for one in (delisted, other_half_delisted)]
        assert np.array_equal(dead[0] ^ dead[1], np.full(n_symbols, n_symbols > 1))
        assert not any(one.all() for one in dead)


def test_a_symbol_that_nobody_knows_yet_lists_at_another_price(random_bars: Any) -> None:
    """Else what was filled backwards with its first open would be the same in both markets."""
    bars = random_bars()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:200, 1], state[:200, 1] = np.nan, BarState.ABSENT
    late = dataclasses.replace(bars, ohlcv=ohlcv, state=state)
    for future in (another_future, shuffled_future):
        assert (future(late, 100, 1).ohlcv[200, 1, :4] != late.ohlcv[200, 1, :4]).all()


@dataclass(frozen=True)
class Returns:
    """One column; with `filled`, the three rows before a late symbol's first ready one are filled from behind."""

    filled: bool
    names: tuple[str, ...] = ("ret_1",)
    fingerprint: str = "returns"
    warmup: int = 30

    def transform(self, bars: Bars) -> Features:
        there = np.isfinite(bars.close)
        ready = np.cumsum(there, axis=0) > self.warmup
        values = np.zeros((*ready.shape, 1), dtype=np.float32)
        values[1:, :, 0] = np.nan_to_num(np.log(bars.close[1:] / bars.close[:-1]))
        values[~ready] = np.nan
        for s in np.flatnonzero(ready.any(axis=0) & ~there[0] & self.filled):
            first = int(np.argmax(ready[:, s]))
            values[first - 3 : first, s], ready[first - 3 : first, s] = values[first, s], True
        return Features(values, ready, self.names, self.fingerprint)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise AssertionError("nobody streams here")


@pytest.mark.parametrize("filled", [True, False])
def test_a_feature_that_is_filled_backwards_at_a_late_listing_is_found(random_bars: Any, filled: bool) -> None:
    """Around its own first ready row, which is not the market's."""
    bars, log = random_bars(n_bars=2_000), AuditLog()
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[:1_111, 1], state[:1_111, 1] = np.nan, BarState.ABSENT
    late, source = dataclasses.replace(bars, ohlcv=ohlcv, state=state), Returns(filled)
    check_features(log, source, late, source.transform(late), 2, 0)
    assert bool(log.findings) == filled
