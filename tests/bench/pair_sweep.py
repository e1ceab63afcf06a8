"""Our sweep of pairs of moving averages; as a script, so many pairs and nothing else, for its peak memory."""

from __future__ import annotations

import sys

from measure import market
from signals import PairSignals

from quantlab.backtest.sweep import sweep
from quantlab.core.market import Bars
from quantlab.trading.strategy.policies import FromSignals
from quantlab.trading.strategy.sizers import FixedFraction
from quantlab.trading.strategy.strategy import Costs, Limits, Strategy

CASH = 10_000.0
PAIRS = [(fast, slow) for fast in range(5, 45) for slow in range(50, 300, 10)]
STRATEGY = Strategy(
    signal=None,  # type: ignore[arg-type]  # the sweep is handed signals, it never asks for one
    policy=FromSignals(False),
    sizer=FixedFraction(0.99),
    limits=Limits(None, False, None, None, None, None, 1.0),
    costs=Costs(0.0, None, 125.0),
)


def ours(bars: Bars, pairs: list[tuple[int, int]], threads: int) -> None:
    """Signals of every pair and its whole account, through the general step."""
    sweep(bars, PairSignals(bars, pairs), [STRATEGY] * len(pairs), CASH, threads=threads)


if __name__ == "__main__":
    ours(market(25_920, 1), (PAIRS * 10)[: int(sys.argv[1])], 2)
