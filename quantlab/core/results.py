"""Frozen records of a simulation and of a study, read by evaluation and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array, Records
from quantlab.core.types import Signal

#: The memory layout of vectorbt's order records (``vectorbt.portfolio.enums.order_dt``), declared
#: here so that the simulation need not import vectorbt; a test holds the two equal.
ORDER_DTYPE = np.dtype(
    [("id", "i8"), ("col", "i8"), ("idx", "i8"), ("size", "f8"), ("price", "f8"), ("fees", "f8"), ("side", "i8")],
    align=True,
)


class OrderReason(IntEnum):
    """Reason of an order record; parallel to the order records."""

    SIGNAL = 0  # decided by the policy: open, add, reduce, close, flip
    STOP = 1
    TAKE_PROFIT = 2
    TIME_EXIT = 3
    FLATTEN = 4  # the risk guard closed it
    LIQUIDATION = 5
    DELISTED = 6  # its symbol has been absent for so long that it was settled at the last mark
    EXTERNAL = 7  # on a venue only: a trade in the account that the session did not ask for
    ADL = 8  # on a venue only: reduced against another account's liquidation (auto-deleveraging)


class RiskEvent(IntEnum):
    """Kinds of events that the risk guard records."""

    DAILY_LIMIT = 0
    BREAKER = 1
    LIQUIDATION = 2
    LOSS_STREAK = 3
    STOP_RATE = 4


#: One row per event: bar index, RiskEvent, equity at the time, the level that was crossed.
EVENT_DTYPE = np.dtype([("idx", "i8"), ("kind", "i8"), ("equity", "f8"), ("level", "f8")], align=True)

#: The rules that may change a request, in the order in which they are applied and counted.
CUT_RULES = (
    "not_finite",
    "halt",
    "tradable",
    "max_positions",
    "max_weight",
    "max_gross_leverage",
    "rollout",
    "lot",
    "min_notional",
    "no_volume",
    "participation",
    "suspect",  # last, so that the others keep their places; applied after `tradable`, and where orders fill
)


@dataclass(frozen=True)
class Simulation:
    """Everything that happened in one simulated account.

    Parameters
    ----------
    open_time_ms : int64 (T,)
    interval_ms : int
    symbols : tuple of str
    initial_cash : float, USD
    equity : float64 (T,)
        Recorded at each bar's close, USD.
    gross : float64 (T,)
        Sum of absolute position values at each close, USD.
    funding, liquidation_fees : float64 (T,)
        *Paid* in that bar, USD (funding received is negative).
    orders : ORDER_DTYPE (N,)
        Fills in the order in which they happened; ``fees`` in USD, ``side`` 0 buy, 1 sell.
    reasons : int8 (N,)
        One :class:`OrderReason` per order record.
    over_participation : bool (N,)
        Stops that filled more than the participation budget.
    events : EVENT_DTYPE (M,)
    cuts : dict of rule name to count
    units, entry_price : float64 (S,)
        Open positions at the end.
    cash : float
        At the end, USD.
    has_funding : bool
        False when the bars carried no funding rates: results then leave funding out, and say so.
    missing_funding : int
        Held (bar, symbol) cells whose funding stamp had no rate; nothing was charged there.
    stale_marks : int
        Held (bar, symbol) cells without a close; the position stayed at its last mark.
    """

    open_time_ms: Int64Array
    interval_ms: int
    symbols: tuple[str, ...]
    initial_cash: float
    equity: Float64Array
    gross: Float64Array
    funding: Float64Array
    liquidation_fees: Float64Array
    orders: Records
    reasons: Int8Array
    over_participation: BoolArray
    events: Records
    cuts: dict[str, int]
    units: Float64Array
    entry_price: Float64Array
    cash: float
    has_funding: bool
    missing_funding: int = 0
    stale_marks: int = 0

    def __repr__(self) -> str:
        end = f"{self.equity[-1]:,.2f}" if len(self.equity) else "-"
        return (
            f"Simulation({len(self.equity)} bars, {len(self.symbols)} symbols: {self.initial_cash:,.2f} -> {end} USD, "
            f"{len(self.orders)} fills, {len(self.events)} events)"
        )

    @property
    def halted_at_ms(self) -> int | None:
        """Close time of the bar in which the circuit breaker fell, None if it never did."""
        fell = self.events[self.events["kind"] == RiskEvent.BREAKER]
        return None if len(fell) == 0 else int(self.open_time_ms[fell["idx"][0]]) + self.interval_ms


@dataclass(frozen=True)
class MemberReport:
    """Out-of-sample record of one ensemble member; None = undefined, with the reason in `undefined`."""

    auc: float | None
    auc_se: float | None
    log_loss: float | None
    weight: float | None
    influence: float | None
    undefined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SignalReport:
    """Behaviour of the ensemble on out-of-sample rows, and each member's part in it.

    Parameters
    ----------
    consensus_rate, mean_confidence, buy_share : float or None
        Over pre-threshold BUY and SELL decisions; None when there was none.
    members : dict of member name to MemberReport
    reliability : tuple of (mean predicted, observed share, count)
        Bins of the decided class's probability: does 0.4 mean 40 %?
    evaluated_rows : int
        Out-of-sample (bar, symbol) rows scored.
    undefined : dict of metric name to reason
    """

    consensus_rate: float | None
    mean_confidence: float | None
    buy_share: float | None
    members: dict[str, MemberReport]
    reliability: tuple[tuple[float, float, int], ...]
    evaluated_rows: int
    undefined: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One set of parameters that was tried; every one is kept, whatever became of it.

    Parameters
    ----------
    number : int
        From 0, in the order in which they were finished; trial 0 is the configuration itself.
    values : dict of parameter name to value
        As they were applied.
    state : {"complete", "pruned", "infeasible", "failed"}
        Pruned: given up early because it was behind. Infeasible: computed, but not eligible.
    value : float or None
        Of the objective; only complete trials have one.
    steps : tuple of float
        Intermediate losses, in the same order in every trial.
    returns : tuple of float
        Daily net returns, where the objective is made of them.
    note : str
        Why it has no value.
    """

    number: int
    values: dict[str, Any]
    state: str
    value: float | None
    steps: tuple[float, ...] = ()
    returns: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Window:
    """A test window, and what two accounts that begin with it came to, daily limit and breaker off.

    Parameters
    ----------
    first, last : str
        Opens of its first and last bar, ISO 8601.
    chosen_return, configured_return : float
        Net, with the thresholds that were chosen for it and with the configured ones.
    chosen_trades, configured_trades : int
        Closed.
    """

    first: str
    last: str
    chosen_return: float
    configured_return: float
    chosen_trades: int
    configured_trades: int

    def __add__(self, other: Window) -> Window:
        """Both, one after the other: returns compounded, trades added up."""
        return Window(
            self.first,
            other.last,
            (1.0 + self.chosen_return) * (1.0 + other.chosen_return) - 1.0,
            (1.0 + self.configured_return) * (1.0 + other.configured_return) - 1.0,
            self.chosen_trades + other.chosen_trades,
            self.configured_trades + other.configured_trades,
        )


