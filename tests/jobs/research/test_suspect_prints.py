"""The report on suspect prints: what the hold gained or cost is the difference of two accounts."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars
from quantlab.jobs.research.pipeline import Backtest
from quantlab.jobs.research.suspect_prints import hold_notes, suspect_prints
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy, signal_of

CASH = 10_000.0
ENGINE: Any = SimpleNamespace(engine=Scan(CASH))


def result_on(bars: Bars, target: Any) -> Backtest:
    limits = Limits(None, False, None, None, None, None, 1.0)
    strategy = Strategy(None, FromSignals(rebalance=False), FixedFraction(0.1), limits, Costs(0.0, None, 0.0))  # type: ignore[arg-type]
    signal = signal_of(target=target)
    evidence = Scan(CASH).run(bars, signal, strategy, limits_on=False)
    return Backtest(bars, bars, signal, None, strategy, evidence, evidence)  # type: ignore[arg-type]


@pytest.fixture
def swapped(random_bars: Any, false_prints: Any) -> Bars:
    """One swapped print, 13 times the price, of a market that is calm otherwise; through the gate."""
    bars = random_bars(0, 100, 2)
    ohlcv = bars.ohlcv.copy()
    ohlcv[60, 1, :4] = bars.ohlcv[60, 1, 3] * np.array([1.0, 13.2, 1.0, 13.2])
    return false_prints(dataclasses.replace(bars, ohlcv=ohlcv), 0, 0.0)


def test_one_swapped_print_makes_no_fortune(swapped: Bars) -> None:
    """Held before it, and sold by a policy that takes its profit at the next open, which is the price again."""
    target = np.full((100, 2), np.nan)
    target[50, 1] = 0.9
    held = result_on(swapped, target)
    numbers = suspect_prints(ENGINE, held)
    assert numbers is not None
    assert abs(held.evidence.equity[60] / CASH - 1.0) < 0.05
    trusting = Scan(CASH).run(dataclasses.replace(swapped, suspect=None), held.signal, held.strategy, limits_on=False)
    assert trusting.equity[60] > 10.0 * CASH
    assert numbers["per_symbol"]["S01"]["stands"] == 1
    assert numbers["per_symbol"].keys() == {"S01"}


def test_the_gain_is_the_difference_of_the_last_equities(swapped: Bars) -> None:
    target = np.full((100, 2), np.nan)
    target[50], target[59, 1], target[80] = 0.3, 0.5, 0.0  # an add is due in the flagged bar
    held = result_on(swapped, target)
    numbers = suspect_prints(ENGINE, held)
    trusting = Scan(CASH).run(dataclasses.replace(swapped, suspect=None), held.signal, held.strategy, limits_on=False)
    assert numbers is not None
    assert numbers["gained"] == held.evidence.equity[-1] - trusting.equity[-1] != 0.0
    assert numbers["per_symbol"]["S01"]["gained"] == pytest.approx(numbers["gained"])
    assert numbers["refused"] == 1
    assert "1 bars of 1 symbols" in hold_notes(numbers)[0]


def test_a_market_without_flags_says_nothing(random_bars: Any) -> None:
    result = result_on(random_bars(0, 50, 2), np.zeros((50, 2)))
    assert suspect_prints(ENGINE, result) is None
    assert hold_notes(None) == ()
