"""Checks by chance: results that must be worth nothing, and results that are worth too much."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.audit.fills import AT_OPEN, AuditedAccount
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.core.arrays import Float64Array, Int8Array
from quantlab.core.market import Bars
from quantlab.core.ports import Labeler
from quantlab.core.results import SignalReport, Simulation, Study
from quantlab.core.types import NO_LABEL, Labels, Signal
from quantlab.evaluation.verdict.suspicion import SUSPICIOUS_AUC, auc_exceeds
from quantlab.learning.ensemble.scores import directional_auc

#: Share of the largest position below which units are rounding.
_DUST = 1e-9


@dataclass(frozen=True)
class ShuffledLabels:
    """The labels of another labeler, dealt out again among each symbol's labelled rows: nothing can be learned.

    Weights and the times at which labels became known stay with their rows, and so do folds and purging.

    Parameters
    ----------
    labels : Labeler
    seed : int
    """

    labels: Labeler
    seed: int

    @property
    def horizon(self) -> int:
        return self.labels.horizon

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        """See :class:`quantlab.core.ports.Labeler`."""
        real = self.labels.label(bars, atr)
        rng, label = np.random.default_rng(self.seed), real.label.copy()
        for s in range(label.shape[1]):
            rows = np.flatnonzero(label[:, s] != NO_LABEL)
            label[rows, s] = rng.permutation(label[rows, s])
        return dataclasses.replace(real, label=label)


def check_shuffled_auc(log: AuditLog, study: Study, errors: float) -> None:
    """Members that were fitted on shuffled labels must have an AUC of one half, within its error.

    Shuffled labels are independent of everything, so the error is that of independent rows (Mann and Whitney 1947):
    ``sqrt((n_buy + n_sell + 1) / (12 n_buy n_sell))``.

    Parameters
    ----------
    errors : float
        How many errors off are a leak.
    """
    report = study.report
    if report is None:
        return
    found, n = [], max(report.evaluated_rows // 3, 1)
    error = math.sqrt((2 * n + 1) / (12 * n * n))
    for name, member in report.members.items():
        log.diagnostics[f"shuffled_auc.{name}"] = member.auc
        if member.auc is not None and abs(member.auc - 0.5) > errors * error:
            evidence = f"AUC {member.auc:.4f} on shuffled labels, {abs(member.auc - 0.5) / error:.1f} errors from 0.5"
            found.append(
                LeakFinding(
                    "split", "label", f"member {name}", f"{evidence}: it has seen the labels that it is tested on"
                )
            )
    log.check("split", "nothing is learned from shuffled labels", 3 * n, found)


def check_auc(log: AuditLog, report: SignalReport | None, oracle_auc: float | None) -> None:
    """A directional AUC that cannot honestly be: two errors above what is possible is a leak somewhere.

    Parameters
    ----------
    report : SignalReport or None
    oracle_auc : float or None
        Of a synthetic market's own truth, whose error is taken to be the member's; None on a real market.
    """
    if report is None:
        return
    found = []
    for name, member in report.members.items():
        if member.auc is None or member.auc_se is None:
            continue
        bound = SUSPICIOUS_AUC if oracle_auc is None else oracle_auc + 2.0 * member.auc_se
        log.diagnostics[f"auc.{name}"] = member.auc
        if auc_exceeds(member, bound):
            evidence = f"directional AUC {member.auc:.3f} - 2 x {member.auc_se:.3f} is above {bound:.3f}"
            found.append(LeakFinding("signal", "proba", f"member {name}", evidence))
    log.check("signal", "no member knows more than can be known", len(report.members), found)


def check_position_auc(
    log: AuditLog,
    account: AuditedAccount,
    simulation: Simulation,
    label: Int8Array,
    oracle_auc: float | None,
    samples: int,
    seed: int,
) -> None:
    """Sides of positions are judged as signals are: what is held over the next bar, against what comes.

    Its error is the larger of the day-block bootstrap's and that of as many independent decisions as positions were
    opened (Mann and Whitney 1947): few positions, however lucky, prove nothing.

    Parameters
    ----------
    account : AuditedAccount
    simulation : Simulation
        Of it.
    label : int8 (T, S)
        Of its bars.
    oracle_auc : float or None
        As in :func:`check_auc`.
    samples : int
        Of the bootstrap.
    """
    side = sides_held(simulation, label.shape)
    opened = np.diff(side, axis=0, prepend=np.zeros((1, label.shape[1]), np.int8)) * side > 0
    buys, sells = (int((opened & (side == sign)).sum()) for sign in (1, -1))
    if not (buys and sells):
        log.note("signal: positions of one side alone were opened, so their sides were not judged")
        return
    proba = np.stack([side < 0, side == 0, side > 0], axis=2).astype(np.float32)
    proba[side == 0] = (0.5, 0.0, 0.5)
    auc = directional_auc(
        proba, label, label != NO_LABEL, account.bars.open_time_ms, bootstrap_samples=samples, seed=seed
    )
    if auc.value is None:
        return
    error = max(auc.se or 0.0, math.sqrt((buys + sells + 1) / (12 * buys * sells)))
    bound = SUSPICIOUS_AUC if oracle_auc is None else oracle_auc + 2.0 * error
    log.diagnostics["auc.position"] = auc.value
    found = []
    if auc.value - 2.0 * error > bound:
        evidence = f"directional AUC {auc.value:.3f} - 2 x {error:.3f} of the positions held is above {bound:.3f}"
        found.append(LeakFinding("signal", "position", f"{buys + sells} positions", evidence))
    log.check("signal", "no position knows more than can be known", int((side != 0).sum()), found)


def sides_held(simulation: Simulation, shape: tuple[int, ...]) -> Int8Array:
    """int8 (T, S): side of what row t decided, held from the open of t + 1 on; the last row has none."""
    orders = simulation.orders
    signed = np.where(orders["side"] == 0, 1.0, -1.0) * orders["size"]
    at_open = np.isin(simulation.reasons, AT_OPEN)
    units = np.zeros((2, *shape))
    for place, chosen in enumerate((at_open, ~at_open)):
        np.add.at(units[place], (orders["idx"][chosen], orders["col"][chosen]), signed[chosen])
    closes = np.cumsum(units.sum(axis=0), axis=0)
    opens = closes - units[1]
    held = np.where(np.abs(opens) > _DUST * np.abs(opens).max(axis=0, initial=0.0), np.sign(opens), 0.0)
    return np.vstack([held[1:], np.zeros((1, shape[1]))]).astype(np.int8)


def measure_delayed_signal(log: AuditLog, account: AuditedAccount, simulation: Simulation) -> None:
    """Measure the result when every signal comes one bar late; a diagnostic, no proof."""
    late = account.run(account.bars, delayed(account.signal))
    for name, one in (("return", simulation), ("return_delayed_by_one_bar", late)):
        log.diagnostics[name] = float(one.equity[-1]) / one.initial_cash - 1.0


def delayed(signal: Signal) -> Signal:
    """Return the signal one bar later; its first row is empty."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(signal):
        array = getattr(signal, field.name)
        if array is not None:
            later = np.roll(array, 1, axis=0)
            later[0] = np.nan if later.dtype.kind == "f" else 0
            changed[field.name] = later
    return dataclasses.replace(signal, **changed)
