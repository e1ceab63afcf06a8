"""Policies, sizers and limits that know what will happen, and honest ones beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from quantlab.audit.chance_checks import check_position_auc, sides_held
from quantlab.audit.decisions import Decider, check_decisions
from quantlab.audit.fills import AuditedAccount
from quantlab.audit.findings import AuditLog
from quantlab.backtest.scan import Scan
from quantlab.core.fakes import BarsSource, FixedSignal
from quantlab.core.market import Bars
from quantlab.core.types import BUY, SELL, Signal
from quantlab.jobs.config.composition import build, compose
from quantlab.trading import FixedFraction, compiled_step

MakeBars = Callable[..., Bars]
#: Bars of which an honest policy takes its parameters; the account begins after them.
FORMATION = 40
N_BARS = 300


def follow_the_table(params: Any, memory: Any, market: Any, account: Any, intents: Any) -> None:
    t = int(memory[0, 0])
    for s in range(len(market.close)):
        intents.target[s] = 0.05 * params[t * len(market.close) + s]
        intents.stop_distance[s] = np.inf
        intents.take_distance[s] = np.inf
    memory[0, 0] = min(t + 1, len(params) // len(market.close) - 1)


@dataclass(frozen=True)
class Table:
    """Holds what its table says for every bar; subclasses say where the table comes from."""

    source: Any = None
    step = property(lambda self: compiled_step(follow_the_table))

    def table(self) -> Any:
        raise NotImplementedError

    def params(self) -> Any:
        return np.ascontiguousarray(self.table(), dtype=np.float64).ravel()

    def begin(self, n_symbols: int) -> Any:
        return np.zeros((1, n_symbols))


def coming_sides(bars: Bars) -> Any:
    """Sides of the moves that each bar's decision will hold through."""
    sides = np.zeros(bars.close.shape)
    sides[:-2] = np.sign(bars.close[2:] - bars.ohlcv[1:-1, :, 0])
    return sides[FORMATION:]


class OfTheHistory(Table):
    """Reads the source in its field, every time that it is asked."""

    def table(self) -> Any:
        return coming_sides(self.source.history())


