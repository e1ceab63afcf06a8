"""Features: nothing at or before a bar may change when what comes after it does."""

from __future__ import annotations

import numpy as np

from quantlab.audit.counterfactuals import another_future, ragged_rows
from quantlab.audit.differences import differs, first_difference
from quantlab.audit.draws import cuts
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource
from quantlab.core.types import Features

#: Places of a kind that are looked at.
_PLACES = 3


def check_features(log: AuditLog, source: FeatureSource, bars: Bars, features: Features, count: int, seed: int) -> None:
    """Replace, and then cut off, the future at several rows, also in the warm-up and inside holes.

    Parameters
    ----------
    log : Log
    source : FeatureSource
    bars : Bars, (T, S)
    features : Features, (T, S, F)
        Of `bars`.
    count : int
        Rows at which another future begins, beside those at the borders.
    seed : int
    """
    found: dict[str, LeakFinding] = {}
    compared = 0
    for row in sorted({*cuts(bars, 1, bars.n_bars, count, seed), *_borders(bars, features)}):
        futures = {"replaced": another_future(bars, row, seed)}
        if row > source.warmup:  # a shorter history may rightly be refused
            futures["cut off"] = bars.rows(0, row)
        for change, future in futures.items():
            for finding in changed_features(bars, features, source.transform(future), row, change):
                found.setdefault(finding.column, finding)
            compared += features.values[:row].size
    log.check("feature", "past features under another future", compared, list(found.values()))


def _borders(bars: Bars, features: Features) -> set[int]:
    """Around the first ready row of symbols, listed late or not, and where the grid is ragged."""
    ready = features.ready
    firsts = np.unique(np.argmax(ready, axis=0)[ready.any(axis=0)])
    chosen = firsts[:: max(1, len(firsts) // _PLACES)][:_PLACES]
    rows = {int(first) + beside for first in chosen for beside in (-2, 3)} | set(ragged_rows(bars, _PLACES))
    return {row for row in rows if 0 < row < bars.n_bars}


def changed_features(
    bars: Bars, before: Features, after: Features, row: int, change: str, first_row: int = 0
) -> list[LeakFinding]:
    """One finding for each column that differs before `row`.

    Parameters
    ----------
    bars : Bars, (T, S)
    before, after : Features
        Of the bars from `first_row` on, and of others that are the same before `row`.
    row : int
        Counted from `first_row`.
    change : str
        What happened to the bars from there on.
    first_row : int
    """
    if before.names != after.names:
        return [LeakFinding("feature", "names", "all rows", f"the names changed when the future was {change}")]
    done = f"it changed when the bars from row {first_row + row} on were {change}"
    found = []
    if (different := differs(before.ready[:row], after.ready[:row])).any():
        found.append(LeakFinding("feature", "ready", first_difference(bars, different, first_row), done))
    different = differs(before.values[:row], after.values[:row])
    for column in np.flatnonzero(different.any(axis=(0, 1))):
        name = before.names[int(column)]
        found.append(LeakFinding("feature", name, first_difference(bars, different[:, :, column], first_row), done))
    return found