@dataclass(frozen=True)
class TuningStage:
    """A finished search.

    Parameters
    ----------
    name : str
        A member, or ``"gates 2"`` and so on: the thresholds of the second test window. A key of published files; for
        people there is `title`.
    objective : str
        In words.
    maximise : bool
    trials : tuple of Trial
    best : int
        Number of the chosen trial.
    importance : dict of parameter name to float
        Shares that sum to 1; empty where they cannot be separated.
    window : Window or None
        The test window that was chosen for, of which the search has seen nothing; None for a member.
    """

    name: str
    objective: str
    maximise: bool
    trials: tuple[Trial, ...]
    best: int
    importance: dict[str, float]
    window: Window | None = None

    @property
    def title(self) -> str:
        """Name for people: a member's, or ``"thresholds, window 2"``."""
        return self.name if self.window is None else f"thresholds, window {self.name.rpartition(' ')[2]}"

    @property
    def chosen(self) -> dict[str, Any]:
        """Parameters of the chosen trial."""
        return self.trials[self.best].values


@dataclass(frozen=True)
class Study:
    """The outcome of learning on a history.

    Parameters
    ----------
    signal : Signal
        Over all bars; out-of-sample rows only, HOLD elsewhere.
    first_row, last_row : int
        Out-of-sample rows are ``first_row:last_row``; the backtest covers exactly these.
    source : SignalSource
        What made the last rows; the object that a strategy carries to paper and live.
    report : SignalReport or None
        None for a source that was not learned.
    windows : tuple of (int, int)
        First row and end of every test window, in time order; they tile ``first_row:last_row``. Empty for a source
        that was not learned.
    tuning : tuple of TuningStage
        Choices that were made on the way.
    votes : tuple
        What the learner needs to draw the same conclusion under other thresholds.
    """

    signal: Signal
    first_row: int
    last_row: int
    source: Any
    report: SignalReport | None
    windows: tuple[tuple[int, int], ...] = ()
    tuning: tuple[TuningStage, ...] = ()
    votes: tuple[Any, ...] = ()

    @property
    def last_test(self) -> int:
        """First row of the last test window; `first_row` where nothing was learned."""
        return self.windows[-1][0] if self.windows else self.first_row
