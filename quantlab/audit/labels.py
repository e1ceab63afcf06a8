"""Checks of labels: a label must be known when it says so, and a race must begin after its decision.

1. A label, its ``known_at_ms`` and its weight may not change when bars after ``known_at_ms`` do, or do not come.
2. No label is known at the close that it belongs to.
3. A decision at the close of t is too late for anything within t: a high of t that is raised may not turn a label
   into BUY, a low that is lowered may not turn one into SELL. (A labeler that measures its own volatility widens
   its barriers then, and says HOLD more often: that is no leak.)
"""

from __future__ import annotations

import dataclasses

import numpy as np

from quantlab.audit.counterfactuals import another_future, delisted
from quantlab.audit.differences import differs, first_difference
from quantlab.audit.draws import cuts
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.market import HIGH, LOW, Bars
from quantlab.core.ports import Labeler
from quantlab.core.types import BUY, NO_LABEL, SELL, Labels

#: By how much a high is raised or a low lowered: beyond every barrier.
_BEYOND = 2.0
#: What a label that was settled, and its weight, must not see: other prices, and symbols that die.
_FUTURES = {"the bars were replaced": another_future, "half of the symbols stopped printing": delisted}


def check_labels(log: AuditLog, labeler: Labeler, bars: Bars, atr: Float64Array, count: int, seed: int) -> Labels:
    """Make every check of the module's docstring; the labels of `bars` come back."""
    labels = labeler.label(bars, atr)
    found: dict[tuple[str, str], LeakFinding] = {}
    compared = 0
    for row in cuts(bars, 1, bars.n_bars, count, seed):
        for change_text, future in _FUTURES.items():
            other = labeler.label(future(bars, row, seed), atr)
            for finding in changed_labels(bars, labels, other, row, labeler.horizon, change_text):
                found.setdefault((finding.stage, finding.column), finding)
            compared += int(known_labels(bars, labels, row).sum())
    if ("label", "label") in found:
        found.pop(
            ("label", "known_at_ms"), None
        )  # the label is settled by what is not known: a later time would not mend it
    if any(stage == "label" for stage, _ in found):
        # Weights count the races that are open: they follow the labels, and are no finding of their own.
        found = {key: finding for key, finding in found.items() if key[0] == "label"}
    log.check("label", "known labels and their weights under another future", compared, list(found.values()))
    log.check(
        "label",
        "no label is known at its own close",
        int((labels.label != NO_LABEL).sum()),
        _early_labels(bars, labels),
    )
    n_rows, own = _own_bar_labels(labeler, bars, atr, labels)
    log.check("label", "no race begins before its decision", n_rows, own)
    return labels


def known_labels(bars: Bars, labels: Labels, row: int) -> BoolArray:
    """bool (row, S): labels that were known when `row` opened."""
    known: BoolArray = labels.known_at_ms[:row] <= bars.open_time_ms[row]
    return known


def changed_labels(
    bars: Bars, before: Labels, after: Labels, row: int, horizon: int, change_text: str, first_row: int = 0
) -> list[LeakFinding]:
    """The label, its time or its weight that was known before `row` and differs.

    Parameters
    ----------
    bars : Bars, (T, S)
    before, after : Labels
        Of the bars from `first_row` on, and of others that are the same before `row`.
    row : int
        Counted from `first_row`.
    horizon : int
        Bars.
    change_text : str
        What happened from there on.
    first_row : int
    """
    window = bars.rows(first_row, bars.n_bars)
    known = known_labels(window, before, row) | known_labels(window, after, row)
    evidence = f"known before row {first_row + row}, but it changed when {change_text} from there on"
    outcome = known & (differs(before.label[:row], after.label[:row]))
    time = known & differs(before.known_at_ms[:row], after.known_at_ms[:row])
    if (outcome | time).any():
        # Within the horizon the label itself may still be open: then the time is what is wrong.
        young = np.arange(row)[:, None] >= row - horizon
        column = "known_at_ms" if not (outcome & ~young).any() else "label"
        return [LeakFinding("label", column, first_difference(bars, outcome | time, first_row), evidence)]
    weight = known & differs(before.weight[:row], after.weight[:row])
    return (
        [LeakFinding("weights", "weight", first_difference(bars, weight, first_row), f"its label was {evidence}")]
        if weight.any()
        else []
    )


def _early_labels(bars: Bars, labels: Labels) -> list[LeakFinding]:
    early = (labels.label != NO_LABEL) & (labels.known_at_ms <= bars.close_time_ms[:, None])
    if not early.any():
        return []
    where = first_difference(bars, early)
    return [
        LeakFinding("label", "known_at_ms", where, f"{int(early.sum())} labels are known at or before their own close")
    ]


def _own_bar_labels(labeler: Labeler, bars: Bars, atr: Float64Array, before: Labels) -> tuple[int, list[LeakFinding]]:
    # So far apart that no chosen bar lies in another chosen row's race.
    rows = np.arange(labeler.horizon + 1, bars.n_bars, labeler.horizon + 2)
    for price, factor, turned, word in ((HIGH, _BEYOND, BUY, "raised"), (LOW, 1.0 / _BEYOND, SELL, "lowered")):
        ohlcv = bars.ohlcv.copy()
        ohlcv[rows, :, price] *= factor
        after = labeler.label(dataclasses.replace(bars, ohlcv=ohlcv), atr)
        moved = np.zeros(before.label.shape, dtype=np.bool_)
        moved[rows] = (after.label[rows] == turned) & (before.label[rows] != turned)
        if moved.any():
            evidence = f"{int(moved.sum())} labels followed when the {'high' if price == HIGH else 'low'} of their own bar was {word}"
            return int(moved[rows].size), [LeakFinding("label", "label", first_difference(bars, moved), evidence)]
    return 2 * len(rows) * bars.n_symbols, []
