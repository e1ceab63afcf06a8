"""The reason why a strategy never traded: the first thing that is said of such a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray
from quantlab.core.ports import Learner, SignalSource
from quantlab.core.results import Study
from quantlab.evaluation.report.words import cuts_in_words
from quantlab.evaluation.statistics.metrics import span_days
from quantlab.jobs.research.pipeline import Backtest
from quantlab.jobs.threshold_tuning.search import ensemble_fields
from quantlab.learning.ensemble.pooling import decisions
from quantlab.learning.ensemble.thresholds import Thresholds, with_window_thresholds


def idle_note(source: Learner | SignalSource, result: Backtest, changed: Mapping[str, Any] | None = None) -> str:
    """Say why nothing was traded with the limits off; empty where something was.

    Parameters
    ----------
    source : Learner or SignalSource
        What the configuration names.
    result : Backtest
    changed : mapping, optional
        Thresholds that a sweep put in the place of the configured ones.
    """
    if len(result.evidence.orders):
        return ""
    days = span_days(result.bars.open_time_ms, result.bars.interval_ms)
    thresholds = _thresholds(source, result.study, changed or {})
    if thresholds is None or result.signal.gain_bps is None or result.signal.side.any():
        return f"Over {days:,.1f} days nothing was traded: {_unfilled(result)}"
    return f"Over {days:,.1f} days {_below_thresholds(result, thresholds)}"


def _thresholds(source: object, study: Study, changed: Mapping[str, Any]) -> list[Thresholds] | None:
    """Thresholds of every test window; None for a signal that has none."""
    configured = getattr(getattr(source, "ensemble", None), "thresholds", None)
    if not isinstance(configured, Thresholds) or not study.windows:
        return None
    chosen = [ensemble_fields(stage.chosen) for stage in study.tuning if stage.window is not None]
    # The first windows, which no search came before, keep what is configured.
    unsearched: list[dict[str, Any]] = [{}] * (len(study.windows) - len(chosen))
    swept = {name: value for name, value in changed.items() if name in Thresholds._fields}
    return [configured._replace(**swept)._replace(**one) for one in (*unsearched, *chosen)]


def _unfilled(result: Backtest) -> str:
    """Say at which step, from the signal to an order, it ended."""
    signal = result.signal
    asked = signal.side != 0 if signal.target is None else np.nan_to_num(signal.target) != 0.0
    count = int(np.sum(asked))
    if count == 0:
        return f"the signal asked for no position in {signal.side.size:,} bars of all symbols"
    if not np.any(asked & np.isfinite(signal.atr)):
        return f"all {count:,} decisions of the signal fall into the warm-up, before the average true range is known"
    rules = cuts_in_words(result.evidence.cuts)
    if rules:
        return (
            f"the signal made {count:,} decisions, and rules refused what they asked for: {rules} (docs/simulation.md)"
        )
    return f"the signal made {count:,} decisions, and the policy ordered nothing"


def _below_thresholds(result: Backtest, thresholds: Sequence[Thresholds]) -> str:
    """Tell a gain that was too small for its cost from other thresholds."""
    study, signal = result.study, result.signal
    windows = [(first - study.first_row, end - study.first_row) for first, end in study.windows]
    others = [one._replace(min_gain_bps=0.0) for one in thresholds]
    decided, passed = decisions(signal.proba) != 0, with_window_thresholds(signal, windows, others).side != 0
    count = int(np.sum(decided))
    if count == 0:
        return "nothing was traded: the ensemble decided HOLD everywhere"
    cost = 2.0 * (np.mean([one.taker_fee_bps for one in result.bars.instruments]) + result.strategy.costs.slippage_bps)
    for some, words in ((passed, "that passed the other thresholds"), (decided, "of the ensemble")):
        best = _nearest_gain(result, some, windows, thresholds)
        if best is not None and best[0] < best[1]:
            return (
                f"nothing was worth its cost: of {int(np.sum(some)):,} decisions {words} the best was expected to gain {best[0]:.1f} bps "
                f"before costs, learning.ensemble.min_gain_bps asks for {best[1]:.4g}, and a trade in and out costs {cost:.1f}"
            )
    alone = ", ".join(f"{name} {_passed_alone(result, windows, thresholds, name):,}" for name in Thresholds._fields)
    return f"nothing was traded: of {count:,} decisions none passed all thresholds of learning.ensemble; each by itself passed: {alone}"


def _passed_alone(
    result: Backtest, windows: Sequence[tuple[int, int]], thresholds: Sequence[Thresholds], name: str
) -> int:
    """Count the decisions that one threshold lets pass."""
    none = Thresholds(0.0, 0.0, 0, 0.0)
    only = [none._replace(**{name: getattr(one, name)}) for one in thresholds]
    return int(np.count_nonzero(with_window_thresholds(result.signal, windows, only).side))


def _nearest_gain(
    result: Backtest, some: BoolArray, windows: Sequence[tuple[int, int]], thresholds: Sequence[Thresholds]
) -> tuple[float, float] | None:
    """Largest expected gain of `some` decisions and its window's threshold, bps, where they are nearest; None without one."""
    assert result.signal.gain_bps is not None  # noqa: S101 - the caller looked
    found = []
    for (first, end), one in zip(windows, thresholds, strict=True):
        gains = result.signal.gain_bps[first:end][some[first:end]]
        known = gains[np.isfinite(gains)]
        if len(known):
            found.append((float(known.max()), one.min_gain_bps))
    return max(found, key=lambda pair: pair[0] - pair[1], default=None)
