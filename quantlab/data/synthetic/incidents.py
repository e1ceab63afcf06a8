"""Incidents of a synthetic venue: late listings, stops of the venue, holes, funding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import CLOSE, VOLUME, Funding
from quantlab.data.synthetic.volatility import decay, mean_revert

#: The last symbol lists on this day, the one before it as many days later, and so on.
LISTING_EVERY_DAYS = 3
_STOP_DAY, _STOP_EVERY_DAYS, _STOP_BARS = 5, 15, (3, 12)
_LONG_HOLE_DAY, _LONG_HOLE_EVERY_DAYS, _LONG_HOLE_BARS = 8, 20, (24, 72)
_SHORT_HOLES, _SHORT_HOLE_BARS = 0.03, (1, 6)  # per symbol and day
_FUNDING_LEVEL, _FUNDING_SIZE, _FUNDING_MEMORY = 1.25e-5, 1e-5, 24.0  # per hour, hours


@dataclass(frozen=True)
class Incidents:
    """Cells of the grid whose bars are not as usual.

    Parameters
    ----------
    listed, missing : bool (T, S)
        From the listing on; in a hole.
    stopped : bool (T,)
        All symbols stand still.
    """

    listed: BoolArray
    missing: BoolArray
    stopped: BoolArray

    @property
    def traded(self) -> BoolArray:
        """bool (T, S)"""
        usual: BoolArray = self.listed & ~self.missing & ~self.stopped[:, None]
        return usual

    def apply(self, ohlcv: Float64Array) -> Float64Array:
        """Bars (T, S, 5) as the venue prints them: flat without volume in a stop, NaN where there is none."""
        printed = np.where((self.listed & ~self.missing)[:, :, None], ohlcv, np.nan)
        for t in np.flatnonzero(self.stopped):
            printed[t, :, :VOLUME] = printed[t - 1, :, CLOSE, None]
            printed[t, :, VOLUME] = np.where(np.isnan(printed[t, :, CLOSE]), np.nan, 0.0)
        return printed


def make_incidents(seed: int, days: int, bars_per_day: int, n_symbols: int, late_listings: int) -> Incidents:
    """Draw them day by day, so that a longer market begins with the incidents of a shorter one."""
    listed = np.ones((days * bars_per_day, n_symbols), dtype=np.bool_)
    missing, stopped = np.zeros_like(listed), np.zeros(len(listed), dtype=np.bool_)
    moments = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
    for k in range(late_listings):
        first = (LISTING_EVERY_DAYS * (k + 1)) * bars_per_day + int(moments.integers(bars_per_day))
        listed[:first, n_symbols - 1 - k] = False
    for day in range(days):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3, day)))
        _stop(rng, day, bars_per_day, stopped)
        _holes(rng, day, bars_per_day, missing)
    return Incidents(listed, missing, stopped)


def _span(rng: np.random.Generator, day: int, bars_per_day: int, lengths: tuple[int, int]) -> slice:
    first = day * bars_per_day + int(rng.integers(1, bars_per_day))
    return slice(first, first + int(rng.integers(lengths[0], lengths[1], endpoint=True)))


def _stop(rng: np.random.Generator, day: int, bars_per_day: int, stopped: BoolArray) -> None:
    if day % _STOP_EVERY_DAYS == _STOP_DAY:
        stopped[_span(rng, day, bars_per_day, _STOP_BARS)] = True


def _holes(rng: np.random.Generator, day: int, bars_per_day: int, missing: BoolArray) -> None:
    n_symbols = missing.shape[1]
    for symbol in np.flatnonzero(rng.random(n_symbols) < _SHORT_HOLES):
        missing[_span(rng, day, bars_per_day, _SHORT_HOLE_BARS), symbol] = True
    if day % _LONG_HOLE_EVERY_DAYS == _LONG_HOLE_DAY:
        missing[_span(rng, day, bars_per_day, _LONG_HOLE_BARS), int(rng.integers(n_symbols))] = True


def make_funding(seed: int, start_ms: int, listed_by_hour: BoolArray) -> Funding:
    """Hourly rates, mean-reverting around 0.01 % in 8 hours; unknown (NaN) before the listing.

    Parameters
    ----------
    seed : int
    start_ms : int
        First stamp.
    listed_by_hour : bool (hours, S)
    """
    hours, n_symbols = listed_by_hour.shape
    days = [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4, day))).standard_normal((24, n_symbols))
        for day in range(hours // 24)
    ]
    swing = mean_revert(np.concatenate(days), decay(_FUNDING_MEMORY))
    rate = np.where(listed_by_hour, _FUNDING_LEVEL + _FUNDING_SIZE * swing, np.nan)
    return Funding(start_ms + 3_600_000 * np.arange(hours, dtype=np.int64), rate)
