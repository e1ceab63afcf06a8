"""One row of market and signal whose arrays never move, so that compiled code is handed them once."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Funding
from quantlab.core.types import Signal
from quantlab.trading.interface.rows import History

#: What a signal brings: the fields of a history behind the market's.
_SPOKEN = History._fields[History._fields.index("side") :]

#: Funding stamps of one bar that have room from the start; more make a wider slot.
_FIRST_STAMPS = 8
_FOR_EVER = 2**63 - 1


class Slot:
    """The arrays of one row; a slot that does not fit any more is replaced, never resized.

    Parameters
    ----------
    n_symbols : int
    n_stamps : int
        Funding stamps that one bar may carry.
    brought : tuple of str
        Which optional arrays of :class:`~quantlab.core.types.Signal` the signal brings.
    """

    def __init__(self, n_symbols: int, n_stamps: int = _FIRST_STAMPS, brought: tuple[str, ...] = ()) -> None:
        self.n_stamps, self.brought = n_stamps, brought
        self._shape = one = (1, n_symbols)
        self._own: dict[str, Any] = {
            "open_time_ms": np.zeros(1, np.int64),
            "ohlcv": np.full((*one, 5), np.nan),
            "state": np.zeros(one, np.uint8),
            "funding": np.full((n_stamps, n_symbols), np.nan),
            "funding_first": np.zeros(1, np.int64),
            "funding_last": np.zeros(1, np.int64),
        }
        for name in _SPOKEN:
            optional = name not in _ALWAYS
            shape = (1, 0) if optional and name not in brought else one
            self._own[name] = np.full((*one, 3), np.nan) if name == "proba" else np.zeros(shape, _DTYPES.get(name))
        self.history = History(*(_read_only(self._own[name]) for name in History._fields))
        self._filled = tuple((name, self._own[name]) for name in (*_ALWAYS, *brought))

    @classmethod
    def like(cls, other: Slot, *, n_stamps: int | None = None, brought: tuple[str, ...] | None = None) -> Slot:
        """A slot of another size that holds the same bar."""
        n_symbols = other._own["state"].shape[1]
        wider = cls(n_symbols, n_stamps or other.n_stamps, other.brought if brought is None else brought)
        kept = min(wider.n_stamps, other.n_stamps)
        wider._own["funding"][:kept] = other._own["funding"][:kept]
        for name in ("open_time_ms", "ohlcv", "state", "funding_last"):
            wider._own[name][...] = other._own[name]
        return wider

    def place_bar(self, bar: Bars, first: int, last: int) -> None:
        """Copy one bar in; the rates ``first:last`` of its funding fall due on it."""
        own = self._own
        own["open_time_ms"][...] = bar.open_time_ms
        own["ohlcv"][...] = bar.ohlcv
        own["state"][...] = bar.state
        own["funding_last"][0] = last - first
        if last > first:
            assert bar.funding is not None  # noqa: S101 - narrows the type
            own["funding"][: last - first] = bar.funding.rate[first:last]

    def place_signal(self, signal: Signal) -> None:
        """Copy one row in.

        Raises
        ------
        ContractError
            If it is not one row of the bar's shape.
        """
        if signal.side.shape != self._shape:
            raise ContractError(
                f"a signal of shape {self._shape}, as the bar",
                found=str(signal.side.shape),
                fix="make it from this bar",
            )
        spoken = vars(signal)
        for name, own in self._filled:
            own[...] = spoken[name]


_ALWAYS = ("side", "proba", "confidence", "consensus", "atr")
_DTYPES: dict[str, Any] = {"side": np.int8}
_OPTIONAL = tuple(name for name in _SPOKEN if name not in _ALWAYS)


def brought_by(signal: Signal) -> tuple[str, ...]:
    """The optional arrays that are there."""
    spoken = vars(signal)
    for name in _OPTIONAL:
        if spoken[name] is not None:
            return tuple([name for name in _OPTIONAL if spoken[name] is not None])
    return ()


class Due:
    """Which funding stamps fall on a bar: (open of the bar before, its open].

    Rows of a history share its stamps, so most bars are answered by the time of the next one.
    """

    def __init__(self) -> None:
        self._funding: Funding | None = None
        self._none_within = (0, 0)

    def on(self, bar: Bars, open_ms: int) -> tuple[int, int]:
        """Rows ``first:last`` of the bar's funding."""
        funding = bar.funding
        if funding is None or len(funding.time_ms) == 0:
            return 0, 0
        before_ms = open_ms - bar.interval_ms
        after, until = self._none_within
        if funding is self._funding and after <= before_ms and open_ms < until:
            return 0, 0
        stamps = funding.time_ms
        first, last = int(stamps.searchsorted(before_ms, "right")), int(stamps.searchsorted(open_ms, "right"))
        self._funding = funding
        self._none_within = (open_ms, int(stamps[last]) if last < len(stamps) else _FOR_EVER)
        return first, last


def _read_only(array: Any) -> Any:
    view = array.view()
    view.flags.writeable = False
    return view
