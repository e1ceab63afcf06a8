"""Stored bars of one symbol: around an instant, or all of them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.data.series.alignment import Series
from quantlab.data.store.day_files import BARS, COLUMNS, day_of, read_day
from quantlab.data.store.manifest import Manifest, Part


@dataclass(frozen=True)
class StoredBars:
    """Reader of a dataset's day files; every file's hash is verified.

    Parameters
    ----------
    root : Path
    manifest : Manifest
    """

    root: Path
    manifest: Manifest

    def around(self, symbol: str, time_ms: int) -> Series:
        """Bars of a symbol at least from its last before an instant to its first at or after it."""
        days = self.manifest.days(BARS)
        k = bisect.bisect_left(days, day_of(time_ms))
        pieces: list[Series] = []
        for day in days[k:]:
            pieces.append(self._day(symbol, day))
            if len(pieces[-1][0]) and pieces[-1][0][-1] >= time_ms:
                break
        for day in reversed(days[:k]):
            if pieces and len(pieces[0][0]) and pieces[0][0][0] < time_ms:
                break
            pieces.insert(0, self._day(symbol, day))
        return joined(pieces)

    def whole(self, symbol: str) -> Series:
        """All bars of a symbol."""
        return joined([self._day(symbol, day) for day in self.manifest.days(BARS)])

    def _day(self, symbol: str, day: str) -> Series:
        part = Part(BARS, day)
        nothing = (np.empty(0, dtype=np.int64), np.empty((0, len(COLUMNS[BARS]))))
        return read_day(self.root, part, self.manifest.files[part]).series().get(symbol, nothing)


def joined(pieces: Sequence[Series]) -> Series:
    """One series of several, in their order."""
    return np.concatenate([time_ms for time_ms, _ in pieces]), np.concatenate([values for _, values in pieces])
