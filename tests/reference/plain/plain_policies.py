"""Step 7, first half: what each shipped policy asks for at a close."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from plain_account import Account, Distances
from plain_sizers import Entry, weight_of

from quantlab.core.market import BarState
from quantlab.core.results import OrderReason
from quantlab.core.types import Signal
from quantlab.trading.strategy.strategy import Strategy


@dataclass(frozen=True)
class Request:
    """A signed weight of equity; NaN keeps, 0 closes."""

    target: float = math.nan
    distances: Distances = field(default_factory=Distances)
    reason: OrderReason = OrderReason.SIGNAL
    sized: bool = True  # False: the sizer could not say how much


def ask(strategy: Strategy, account: Account, signal: Signal, t: int, s: int) -> Request:
    policies = {"EnsembleThreshold": _ensemble_threshold, "FromSignals": _from_signals, "BuyAndHold": _buy_and_hold}
    return policies[type(strategy.policy).__name__](strategy, account, signal, t, s)


def _sized(
    strategy: Strategy, account: Account, signal: Signal, t: int, s: int, strength: float, distances: Distances
) -> Request:
    """A strength with the sizer's weight; an unknown one is an increase without bound, which the guard refuses."""
    atr, close = float(signal.atr[t, s]), float(account.bars.close[t, s])
    weight = weight_of(strategy.sizer, Entry(float(signal.confidence[t, s]), atr, close, distances))
    _note_weight(account, strategy.sizer, weight)
    if math.isnan(weight):
        return Request(strength * math.inf, distances, sized=False)
    return Request(strength * weight, distances)


def _note_weight(account: Account, sizer: Any, weight: float) -> None:
    largest = getattr(sizer, "max_weight", sizer.weight if hasattr(sizer, "weight") else math.inf)
    kind = "refused" if math.isnan(weight) else "flat" if weight == 0.0 else "capped" if weight == largest else "sized"
    account.branches[f"{type(sizer).__name__} {kind}"] += 1


def _sided(strategy: Strategy, account: Account, signal: Signal, t: int, s: int, distances: Distances) -> Request:
    return _sized(strategy, account, signal, t, s, float(signal.side[t, s]), distances)


def _is_flip(account: Account, signal: Signal, t: int, s: int) -> bool:
    return float(signal.side[t, s]) * account.positions[s].units < 0.0


def _ensemble_threshold(strategy: Strategy, account: Account, signal: Signal, t: int, s: int) -> Request:
    policy: Any = strategy.policy
    position, side = account.positions[s], int(signal.side[t, s])
    distances = _atr_distances(policy, float(signal.atr[t, s]))
    if position.units == 0.0:
        if side != 0 and account.stopped[s]:
            account.branches["no entry after a stop"] += 1
        may_enter = side != 0 and not account.stopped[s]
        return _sided(strategy, account, signal, t, s, distances) if may_enter else Request()
    if _is_flip(account, signal, t, s):
        return _sided(strategy, account, signal, t, s, distances)
    if policy.horizon is not None and position.bars_held >= policy.horizon:
        account.branches["time exit"] += 1
        return Request(0.0, reason=OrderReason.TIME_EXIT)
    if side != 0 and policy.rebalance:
        return _sided(strategy, account, signal, t, s, distances)
    return Request()


def _atr_distances(policy: Any, atr: float) -> Distances:
    """Multiples of ATR; none is infinitely far, and an unknown ATR makes every distance unknown."""
    names = {"stop": "stop_atr", "take": "take_profit_atr", "trail": "trail_atr", "break_even": "break_even_atr"}
    multiples = {key: getattr(policy, name, None) for key, name in names.items()}
    return Distances(**{key: (math.inf if m is None else m) * atr for key, m in multiples.items()})


def _from_signals(strategy: Strategy, account: Account, signal: Signal, t: int, s: int) -> Request:
    policy: Any = strategy.policy
    distances = _brought_distances(signal, t, s)
    if signal.target is not None:
        return Request(float(signal.target[t, s]), distances)
    units, side = account.positions[s].units, int(signal.side[t, s])
    if side != 0 and (units == 0.0 or policy.rebalance or _is_flip(account, signal, t, s)):
        return _sided(strategy, account, signal, t, s, distances)
    return Request()


def _brought_distances(signal: Signal, t: int, s: int) -> Distances:
    names = {"stop": "stop_distance", "take": "take_distance", "trail": "trail_distance"}
    names["break_even"] = "break_even_distance"
    arrays = {key: getattr(signal, name, None) for key, name in names.items()}
    return Distances(**{key: float(array[t, s]) for key, array in arrays.items() if array is not None})


def _buy_and_hold(strategy: Strategy, account: Account, signal: Signal, t: int, s: int) -> Request:
    if account.positions[s].units != 0.0:
        account.seen[s] = True
    traded = account.bars.state[t, s] == BarState.TRADED
    if account.seen[s] or not traded or not math.isfinite(signal.atr[t, s]):
        return Request()
    return _sized(strategy, account, signal, t, s, 1.0, Distances())
