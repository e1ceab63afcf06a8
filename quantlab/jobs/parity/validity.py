"""Validity of a comparison: it met enough of what can go wrong, and notices one price that is moved by one ulp.

A comparison that cannot see the smallest change there is proves nothing by its zeros. So the signal is
played back over the first bars of the comparison twice, once as they were and once with the close of a held
position moved to the next double, and both sessions are compared with the backtest.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.checks import check_whole
from quantlab.core.clock import iso_utc
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import CLOSE, LOW, Bars, BarState
from quantlab.core.ports import Stage
from quantlab.core.progress import SilentProgress
from quantlab.core.results import RiskEvent
from quantlab.core.types import Signal
from quantlab.data.quality.gate import MAX_FILLED
from quantlab.jobs.parity.account_record import AccountRecord, count_differing
from quantlab.jobs.parity.paper_session import PaperSession
from quantlab.jobs.parity.recorded_signal import concatenate_signals

#: Events that halt; a liquidation closes the book and halts nothing.
_HALTS = {event.name.lower() for event in RiskEvent if event is not RiskEvent.LIQUIDATION}


#: Names in ``job.needed``.
CONDITIONS = ("fills", "stops", "halts", "holes", "late_listings")


def count_conditions(record: AccountRecord, history: Bars, first: int, last: int) -> dict[str, int]:
    """Count what was met in the rows ``first:last`` of `history`, by name."""
    return {
        "fills": len(record.fills),
        "stops": sum(fill[-1] == "STOP" for fill in record.fills),
        "halts": sum(event[1] in _HALTS for event in record.risk_events),
        "holes": count_holes(history, first, last),
        "late_listings": count_late_listings(history, first, last),
    }


def check_needed(needed: Mapping[str, Any]) -> dict[str, int]:
    """Return ``job.needed`` as whole numbers.

    Raises
    ------
    ConfigError
        If a minimum is none.
    """
    for name in CONDITIONS:
        check_whole(f"job.needed.{name}", needed[name], low=0)
    return {name: int(needed[name]) for name in CONDITIONS}


def validity_counts(found: dict[str, int], needed: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return name -> found and needed.

    Raises
    ------
    ConfigError
        If a minimum is not a whole number.
    """
    minimums = check_needed(needed)
    return {name: {"found": found[name], "needed": minimums[name]} for name in CONDITIONS}


def count_holes(history: Bars, first: int, last: int) -> int:
    """Count runs of missing bars that begin in the rows ``first:last``, with a bar before and a bar after them."""
    missing = history.state >= BarState.FILLED
    begins = np.zeros_like(missing)
    begins[1:] = missing[1:] & ~missing[:-1]
    later = ~missing
    resumes = np.logical_or.accumulate(later[::-1], axis=0)[::-1]
    return int((begins & resumes)[first:last].sum())


def count_late_listings(history: Bars, first: int, last: int) -> int:
    """Count symbols whose first bar ever lies in the rows ``first:last``."""
    present = history.state < BarState.FILLED
    listed = np.argmax(present, axis=0)
    return int((present.any(axis=0) & (listed > max(first, 0)) & (listed < last)).sum())


#: Rows before the comparison that tell the gate about holes, and bars after the moved price.
BEFORE, AFTER = MAX_FILLED + 2, 2


@dataclass(frozen=True)
class MovedPrice:
    """One price that was moved.

    Parameters
    ----------
    row : int
        Of the compared bars.
    symbol : int
        Column.
    """

    row: int
    symbol: int


def find_held_close(record: AccountRecord, bars: Bars) -> MovedPrice | None:
    """Return the first close of a held position that lies above its bar's low; None if there is none.

    Parameters
    ----------
    record : AccountRecord
    bars : Bars
        The compared ones.
    """
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    for row, mark in enumerate(record.equity_marks):
        for position in mark[-1]:
            s = column[position[0]]
            if bars.tradable[row, s] and bars.ohlcv[row, s, LOW] < bars.ohlcv[row, s, CLOSE]:
                return MovedPrice(row, s)
    return None


def with_one_ulp_less(bars: Bars, row: int, symbol: int) -> Bars:
    """Return the same bars but for one close, which is the next smaller double."""
    ohlcv = bars.ohlcv.copy()
    ohlcv[row, symbol, CLOSE] = math.nextafter(ohlcv[row, symbol, CLOSE], -math.inf)
    return dataclasses.replace(bars, ohlcv=ohlcv)


def self_test(
    paper: PaperSession,
    folder: Path,
    strategy: Any,
    history: Bars,
    first: int,
    signal: Signal,
    record: AccountRecord,
    stage: Stage,
) -> dict[str, Any]:
    """Play the signal back over bars as they were, and with one price moved; strict JSON.

    Parameters
    ----------
    paper, folder, strategy
        As in the comparison.
    history : Bars
    first : int
        Row of `history` where the comparison begins.
    signal : Signal
        Of the compared rows.
    record : AccountRecord
        The backtest's, on that signal.
    stage : Stage
        Of one step.
    """
    compared = history.rows(first, first + len(signal.side))
    moved = find_held_close(record, compared)
    if moved is None:
        stage.advance()
        return {"moved": None, "unmoved_differing": None, "differing": None, "noticed": False}
    before, after = min(BEFORE, first), min(moved.row + 1 + AFTER, len(signal.side))
    bars = history.rows(first - before, first + after)
    played = dataclasses.replace(strategy, signal=FixedSignal(_with_padding(signal.rows(0, after), before)))
    wanted = record.until(int(compared.open_time_ms[after - 1]))
    found = {}
    for name, market in {"as_it_was": bars, "moved": with_one_ulp_less(bars, before + moved.row, moved.symbol)}.items():
        with SilentProgress().stage(name, after) as padding:
            ours = paper.run(folder / f"{name}.db", played, market, before, padding)
        found[name] = count_differing(ours, wanted)
    stage.advance()
    return {
        "moved": {"symbol": bars.symbols[moved.symbol], "bar": iso_utc(int(compared.open_time_ms[moved.row]))},
        "unmoved_differing": found["as_it_was"],
        "differing": found["moved"],
        "noticed": sum(found["as_it_was"].values()) == 0 < sum(found["moved"].values()),
    }


def _with_padding(signal: Signal, before: int) -> Signal:
    """Return the signal after rows without any forecast."""
    if before == 0:
        return signal
    padding = {
        name: np.full((before, *value.shape[1:]), 0 if value.dtype == np.int8 else np.nan, value.dtype)
        for name, value in vars(signal).items()
        if value is not None
    }
    return concatenate_signals([Signal(**padding), signal])
