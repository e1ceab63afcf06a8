"""The evidence run, replayed at other costs and with other accounts, through the same engine."""

from __future__ import annotations

import dataclasses
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars, Instrument
from quantlab.core.results import Simulation
from quantlab.core.rule_spans import map_rules
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.stress import Stress, StressAccount, StressPlan, measure_account


def check_stress(plan: StressPlan, strategy: Any, engine: Any) -> None:
    """Refuse before any work what could not be replayed after it.

    Raises
    ------
    ConfigError
        If the costs at the largest multiple are impossible, or the engine's cash cannot be changed.
    """
    for multiple in plan.cost_multiples:
        try:
            multiply_slippage(strategy, multiple)
        except ConfigError as error:
            raise ConfigError(
                "costs that stress.cost_multiples can multiply",
                found=f"at {multiple:g} x: {error}",
                fix="leave out the large multiples, or set evaluation/stress@stress=none",
            ) from error
    if plan.accounts and not (dataclasses.is_dataclass(engine) and hasattr(engine, "initial_cash")):
        raise ConfigError(
            "a backtest engine that is a dataclass with initial_cash, for the capacity curve",
            found=type(engine).__name__,
            fix="set stress.accounts=0",
        )


def stress(
    plan: StressPlan, engine: Any, bars: Bars, signal: Signal, strategy: Any, evidence: Simulation
) -> Stress | None:
    """All replays of `plan`, daily limit and breaker off as in the evidence; None if it asks for none.

    A replay that *is* the evidence run is not made a second time. Without a participation cap the size of an
    account changes nothing, and none is replayed.

    Parameters
    ----------
    plan : StressPlan
    engine : BacktestEngine
    bars : Bars, (T, S)
    signal : Signal, (T, S)
    strategy : Strategy
    evidence : Simulation
        Of these bars, this signal and this strategy.
    """
    participation: float | None = strategy.costs.participation
    sizes = plan.sizes if participation is not None else ()
    if not plan.cost_multiples and not sizes:
        return None
    return Stress(
        tuple(_replay_at_costs(multiple, engine, bars, signal, strategy, evidence) for multiple in plan.cost_multiples),
        tuple(_replay_with_cash(cash, engine, bars, signal, strategy, evidence) for cash in sizes),
        participation,
    )


def _replay_at_costs(
    multiple: float, engine: Any, bars: Bars, signal: Signal, strategy: Any, evidence: Simulation
) -> StressAccount:
    if multiple == 1.0:
        return measure_account(multiple, evidence, bars)
    dearer = map_rules(bars, lambda instrument: multiply_fees(instrument, multiple))
    run = engine.run(dearer, signal, multiply_slippage(strategy, multiple), limits_on=False)
    return measure_account(multiple, run, bars)


def _replay_with_cash(
    cash: float, engine: Any, bars: Bars, signal: Signal, strategy: Any, evidence: Simulation
) -> StressAccount:
    if cash == evidence.initial_cash:
        return measure_account(cash, evidence, bars)
    return measure_account(
        cash, dataclasses.replace(engine, initial_cash=cash).run(bars, signal, strategy, limits_on=False), bars
    )


def multiply_slippage(strategy: Any, multiple: float) -> Any:
    """The strategy with its slippage times `multiple`.

    Raises
    ------
    ConfigError
        If that is more than is possible.
    """
    costs = strategy.costs
    return dataclasses.replace(strategy, costs=dataclasses.replace(costs, slippage_bps=multiple * costs.slippage_bps))


def multiply_fees(instrument: Instrument, multiple: float) -> Instrument:
    """The instrument with its fees times `multiple`."""
    return dataclasses.replace(
        instrument,
        maker_fee_bps=multiple * instrument.maker_fee_bps,
        taker_fee_bps=multiple * instrument.taker_fee_bps,
    )
