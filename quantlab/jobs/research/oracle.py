"""Oracle of a synthetic market: the most that anybody could know, and earn."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from quantlab.core.arrays import Int8Array
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, HasTruth
from quantlab.core.types import BUY, SELL
from quantlab.data.synthetic.oracle import directional_auc, measure_oracle_on


def oracle_numbers(
    source: DataSource, bars: Bars, label: Int8Array, *, horizon: int, cost_bps: float
) -> dict[str, Any] | None:
    """AUC and after-cost Sharpe of an oracle over exactly `bars`; None for a real market.

    Parameters
    ----------
    source : DataSource
    bars : Bars
        A stretch of the source's history and its first symbols.
    label : int8 (T, S)
        The triple-barrier labels of `bars`: ``label_auc`` is the oracle's directional AUC on them, which
        no member can honestly exceed by more than its error.
    horizon : int
        Bars.
    cost_bps : float
        Per side: taker fee plus slippage.
    """
    if not isinstance(source, HasTruth):
        return None
    truth = source.truth()
    start = int(np.searchsorted(source.history().open_time_ms, bars.open_time_ms[0]))
    rows, columns = slice(start, start + bars.n_bars), slice(0, bars.n_symbols)
    expected, score = (values[rows, columns] for values in (truth.expected_return(horizon), truth.score(horizon)))
    report = measure_oracle_on(bars, expected, score, horizon=horizon, cost_bps=cost_bps)
    label_auc = directional_auc(score, label == BUY, label == SELL)
    return {**dataclasses.asdict(report), "label_auc": label_auc if math.isfinite(label_auc) else None}
