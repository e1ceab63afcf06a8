"""Drift of live features from those of the training: population stability index and Kolmogorov-Smirnov.

Both come from the bins of a :class:`~quantlab.features.drift_reference.DriftReference`:

* PSI = sum over bins of (q - p) ln(q / p), p the training share, q the recent one, over at most `psi_bins`
  bins of about equal training share; each share is smoothed by half a row per bin, so that an empty bin
  stays finite. Convention: below .1 stable, above .25 another population (N. Siddiqi, "Credit Risk
  Scorecards", 2006).
* KS = max over edges of |P - Q|, the cumulative shares. The exact statistic of the two samples is never
  smaller, and larger by at most a bin's share: see :attr:`FeatureDrift.ks_bound`.

Bars are not independent draws, so neither has an honest p-value here: thresholds are plain distances, and
a few hours of one regime will exceed them. Choose the window to span what a training set spans: days.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.checks import check_range
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.types import Features
from quantlab.features.drift_reference import DriftReference, count_into, make_reference

_MAGIC = b"quantlab drift 1\n"

STABLE, WARN, ALERT, UNKNOWN = "stable", "warn", "alert", "unknown"


@dataclass(frozen=True)
class FeatureDrift:
    """Drift of one feature.

    Parameters
    ----------
    name : str
    psi, ks : float
        PSI >= 0; KS in [0, 1].
    ks_bound : float
        The exact KS statistic lies in ``[ks, ks + ks_bound]``.
    level : str
        ``stable``, ``warn``, ``alert``, or ``unknown`` with too few rows.
    """

    name: str
    psi: float
    ks: float
    ks_bound: float
    level: str


@dataclass(frozen=True)
class DriftReport:
    """One look at the recent rows.

    Parameters
    ----------
    rows, reference_rows : int
        Recent and training (bar, symbol) rows compared.
    min_rows : int
        Recent rows below which every level is ``unknown``.
    features : tuple of FeatureDrift
        In column order.
    """

    rows: int
    reference_rows: int
    min_rows: int
    features: tuple[FeatureDrift, ...]

    @property
    def alerts(self) -> tuple[FeatureDrift, ...]:
        """Features on ``alert``, worst PSI first."""
        return tuple(sorted((f for f in self.features if f.level == ALERT), key=lambda f: -f.psi))

    @property
    def warnings(self) -> tuple[FeatureDrift, ...]:
        """Features on ``warn``, worst PSI first."""
        return tuple(sorted((f for f in self.features if f.level == WARN), key=lambda f: -f.psi))

    def findings(self) -> tuple[str, ...]:
        """Findings for a reader, a sentence each; never empty."""
        if self.rows < self.min_rows:
            return (f"Drift is unknown: {self.rows:,} rows so far, {self.min_rows:,} are needed.",)
        found = [
            f"{f.name} has {'left its training distribution' if f.level == ALERT else 'moved'}: "
            f"PSI {f.psi:.3f}, KS {f.ks:.3f} over {self.rows:,} rows."
            for f in (*self.alerts, *self.warnings)
        ]
        return tuple(found) or (f"All {len(self.features)} features look as in training over {self.rows:,} rows.",)


@dataclass(frozen=True)
class Drift:
    """Rules of the comparison; what Hydra instantiates.

    Parameters
    ----------
    bins : int
        Quantile bins per feature that are kept: the resolution of KS.
    psi_bins : int
        Bins of the PSI, merged from these; <= `bins`.
    edge_rows : int
        Training rows that the quantiles are taken of, at most.
    block_bars, blocks : int
        The live window: the last `blocks` blocks of `block_bars` bars, the newest one growing.
    min_rows : int
        Fewer (bar, symbol) rows than this say nothing.
    psi_warn, psi_alert, ks_warn, ks_alert : float
        A feature is on a level when either of its distances reaches it.

    Raises
    ------
    ConfigError
        If a number is out of range, or a warning is not below its alert.
    """

    bins: int
    psi_bins: int
    edge_rows: int
    block_bars: int
    blocks: int
    min_rows: int
    psi_warn: float
    psi_alert: float
    ks_warn: float
    ks_alert: float

    def __post_init__(self) -> None:
        check_range("drift.psi_bins", self.psi_bins, low=2)
        check_range("drift.bins", self.bins, low=self.psi_bins, high=1_000)
        check_range("drift.edge_rows", self.edge_rows, low=self.bins)
        for name in ("block_bars", "blocks", "min_rows"):
            check_range(f"drift.{name}", getattr(self, name), low=1)
        for distance in ("psi", "ks"):
            warn, alert = getattr(self, f"{distance}_warn"), getattr(self, f"{distance}_alert")
            if not 0.0 < warn < alert:
                raise ConfigError(
                    f"0 < drift.{distance}_warn < drift.{distance}_alert",
                    found=f"{warn!r}, {alert!r}",
                    fix="order them",
                )

    def reference(self, features: Features, chosen: BoolArray) -> DriftReference:
        """The training distribution: ready rows of `features` where `chosen` (T, S); see ``make_reference``."""
        return make_reference(features, chosen, bins=self.bins, edge_rows=self.edge_rows)

    def monitor(self, reference: DriftReference) -> DriftMonitor:
        """A monitor that has seen nothing."""
        return DriftMonitor(self, reference)

    def compare(self, reference: DriftReference, counts: Int64Array) -> DriftReport:
        """Judge binned recent rows, ``counts`` (F, E + 1) over the reference's bins."""
        rows = int(counts[0].sum())
        groups = psi_groups(reference, self.psi_bins)
        judged = []
        for column, name in enumerate(reference.names):
            p, q = reference.count_table[column], counts[column]
            psi = population_stability_index(_merge_counts(p, groups[column]), _merge_counts(q, groups[column]))
            ks, bound = binned_ks(p, q)
            judged.append(FeatureDrift(name, psi, ks, bound, self._level(psi, ks, rows)))
        return DriftReport(rows, reference.rows, self.min_rows, tuple(judged))

    def _level(self, psi: float, ks: float, rows: int) -> str:
        if rows < self.min_rows:
            return UNKNOWN
        if psi >= self.psi_alert or ks >= self.ks_alert:
            return ALERT
        return WARN if psi >= self.psi_warn or ks >= self.ks_warn else STABLE


