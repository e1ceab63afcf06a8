"""The ensemble's record on rows that it had never seen."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.arrays import BoolArray, Float32Array, Int8Array, Int64Array
from quantlab.core.results import MemberReport, SignalReport
from quantlab.core.types import HOLD
from quantlab.learning.ensemble.influence import Influence
from quantlab.learning.ensemble.pooling import Pooled, decisions, spoken
from quantlab.learning.ensemble.scores import directional_auc, log_loss, reliability

#: A decision with at least this consensus counts into the consensus rate.
BROAD_CONSENSUS = 0.7


@dataclass(frozen=True)
class Evidence:
    """Everything that a report reads: out-of-sample rows of all folds, joined.

    Parameters
    ----------
    members : dict of member name to float32 (T, S, 3)
    weights : dict of member name to float
        Mean over the folds.
    influence : Influence
    pooled : Pooled, (T, S)
    label : int8 (T, S)
    weight : float32 (T, S)
    rows : bool (T, S)
        Ready and labelled.
    open_time_ms : int64 (T,)
    """

    members: dict[str, Float32Array]
    weights: dict[str, float]
    influence: Influence
    pooled: Pooled
    label: Int8Array
    weight: Float32Array
    rows: BoolArray
    open_time_ms: Int64Array


def signal_report(evidence: Evidence, *, bootstrap_samples: int, seed: int) -> SignalReport:
    """Judge an ensemble and its members; what cannot be computed is None with its reason."""
    pooled = evidence.pooled
    decision = decisions(pooled.proba)
    directional = decision != 0
    scored = evidence.rows & spoken(pooled.proba)
    correct = evidence.label[scored] == decision[scored] + HOLD
    rates: dict[str, float | None] = dict.fromkeys(("consensus_rate", "mean_confidence", "buy_share"))
    undefined = dict.fromkeys(rates, "the ensemble decided neither BUY nor SELL on any out-of-sample row")
    if directional.any():
        undefined = {}
        rates = {
            "consensus_rate": float((pooled.consensus[directional] >= BROAD_CONSENSUS).mean()),
            "mean_confidence": float(pooled.confidence[directional].mean()),
            "buy_share": float((decision[directional] > 0).mean()),
        }
    return SignalReport(
        **rates,
        members={name: _member_report(name, evidence, bootstrap_samples, seed) for name in evidence.members},
        reliability=reliability(pooled.confidence[scored], correct),
        evaluated_rows=int(scored.sum()),
        undefined=undefined,
    )


def _member_report(name: str, evidence: Evidence, bootstrap_samples: int, seed: int) -> MemberReport:
    proba = evidence.members[name]
    auc = directional_auc(
        proba,
        evidence.label,
        evidence.rows,
        evidence.open_time_ms,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
    )
    undefined = dict(auc.undefined)
    loss = log_loss(proba, evidence.label, evidence.weight, evidence.rows)
    if loss is None:
        undefined["log_loss"] = "the member spoke on no labelled out-of-sample row"
    influence: float | None = None
    if evidence.influence.decided:
        influence = evidence.influence.flipped[name] / evidence.influence.decided
    else:
        undefined["influence"] = "no BUY or SELL passed the gates"
    return MemberReport(
        auc=auc.value,
        auc_se=auc.se,
        log_loss=loss,
        weight=evidence.weights[name],
        influence=influence,
        undefined=undefined,
    )
