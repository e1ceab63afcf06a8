"""The ensemble's record on rows that it had never seen."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.arrays import BoolArray, Float32Array, Int8Array, Int64Array
from quantlab.core.results import MemberReport, SignalReport
from quantlab.core.types import HOLD
from quantlab.learning.ensemble.influence import Influence
from quantlab.learning.ensemble.pooling import PooledForecast, decisions, has_forecast
from quantlab.learning.ensemble.scores import directional_auc, log_loss, reliability

#: A decision with at least this consensus counts into the consensus rate.
BROAD_CONSENSUS = 0.7


@dataclass(frozen=True)
class OutOfSampleRows:
    """Out-of-sample rows of all folds, joined: the input of a report.

    Parameters
    ----------
    members : dict of member name to float32 (T, S, 3)
    weights : dict of member name to float
        Mean over the folds.
    influence : Influence
    pooled : PooledForecast, (T, S)
    label : int8 (T, S)
    weight : float32 (T, S)
    rows : bool (T, S)
        Ready and labelled.
    open_time_ms : int64 (T,)
    """

    members: dict[str, Float32Array]
    weights: dict[str, float]
    influence: Influence
    pooled: PooledForecast
    label: Int8Array
    weight: Float32Array
    rows: BoolArray
    open_time_ms: Int64Array


def signal_report(tested: OutOfSampleRows, *, bootstrap_samples: int, seed: int) -> SignalReport:
    """Judge an ensemble and its members; what cannot be computed is None with its reason."""
    pooled = tested.pooled
    decision = decisions(pooled.proba)
    directional = decision != 0
    scored = tested.rows & has_forecast(pooled.proba)
    correct = tested.label[scored] == decision[scored] + HOLD
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
        members={name: _member_report(name, tested, bootstrap_samples, seed) for name in tested.members},
        reliability=reliability(pooled.confidence[scored], correct),
        evaluated_rows=int(scored.sum()),
        undefined=undefined,
    )


def _member_report(name: str, tested: OutOfSampleRows, bootstrap_samples: int, seed: int) -> MemberReport:
    proba = tested.members[name]
    auc = directional_auc(
        proba,
        tested.label,
        tested.rows,
        tested.open_time_ms,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
    )
    undefined = dict(auc.undefined)
    loss = log_loss(proba, tested.label, tested.weight, tested.rows)
    if loss is None:
        undefined["log_loss"] = "the member has a forecast for no labelled out-of-sample row"
    influence: float | None = None
    if tested.influence.decided:
        influence = tested.influence.flipped[name] / tested.influence.decided
    else:
        undefined["influence"] = "no BUY or SELL passed the thresholds"
    return MemberReport(
        auc=auc.value,
        auc_se=auc.se,
        log_loss=loss,
        weight=tested.weights[name],
        influence=influence,
        undefined=undefined,
    )
