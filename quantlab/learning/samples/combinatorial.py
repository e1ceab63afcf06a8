"""Combinatorial purged splits: many test paths through one history (Lopez de Prado 2018, ch. 12.3).

Unlike a walk forward these train *after* their tests too. So rows whose labels overlap a test block
are purged on both sides, and the bars that follow each block are embargoed: what happened in it still
echoes there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from quantlab.core.checks import check_whole
from quantlab.core.errors import HistoryError
from quantlab.core.types import Dataset
from quantlab.learning.samples.splits import Rows, first_ready_row, tile


@dataclass(frozen=True)
class CombinatorialFold:
    """One choice of test blocks; everything else trains, less what is purged and embargoed.

    Parameters
    ----------
    index : int
    test : tuple of (start, stop)
        Row ranges of the test blocks, in time order; adjacent blocks are merged.
    embargo_bars : int
    """

    index: int
    test: tuple[Rows, ...]
    embargo_bars: int

    def test_part(self, dataset: Dataset) -> Dataset:
        """Rows of the test blocks."""
        mask = np.zeros_like(dataset.mask)
        for start, stop in self.test:
            mask[start:stop] = dataset.mask[start:stop]
        return dataset.with_mask(mask)

    def train_part(self, dataset: Dataset) -> Dataset:
        """Rows whose labels overlap no test block and that follow none within the embargo."""
        mask = dataset.mask.copy()
        for start, stop in self.test:
            mask[:start] &= dataset.known_at_ms[:start] <= dataset.open_time_ms[start]
            mask[start : max(stop + self.embargo_bars, _first_row_after(dataset, start, stop))] = False
        return dataset.with_mask(mask)


@dataclass(frozen=True)
class CombinatorialPurged:
    """Every choice of `n_test_blocks` out of `n_blocks` equal blocks (Lopez de Prado 2018, ch. 12.3).

    Parameters
    ----------
    n_blocks, n_test_blocks : int
        ``1 <= n_test_blocks < n_blocks``.
    embargo_bars : int
        Bars after each test block that are not trained on.

    Raises
    ------
    ConfigError
        If a value is outside those ranges.
    """

    n_blocks: int
    n_test_blocks: int
    embargo_bars: int

    def __post_init__(self) -> None:
        check_whole("learning.splits.n_blocks", self.n_blocks, low=2)
        check_whole("learning.splits.n_test_blocks", self.n_test_blocks, low=1, high=self.n_blocks - 1)
        check_whole("learning.splits.embargo_bars", self.embargo_bars, low=0)

    def split(self, dataset: Dataset) -> tuple[CombinatorialFold, ...]:
        """All combinations in lexicographic order of their blocks.

        Raises
        ------
        HistoryError
            If a block would not be longer than the embargo.
        """
        n_bars, first = len(dataset.open_time_ms), first_ready_row(dataset)
        needed = self.n_blocks * (self.embargo_bars + 1)
        if n_bars - first < needed:
            raise HistoryError(
                f"at least {needed} bars after the warm-up ({self.n_blocks} blocks longer than the embargo)",
                found=f"{n_bars - first} of {n_bars} bars",
                fix="load a longer history, or lower learning.splits.n_blocks",
            )
        blocks = tile(first, n_bars, self.n_blocks)
        return tuple(
            CombinatorialFold(index=index, test=_merged(chosen), embargo_bars=self.embargo_bars)
            for index, chosen in enumerate(combinations(blocks, self.n_test_blocks))
        )


def _merged(blocks: Iterable[Rows]) -> tuple[Rows, ...]:
    merged: list[Rows] = []
    for start, stop in blocks:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return tuple(merged)


def _first_row_after(dataset: Dataset, start: int, stop: int) -> int:
    """First bar that opens when every label of a test block is known."""
    known = dataset.known_at_ms[start:stop][dataset.mask[start:stop]]
    return int(np.searchsorted(dataset.open_time_ms, known.max())) if len(known) else stop
