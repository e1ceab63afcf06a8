"""The self-test of a comparison: one price that is moved by one ulp must be noticed.

A comparison that cannot see the smallest change there is proves nothing by its zeros. So the signal is
played back over the first bars of the comparison twice, once as they were and once with the close of a held
position moved to the next double, and both sessions are held against the backtest.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.clock import iso_utc
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import CLOSE, LOW, Bars
from quantlab.core.ports import Stage
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Signal
from quantlab.data.quality.gate import MAX_FILLED
from quantlab.jobs.parity.account_record import Books, differing
from quantlab.jobs.parity.paper_session import Desk
from quantlab.jobs.parity.recorded_signal import joined

#: Rows before the comparison that tell the gate about holes, and bars behind the moved price.
BEFORE, AFTER = MAX_FILLED + 2, 2


@dataclass(frozen=True)
class Moved:
    """One price.

    Parameters
    ----------
    row : int
        Of the compared bars.
    symbol : int
        Column.
    """

    row: int
    symbol: int


def held_close(books: Books, bars: Bars) -> Moved | None:
    """The first close of a held position that lies above its bar's low; None if there is none.

    Parameters
    ----------
    books : Books
    bars : Bars
        The compared ones.
    """
    column = {symbol: s for s, symbol in enumerate(bars.symbols)}
    for row, mark in enumerate(books.equity_marks):
        for position in mark[-1]:
            s = column[position[0]]
            if bars.tradable[row, s] and bars.ohlcv[row, s, LOW] < bars.ohlcv[row, s, CLOSE]:
                return Moved(row, s)
    return None


def with_one_ulp_less(bars: Bars, row: int, symbol: int) -> Bars:
    """The same bars but for one close, which is the next smaller double."""
    ohlcv = bars.ohlcv.copy()
    ohlcv[row, symbol, CLOSE] = math.nextafter(ohlcv[row, symbol, CLOSE], -math.inf)
    return dataclasses.replace(bars, ohlcv=ohlcv)


def self_test(
    desk: Desk, folder: Path, strategy: Any, history: Bars, first: int, said: Signal, books: Books, stage: Stage
) -> dict[str, Any]:
    """Play the signal back over bars as they were, and with one price moved; strict JSON.

    Parameters
    ----------
    desk, folder, strategy
        As in the comparison.
    history : Bars
    first : int
        Row of `history` where the comparison begins.
    said : Signal
        Of the compared rows.
    books : Books
        The backtest's, on that signal.
    stage : Stage
        Of one step.
    """
    compared = history.rows(first, first + len(said.side))
    moved = held_close(books, compared)
    if moved is None:
        stage.advance()
        return {"moved": None, "unmoved_differing": None, "differing": None, "noticed": False}
    before, behind = min(BEFORE, first), min(moved.row + 1 + AFTER, len(said.side))
    bars = history.rows(first - before, first + behind)
    played = dataclasses.replace(strategy, signal=FixedSignal(_padded(said.rows(0, behind), before)))
    wanted = books.until(int(compared.open_time_ms[behind - 1]))
    found = {}
    for name, market in {"as_it_was": bars, "moved": with_one_ulp_less(bars, before + moved.row, moved.symbol)}.items():
        with SilentProgress().stage(name, behind) as silent:
            ours = desk.books(folder / f"{name}.db", played, market, before, silent)
        found[name] = differing(ours, wanted)
    stage.advance()
    return {
        "moved": {"symbol": bars.symbols[moved.symbol], "bar": iso_utc(int(compared.open_time_ms[moved.row]))},
        "unmoved_differing": found["as_it_was"],
        "differing": found["moved"],
        "noticed": sum(found["as_it_was"].values()) == 0 < sum(found["moved"].values()),
    }


def _padded(said: Signal, before: int) -> Signal:
    """The signal behind rows that say nothing."""
    if before == 0:
        return said
    silent = {
        name: np.full((before, *value.shape[1:]), 0 if value.dtype == np.int8 else np.nan, value.dtype)
        for name, value in vars(said).items()
        if value is not None
    }
    return joined([Signal(**silent), said])
