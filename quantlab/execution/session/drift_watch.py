"""Drift beside a session: how far its features are from those of the training, in figures and alerts.

Nothing here decides: a watch reads the rows that the signal has read anyway. Every bar's ready rows are
counted into the bins of the training (bounded memory), and once in `every` bars one reading of the
newest blocks is journalled in that bar's own commit: the reading itself, and an entry for every feature that has
crossed into ``alert`` since the reading before. A feature that stays there brings no second alert; one that came
back and leaves once more does. A day is one regime, not a distribution: there is no alert before `alert_after`
bars were compared, though the figures are kept from the first reading on.

What a restart needs: the counts are part of the session's snapshot and the bars after it are counted
again; which features are on alert lies in the journal's newest reading. Both are then what they were, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ContractError
from quantlab.core.events import Event
from quantlab.core.ports import FeatureReader
from quantlab.features.drift import Drift, DriftReport, FeatureDrift
from quantlab.features.drift_reference import DriftReference

#: Kinds of journal entries: one reading, one feature's alert, and counts that could not be continued.
READING, ALERT, RESTART = "drift", "drift_alert", "drift_anew"


@dataclass(frozen=True)
class DriftReading:
    """One comparison of the newest bars with the training.

    Parameters
    ----------
    open_ms : int
        Of the bar at whose close it was taken.
    bars : int
        Of the session, that were compared.
    report : DriftReport
    active_alerts : frozenset of str
        Features on ``alert`` for which an alert was sent, now or at a reading before.
    new_alerts : tuple of FeatureDrift
        Those for which it is sent now, worst first.
    """

    open_ms: int
    bars: int
    report: DriftReport
    active_alerts: frozenset[str]
    new_alerts: tuple[FeatureDrift, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """Journal entries of the reading: strict JSON."""
        alerts = [Event(ALERT, {"open_ms": self.open_ms, **_figures(drift)}) for drift in self.new_alerts]
        return (Event(READING, self.facts), *alerts)

    @property
    def facts(self) -> dict[str, Any]:
        """Rows compared, every feature's figures in column order, and the names on ``alert``, worst first."""
        return {
            "open_ms": self.open_ms,
            "bars": self.bars,
            "rows": self.report.rows,
            "reference_rows": self.report.reference_rows,
            "min_rows": self.report.min_rows,
            "alerts": [drift.name for drift in self.report.alerts],
            "active_alerts": sorted(self.active_alerts),
            "features": [_figures(drift) for drift in self.report.features],
        }

    @property
    def message(self) -> str:
        """The new alerts, in a sentence."""
        worst = ", ".join(f"{drift.name} (PSI {drift.psi:.2f}, KS {drift.ks:.2f})" for drift in self.new_alerts[:3])
        more = f" and {len(self.new_alerts) - 3} more" if len(self.new_alerts) > 3 else ""
        return f"{worst}{more} left the training distribution over {self.report.rows:,} rows of {self.bars:,} bars"


def _figures(drift: FeatureDrift) -> dict[str, Any]:
    return {"feature": drift.name, "psi": drift.psi, "ks": drift.ks, "level": drift.level}


@dataclass(frozen=True)
class DriftWatchRules:
    """Rules by which sessions watch drift; what Hydra instantiates.

    Parameters
    ----------
    rules : Drift
        Window and thresholds.
    every : int
        Bars between two readings, >= 1.
    alert_after : int
        Bars that must be compared before the first alert; what the window never falls short of at most.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    rules: Drift
    every: int
    alert_after: int

    def __post_init__(self) -> None:
        check_whole("execution.drift.every", self.every, low=1)
        shortest = (self.rules.blocks - 1) * self.rules.block_bars + 1  # with the newest block just begun
        check_range("execution.drift.alert_after", self.alert_after, low=1, high=shortest)

    def watch(self, reference: DriftReference) -> DriftWatch:
        """A watch that has seen nothing; `reference` is what the models were fitted on."""
        return DriftWatch(self, reference)


class DriftWatch:
    """The watch of one session; see :mod:`quantlab.execution.session.drift_watch`.

    Parameters
    ----------
    watch_rules : DriftWatchRules
    reference : DriftReference
    """

    def __init__(self, watch_rules: DriftWatchRules, reference: DriftReference) -> None:
        self._every, self._alert_after = watch_rules.every, watch_rules.alert_after
        self._monitor = watch_rules.rules.monitor(reference)
        self._active_alerts: frozenset[str] = frozenset()

    def update(self, signal: FeatureReader) -> None:
        """Count what the signal has read of the newest bar.

        Raises
        ------
        ContractError
            If these are not the features of the training.
        """
        if signal.newest_features is not None:
            self._monitor.update(signal.newest_features)

    def reading(self, open_ms: int) -> DriftReading | None:
        """Return a reading, where one is due at the bar that was counted last."""
        if self._monitor.bars == 0 or self._monitor.bars % self._every:
            return None
        report, bars = self._monitor.report(), self._monitor.window_bars
        alerts = report.alerts if bars >= self._alert_after else ()
        new_alerts = tuple(drift for drift in alerts if drift.name not in self._active_alerts)
        self._active_alerts = frozenset(drift.name for drift in alerts)
        return DriftReading(open_ms, bars, report, self._active_alerts, new_alerts)

    def restore_alerts(self, reading: dict[str, Any] | None) -> None:
        """Take over the features on alert from the journal's newest reading; None where there is none."""
        self._active_alerts = frozenset(reading["active_alerts"]) if reading is not None else frozenset()

    def state(self) -> bytes:
        """The counts."""
        return self._monitor.state()

    def restore(self, state: bytes | None) -> bool:
        """Continue from what :meth:`state` returned; False where it cannot: counting then begins anew.

        A session does not stop for that, because nothing that it decides depends on these counts.

        Raises
        ------
        ArtifactError
            If `state` is damaged.
        """
        if state is None:
            return False
        try:
            self._monitor.restore(state)
        except ContractError:  # another training, or a window of another size
            return False
        return True
