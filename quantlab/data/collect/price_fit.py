"""Fit of prices where one file of a symbol ends and the next begins: a step between them is another market.

Two files of one market go on where the other stopped. A mark price, an index, a contract of another size or a coin of
the same name does not, and nothing else may show it. A step is judged by the files' own moves: at most `largest_step`,
and ten standard deviations of the time between them on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.core.errors import DataError
from quantlab.core.market import CLOSE, OPEN
from quantlab.data.series.alignment import Series
from quantlab.data.store.day_files import BARS, day_of, read_day
from quantlab.data.store.manifest import Part
from quantlab.data.store.store import Store

_DEVIATIONS = 10.0
#: Returns that a standard deviation needs; with fewer, coins are taken to move by 8 % a day.
_FEWEST_RETURNS, _DAILY = 30, 0.08
#: Days of the dataset that are held at once: most symbols end on the same one.
_KEPT_DAYS = 8


class Piece(NamedTuple):
    """Bars of one symbol and their origin: a file, or what is stored."""

    name: str
    series: Series


def check_fit(symbol: str, pieces: Sequence[Piece], interval_ms: int, largest_step: float) -> None:
    """Refuse pieces that do not go on where the piece before them ended.

    Parameters
    ----------
    symbol : str
    pieces : sequence of Piece
        None empty; those that overlap are not judged here.
    interval_ms : int
    largest_step : float
        Largest step of the price between two adjacent bars of two pieces, as a fraction.

    Raises
    ------
    DataError
        Naming the two pieces.
    """
    ordered = sorted(pieces, key=lambda piece: int(piece.series[0][0]))
    deviation = _deviation(ordered, interval_ms)
    before = ordered[0]
    for after in ordered[1:]:
        gap = int(after.series[0][0]) - int(before.series[0][-1])
        if gap > 0:
            ends, begins = float(before.series[1][-1, CLOSE]), float(after.series[1][0, OPEN])
            allowed = math.log1p(largest_step) + _DEVIATIONS * deviation * math.sqrt(gap / interval_ms)
            if abs(math.log(begins / ends)) > allowed:
                raise _misfit(symbol, (before, ends), (after, begins))
        before = after if int(after.series[0][-1]) >= int(before.series[0][-1]) else before


def stored_pieces(
    store: Store, symbol: str, pieces: Sequence[Piece], days: dict[str, dict[str, Series]]
) -> list[Piece]:
    """The stored days of `symbol` that lie next to `pieces`.

    Parameters
    ----------
    store : Store
    symbol : str
    pieces : sequence of Piece
    days : dict
        The last days read; more are added, and the oldest go.
    """
    spans = store.covered(symbol, BARS)
    low = min(int(piece.series[0][0]) for piece in pieces)
    high = max(int(piece.series[0][-1]) for piece in pieces)
    inside = [span for span in spans if low < span[0] <= high or low <= span[1] < high]
    before = max((span[1] - 1 for span in spans if span[1] <= low), default=None)
    after = min((span[0] for span in spans if span[0] > high), default=None)
    times = {before, after, *(time for start, end in inside for time in (start, end - 1))} - {None}
    found = []
    for day in sorted({day_of(time) for time in times if time is not None}):
        part = Part(BARS, day)
        if day not in days and part in store.manifest.files:
            while len(days) >= _KEPT_DAYS:
                del days[next(iter(days))]
            days[day] = read_day(store.root, part, store.manifest.files[part]).series()
        series = days.get(day, {}).get(symbol)
        if series is not None and len(series[0]):
            found.append(Piece(f"the dataset on {day}", series))
    return found


def _deviation(pieces: Sequence[Piece], interval_ms: int) -> float:
    moves = [np.diff(np.log(values[:, CLOSE]))[np.diff(time_ms) == interval_ms] for _, (time_ms, values) in pieces]
    returns = np.concatenate(moves)
    if len(returns) < _FEWEST_RETURNS:
        return _DAILY * math.sqrt(interval_ms / MS_PER_DAY)
    return float(np.sqrt(np.mean(returns**2)))


def _misfit(symbol: str, before: tuple[Piece, float], after: tuple[Piece, float]) -> DataError:
    (one, ends), (other, begins) = before, after
    return DataError(
        f"files of {symbol} whose prices go on where the file before them ended",
        found=f"{one.name} ends at {ends:g} ({iso_utc(int(one.series[0][-1]))}) and {other.name} begins at {begins:g} "
        f"({iso_utc(int(other.series[0][0]))}): most likely another market",
        fix="keep the files of one market; if its price did move so, set job.source.largest_step higher "
        "(and data.adjustments, where coins were exchanged for new ones)",
    )
