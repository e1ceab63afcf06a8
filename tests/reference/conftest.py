"""Puts the plain simulator on the path, and runs both simulators once for every test of the room."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import Simulation
from quantlab.data.parquet.source import ParquetSource

PLAIN = str(Path(__file__).parent / "plain")
if PLAIN not in sys.path:
    sys.path.insert(0, PLAIN)

from plain_bounds import filled_in, filled_of, violations  # noqa: E402 - found only now
from plain_comparison import differences, fill_cut_differences  # noqa: E402
from plain_markets import CASH, Case, random_case  # noqa: E402
from plain_scenes import scene  # noqa: E402
from plain_simulator import simulate  # noqa: E402
from plain_suspects import flags_of  # noqa: E402

DEFAULT_CASES = 4_000


@dataclass(frozen=True)
class Agreement:
    """What both simulators said about many cases."""

    different: list[str]
    different_fill_cuts: list[str]
    branches: Counter[str]
    cuts: Counter[str]
    out_of_bounds: list[str]
    fills: Counter[str]


def product(case: Case) -> Simulation:
    return Scan(CASH).run(case.bars, case.signal, case.strategy, limits_on=case.limits_on)


def compare_all(cases: Iterable[Case]) -> Agreement:
    """Run both over every case; texts start with the seed that reproduces them."""
    agreement = Agreement([], [], Counter(), Counter(), [], Counter())
    for case in cases:
        reference = simulate(case.bars, case.signal, case.strategy, CASH, limits_on=case.limits_on)
        tested = product(case)
        agreement.different.extend(f"seed {case.seed}: {text}" for text in differences(tested, reference))
        fill_cuts = fill_cut_differences(tested, reference)
        agreement.different_fill_cuts.extend(f"seed {case.seed}: {text}" for text in fill_cuts)
        for filled in (filled_of(tested), filled_in(reference)):
            texts = violations(case.bars, case.strategy.costs, filled, agreement.fills)
            agreement.out_of_bounds.extend(f"seed {case.seed}: {text}" for text in texts)
        agreement.branches.update(reference.branches)
        agreement.cuts.update(reference.cuts)
    return agreement


@pytest.fixture(scope="session")
def compare() -> Callable[[Iterable[Case]], Agreement]:
    return compare_all


@pytest.fixture(scope="session")
def run_product() -> Callable[[Case], Simulation]:
    return product


@pytest.fixture(scope="session")
def play() -> Callable[..., Simulation]:
    """A scene of a few bars in both simulators; they have to agree."""

    def run(*arguments: Any, **changes: Any) -> Simulation:
        case = scene(*arguments, **changes)
        reference, tested = simulate(case.bars, case.signal, case.strategy, CASH), product(case)
        assert differences(tested, reference) + fill_cut_differences(tested, reference) == []
        return tested

    return run


@pytest.fixture(scope="session")
def random_agreement() -> Agreement:
    judged: Counter[str] = Counter()
    agreement = compare_all(_judged(map(random_case, range(DEFAULT_CASES)), judged))
    agreement.branches.update(judged)
    return agreement


def _judged(cases: Iterable[Case], branches: Counter[str]) -> Iterable[Case]:
    """`cases`, with a count of how the plain rule judges every print in them."""
    for case in cases:
        flags_of(case.bars, branches)
        yield case


@pytest.fixture(scope="session")
def april_bars(perps_5m: Path) -> Bars:
    """Eleven days of eight perpetuals: the fall of OM, two late listings, holes, thin books, hourly funding."""
    instrument = Instrument(
        tick=0.0, lot=0.0, min_notional=10.0, maintenance_margin_rate=0.03, maker_fee_bps=1.5, taker_fee_bps=4.5
    )
    listed_late = sorted(path.stem for path in (perps_5m / "ragged").glob("*.parquet"))[:2]
    return ParquetSource(
        root=perps_5m,
        largest_funding_rate=0.05,
        symbols=["BTC", "OM", "TST", "UMA", "VVV", "kPEPE", *listed_late],
        instrument=instrument,
        start="2025-04-10",
        end="2025-04-21",
        funding="partial",
        folders=["ragged"],
    ).history()
