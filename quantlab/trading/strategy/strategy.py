"""A strategy: its signal, its policy, its sizer, its limits and its costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_flag, check_has, check_range, check_whole
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Instrument
from quantlab.core.ports import Policy, PositionSizer, SignalSource
from quantlab.core.user_code_hash import user_code_hash
from quantlab.trading.lowlevel.layout import STOP_MEMORY, Rules

#: No configuration may risk more than this share of a day's starting equity.
DAILY_LOSS_CEILING = 0.08

BASIS_POINT = 10_000.0
MS_PER_MINUTE = 60_000.0


def _off_or_number(owner: Any, name: str) -> float | None:
    """Read a limit; ``off``, false (YAML's reading of a bare ``off``) and null are None."""
    value = getattr(owner, name)
    if value is None or value is False or value == "off":
        object.__setattr__(owner, name, None)
        return None
    if isinstance(value, bool):
        raise ConfigError(f"limits.{name} as a number or off", found=repr(value), fix=f"set limits.{name}")
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Limits:
    """Limits that the risk guard enforces. None (``off`` in YAML) switches a limit off; 1.0 does not.

    Four rules *halt*: daily limit, breaker, loss streak and stop rate. Each latches with one event.

    Parameters
    ----------
    daily_loss_limit : float or None
        Fraction of the equity at the start of the UTC day; at most ``DAILY_LOSS_CEILING``.
    daily_flatten : bool
        Close everything when the daily limit is hit, instead of only refusing increases.
    breaker : float or None
        Fraction of the highest equity; below it everything is closed until a reset by hand.
    max_positions : int or None
    max_weight : float or None
        Largest target, as a fraction of equity.
    max_gross_leverage : float or None
        Largest sum of absolute position values, in multiples of equity.
    rollout : float
        Fraction of every target that is really asked for, 0 .. 1; never below what is held.
    loss_streak : int or None
        No increases until the next UTC day after so many positions in a row closed at a loss on one day.
    max_stops : int or None
        Likewise after so many stops within `stop_window_minutes`; at most ``STOP_MEMORY``.
    stop_window_minutes : float or None
        Needed by `max_stops`.

    Raises
    ------
    ConfigError
        If a limit is out of its range, or `max_stops` has no window.
    """

    daily_loss_limit: float | None
    daily_flatten: bool
    breaker: float | None
    max_positions: int | None
    max_weight: float | None
    max_gross_leverage: float | None
    rollout: float
    loss_streak: int | None = None
    max_stops: int | None = None
    stop_window_minutes: float | None = None

    def __post_init__(self) -> None:
        bounds = {
            "daily_loss_limit": (1e-6, DAILY_LOSS_CEILING),
            "breaker": (1e-6, 1.0),
            "max_weight": (1e-6, 100.0),
            "max_gross_leverage": (1e-6, 100.0),
            "stop_window_minutes": (1e-3, 1e6),
        }
        for name, (low, high) in bounds.items():
            value = _off_or_number(self, name)
            if value is not None:
                check_range(f"limits.{name}", value, low=low, high=high)
        for name, high in {"max_positions": 1_000_000, "loss_streak": 1_000_000, "max_stops": STOP_MEMORY}.items():
            if _off_or_number(self, name) is not None:
                check_whole(f"limits.{name}", getattr(self, name), low=1, high=high)
        if self.max_stops is not None and self.stop_window_minutes is None:
            fix = "set limits.stop_window_minutes, or limits.max_stops=off"
            raise ConfigError("limits.stop_window_minutes for limits.max_stops", found="off", fix=fix)
        check_range("limits.rollout", self.rollout, low=0.0, high=1.0)
        check_flag("limits.daily_flatten", self.daily_flatten)


@dataclass(frozen=True)
class Costs:
    """Costs of trading beyond the instruments' fees.

    Parameters
    ----------
    slippage_bps : float
        Basis points by which market orders and stops fill worse.
    participation : float or None
        Largest share of a bar's volume that capped fills may take; None (``off``) for no cap.
    liquidation_fee_bps : float
        Basis points of the liquidated notional; 125 is 1.25 %.
    coarsest_tick : float
        Share of a price, in (0, 1]: a tick larger than this share of the price that it would round is unknown there.
    coarsest_order_usd : float
        USD: a lot worth more than this, or a smallest notional above it, is unknown.
    delisted_after_bars : int or None
        Bars in a row without its symbol after which a position is settled at its last mark; None for a day of them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    slippage_bps: float
    participation: float | None
    liquidation_fee_bps: float
    coarsest_tick: float = 0.001
    coarsest_order_usd: float = 1_000.0
    delisted_after_bars: int | None = None

    def __post_init__(self) -> None:
        check_range("costs.slippage_bps", self.slippage_bps, low=0.0, high=1_000.0)
        check_range("costs.liquidation_fee_bps", self.liquidation_fee_bps, low=0.0, high=BASIS_POINT)
        check_range("costs.coarsest_tick", self.coarsest_tick, low=1e-9, high=1.0)
        check_range("costs.coarsest_order_usd", self.coarsest_order_usd, low=1e-9)
        if self.delisted_after_bars is not None:
            check_whole("costs.delisted_after_bars", self.delisted_after_bars, low=1)
        participation = _off_or_number(self, "participation")
        if participation is not None:
            check_range("costs.participation", participation, low=1e-9, high=1.0)

    def delisted_after(self, interval_ms: int) -> int:
        """Return the absent bars in a row after which a position is settled: as configured, else those of one day, at least 1."""
        return max(1, MS_PER_DAY // interval_ms) if self.delisted_after_bars is None else self.delisted_after_bars


@dataclass(frozen=True)
class Strategy:
    """One object from research to live: frozen, hashed, and knowing only ports.

    Parameters
    ----------
    signal : SignalSource
    policy : Policy
    sizer : PositionSizer
    limits : Limits
    costs : Costs

    Raises
    ------
    ConfigError
        If a part is missing or of another kind.
    """

    signal: SignalSource
    policy: Policy
    sizer: PositionSizer
    limits: Limits
    costs: Costs

    def __post_init__(self) -> None:
        check_has("trading.policy", self.policy, "step", "params", "begin")
        check_has("trading.sizer", self.sizer, "size", "params")
        check_has("trading.limits", self.limits, "daily_loss_limit", "breaker")
        check_has("trading.costs", self.costs, "slippage_bps")

    @property
    def fingerprint(self) -> str:
        """sha256 over everything that can change what it does, a user's own code with it."""
        policy, sizer = self.policy, self.sizer
        functions = (policy.step, type(policy).params, type(policy).begin, sizer.size, type(sizer).params)
        code = [user_code_hash(part) for part in functions]
        own = [code] if any(code) else []
        return fingerprint(self.signal.fingerprint, policy, sizer, self.limits, self.costs, *own)


def rules_of(strategy: Strategy, instruments: tuple[Instrument, ...], interval_ms: int, *, limits_on: bool) -> Rules:
    """The numbers that compiled code reads; `limits_on` false drops what halts, and nothing else."""
    return with_strategy(rules_of_venue(instruments), strategy, interval_ms, limits_on=limits_on)


def rules_of_venue(instruments: tuple[Instrument, ...]) -> Rules:
    """Return what many strategies on the same instruments share; the rest is None until :func:`with_strategy` sets it."""
    nothing: Any = dict.fromkeys(Rules._fields[Rules._fields.index("slippage") :])
    return Rules(
        tick=_column(instruments, "tick"),
        lot=_column(instruments, "lot"),
        min_notional=_column(instruments, "min_notional"),
        maintenance=_column(instruments, "maintenance_margin_rate"),
        maker_fee=_read_only(_column(instruments, "maker_fee_bps") / BASIS_POINT),
        taker_fee=_read_only(_column(instruments, "taker_fee_bps") / BASIS_POINT),
        **nothing,
    )


def with_strategy(venue: Rules, strategy: Strategy, interval_ms: int, *, limits_on: bool) -> Rules:
    """A venue's rules with one strategy's, on bars of this interval, in place of another's."""
    limits, costs = strategy.limits, strategy.costs
    return venue._replace(
        slippage=costs.slippage_bps / BASIS_POINT,
        participation=_number(costs.participation, math.inf),
        liquidation_fee=costs.liquidation_fee_bps / BASIS_POINT,
        coarsest_tick=float(costs.coarsest_tick),
        coarsest_order_usd=float(costs.coarsest_order_usd),
        delisted_after=float(costs.delisted_after(interval_ms)),
        daily_loss_limit=_number(limits.daily_loss_limit if limits_on else None, math.nan),
        daily_flatten=limits.daily_flatten,
        breaker=_number(limits.breaker if limits_on else None, math.nan),
        max_positions=_number(limits.max_positions, math.inf),
        max_weight=_number(limits.max_weight, math.inf),
        max_gross_leverage=_number(limits.max_gross_leverage, math.inf),
        rollout=float(limits.rollout),
        loss_streak=_number(limits.loss_streak if limits_on else None, math.inf),
        max_stops=_number(limits.max_stops if limits_on else None, math.inf),
        stop_window_ms=_number(limits.stop_window_minutes, 0.0) * MS_PER_MINUTE,
        policy=_read_only(strategy.policy.params()),
        sizer=_read_only(strategy.sizer.params()),
    )


def _number(value: float | None, off: float) -> float:
    return off if value is None else float(value)


def _column(instruments: tuple[Instrument, ...], name: str) -> Float64Array:
    return _read_only(np.array([getattr(i, name) for i in instruments], dtype=np.float64))


def _read_only(array: Float64Array) -> Float64Array:
    view = np.ascontiguousarray(array, dtype=np.float64).view()
    view.flags.writeable = False
    return view
