"""Parts of a user's own in place of an experiment's: prices, signals, a policy, a sizer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, Policy, PositionSizer, SignalStream
from quantlab.core.types import Signal
from quantlab.jobs.notebook.user_bars import milliseconds
from quantlab.jobs.research.pipeline import Setup

_SIGNAL_FIX = "make it with quantlab.trading.signal_of(target=...) or signal_of(side=...)"


@dataclass(frozen=True)
class PrecomputedSignal:
    """A signal that exists already, in the place of the source that would make it.

    Parameters
    ----------
    values : Signal, (T, S)

    Raises
    ------
    ContractError
        If it is none.
    """

    values: Signal

    def __post_init__(self) -> None:
        if not isinstance(self.values, Signal):
            raise ContractError("a signal as a Signal", found=type(self.values).__name__, fix=_SIGNAL_FIX)

    @property
    def fingerprint(self) -> str:
        """sha256 over the signal."""
        return fingerprint("PrecomputedSignal", self.values)

    def signal(self, bars: Bars) -> Signal:
        """Return the signal if it has the shape of `bars`; ContractError otherwise."""
        if self.values.side.shape != bars.state.shape:
            raise ContractError(
                f"a signal of shape {bars.state.shape}, as the bars", found=str(self.values.side.shape), fix=_SIGNAL_FIX
            )
        return self.values

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> SignalStream:
        """Refused: arrays carry no times to play them back by."""
        fix = "write the signal to a parquet file and take trading/signal=file"
        raise ContractError("a source that gives signals bar by bar", found="arrays of one history", fix=fix)


@dataclass(frozen=True)
class UserParts:
    """Parts that take the place of those that an experiment names; None keeps the experiment's.

    Parameters
    ----------
    source : DataSource or None
    signal : Signal or None
    policy : Policy or None
    sizer : PositionSizer or None
    """

    source: DataSource | None = None
    signal: Signal | None = None
    policy: Policy | None = None
    sizer: PositionSizer | None = None

    def applied_to(self, parts: Setup) -> Setup:
        """`parts` with these instead.

        Raises
        ------
        ConfigError, ContractError
            If one of these is not what it should be.
        """
        trading = {name: part for name, part in (("policy", self.policy), ("sizer", self.sizer)) if part is not None}

        def make_strategy(**values: Any) -> Any:
            return dataclasses.replace(parts.make_strategy(**values), **trading)

        source = parts.source if self.source is None else self.source
        signal = parts.signal if self.signal is None else PrecomputedSignal(self.signal)
        make_strategy(signal=signal)  # refuses what does not fit now, not after the learning
        thresholds = parts.thresholds if self.signal is None else None
        if thresholds is not None:
            thresholds = dataclasses.replace(thresholds, make_strategy=make_strategy)
        return dataclasses.replace(
            parts, source=source, signal=signal, make_strategy=make_strategy, thresholds=thresholds
        )

    def with_defaults(self, other: UserParts) -> UserParts:
        """These, and those of `other` where there are none."""
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return dataclasses.replace(other, **{name: part for name, part in named.items() if part is not None})


def values_of(bars: Bars, frame: pd.DataFrame) -> Float64Array:
    """A table with one row per bar and one column per symbol as an array that fits `bars`.

    Parameters
    ----------
    bars : Bars, (T, S)
    frame : DataFrame of float64
        Index: the bar's *open*, with a time zone, in any order; columns: symbols. Rows outside the bars' time
        are passed over.

    Returns
    -------
    float64 (T, S)
        NaN where the frame says nothing.

    Raises
    ------
    ContractError
        If it is no DataFrame, a column is no symbol of the bars or no float64, or a row is on no bar or there twice.
    DataError
        If its index is none of times with a zone.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ContractError("a table with a column per symbol", found=type(frame).__name__, fix="pass a DataFrame")
    unknown = [str(name) for name in frame.columns if name not in bars.symbols]
    if unknown or not frame.columns.is_unique:
        found = ", ".join(unknown) if unknown else "one of them twice"
        raise ContractError(f"columns among {', '.join(bars.symbols)}", found=found, fix="name them as the bars do")
    other = sorted({str(dtype) for dtype in frame.dtypes} - {"float64"})
    if other:
        raise ContractError("columns of float64", found=", ".join(other), fix="convert them: astype('float64')")
    row, rest = np.divmod(milliseconds(frame.index, "the table") - bars.open_time_ms[0], bars.interval_ms)
    inside = (row >= 0) & (row < bars.n_bars)
    wrong = {"between two bars": int(np.sum(rest != 0)), "twice": len(row) - len(np.unique(row))}
    for where, count in wrong.items():
        if count:
            fix = "index it by the open of each bar, once"
            raise ContractError("every row on a bar of its own", found=f"{count} rows {where}", fix=fix)
    values = np.full(bars.state.shape, np.nan)
    columns = [bars.symbols.index(str(name)) for name in frame.columns]
    values[np.ix_(row[inside], columns)] = frame.to_numpy()[inside]
    return values
