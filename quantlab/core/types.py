"""The values that travel between rooms: frozen, validated once, with read-only arrays.

Axes are always named in the same order: ``T`` bars, ``S`` symbols, then the rest. Times are int64
epoch milliseconds, UTC. A bar is stamped with its *open*; it is known at ``open + interval_ms``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from quantlab.core.arrays import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int8Array,
    Int64Array,
    ReadOnlyPickling,
    read_only,
    set_fields,
    slice_of,
)
from quantlab.core.errors import ContractError, DataError

#: Class indices of labels and probabilities; ``side = class - 1``.
SELL, HOLD, BUY = 0, 1, 2
CLASS_NAMES = ("SELL", "HOLD", "BUY")
#: Label of a row that has none (filled bar, warm-up, no entry, not known before the data end).
NO_LABEL = -1


@dataclass(frozen=True)
class Features(ReadOnlyPickling):
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
        set_fields(self, values=values, ready=read_only(self.ready, np.bool_, values.shape[:2], "features.ready"))

    def column(self, name: str) -> Float32Array:
        """float32 (T, S) view of one named feature; ContractError if there is no such name."""
        if name not in self.names:
            raise ContractError(f"a feature named {name!r}", found=", ".join(self.names), fix="check the feature set")
        column: Float32Array = self.values[:, :, self.names.index(name)]
        return column

    def rows(self, start: int, stop: int) -> Features:
        """Rows ``start:stop`` as views."""
        return slice_of(self, {"values": self.values[start:stop], "ready": self.ready[start:stop]})


@dataclass(frozen=True)
class Labels:
    """One label per bar and symbol.

    Parameters
    ----------
    label : int8 (T, S)
        SELL, HOLD, BUY as class indices, or ``NO_LABEL``.
    weight : float32 (T, S)
        Average uniqueness in (0, 1]; 0 where there is no label.
    known_at_ms : int64 (T, S)
        Close time of the bar that settled the label; later than any bar where there is none.
    """

    label: Int8Array
    weight: Float32Array
    known_at_ms: Int64Array

    def __post_init__(self) -> None:
        label = read_only(self.label, np.int8, (None, None), "labels.label")
        object.__setattr__(self, "label", label)
        for name, dtype in (("weight", np.float32), ("known_at_ms", np.int64)):
            array = read_only(getattr(self, name), dtype, label.shape, f"labels.{name}")
            object.__setattr__(self, name, array)


@dataclass(frozen=True)
class Dataset(ReadOnlyPickling):
    """Features, targets and usable rows that a model learns from.

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
                fix="build them with the labels",
            )
        mask = read_only(self.mask, np.bool_, (t, s), "dataset.mask")
        label = read_only(self.label, np.int8, (t, s), "dataset.label")
        if np.any(mask & ((label == NO_LABEL) | ~self.features.ready)):
            raise ContractError(
                "a mask of ready, labelled rows",
                found="rows without a label or inside the warm-up",
                fix="intersect the mask with ready & labelled",
            )
        set_fields(
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
class Signal(ReadOnlyPickling):
    """Output of a signal source at the close of every bar.

    Parameters
    ----------
    side : int8 (T, S)
        -1 SELL, 0 HOLD, +1 BUY, after every threshold.
    proba : float64 (T, S, 3)
        Pooled probabilities of SELL, HOLD, BUY; NaN where no member has a forecast.
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
        set_fields(
            self,
            side=side,
            proba=read_only(self.proba, np.float64, (*side.shape, 3), "signal.proba"),
            live_members=read_only(self.live_members, np.int8, side.shape, "signal.live_members"),
        )
        for name in ("confidence", "consensus", "atr"):
            set_fields(self, **{name: read_only(getattr(self, name), np.float64, side.shape, f"signal.{name}")})
        for name in ("gain_bps", "target", "stop_distance", "take_distance", "trail_distance", "break_even_distance"):
            if getattr(self, name) is not None:
                set_fields(self, **{name: read_only(getattr(self, name), np.float64, side.shape, f"signal.{name}")})

    def rows(self, start: int, stop: int) -> Signal:
        """Rows ``start:stop`` as views."""
        cut, part = slice(start, stop), object.__new__(type(self))
        views = vars(part)
        for name, values in vars(self).items():  # every field is an array of rows, and was checked once
            views[name] = None if values is None else values[cut]
        return part


@dataclass(frozen=True)
class Votes:
    """Forecasts of an ensemble's members at the close of one bar, as they were pooled.

    Parameters
    ----------
    names : tuple of str, length M
    weights : tuple of float, length M
        Before they are renormalised over the live members.
    alive : tuple of bool, length M
        False for a member whose forecasts have not moved for so long that it is left out.
    proba : float32 (M, S, 3)
        Probabilities of SELL, HOLD, BUY; NaN where a member has no forecast.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    alive: tuple[bool, ...]
    proba: Float32Array

    def __post_init__(self) -> None:
        set_fields(self, proba=read_only(self.proba, np.float32, (len(self.names), None, 3), "votes.proba"))


@dataclass(frozen=True)
class CollectOutcome:
    """The outcome of a collection.

    Parameters
    ----------
    rows : int
        New ones.
    repeated : int
        That were there already, or came twice, with the same values.
    refused : dict of symbol to DataError
        Symbols that stopped early, and why; what came before is stored.
    notes : tuple of str
        What else a reader should know.
    refused_rates : dict of symbol to int
        Funding rates that were left out because they are not sound.
    """

    rows: int = 0
    repeated: int = 0
    refused: Mapping[str, DataError] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refused_rates: Mapping[str, int] = field(default_factory=dict)
