"""Small frozen values that travel between a feed, a session, its broker and its journal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, read_only
from quantlab.core.errors import ContractError
from quantlab.core.market import Funding


@dataclass(frozen=True)
class RawBar:
    """One closed bar of every symbol as it arrived, before the quality gate.

    Parameters
    ----------
    open_time_ms : int
    ohlcv : float64 (S, 5)
        Five NaN where a symbol has no bar.
    funding : Funding or None
        The stamps that fall due on it; None = no funding data.
    outside : bool (S,) or None
        Symbols that were no members of the universe, as far as is known; None = all are.
    """

    open_time_ms: int
    ohlcv: Float64Array
    funding: Funding | None = None
    outside: BoolArray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "ohlcv", read_only(self.ohlcv, np.float64, (None, 5), "raw.ohlcv"))
        if self.outside is not None:
            outside = read_only(self.outside, np.bool_, (len(self.ohlcv),), "raw.outside")
            object.__setattr__(self, "outside", outside)


@dataclass(frozen=True)
class Leg:
    """One order of a decision.

    Parameters
    ----------
    order_id : str
        The same for the same decision in every process: a venue that has seen it ignores it.
    symbol : str
    side : int
        +1 buy, -1 sell.
    units : float
        > 0.
    reduce_only : bool
    reason : str
        Name of an :class:`~quantlab.core.results.OrderReason`.
    stop_distance, take_distance : float or None
        USD from the fill, for a leg that opens; None = none.
    trail_distance, break_even_distance : float or None
        Distance by which the stop follows the price, and gain at which it moves to the entry, USD; None = off.
    """

    order_id: str
    symbol: str
    side: int
    units: float
    reduce_only: bool
    reason: str
    stop_distance: float | None = None
    take_distance: float | None = None
    trail_distance: float | None = None
    break_even_distance: float | None = None


@dataclass(frozen=True)
class Decision:
    """Orders that follow the bar that opened at `open_time_ms`; mostly none."""

    open_time_ms: int
    legs: tuple[Leg, ...]


@dataclass(frozen=True)
class BarInputs:
    """Everything beside the bar and the venue's facts that the work on one bar depends on; journalled with it.

    Parameters
    ----------
    stale : bool
        The bar came too late to enter on.
    venue_halt : bool
        The venue, or what is known of it, is not fit to enter on.
    owner_halt : bool
        The owner has asked that nothing is entered.
    share : float
        Share of every target that the stage of the rollout allows, in 0 .. 1.
    positions : float
        Most positions that the stage allows; +inf = as many as the limits.

    Raises
    ------
    ContractError
        If share or positions is out of its range.
    """

    stale: bool = False
    venue_halt: bool = False
    owner_halt: bool = False
    share: float = 1.0
    positions: float = math.inf

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or not self.positions >= 0.0:
            raise ContractError(
                "a share of targets in 0 .. 1 and a number of positions >= 0",
                found=f"share {self.share!r}, positions {self.positions!r}",
                fix="correct what gives the inputs of a bar",
            )


@dataclass(frozen=True)
class AccountView:
    """An account as a broker reports it.

    Parameters
    ----------
    cash, equity : float, USD
    units : dict of symbol to signed units
        Open positions only.
    """

    cash: float
    equity: float
    units: dict[str, float]


#: Kinds of journal entries that tell what was asked of a venue and what it said: a broker's own, which it takes.
VENUE_KINDS = frozenset(
    {
        "venue",
        "intent",
        "ack",
        "refused",
        "unknown",
        "resolved",
        "fill",
        "order_end",
        "protected",
        "moved",
        "cleared",
        "funding",
        "cash_moved",
        "external",
        "reconciled",
        "mismatch",
        "repaired",
        "halt",
        "released",
    }
)


@dataclass(frozen=True)
class Event:
    """One entry of a journal.

    Parameters
    ----------
    kind : str
    facts : dict
        Strict JSON.
    payload : bytes
        What JSON would only blow up.
    seq : int
        Given by the journal, from 1; 0 before.
    """

    kind: str
    facts: dict[str, Any]
    payload: bytes = b""
    seq: int = 0


@dataclass(frozen=True)
class Alert:
    """Something that a person should know.

    Parameters
    ----------
    kind : str
        E.g. ``stale_feed``, ``breaker``, ``corrected_bar``.
    message : str
        One sentence.
    time_ms : int
    facts : dict
        Strict JSON.
    """

    kind: str
    message: str
    time_ms: int
    facts: dict[str, Any] = field(default_factory=dict)
