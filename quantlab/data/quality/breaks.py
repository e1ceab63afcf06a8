"""Breaks: lasting steps in price with volume the other way, as a redenomination or a split makes them.

A crash or a squeeze trades through its range: its bars open near the close before them. A redenomination does
not: the first bar after it opens far away, the price stays there, trading is as calm as before, and volume in
units of the coin changes by the inverse factor, so that the money that changes hands is about the same. A venue
may pause for hours around it. Nothing is mended by itself: a finding prints the line for the file of adjustments
(:mod:`quantlab.data.series.adjustments`) that does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars

#: Smallest step that is looked at, as a multiple of the price. The largest gap between a close and the next open in
#: the reference data (110 perpetuals, 91 days) is a factor of 1.13.
LEAST_FACTOR = 1.6
#: A gap is far beyond this many times the median move, times the root of the bars that it spans.
_FAR_MEDIANS = 10.0
#: Traded bars that must lie on either side, and those after the step that must stay within half of it.
_LEAST_BARS, _NEAR_BARS = 12, 24
#: A step's logarithm over the largest move from close to close in the bars after it: a crash goes on moving.
_CALM = 4.0
#: Limits on the change of money traded, and of that together with the change of the size of moves; logarithms. They leave
#: room for what a day differs from the one before: by 1 on one of ten days of the reference data, by 2 on one of a
#: hundred. A crash raises both. Larger steps, which no market makes, are given more.
_FADED, _UNREST, _SHARE = 3.5, 2.3, 0.75
#: Factors within this share of a round number are taken to be that number.
_ROUND = 0.05


@dataclass(frozen=True)
class Break:
    """One lasting step of one symbol.

    Parameters
    ----------
    symbol : str
    time_ms : int
        Open of the first bar at the new price.
    before, after : float
        USD: the last close and the first open.
    volume_ratio : float
        Geometric mean of the traded volumes after the step over those before it.
    missing_bars : int
        Bars without a trade between the two.
    """

    symbol: str
    time_ms: int
    before: float
    after: float
    volume_ratio: float
    missing_bars: int

    @property
    def factor(self) -> float:
        """The multiple that turns earlier prices into later ones: rounded to a whole number or its inverse if near one."""
        ratio = self.after / self.before
        size = max(ratio, 1.0 / ratio)
        nearest = min((1.5, 2.5, float(f"{size:.0e}")), key=lambda number: abs(math.log(size / number)))
        if abs(size / nearest - 1.0) > _ROUND:
            return float(f"{ratio:.4g}")
        return nearest if ratio > 1.0 else 1.0 / nearest

    @property
    def adjustment(self) -> str:
        """The line that mends it in a file of adjustments."""
        return f"{self.symbol},{iso_utc(self.time_ms)},{self.factor:.12g}"

    def sentence(self) -> str:
        """One sentence for a reader."""
        pause = f" after {self.missing_bars} bars without a trade" if self.missing_bars else ""
        return (
            f"the price steps from {self.before:.6g} to {self.after:.6g} at {iso_utc(self.time_ms)}{pause} and stays there, "
            f"with {self.volume_ratio:.3g} times the volume: a redenomination or a split? "
            f"The line {self.adjustment} in the file of data.adjustments mends it "
            "(instead of it the product of both factors, where the file has a row of this symbol and time)"
        )


def break_numbers(breaks: Sequence[Break]) -> list[dict[str, Any]]:
    """Symbol, time and ratio of each, for a published file."""
    return [
        {"symbol": step.symbol, "time": iso_utc(step.time_ms), "ratio": step.after / step.before} for step in breaks
    ]


def break_note(breaks: Sequence[Break], shown: int = 3) -> str:
    """One sentence for whoever reads results of a history with breaks; empty if there are none."""
    if not breaks:
        return ""
    steps = [
        f"the price of {step.symbol} steps to {step.after / step.before:.6g} times at {iso_utc(step.time_ms)}"
        for step in breaks[:shown]
    ]
    more = f" (and {len(breaks) - shown} more)" if len(breaks) > shown else ""
    return (
        f"Prices look unmended: {', '.join(steps)}{more}, as a redenomination or a split makes it, and results take it for "
        "a gain or a loss: job=data prints the lines for data.adjustments that mend it."
    )


def find_breaks(bars: Bars) -> tuple[Break, ...]:
    """Every break in `bars`, by symbol, then time."""
    return tuple(found for s in range(bars.n_symbols) for found in _breaks_of(bars, s))


def _breaks_of(bars: Bars, s: int) -> Iterator[Break]:
    rows = np.flatnonzero(bars.printed[:, s] & (bars.ohlcv[:, s, VOLUME] > 0.0))
    if len(rows) < 2 * _LEAST_BARS:
        return
    logs = np.log(bars.ohlcv[rows, s])
    gaps, spans = logs[1:, OPEN] - logs[:-1, CLOSE], np.diff(rows)
    usual = float(np.median(np.abs(np.diff(logs[:, CLOSE])))) * np.sqrt(spans / float(np.median(spans)))
    far = np.abs(gaps) > np.maximum(math.log(LEAST_FACTOR), _FAR_MEDIANS * usual)
    day = max(_NEAR_BARS, min(MS_PER_DAY // bars.interval_ms, 12 * _NEAR_BARS))
    near = max(3, min(MS_PER_DAY // bars.interval_ms, _NEAR_BARS))
    for first in (np.flatnonzero(far) + 1).tolist():
        before, after = logs[max(0, first - day) : first], logs[first : first + day]
        if min(len(before), len(after)) >= _LEAST_BARS and _is_break(before, after, near):
            yield Break(
                symbol=bars.symbols[s],
                time_ms=int(bars.open_time_ms[_first_after(bars, s, int(rows[first - 1]), int(rows[first]))]),
                before=float(bars.ohlcv[rows[first - 1], s, CLOSE]),
                after=float(bars.ohlcv[rows[first], s, OPEN]),
                volume_ratio=math.exp(float(after[:, VOLUME].mean() - before[:, VOLUME].mean())),
                missing_bars=int(rows[first] - rows[first - 1] - 1),
            )


def _first_after(bars: Bars, s: int, last: int, first: int) -> int:
    """Row of the first print at the new price: bars without a trade may stand at either between two that traded."""
    rows = np.arange(last + 1, first + 1)[bars.printed[last + 1 : first + 1, s]]
    opens = np.log(bars.ohlcv[rows, s, OPEN])
    old, new = math.log(bars.ohlcv[last, s, CLOSE]), float(opens[-1])
    return int(rows[np.argmax(np.abs(opens - new) < np.abs(opens - old))])


def _is_break(before: Float64Array, after: Float64Array, near: int) -> bool:
    """Judge the logarithms of the traded bars (N, 5) on both sides of a far gap."""
    start, jump = float(after[0, OPEN]), abs(float(after[0, OPEN] - before[-1, CLOSE]))
    first = after[:near]
    if not (
        _stays(first, after, start, jump / 2.0) and _stays(before[-near:], before, float(before[-1, CLOSE]), jump / 2.0)
    ):
        return False
    moves = np.abs(np.diff(np.append(start, first[:, CLOSE])))
    if float(moves.max()) * _CALM > jump:
        return False
    money = float((after[:, VOLUME] + after[:, CLOSE]).mean() - (before[:, VOLUME] + before[:, CLOSE]).mean())
    usual = float(np.abs(np.diff(before[:, CLOSE])).mean())
    restless = math.log(float(moves.mean()) / usual) if usual > 0.0 and moves.any() else 0.0
    if not -max(_FADED, _SHARE * jump) < money < max(_UNREST, _SHARE * jump):
        return False
    return money + restless < _UNREST + _SHARE * (jump - math.log(LEAST_FACTOR))


def _stays(near: Float64Array, day: Float64Array, price: float, within: float) -> bool:
    """True if every print of `near` and the middle close of `day` lie near a price; all are logarithms."""
    highest, lowest = float(near[:, HIGH].max()), float(near[:, LOW].min())
    middle = float(np.median(day[:, CLOSE]))
    return max(highest - price, price - lowest, abs(middle - price)) < within