@dataclass(frozen=True)
class AtConstruction(Table):
    """Reads while it is constructed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", coming_sides(self.source.history()))

    def table(self) -> Any:
        return self.kept  # type: ignore[attr-defined]


#: Bars that a policy finds by itself, as one does that constructs a source of its own.
BARS: list[Bars] = []


@cache
def _remembered() -> Any:
    return coming_sides(BarsSource(BARS[-1]).history())


class OfItsOwnSource(Table):
    """Constructs a source, and a function of its module remembers the bars."""

    def table(self) -> Any:
        return _remembered()


class OfAFile(Table):
    """Reads what no source hands over."""

    def table(self) -> Any:
        return coming_sides(BARS[-1])


class OfThePast(Table):
    """Honest: of every bar the side of the move before it, the bars to come with theirs."""

    def table(self) -> Any:
        close = self.source.history().close
        sides = np.zeros(close.shape)
        sides[1:] = np.sign(close[1:] - close[:-1])
        return sides[FORMATION:]


class OfTheFormation(Table):
    """Honest: sides of the bars before the account begins, over and over."""

    def table(self) -> Any:
        first = self.source.history().rows(0, FORMATION)
        sides = np.zeros((N_BARS - FORMATION, first.n_symbols))
        sides[:] = np.sign(first.close[-1] - first.close[0])
        return sides


@dataclass(frozen=True)
class CalmAhead:
    """A weight by the volatility of the whole history."""

    source: Any
    size = property(lambda self: FixedFraction(0.05).size)

    def params(self) -> Any:
        moves = np.diff(np.log(self.source.history().close), axis=0)
        return np.array([0.0005 / float(np.std(moves))])


def flips(bars: Bars) -> Signal:
    rose = np.zeros(bars.state.shape, dtype=np.int8)
    rose[1:] = np.where(bars.close[1:] > bars.close[:-1], 1, -1)
    sure = np.ones(bars.state.shape)
    return Signal(rose, np.eye(3)[rose + 1], sure, sure.copy(), np.ones(rose.shape, np.int8), 0.004 * bars.close)


def looked_at(bars: Bars, rebuild: Callable[[], Callable[..., Any]], plain: Any = None) -> AuditLog:
    """The audit of the strategy that `rebuild` makes, whose account begins behind the formation."""
    log, traded = AuditLog(), bars.rows(FORMATION, bars.n_bars)
    signal = flips(bars).rows(FORMATION, bars.n_bars)
    account = AuditedAccount(Scan(10_000.0), traded, signal, rebuild()(signal=FixedSignal(signal)))
    decider = Decider(BarsSource(bars), rebuild, plain, bars, FORMATION)
    check_decisions(log, decider, account, [60, 137, 250], 3, 0)
    return log


@pytest.fixture(scope="module")
def make_strategy() -> Any:
    return build(compose("trading/policy=ensemble_threshold", "trading/sizer=confidence_fraction").strategy)


@pytest.mark.parametrize("kind", [OfTheHistory, AtConstruction, OfItsOwnSource])
def test_a_policy_whose_parameters_hold_the_future_is_found(
    random_bars: MakeBars, make_strategy: Any, kind: Any
) -> None:
    bars = random_bars(n_bars=N_BARS)
    BARS.append(bars)
    _remembered.cache_clear()
    log = looked_at(bars, lambda: lambda signal: make_strategy(signal=signal, policy=kind(BarsSource(bars))))
    assert [(one.stage, one.column) for one in log.findings] == [("fill", "decision.reduce")]
    assert any("no DataSource hands over" in note for note in log.notes)
    assert BarsSource(bars).history() is bars or np.array_equal(BarsSource(bars).history().ohlcv, bars.ohlcv), (
        "the market is as it was"
    )


def test_a_sizer_of_the_whole_history_is_found_and_named(random_bars: MakeBars, make_strategy: Any) -> None:
    bars = random_bars(n_bars=N_BARS)
    log = looked_at(bars, lambda: lambda signal: make_strategy(signal=signal, sizer=CalmAhead(source=BarsSource(bars))))
    assert [(one.stage, one.column) for one in log.findings] == [("sizing", "decision.weight")]


def test_costs_that_were_measured_on_the_whole_history_are_found(random_bars: MakeBars, make_strategy: Any) -> None:
    bars = random_bars(n_bars=N_BARS)

    def made(signal: Any) -> Any:
        spread = float(np.std(BarsSource(bars).history().close))
        strategy = make_strategy(signal=signal)
        return dataclasses.replace(strategy, costs=dataclasses.replace(strategy.costs, slippage_bps=spread % 5.0))

    assert [one.column for one in looked_at(bars, lambda: made).findings] == ["costs.slippage_bps"]


def test_what_a_signal_lays_aside_for_a_policy_is_laid_aside_anew(random_bars: MakeBars, make_strategy: Any) -> None:
    bars, laid = random_bars(n_bars=N_BARS), []

    class Leaving:
        def signal(self, market: Bars) -> Signal:
            laid.append(market)
            return flips(market)

    class Taking(Table):
        def table(self) -> Any:
            return coming_sides(laid[-1])

    source = Leaving()
    source.signal(bars)
    log = looked_at(bars, lambda: lambda signal: make_strategy(signal=signal, policy=Taking()), source)
    assert [one.stage for one in log.findings] == ["fill"]


def test_honest_decisions_are_not_accused(random_bars: MakeBars, make_strategy: Any) -> None:
    bars = random_bars(n_bars=N_BARS)
    assert looked_at(bars, lambda: make_strategy).findings == []
    kinds: tuple[Any, ...] = (OfTheFormation, OfThePast)
    for kind in kinds:
        make = partial(make_strategy, policy=kind(BarsSource(bars)))
        log = looked_at(bars, partial(partial, make))
        assert log.findings == []
        assert [one.rows for one in log.powers] == [3]


def keeps_a_distance(params: Any, memory: Any, market: Any, account: Any, intents: Any) -> None:
    for s in range(len(market.close)):
        if account.units[s] == 0.0:
            intents.strength[s] = 1.0
            intents.stop_distance[s] = params[0]
            intents.take_distance[s] = params[1]
            intents.trail_distance[s] = params[2]


@dataclass(frozen=True)
class Exits(Table):
    """One distance of three is measured on all bars, the last ones too."""

    which: int = 0
    step = property(lambda self: compiled_step(keeps_a_distance))

    def params(self) -> Any:
        distances = np.array([5.0, 7.0, 6.0])
        distances[self.which] += float(np.nanmax(self.source.history().close[-5:]) % 1.0)
        return distances


@pytest.mark.parametrize(("which", "name"), [(0, "stop_distance"), (1, "take_distance"), (2, "trail_distance")])
def test_an_exit_of_the_whole_history_is_named(
    random_bars: MakeBars, make_strategy: Any, which: int, name: str
) -> None:
    bars = random_bars(n_bars=N_BARS)
    log = looked_at(bars, lambda: lambda signal: make_strategy(signal=signal, policy=Exits(BarsSource(bars), which)))
    assert [(one.stage, one.column) for one in log.findings] == [("sizing", f"decision.{name}")]


def test_a_strategy_that_is_another_each_time_is_noted(random_bars: MakeBars, make_strategy: Any) -> None:
    bars, made = random_bars(n_bars=N_BARS), []

    class Restless(Table):
        def table(self) -> Any:
            made.append(1)
            return np.full((N_BARS - FORMATION, bars.n_symbols), 1.0 if len(made) % 2 else -1.0)

    log = looked_at(bars, lambda: lambda signal: make_strategy(signal=signal, policy=Restless()))
    assert log.findings == []
    assert any("each time that it is made" in note for note in log.notes)


def test_a_policy_that_cannot_be_seen_is_judged_by_its_positions(random_bars: MakeBars, make_strategy: Any) -> None:
    """A file of its own: made anew it is the same, but its positions know what comes."""
    bars = random_bars(n_bars=1_500)
    BARS.append(bars)
    strategy = make_strategy(signal=FixedSignal(flips(bars)), policy=OfAFile())
    ahead = np.zeros(bars.close.shape)
    ahead[:-2] = bars.close[2:] - bars.ohlcv[1:-1, :, 0]
    label = np.where(ahead > 0.0, BUY, SELL).astype(np.int8)
    for policy, leaks in ((strategy.policy, True), (make_strategy(signal=strategy.signal).policy, False)):
        log, traded = AuditLog(), bars.rows(FORMATION, bars.n_bars)
        signal = flips(bars).rows(FORMATION, bars.n_bars)
        account = AuditedAccount(Scan(10_000.0), traded, signal, dataclasses.replace(strategy, policy=policy))
        check_position_auc(log, account, account.run(traded, signal), label[FORMATION:], None, 100, 0)
        assert [(one.stage, one.column) for one in log.findings] == ([("signal", "position")] if leaks else [])
        assert (log.diagnostics["auc.position"] or 0.0) > 0.9 or not leaks


def test_few_lucky_positions_prove_nothing(random_bars: MakeBars, make_strategy: Any) -> None:
    bars = random_bars(n_bars=1_500)
    side = np.zeros(bars.state.shape, dtype=np.int8)
    side[[100, 600], 0], side[[300, 900], 0] = 1, -1
    signal = dataclasses.replace(flips(bars), side=side)
    account = AuditedAccount(Scan(10_000.0), bars, signal, make_strategy(signal=FixedSignal(signal)))
    simulation = account.run(bars, signal)
    held = sides_held(simulation, side.shape)
    label = np.where(held >= 0, BUY, SELL).astype(np.int8)
    log = AuditLog()
    check_position_auc(log, account, simulation, label, None, 100, 0)
    assert log.findings == []
    assert (log.diagnostics["auc.position"] or 0.0) > 0.9


def test_sides_are_those_of_the_decision_and_not_of_what_stops_took(random_bars: MakeBars, make_strategy: Any) -> None:
    bars = random_bars(n_bars=N_BARS)
    signal = flips(bars)
    account = AuditedAccount(Scan(10_000.0), bars, signal, make_strategy(signal=FixedSignal(signal)))
    simulation = account.run(bars, signal)
    held = sides_held(simulation, bars.state.shape)
    entries = simulation.orders[simulation.reasons == 0]
    first = entries[0]
    assert held[first["idx"] - 1, first["col"]] == (1 if first["side"] == 0 else -1)
    assert not held[-1].any()
    assert set(np.unique(held)) == {-1, 0, 1}
