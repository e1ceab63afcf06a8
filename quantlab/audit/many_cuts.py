"""Hundreds of other futures for the stages that cost little: features, labels, plain signals, fills.

Each is asked about a *window*: enough bars before a cut for the stage to be warm, and some after it. The stage is put
over the real window and over one with another future; both begin at the same bar, so that a value that remembers
everything is not accused. The whole history under a few other futures, which sees further, is looked at elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from quantlab.audit.counterfactuals import another_future, another_inside, another_signal, delisted
from quantlab.audit.differences import cell_label, differs
from quantlab.audit.draws import many_cuts
from quantlab.audit.features import changed_features
from quantlab.audit.fills import AT_OPEN, AuditedAccount, differing_orders
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.labels import changed_labels, known_labels
from quantlab.audit.studies import signal_differences
from quantlab.core.arrays import Float64Array
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, Labeler
from quantlab.core.results import Simulation
from quantlab.core.types import Signal

#: Bars by which a window begins before the warm-up needs it to: the rows that are compared while all is warm.
_WARM = 16
#: Horizons of labels that are open or settled in a window before its cut, for a labeler that measures its own volatility.
_HORIZONS = 8


@dataclass(frozen=True)
class ManyCuts:
    """The depth of a look at many cuts.

    Parameters
    ----------
    count : int
        Cuts that are drawn at random.
    reach : int
        Bars after a cut that a window holds.
    seed : int
    """

    count: int
    reach: int
    seed: int

    def rows(self, bars: Bars, start: int, stop: int) -> tuple[list[int], int]:
        """Rows at which another future begins, and how many of them were drawn at random."""
        return many_cuts(bars, start, stop, self.count, self.seed)

    def window(self, bars: Bars, row: int, back: int) -> tuple[Bars, int]:
        """The bars around a cut, and the row of `bars` that they begin with."""
        first = max(0, row - back)
        return bars.rows(first, min(bars.n_bars, row + self.reach)), first


def check_feature_cuts(log: AuditLog, source: FeatureSource, bars: Bars, depth: ManyCuts) -> None:
    """Features of windows under other futures, at random rows and before the largest moves.

    Parameters
    ----------
    bars : Bars, (T, S)
    depth : ManyCuts
    """
    rows, drawn = depth.rows(bars, min(source.warmup + 1, bars.n_bars // 2), bars.n_bars)
    found: dict[str, LeakFinding] = {}
    compared = 0
    for row in rows:
        window, first = depth.window(bars, row, source.warmup + _WARM)
        cut = row - first
        before, after = source.transform(window), source.transform(another_future(window, cut, depth.seed))
        for finding in changed_features(bars, before, after, cut, "replaced", first):
            found.setdefault(finding.column, finding)
        compared += before.values[:cut].size
    log.check("feature", f"features before {len(rows)} cuts, in windows", compared, list(found.values()))
    log.power("feature", "features", drawn)


def check_label_cuts(log: AuditLog, labeler: Labeler, bars: Bars, atr: Float64Array, depth: ManyCuts) -> None:
    """Labels of windows that were known before cuts; every second other future has half of the symbols stop.

    Parameters
    ----------
    bars : Bars, (T, S)
    atr : float64 (T, S)
        USD.
    depth : ManyCuts
    """
    rows, drawn = depth.rows(bars, labeler.horizon + 1, bars.n_bars)
    found: list[LeakFinding] = []
    compared = 0
    futures = cycle(((another_future, "the bars were replaced"), (delisted, "half of the symbols stopped printing")))
    for row, (future, change_text) in zip(rows, futures, strict=False):
        window, first = depth.window(bars, row, _HORIZONS * labeler.horizon)
        cut, known_atr = row - first, atr[first : first + window.n_bars]
        if cut >= window.n_bars:
            continue
        before = labeler.label(window, known_atr)
        after = labeler.label(future(window, cut, depth.seed), known_atr)
        found += changed_labels(bars, before, after, cut, labeler.horizon, change_text, first)
        compared += int(known_labels(window, before, cut).sum())
    found.sort(key=lambda one: (one.stage != "label", one.column != "label"))
    log.check("label", f"labels known before {len(rows)} cuts, in windows", compared, found[:1])
    log.power("label", "labels and their weights", drawn)


def check_signal_cuts(log: AuditLog, source: Any, bars: Bars, signal: Signal, depth: ManyCuts) -> None:
    """A plain signal before cuts: in windows where those give its own last row, else in whole histories.

    Parameters
    ----------
    source : SignalSource
        Not learned.
    bars : Bars, (T, S)
    signal : Signal, (T, S)
        Of `bars`.
    depth : ManyCuts
    """
    rows, drawn = depth.rows(bars, 1, bars.n_bars)
    found: list[LeakFinding] = []
    for row in rows:
        given = _window_of_signal(source, bars, signal, row, depth) or (bars, 0, signal)
        window, first, before = given
        cut = row - first
        after = source.signal(another_future(window, cut, depth.seed))
        found += list(signal_differences(bars, before, after, 0, cut, learned=False, first_row=first))[:1]
    log.check("feature", f"a plain signal before {len(rows)} cuts", sum(rows), found[:1])
    log.power("feature", "plain signal", drawn)


def _window_of_signal(
    source: Any, bars: Bars, signal: Signal, row: int, depth: ManyCuts
) -> tuple[Bars, int, Signal] | None:
    """Window, its first row and its own signal; None where its warm-up is unknown, or too short for this source."""
    warmup = getattr(source, "warmup", None) or getattr(getattr(source, "features", None), "warmup", None)
    if warmup is None or row <= warmup + _WARM:
        return None
    window, first = depth.window(bars, row, warmup + _WARM)
    try:
        before: Signal = source.signal(window)
    except QuantlabError:  # a file without a row in it, for instance
        return None
    same = all(
        not differs(getattr(signal, f.name)[row - 1], getattr(before, f.name)[row - 1 - first]).any()
        for f in dataclasses.fields(signal)
        if getattr(signal, f.name) is not None and getattr(before, f.name) is not None
    )
    return (window, first, before) if same else None


def check_fill_cuts(log: AuditLog, account: AuditedAccount, simulation: Simulation, depth: ManyCuts) -> None:
    """Fills, sizes and equity before other futures that begin inside a bar with fills, and right after it.

    Parameters
    ----------
    account : AuditedAccount
    simulation : Simulation
        As it is.
    depth : ManyCuts
    """
    filled = np.unique(simulation.orders["idx"])
    filled = filled[filled > 0]
    if not len(filled):
        return
    count = min(depth.count, len(filled))
    picked = np.random.default_rng([depth.seed, len(filled)]).permutation(filled)[:count]
    found: list[LeakFinding] = []
    compared = 0
    for row in (int(row) for row in np.sort(picked)):
        for cut, change in ((row, another_inside), (row + 1, another_future)):
            if cut < account.bars.n_bars:
                found += _changed_account(account, simulation, row, cut, change, depth)
                compared += int((simulation.orders["idx"] <= row).sum())
    first = sorted(found, key=lambda one: one.stage != "fill")[:1]
    limits = "on" if account.limits_on else "off"
    log.check("fill", f"fills and equity before {2 * count} cuts, limits {limits}", compared, first)
    log.power("fill", f"bars with fills, limits {limits}", count)


def _changed_account(
    account: AuditedAccount, simulation: Simulation, row: int, cut: int, change: Callable[..., Bars], depth: ManyCuts
) -> Iterator[LeakFinding]:
    stop = min(account.bars.n_bars, cut + depth.reach)
    bars, signal = account.bars.rows(0, stop), account.signal.rows(0, stop)
    other = account.run(change(bars, cut, depth.seed), another_signal(signal, cut))
    text = "its own bar's high, low and close, and what comes after," if cut == row else f"the bars from row {cut} on"
    evidence = f"it changed when {text} were others"
    inside = cut == row
    before, after = _decided(simulation, cut, inside=inside), _decided(other, cut, inside=inside)
    yield from differing_orders(account.bars, before, after, evidence)
    if (different := differs(simulation.equity[:cut], other.equity[:cut])).any():
        yield LeakFinding("fill", "equity", cell_label(account.bars, int(np.argmax(different))), evidence)


def _decided(simulation: Simulation, cut: int, *, inside: bool) -> Any:
    """The orders before a cut; where it begins inside a bar, those too that fill at that bar's open."""
    orders = simulation.orders
    at_open = inside & (orders["idx"] == cut) & np.isin(simulation.reasons, AT_OPEN)
    return orders[(orders["idx"] < cut) | at_open]
