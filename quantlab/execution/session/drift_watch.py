"""Drift beside a session: how far its features are from those of the training, in figures and alerts.

Nothing here decides: a watch reads the rows that the signal has read anyway. Every bar's ready rows are
counted into the bins of the training (bounded memory), and once in `every` bars one look at the newest
blocks is journalled in that bar's own commit: the look itself, and an entry for every feature that has
crossed into ``alert`` since the look before. A feature that stays there is not told again; one that came
back and leaves once more is. A day is one regime, not a distribution: nothing is told before `told_after`
bars were compared, though the figures are kept from the first look on.

What a restart needs: the counts are part of the session's snapshot and the bars behind it are counted
again; which features were told lies in the journal's newest look. Both are then what they were, bit for bit.
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

#: Kinds of journal entries: one look, one feature's crossing, and counts that could not be continued.
LOOK, CROSSING, ANEW = "drift", "drift_alert", "drift_anew"


@dataclass(frozen=True)
class Look:
    """One comparison of the newest bars with the training.

    Parameters
    ----------
    open_ms : int
        Of the bar at whose close it was taken.
    bars : int
        Of the session, that were compared.
    report : DriftReport
    told : frozenset of str
        Features on ``alert`` that somebody was told of, now or at a look before.
    crossed : tuple of FeatureDrift
        Those told now, worst first.
    """

    open_ms: int
    bars: int
    report: DriftReport
    told: frozenset[str]
    crossed: tuple[FeatureDrift, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """What the journal keeps of it: strict JSON."""
        told = [Event(CROSSING, {"open_ms": self.open_ms, **_figures(drift)}) for drift in self.crossed]
        return (Event(LOOK, self.facts), *told)

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
            "told": sorted(self.told),
            "features": [_figures(drift) for drift in self.report.features],
        }

    @property
    def message(self) -> str:
        """What crossed, in a sentence."""
        worst = ", ".join(f"{drift.name} (PSI {drift.psi:.2f}, KS {drift.ks:.2f})" for drift in self.crossed[:3])
        more = f" and {len(self.crossed) - 3} more" if len(self.crossed) > 3 else ""
        return f"{worst}{more} left the training distribution over {self.report.rows:,} rows of {self.bars:,} bars"


def _figures(drift: FeatureDrift) -> dict[str, Any]:
    return {"feature": drift.name, "psi": drift.psi, "ks": drift.ks, "level": drift.level}


@dataclass(frozen=True)
class DriftWatching:
    """How sessions watch drift; what Hydra instantiates.

    Parameters
    ----------
    rules : Drift
        Window and thresholds.
    every : int
        Bars between two looks, >= 1.
    told_after : int
        Bars that must be compared before a crossing is told; what the window never falls short of at most.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    rules: Drift
    every: int
    told_after: int

    def __post_init__(self) -> None:
        check_whole("execution.drift.every", self.every, low=1)
        shortest = (self.rules.blocks - 1) * self.rules.block_bars + 1  # with the newest block just begun
        check_range("execution.drift.told_after", self.told_after, low=1, high=shortest)

    def watch(self, reference: DriftReference) -> DriftWatch:
        """A watch that has seen nothing; `reference` is what the models were fitted on."""
        return DriftWatch(self, reference)


class DriftWatch:
    """The watch of one session; see :mod:`quantlab.execution.session.drift_watch`.

    Parameters
    ----------
    watching : DriftWatching
    reference : DriftReference
    """

    def __init__(self, watching: DriftWatching, reference: DriftReference) -> None:
        self._every, self._told_after = watching.every, watching.told_after
        self._monitor = watching.rules.monitor(reference)
        self._told: frozenset[str] = frozenset()

    def take(self, signal: FeatureReader) -> None:
        """Count what the signal has read of the newest bar.

        Raises
        ------
        ContractError
            If these are not the features of the training.
        """
        if signal.newest_features is not None:
            self._monitor.update(signal.newest_features)

    def look(self, open_ms: int) -> Look | None:
        """A look, where one is due at the bar that was taken last."""
        if self._monitor.bars == 0 or self._monitor.bars % self._every:
            return None
        report, bars = self._monitor.report(), self._monitor.window_bars
        alerts = report.alerts if bars >= self._told_after else ()
        crossed = tuple(drift for drift in alerts if drift.name not in self._told)
        self._told = frozenset(drift.name for drift in alerts)
        return Look(open_ms, bars, report, self._told, crossed)

    def remember(self, look: dict[str, Any] | None) -> None:
        """Take over from the journal's newest look which features were told; None where there is none."""
        self._told = frozenset(look["told"]) if look is not None else frozenset()

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
