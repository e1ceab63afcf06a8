"""The values that travel between rooms: frozen, validated once, with read-only arrays.

Axes are always named in the same order: ``T`` bars, ``S`` symbols, then the rest. Times are int64
epoch milliseconds, UTC. A bar is stamped with its *open*; it is known at ``open + interval_ms``.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint

T = TypeVar("T")

Float64Array = NDArray[np.float64]
Float32Array = NDArray[np.float32]
Int64Array = NDArray[np.int64]
Int8Array = NDArray[np.int8]
UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
Records = NDArray[np.void]

#: Class indices of labels and probabilities; ``side = class - 1``.
SELL, HOLD, BUY = 0, 1, 2
CLASS_NAMES = ("SELL", "HOLD", "BUY")
#: Label of a row that has none (filled bar, warm-up, no entry, not known before the data end).
NO_LABEL = -1

OPEN, HIGH, LOW, CLOSE, VOLUME = 0, 1, 2, 3, 4


class BarState(IntEnum):
    """What a cell of the dense grid holds; only ``TRADED`` cells are tradable."""

    TRADED = 0
    ZERO_VOLUME = 1  # printed by the venue, nothing changed hands
    FILLED = 2  # missing at the venue, made flat by the quality gate
    ABSENT = 3  # not there: NaN
    OUTSIDE = 4  # traded, but the symbol was no member of the universe then: nothing is opened in it


def read_only(array: Any, dtype: Any, shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """Check dtype, shape (``None`` = any) and C-order; return a read-only view, never a copy.

    Raises
    ------
    ContractError
        If `array` is not a C-contiguous array of that dtype and shape.
    """
    if not _fits(array, np.dtype(dtype), shape):
        found = f"{array.dtype.name} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        order = ", not C-contiguous" if isinstance(array, np.ndarray) and not array.flags.c_contiguous else ""
        raise ContractError(
            f"{name} as a C-contiguous {np.dtype(dtype).name} array of shape {_shape_text(shape)}",
            found=found + order,
            mend="convert it first",
        )
    if not array.flags.writeable:
        return array  # type: ignore[no-any-return]
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def _fits(array: Any, dtype: np.dtype[Any], shape: tuple[int | None, ...]) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.dtype == dtype
        and (array.shape == shape or _matches(array.shape, shape))
        and bool(array.flags.c_contiguous)
    )


def _matches(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, got) for want, got in zip(wanted, shape, strict=True))


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("*" if n is None else str(n) for n in shape) + ")"


def _slice_of(whole: T, views: dict[str, Any]) -> T:
    """`whole` with slices of its own arrays in place of some: what was checked once holds for every row."""
    part: T = object.__new__(type(whole))
    vars(part).update(vars(whole))
    vars(part).update(views)
    return part


def _set(obj: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(obj, name, value)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Trading rules of one linear perpetual.

    Parameters
    ----------
    tick, lot : float
        Price step in USD and size step in units; 0 means continuous (or unknown).
    min_notional : float
        Smallest order in USD.
    maintenance_margin_rate : float
        Fraction of notional below which the account is liquidated.
    maker_fee_bps, taker_fee_bps : float
        Fees in basis points of notional, >= 0.

    Raises
    ------
    ConfigError
        If a value is negative or not finite.
    """

    tick: float
    lot: float
    min_notional: float
    maintenance_margin_rate: float
    maker_fee_bps: float
    taker_fee_bps: float

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            check_range(f"instrument.{f.name}", getattr(self, f.name), low=0.0)