class DriftMonitor:
    """The recent rows, binned: at most ``blocks`` tables of counts, however long it runs.

    Parameters
    ----------
    rules : Drift
    reference : DriftReference
    """

    def __init__(self, rules: Drift, reference: DriftReference) -> None:
        self._rules = rules
        self._reference = reference
        self._window = fingerprint(reference, rules.block_bars, rules.blocks)
        self._blocks: deque[Int64Array] = deque(maxlen=rules.blocks)
        self._bars = 0

    @property
    def bars(self) -> int:
        """Bars that were counted since it began."""
        return self._bars

    @property
    def window_bars(self) -> int:
        """The newest ones of these, which a report speaks of."""
        past = max(0, len(self._blocks) - 1) * self._rules.block_bars
        return past + (self._bars - 1) % self._rules.block_bars + 1 if self._bars else 0

    def update(self, features: Features) -> None:
        """Count the ready rows of some bars, oldest first.

        Raises
        ------
        ContractError
            If they are not the features of the reference, or a ready row is not finite.
        """
        self._reference.contract.check(features)
        start, block_bars = 0, self._rules.block_bars
        while start < len(features.ready):
            if self._bars % block_bars == 0:
                self._blocks.append(np.zeros_like(self._reference.count_table))
            stop = min(len(features.ready), start + block_bars - self._bars % block_bars)
            rows = slice(start, stop)
            count_into(features.values[rows], features.ready[rows], self._reference.edge_table, self._blocks[-1])
            self._bars += stop - start
            start = stop

    def report(self) -> DriftReport:
        """The last blocks against the training; all ``unknown`` while there are too few rows."""
        counts = sum(self._blocks, np.zeros_like(self._reference.count_table))
        return self._rules.compare(self._reference, counts)

    def state(self) -> bytes:
        """The counts, for :meth:`restore`."""
        blocks = np.array(self._blocks, dtype=np.int64).reshape(-1, *self._reference.count_table.shape)
        return pack_arrays(_MAGIC, {"window": self._window, "bars": self._bars}, {"blocks": blocks})

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged.
        ContractError
            If it was counted in other bins, or over another window.
        """
        header, arrays = unpack_arrays(_MAGIC, state, "drift state")
        if header["window"] != self._window:
            raise ContractError(
                "counts over the same training distribution, block_bars and blocks",
                found="those of another reference or window",
                fix="go on with the rules that it began with, or count anew",
            )
        self._bars = int(header["bars"])
        self._blocks = deque(arrays["blocks"], maxlen=self._rules.blocks)


def psi_groups(reference: DriftReference, groups: int) -> Int64Array:
    """int64 (F, E + 1): which of `groups` bins of about equal training share each bin belongs to."""
    share = reference.count_table / reference.rows
    middle = np.cumsum(share, axis=1) - share / 2.0
    found: Int64Array = np.minimum((middle * groups).astype(np.int64), groups - 1)
    return found


def _merge_counts(counts: Int64Array, groups: Int64Array) -> Float64Array:
    return np.bincount(groups, weights=counts).astype(np.float64)


def population_stability_index(reference: Float64Array, recent: Float64Array) -> float:
    """PSI of two count vectors over the same bins; bins that both leave empty do not count."""
    used = (reference > 0) | (recent > 0)
    p, q = ((counts[used] + 0.5) / (counts[used] + 0.5).sum() for counts in (reference, recent))
    return float(((q - p) * np.log(q / p)).sum())


def binned_ks(reference: Int64Array, recent: Int64Array) -> tuple[float, float]:
    """Largest difference of the cumulative shares at an edge, and by how much the exact one can exceed it.

    Inside a bin the difference can exceed that at its edges by at most the smaller of the bin's two shares.
    0 and 1 where there are no recent rows.
    """
    if recent.sum() == 0:
        return 0.0, 1.0
    p, q = reference / reference.sum(), recent / recent.sum()
    gap = np.abs(np.cumsum(p) - np.cumsum(q))
    return float(gap.max()), float(np.minimum(p, q).max())
