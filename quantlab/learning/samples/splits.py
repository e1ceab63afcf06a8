"""Splits by calendar time, over all symbols at once, purged by the time labels became known.

A fold of :class:`PurgedWalkForward`, in time order (nothing is used twice, nothing comes back)::

    | fit                     | early_stopping | calibration | test          |
                      purged ^         purged ^      purged ^

A row may be used for a part only if its label was known when the next part's first bar opened. No
embargo is needed, because nothing trains on what comes after a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from quantlab.core.checks import check_range, check_whole
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.ports import Splitter
from quantlab.core.types import Dataset

#: Half-open range of rows (bars): ``start, stop``.
Rows = tuple[int, int]
Part = Literal["fit", "early_stopping", "calibration", "test"]


@dataclass(frozen=True)
class Fold:
    """One step of a walk forward.

    Parameters
    ----------
    index : int
    fit, early_stopping, calibration, test : (start, stop)
        Row ranges over the whole time axis, adjacent and in this order, *before* purging.
    every_k : int
        Only every k-th bar of `fit` is fitted on.
    """

    index: int
    fit: Rows
    early_stopping: Rows
    calibration: Rows
    test: Rows
    every_k: int


@dataclass(frozen=True)
class PurgedWalkForward:
    """Train on the past, test on what follows, step on; the test windows tile the future.

    Parameters
    ----------
    n_folds : int
    min_train_bars : int
        Bars of the first fold before its test, from the first bar with a ready row on. All bars after
        them are tested, in `n_folds` windows that differ by at most one bar.
    min_test_bars : int
        A test window shorter than this is refused.
    train_bars : int or None
        None: the training window expands from the first ready bar. Otherwise it is at most this many
        bars long and rolls, >= `min_train_bars`.
    early_stopping_fraction, calibration_fraction : float
        Shares of the training window's bars, its newest end for calibration; in (0, 1), sum < 1.
    every_k : int
        Fit on every k-th bar: labels of neighbouring bars overlap, so thinned rows lose little.

    Raises
    ------
    ConfigError
        If a value is outside those ranges.
    """

    n_folds: int
    min_train_bars: int
    min_test_bars: int
    train_bars: int | None
    early_stopping_fraction: float
    calibration_fraction: float
    every_k: int

    def __post_init__(self) -> None:
        for name in ("n_folds", "min_train_bars", "min_test_bars", "every_k"):
            check_whole(f"learning.splits.{name}", getattr(self, name), low=1)
        if self.train_bars is not None:
            check_whole("learning.splits.train_bars", self.train_bars, low=self.min_train_bars)
        for name in ("early_stopping_fraction", "calibration_fraction"):
            check_range(f"learning.splits.{name}", getattr(self, name), low=0.0, high=1.0)
        shares = (self.early_stopping_fraction, self.calibration_fraction)
        if not (min(shares) > 0.0 and sum(shares) < 1.0):
            raise ConfigError(
                "learning.splits.early_stopping_fraction and calibration_fraction above 0 with a sum below 1",
                found=f"{shares[0]!r} and {shares[1]!r}",
                fix="lower them, so that rows remain to fit on",
            )

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        """The folds of a dataset, oldest first; the last test ends with the data.

        Raises
        ------
        HistoryError
            If there are too few bars after the warm-up.
        """
        n_bars, first = len(dataset.open_time_ms), first_ready_row(dataset)
        needed = self.min_train_bars + self.n_folds * self.min_test_bars
        if n_bars - first < needed:
            raise HistoryError(
                f"at least {needed} bars after the warm-up ({self.min_train_bars} to train on and {self.n_folds} "
                f"test windows of {self.min_test_bars})",
                found=f"{n_bars - first} of {n_bars} bars, after a warm-up of {first}",
                fix="load a longer history, lower learning.splits.min_train_bars, min_test_bars or n_folds, or choose features "
                "with a shorter warm-up (features=short_windows: 55 bars)",
            )
        return tuple(
            self._fold(index, first, test)
            for index, test in enumerate(tile(first + self.min_train_bars, n_bars, self.n_folds))
        )

    def _fold(self, index: int, first: int, test: Rows) -> Fold:
        start = first if self.train_bars is None else max(first, test[0] - self.train_bars)
        calibration = test[0] - int(self.calibration_fraction * (test[0] - start))
        early_stopping = calibration - int(self.early_stopping_fraction * (test[0] - start))
        if not start < early_stopping < calibration < test[0]:
            raise HistoryError(
                "at least one bar each to fit, stop early and calibrate on",
                found=f"{test[0] - start} training bars in fold {index}",
                fix="raise learning.splits.min_train_bars",
            )
        return Fold(
            index=index,
            fit=(start, early_stopping),
            early_stopping=(early_stopping, calibration),
            calibration=(calibration, test[0]),
            test=test,
            every_k=self.every_k,
        )


@dataclass(frozen=True)
class LastFold:
    """Splits with only the newest step of a walk forward, in the shape in which research tested it: for a retraining.

    Parameters
    ----------
    splits : Splitter
    """

    splits: Splitter

    def split(self, dataset: Dataset) -> tuple[Any, ...]:
        """The last fold alone; errors as of the splits."""
        return tuple(self.splits.split(dataset))[-1:]


def part(dataset: Dataset, fold: Fold, name: Part) -> Dataset:
    """The rows of one part of a fold: the same arrays under a narrower mask.

    Rows whose label became known after the next part's first bar opened are purged. The test part is
    not purged: nothing is fitted on it.
    """
    rows: dict[Part, Rows] = {
        "fit": fold.fit,
        "early_stopping": fold.early_stopping,
        "calibration": fold.calibration,
        "test": fold.test,
    }
    start, stop = rows[name]
    mask = np.zeros_like(dataset.mask)
    step = fold.every_k if name == "fit" else 1
    kept = slice(start, stop, step)
    mask[kept] = dataset.mask[kept]
    if name != "test":
        mask[kept] &= dataset.known_at_ms[kept] <= dataset.open_time_ms[stop]
    return dataset.with_mask(mask)


def part_facts(dataset: Dataset, fold: Fold) -> dict[str, dict[str, int | str | None]]:
    """Per part of a fold: how many (bar, symbol) rows it uses, and the opens of the first and last of their bars."""
    facts: dict[str, dict[str, int | str | None]] = {}
    for name in get_args(Part):
        mask = part(dataset, fold, name).mask
        bars = dataset.open_time_ms[mask.any(axis=1)]
        first, last = (iso_utc(int(t)) for t in bars[[0, -1]]) if len(bars) else (None, None)
        facts[name] = {"rows": int(mask.sum()), "first": first, "last": last}
    return facts


def first_ready_row(dataset: Dataset) -> int:
    """First bar in which any symbol is ready; the number of bars if none ever is."""
    rows = np.flatnonzero(dataset.features.ready.any(axis=1))
    return int(rows[0]) if len(rows) else len(dataset.open_time_ms)


def tile(start: int, stop: int, n: int) -> tuple[Rows, ...]:
    """`n` adjacent ranges over ``start:stop`` whose lengths differ by at most one."""
    edges = (start + (stop - start) * i // n for i in range(n + 1))
    return tuple(pairwise(edges))
