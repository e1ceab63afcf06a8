"""Rows at which another future begins, drawn at random: a leak that is rare or keeps a rhythm hides from even ones.

One row is drawn in each of equally long blocks. Of leaking rows that are a share p of all, n such draws miss every one
with a probability of at most ``(1 - p)**n``, whatever their rhythm.
"""

from __future__ import annotations

import numpy as np

from quantlab.core.market import OPEN, Bars

#: Probability with which the share that :func:`found_share` gives is missed.
_MISSED = 0.01


def found_share(n_rows: int) -> float:
    """Share of leaking rows of which `n_rows` rows, drawn independently, hold at least one with 99 %: ``1 - 0.01**(1/n)``.

    Examples
    --------
    >>> round(found_share(300), 4)
    0.0152
    """
    return 1.0 if n_rows < 1 else float(1.0 - _MISSED ** (1.0 / n_rows))


def drawn_rows(start: int, stop: int, count: int, seed: int) -> list[int]:
    """At most `count` rows of ``start:stop``, one in each of equally long blocks; all of them where there are no more."""
    if stop <= start:
        return []
    if stop - start <= count:
        return list(range(start, stop))
    rng = np.random.default_rng([seed, start, stop, count])
    edges = start + (stop - start) * np.arange(count + 1) // count
    return [int(row) for row in rng.integers(edges[:-1], edges[1:])]


def cuts(bars: Bars, start: int, stop: int, count: int, seed: int) -> list[int]:
    """A few rows of ``start:stop``, drawn in blocks, and inside hours and days.

    A stage that peeks to the end of an hour or a day is seen only from inside one, and few draws may all lie on borders.
    """
    rows = []
    for row in drawn_rows(max(start, 1), min(stop, bars.n_bars), count, seed):
        at_border = bars.open_time_ms[row] % 3_600_000 == 0
        rows.append(min(row + 5, stop - 1) if at_border else row)
    return sorted(set(rows))


def many_cuts(bars: Bars, start: int, stop: int, count: int, seed: int) -> tuple[list[int], int]:
    """Rows for a stage that costs little, and how many of them were drawn at random.

    Beside `count` random ones a quarter as many at the bars that move most: who looks ahead only where it pays looks there.
    """
    start, stop = max(start, 1), min(stop, bars.n_bars)
    drawn = drawn_rows(start, stop, count, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = np.nan_to_num(np.abs(np.log(bars.close / bars.ohlcv[:, :, OPEN]))).max(axis=1)[start:stop]
    largest = start + np.argsort(-moves, kind="stable")[: count // 4]
    return sorted({*drawn, *(int(row) for row in largest)}), len(drawn)
