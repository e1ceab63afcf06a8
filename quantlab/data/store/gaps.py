"""Bars that a collected dataset lacks, counted from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import ceil_to_open, iso_utc
from quantlab.data.series.spans import Span, Spans, difference
from quantlab.data.store.day_files import BARS, read_day
from quantlab.data.store.manifest import Manifest, Part

#: Gaps that are listed by name, the longest first; all are counted.
_LISTED = 20


def count_gaps(root: Path, manifest: Manifest) -> dict[str, Any]:
    """Bars, missing bars and the longest gaps of every symbol, from its first bar to the end of its coverage.

    What was never asked for is no gap; what the source did not have is.
    """
    stamps: dict[str, list[Int64Array]] = {symbol: [] for symbol in manifest.symbols}
    for day in manifest.days(BARS):
        part = Part(BARS, day)
        for symbol, (time_ms, _) in read_day(root, part, manifest.files[part]).series().items():
            stamps.setdefault(symbol, []).append(time_ms)
    return {
        symbol: _gaps(np.concatenate([np.empty(0, np.int64), *found]), _covered(manifest, symbol), manifest.interval_ms)
        for symbol, found in sorted(stamps.items())
    }


def _covered(manifest: Manifest, symbol: str) -> Spans:
    facts = manifest.symbols.get(symbol)
    return () if facts is None else facts.covered.get(BARS, ())


def _gaps(time_ms: Int64Array, covered: Spans, interval_ms: int) -> dict[str, Any]:
    if not len(time_ms):
        return {"bars": 0, "first": None, "last": None, "missing": 0, "count": 0, "longest": []}
    edges = np.flatnonzero(np.diff(time_ms) != interval_ms)
    starts = [int(time_ms[0]), *(int(t) for t in time_ms[edges + 1])]
    ends = [*(int(t) + interval_ms for t in time_ms[edges]), int(time_ms[-1]) + interval_ms]
    present = list(zip(starts, ends, strict=True))
    # A span counts from its first open: coverage ends with a month, and a week does not.
    absent = [(ceil_to_open(a, interval_ms), b) for a, b in difference(covered, present) if a >= starts[0]]
    missing = [(a, b) for a, b in absent if a < b]
    longest = sorted(missing, key=lambda span: (span[0] - span[1], span[0]))[:_LISTED]
    return {
        "bars": len(time_ms),
        "first": iso_utc(starts[0]),
        "last": iso_utc(ends[-1] - interval_ms),
        "missing": sum(_opens(span, interval_ms) for span in missing),
        "count": len(missing),
        "longest": [[iso_utc(span[0]), _opens(span, interval_ms)] for span in longest],
    }


def _opens(span: Span, interval_ms: int) -> int:
    """Number of opens in a span that begins with one."""
    return -(-(span[1] - span[0]) // interval_ms)
