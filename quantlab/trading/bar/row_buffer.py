"""The row buffer: one row of market and signal whose arrays never move, so that compiled code takes them once."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, Funding
from quantlab.core.types import Signal
from quantlab.trading.interface.rows import History

#: The fields of a history that come from the signal; they follow the market's.
_SIGNAL_FIELDS = History._fields[History._fields.index("side") :]

#: Funding stamps of one bar that have room from the start; more make a wider buffer.
_INITIAL_STAMPS = 8
_NO_LATER_STAMP = 2**63 - 1


class RowBuffer:
    """The arrays of one row; a buffer that does not fit any more is replaced, never changed in size.

    Parameters
    ----------
    n_symbols : int
    n_stamps : int
        Funding stamps that one bar may carry.
    optional_names : tuple of str
        Optional arrays of :class:`~quantlab.core.types.Signal` that the signal has.
    """

    def __init__(self, n_symbols: int, n_stamps: int = _INITIAL_STAMPS, optional_names: tuple[str, ...] = ()) -> None:
        self.n_stamps, self.optional_names = n_stamps, optional_names
        self._shape = one = (1, n_symbols)
        self._arrays: dict[str, Any] = {
            "open_time_ms": np.zeros(1, np.int64),
            "ohlcv": np.full((*one, 5), np.nan),
            "state": np.zeros(one, np.uint8),
            "suspect": np.zeros(one, np.uint8),
            "funding": np.full((n_stamps, n_symbols), np.nan),
            "funding_first": np.zeros(1, np.int64),
            "funding_last": np.zeros(1, np.int64),
        }
        for name in _SIGNAL_FIELDS:
            optional = name not in _REQUIRED
            shape = (1, 0) if optional and name not in optional_names else one
            self._arrays[name] = np.full((*one, 3), np.nan) if name == "proba" else np.zeros(shape, _DTYPES.get(name))
        self.history = History(*(_read_only(self._arrays[name]) for name in History._fields))
        self._signal_arrays = tuple((name, self._arrays[name]) for name in (*_REQUIRED, *optional_names))

    @classmethod
    def resized(
        cls, other: RowBuffer, *, n_stamps: int | None = None, optional_names: tuple[str, ...] | None = None
    ) -> RowBuffer:
        """Make a buffer of another size that holds the same bar."""
        n_symbols = other._arrays["state"].shape[1]
        target = cls(
            n_symbols, n_stamps or other.n_stamps, other.optional_names if optional_names is None else optional_names
        )
        n_stamps_kept = min(target.n_stamps, other.n_stamps)
        target._arrays["funding"][:n_stamps_kept] = other._arrays["funding"][:n_stamps_kept]
        for name in ("open_time_ms", "ohlcv", "state", "suspect", "funding_last"):
            target._arrays[name][...] = other._arrays[name]
        return target

    def place_bar(self, bar: Bars, first: int, last: int) -> None:
        """Copy one bar in; the rates ``first:last`` of its funding fall due on it."""
        arrays = self._arrays
        arrays["open_time_ms"][...] = bar.open_time_ms
        arrays["ohlcv"][...] = bar.ohlcv
        arrays["state"][...] = bar.state
        arrays["suspect"][...] = 0 if bar.suspect is None else bar.suspect
        arrays["funding_last"][0] = last - first
        if last > first:
            assert bar.funding is not None  # noqa: S101 - narrows the type
            arrays["funding"][: last - first] = bar.funding.rate[first:last]

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
        fields = vars(signal)
        for name, arrays in self._signal_arrays:
            arrays[...] = fields[name]


_REQUIRED = ("side", "proba", "confidence", "consensus", "atr")
_DTYPES: dict[str, Any] = {"side": np.int8}
_OPTIONAL = tuple(name for name in _SIGNAL_FIELDS if name not in _REQUIRED)


def optional_arrays(signal: Signal) -> tuple[str, ...]:
    """Return the names of the optional arrays that a signal has."""
    fields = vars(signal)
    for name in _OPTIONAL:
        if fields[name] is not None:
            return tuple([name for name in _OPTIONAL if fields[name] is not None])
    return ()


class FundingSchedule:
    """Funding stamps by the bar that they fall on: (open of the bar before, its open].

    Rows of a history share its stamps, so most bars are answered by the time of the next one.
    """

    def __init__(self) -> None:
        self._funding: Funding | None = None
        self._none_within = (0, 0)

    def rows_due(self, bar: Bars, open_ms: int) -> tuple[int, int]:
        """Return ``first, last``: the rows ``first:last`` of the bar's funding fall due on it."""
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
        self._none_within = (open_ms, int(stamps[last]) if last < len(stamps) else _NO_LATER_STAMP)
        return first, last


def _read_only(array: Any) -> Any:
    view = array.view()
    view.flags.writeable = False
    return view
