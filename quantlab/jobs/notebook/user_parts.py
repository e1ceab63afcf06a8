"""Parts of a user's own in place of an experiment's: prices, signals, a policy, a sizer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_flag
from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource, Policy, PositionSizer, SignalStream
from quantlab.core.types import Signal
from quantlab.jobs.notebook.user_bars import milliseconds
from quantlab.jobs.research.pipeline import Setup
from quantlab.trading.signals.array_step import check_arrays
from quantlab.trading.signals.placement import Placement, check_stamps, check_step, rows_at
from quantlab.trading.signals.step_words import IN_PYTHON

_SIGNAL_FIX = "make it with quantlab.trading.signal_of(target=...) or signal_of(side=...)"


@dataclass(frozen=True)
class PrecomputedSignal:
    """A signal that exists already, in the place of the source that would make it.

    Parameters
    ----------
    values : Signal, (T, S)
    known_at_close : bool
        Declared: every value is known at the close of its bar, whatever the step on which it changes.

    Raises
    ------
    ContractError
        If it is none.
    ConfigError
        If the declaration is something else.
    """

    values: Signal
    known_at_close: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.values, Signal):
            raise ContractError("a signal as a Signal", found=type(self.values).__name__, fix=_SIGNAL_FIX)
        check_flag("known_at_close", self.known_at_close)

    @property
    def fingerprint(self) -> str:
        """sha256 over the signal."""
        return fingerprint("PrecomputedSignal", self.values)

    def signal(self, bars: Bars) -> Signal:
        """Return the signal.

        Raises
        ------
        ContractError
            If it has not the shape of `bars`, or changes on a longer step than theirs without a declaration.
        """
        if self.values.side.shape != bars.state.shape:
            raise ContractError(
                f"a signal of shape {bars.state.shape}, as the bars", found=str(self.values.side.shape), fix=_SIGNAL_FIX
            )
        if not self.known_at_close:
            check_arrays(self.values, bars)
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
    known_at_close : bool or None
        Declared of the signal, see :class:`PrecomputedSignal`.
    """

    source: DataSource | None = None
    signal: Signal | None = None
    policy: Policy | None = None
    sizer: PositionSizer | None = None
    known_at_close: bool | None = None

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
        signal = parts.signal if self.signal is None else PrecomputedSignal(self.signal, bool(self.known_at_close))
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


def values_of(
    bars: Bars, frame: pd.DataFrame, *, known_after: str | int | None = None, hold: bool = False
) -> Float64Array:
    """A table with a row for some of the bars and one column per symbol as an array that fits `bars`.

    Parameters
    ----------
    bars : Bars, (T, S)
    frame : DataFrame of float64
        Index: the bar's *open*, with a time zone, in any order; columns: symbols. Rows outside the bars' time
        are passed over.
    known_after : str, 0 or None
        Time from a row's stamp until it is known: ``"1h"`` for a table of hourly values stamped with the open of their
        hour, 0 where the stamp is that time, as in :func:`big_bars`. A row then lands on the bar that *closes* at
        stamp + `known_after`. None: a row is known at the close of the bar that it is stamped with.
    hold : bool
        True repeats a value until the next one of its column, and never before it: right for a filter. False leaves
        NaN between: right for targets, since a repeated target trades.

    Returns
    -------
    float64 (T, S)
        NaN where the frame says nothing.

    Raises
    ------
    ContractError
        If it is no DataFrame, a column is no symbol of the bars or no float64, a row is on no bar or there twice, or
        the step of a column is longer than the bars' and `known_after` is None or shorter than that step, or the table
        looks filled backward (:mod:`quantlab.trading.signals.table_step` has the rule).
    DataError
        If its index is none of times with a zone.
    ConfigError
        If `known_after` or `hold` is something else.
    """
    placement = Placement(known_after, hold)
    _check_table(bars, frame)
    time_ms = milliseconds(frame.index, "the table")
    twice = len(time_ms) - len(np.unique(time_ms))
    if twice:
        fix = "index it by the open of each bar, once"
        raise ContractError("every row on a bar of its own", found=f"{twice} rows twice", fix=fix)
    first_ms = int(bars.open_time_ms[0])
    check_stamps(time_ms, first_ms, bars.interval_ms, placement, ContractError, "the table")
    order = np.argsort(time_ms)
    time_ms, values = time_ms[order], frame.to_numpy()[order]
    names = [str(name) for name in frame.columns]
    columns = ((f"column {name}", time_ms, values[:, i]) for i, name in enumerate(names))
    check_step(columns, bars.interval_ms, placement, ContractError, IN_PYTHON)
    known_ms = placement.known_ms(time_ms, bars.interval_ms)
    out = np.full(bars.state.shape, np.nan)
    for i, name in enumerate(names):
        there = ~np.isnan(values[:, i])
        rows = rows_at(bars.close_time_ms, known_ms[there], hold=hold)
        out[rows >= 0, bars.symbols.index(name)] = values[there, i][rows[rows >= 0]]
    return out


def _check_table(bars: Bars, frame: pd.DataFrame) -> None:
    """ContractError unless it is a table of float64 with columns named by symbols of `bars`."""
    if not isinstance(frame, pd.DataFrame):
        raise ContractError("a table with a column per symbol", found=type(frame).__name__, fix="pass a DataFrame")
    unknown = [str(name) for name in frame.columns if name not in bars.symbols]
    if unknown or not frame.columns.is_unique:
        found = ", ".join(unknown) if unknown else "one of them twice"
        raise ContractError(f"columns among {', '.join(bars.symbols)}", found=found, fix="name them as the bars do")
    other = sorted({str(dtype) for dtype in frame.dtypes} - {"float64"})
    if other:
        raise ContractError("columns of float64", found=", ".join(other), fix="convert them: astype('float64')")