def check_range(name: str, value: float, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ConfigError unless `value` is a finite number, not a bool, with ``low <= value <= high``."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and low <= value <= high):
        mend = f"set {name} to a value in that range"
        raise ConfigError(f"{name}{_bounds_text(low, high) or ' as a number'}", found=repr(value), mend=mend)


def check_whole(name: str, value: int, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ConfigError unless `value` is an int, not a bool, with ``low <= value <= high``."""
    if not (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        mend = f"set {name} to such a number"
        raise ConfigError(f"{name} as a whole number{_bounds_text(low, high)}", found=repr(value), mend=mend)


def check_flag(name: str, value: bool) -> None:
    """Raise ConfigError unless `value` is true or false: a text such as ``"off"`` would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} as true or false", found=repr(value), mend=f"set {name} to one of them")


def check_has(name: str, value: Any, *attributes: str) -> None:
    """Raise ConfigError unless `value` has these fields or methods; none of them is called."""
    absent = object()
    missing = [name for name in attributes if inspect.getattr_static(value, name, absent) is absent]
    if missing:
        raise ConfigError(
            f"{name} with {', '.join(attributes)}",
            found=f"{type(value).__name__} without {', '.join(missing)}" if value is not None else "null",
            mend=f"choose another option for {name}",
        )


def _bounds_text(low: float, high: float) -> str:
    if high < math.inf:
        return f" between {low:.12g} and {high:.12g}"
    return f" >= {low:.12g}" if low > -math.inf else ""


class _StaysReadOnly:
    """Pickling forgets that an array is read-only; a value that travelled to another process remembers it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        vars(self).update(state)


@dataclass(frozen=True)
class Funding(_StaysReadOnly):
    """Funding rates as the venue paid them.

    Parameters
    ----------
    time_ms : int64 (N,)
        Stamps, strictly increasing, already floored to the hour.
    rate : float64 (N, S)
        Fraction of notional; longs pay a positive rate. NaN = the venue has no rate for that cell.
    """

    time_ms: Int64Array
    rate: Float64Array

    def __post_init__(self) -> None:
        time_ms = read_only(self.time_ms, np.int64, (None,), "funding.time_ms")
        if np.any(np.diff(time_ms) <= 0):
            raise ContractError(
                "strictly increasing funding stamps",
                found="a repeated or earlier stamp",
                mend="sort and deduplicate them",
            )
        _set(self, time_ms=time_ms, rate=read_only(self.rate, np.float64, (len(time_ms), None), "funding.rate"))


@dataclass(frozen=True)
class Bars(_StaysReadOnly):
    """Market history on one dense time grid.

    Parameters
    ----------
    ohlcv : float64 (T, S, 5)
        Open, high, low, close in USD, volume in base units; NaN where the state is ``ABSENT``.
    open_time_ms : int64 (T,)
        Bar opens, exactly `interval_ms` apart.
    interval_ms : int
    state : uint8 (T, S)
        One :class:`BarState` per cell.
    symbols : tuple of str, length S
    instruments : tuple of Instrument, length S
    funding : Funding or None
        None means *no funding data*, which the report must say; it is never taken as 0.

    Raises
    ------
    ContractError
        If shapes, dtypes or the time grid are not as above.
    """

    ohlcv: Float64Array
    open_time_ms: Int64Array
    interval_ms: int
    state: UInt8Array
    symbols: tuple[str, ...]
    instruments: tuple[Instrument, ...]
    funding: Funding | None = None

    def __post_init__(self) -> None:
        open_time_ms = read_only(self.open_time_ms, np.int64, (None,), "bars.open_time_ms")
        t, s = len(open_time_ms), len(self.symbols)
        if t == 0 or s == 0:
            raise ContractError(
                "at least one bar and one symbol", found=f"{t} bars, {s} symbols", mend="check the data source"
            )
        if len(set(self.symbols)) != s:
            raise ContractError("unique symbols", found=f"repeats in {self.symbols}", mend="name every symbol once")
        if len(self.instruments) != s:
            raise ContractError(
                f"{s} instruments", found=str(len(self.instruments)), mend="give one instrument per symbol"
            )
        steps = np.diff(open_time_ms)
        if np.any(steps != self.interval_ms):
            bad = int(np.flatnonzero(steps != self.interval_ms)[0])
            raise ContractError(
                f"bars {self.interval_ms} ms apart",
                found=f"{int(steps[bad])} ms between rows {bad} and {bad + 1}",
                mend="put the bars on the dense grid through the quality gate",
            )
        if self.funding is not None and self.funding.rate.shape[1] != s:
            raise ContractError(
                f"funding for {s} symbols", found=str(self.funding.rate.shape[1]), mend="align funding with the symbols"
            )
        _set(
            self,
            open_time_ms=open_time_ms,
            ohlcv=read_only(self.ohlcv, np.float64, (t, s, 5), "bars.ohlcv"),
            state=read_only(self.state, np.uint8, (t, s), "bars.state"),
        )

    def __repr__(self) -> str:
        names = ", ".join(self.symbols[:3]) + (", ..." if self.n_symbols > 3 else "")
        span = " to ".join(iso_utc(int(self.open_time_ms[row])) for row in (0, -1))
        funding = "no funding" if self.funding is None else "funding"
        return (
            f"Bars({self.n_bars} x {self.interval_ms // 1000} s, {span}; {self.n_symbols} symbols: {names}; {funding})"
        )

    @property
    def n_bars(self) -> int:
        return len(self.open_time_ms)

    @property
    def n_symbols(self) -> int:
        return len(self.symbols)

    @property
    def close_time_ms(self) -> Int64Array:
        """int64 (T,): when each bar becomes known."""
        return self.open_time_ms + self.interval_ms

    @property
    def close(self) -> Float64Array:
        """float64 (T, S) view of the closes."""
        return self.ohlcv[:, :, CLOSE]

    @property
    def tradable(self) -> BoolArray:
        """bool (T, S): the venue traded in that bar, and the symbol belonged to the universe."""
        traded: BoolArray = self.state == BarState.TRADED
        return traded

    @property
    def printed(self) -> BoolArray:
        """bool (T, S): the venue had a bar, traded or not."""
        there: BoolArray = (self.state != BarState.FILLED) & (self.state != BarState.ABSENT)
        return there

    def rows(self, start: int, stop: int) -> Bars:
        """Bars of rows ``start:stop``, as views; funding stamps are kept whole."""
        opens = self.open_time_ms[start:stop]
        views: dict[str, Any] = {
            "ohlcv": self.ohlcv[start:stop],
            "open_time_ms": opens,
            "state": self.state[start:stop],
        }
        return _slice_of(self, views) if len(opens) else dataclasses.replace(self, **views)

    def first_symbols(self, count: int) -> Bars:
        """The first `count` symbols, copied."""
        funding = self.funding and Funding(self.funding.time_ms, np.ascontiguousarray(self.funding.rate[:, :count]))
        return dataclasses.replace(
            self,
            ohlcv=np.ascontiguousarray(self.ohlcv[:, :count]),
            state=np.ascontiguousarray(self.state[:, :count]),
            symbols=self.symbols[:count],
            instruments=self.instruments[:count],
            funding=funding,
        )

    def fingerprint(self) -> str:
        """sha256 over every value that a result can depend on."""
        funding = None if self.funding is None else (self.funding.time_ms, self.funding.rate)
        return fingerprint(
            self.symbols, self.interval_ms, self.instruments, self.open_time_ms, self.ohlcv, self.state, funding
        )


@dataclass(frozen=True)
class Features(_StaysReadOnly):
    """Feature rows with the contract that they were made under.

    Parameters
    ----------
    values : float32 (T, S, F)
    ready : bool (T, S)
        Past warm-up; every value of a ready row is finite.
    names : tuple of str, length F
        In column order.
    fingerprint : str
        Of the pipeline that made them.
    """

    values: Float32Array
    ready: BoolArray
    names: tuple[str, ...]
    fingerprint: str

    def __post_init__(self) -> None:
        values = read_only(self.values, np.float32, (None, None, len(self.names)), "features.values")
        _set(self, values=values, ready=read_only(self.ready, np.bool_, values.shape[:2], "features.ready"))

    def column(self, name: str) -> Float32Array:
        """float32 (T, S) view of one named feature; ContractError if there is no such name."""
        if name not in self.names:
            raise ContractError(f"a feature named {name!r}", found=", ".join(self.names), mend="check the feature set")
        column: Float32Array = self.values[:, :, self.names.index(name)]
        return column

    def rows(self, start: int, stop: int) -> Features:
        """Rows ``start:stop`` as views."""
        return _slice_of(self, {"values": self.values[start:stop], "ready": self.ready[start:stop]})


@dataclass(frozen=True)
class Dataset(_StaysReadOnly):
    """What a model learns from: features, targets and which rows may be used.

    Train, validation and calibration parts of a fold are the *same arrays under different masks*:
    a split never copies a feature.

    Parameters
    ----------
    features : Features, (T, S, F)
    label : int8 (T, S)
        SELL, HOLD, BUY as class indices or ``NO_LABEL``.
    weight : float32 (T, S)
        Average uniqueness; 0 where there is no label.
    known_at_ms : int64 (T, S)
        When the label became known.
    forward_returns : float32 (T, S, H)
        Log returns of the H bars after each row, NaN beyond the data; may be a strided view.
    open_time_ms : int64 (T,)
    mask : bool (T, S)
        Rows of this part; always ready and labelled.
    """

    features: Features
    label: Int8Array
    weight: Float32Array
    known_at_ms: Int64Array
    forward_returns: Float32Array
    open_time_ms: Int64Array
    mask: BoolArray

    def __post_init__(self) -> None:
        t, s = self.features.ready.shape
        if self.forward_returns.ndim != 3 or self.forward_returns.shape[:2] != (t, s):
            raise ContractError(
                f"forward_returns of shape ({t}, {s}, *)",
                found=str(self.forward_returns.shape),
                mend="build them with the labels",
            )
        mask = read_only(self.mask, np.bool_, (t, s), "dataset.mask")
        label = read_only(self.label, np.int8, (t, s), "dataset.label")
        if np.any(mask & ((label == NO_LABEL) | ~self.features.ready)):
            raise ContractError(
                "a mask of ready, labelled rows",
                found="rows without a label or inside the warm-up",
                mend="intersect the mask with ready & labelled",
            )
        _set(
            self,
            mask=mask,
            label=label,
            weight=read_only(self.weight, np.float32, (t, s), "dataset.weight"),
            known_at_ms=read_only(self.known_at_ms, np.int64, (t, s), "dataset.known_at_ms"),
            open_time_ms=read_only(self.open_time_ms, np.int64, (t,), "dataset.open_time_ms"),
        )

    def with_mask(self, mask: BoolArray) -> Dataset:
        """The same arrays, other rows."""
        return dataclasses.replace(self, mask=mask)


@dataclass(frozen=True)
class Signal(_StaysReadOnly):
    """What a signal source says at the close of every bar.

    Parameters
    ----------
    side : int8 (T, S)
        -1 SELL, 0 HOLD, +1 BUY, after every threshold.
    proba : float64 (T, S, 3)
        Pooled probabilities of SELL, HOLD, BUY; NaN where no member spoke.
    confidence, consensus : float64 (T, S)
        Probability of the decision, and weighted share of live members that agree; NaN likewise.
    live_members : int8 (T, S)
    atr : float64 (T, S)
        ``float64(natr_14) * close`` in USD; NaN in warm-up, which blocks every increase.
    gain_bps : float64 (T, S) or None
        Where the source forecasts: what the decision is expected to gain before costs, basis points of price.
    target, stop_distance, take_distance, trail_distance, break_even_distance : float64 (T, S) or None
        Brought by the user: signed weight of equity, and distances in USD (+inf = none).
    """

    side: Int8Array
    proba: Float64Array
    confidence: Float64Array
    consensus: Float64Array
    live_members: Int8Array
    atr: Float64Array
    gain_bps: Float64Array | None = None
    target: Float64Array | None = None
    stop_distance: Float64Array | None = None
    take_distance: Float64Array | None = None
    trail_distance: Float64Array | None = None
    break_even_distance: Float64Array | None = None

    def __post_init__(self) -> None:
        side = read_only(self.side, np.int8, (None, None), "signal.side")
        _set(
            self,
            side=side,
            proba=read_only(self.proba, np.float64, (*side.shape, 3), "signal.proba"),
            live_members=read_only(self.live_members, np.int8, side.shape, "signal.live_members"),
        )
        for name in ("confidence", "consensus", "atr"):
            _set(self, **{name: read_only(getattr(self, name), np.float64, side.shape, f"signal.{name}")})
        for name in ("gain_bps", "target", "stop_distance", "take_distance", "trail_distance", "break_even_distance"):
            if getattr(self, name) is not None:
                _set(self, **{name: read_only(getattr(self, name), np.float64, side.shape, f"signal.{name}")})

    def rows(self, start: int, stop: int) -> Signal:
        """Rows ``start:stop`` as views."""
        cut, part = slice(start, stop), object.__new__(type(self))
        own = vars(part)
        for name, values in vars(self).items():  # every field is an array of rows, and was checked once
            own[name] = None if values is None else values[cut]
        return part
