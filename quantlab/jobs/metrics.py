"""``metrics.json``: every number of a run, with nothing in it that time, place or host could change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from quantlab.core.clock import iso_utc
from quantlab.core.types import Float64Array
from quantlab.evaluation.baseline import blind_stop_share
from quantlab.evaluation.summary import summarise
from quantlab.evaluation.verdict import Verdict
from quantlab.jobs.backtesting import Backtest, Setup
from quantlab.jobs.benchmarks import benchmark_curves, benchmark_numbers
from quantlab.jobs.composition import build
from quantlab.jobs.truth import oracle_numbers

if TYPE_CHECKING:  # the verdict's bootstrap library is slow to import, and the first numbers do not need it
    from quantlab.evaluation.rule import VerdictRule

_NOT_LEARNED = "the signal was not learned"
#: Directional AUC that no honest member has reached out of sample on five-minute bars.
SUSPICIOUS_AUC = 0.57


@dataclass(frozen=True)
class Judgement:
    """Both accounts in numbers, what stands beside them, and the verdict that rests on the evidence.

    Parameters
    ----------
    evidence, lived : dict
        From :func:`quantlab.evaluation.summary.summarise`.
    verdict : Verdict
    curves : dict of benchmark name to float64 (T,)
        Equity in USD.
    oracle : dict or None
        What a synthetic market's truth is worth on the same bars.
    suspicions : tuple of str
        Sentences on results that are too good to be true.
    """

    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict
    curves: dict[str, Float64Array]
    oracle: dict[str, Any] | None
    suspicions: tuple[str, ...]


def judge(cfg: DictConfig, parts: Setup, result: Backtest) -> Judgement:
    """Summarise both accounts, measure what stands beside them, judge the evidence."""
    rule: VerdictRule = build(cfg.evaluation)
    costs, barriers = result.strategy.costs, cfg.barriers
    blind = blind_stop_share(
        result.bars,
        result.signal.atr,
        take_profit_atr=float(barriers.take_profit_atr),
        stop_atr=float(barriers.stop_atr),
        horizon=int(barriers.horizon),
    )
    evidence, lived = (
        summarise(simulation, result.bars, participation=costs.participation, stop_hit_baseline=blind)
        for simulation in (result.evidence, result.lived)
    )
    halted = result.lived.halted_at_ms
    lived["halted_at"] = None if halted is None else iso_utc(halted)
    taker = float(np.mean([instrument.taker_fee_bps for instrument in result.bars.instruments]))
    return Judgement(
        evidence,
        lived,
        rule.judge(result.evidence, evidence),
        benchmark_curves(parts, result, int(cfg.seed)),
        oracle_numbers(parts.source, result.bars, horizon=int(barriers.horizon), cost_bps=taker + costs.slippage_bps),
        suspicions(result),
    )


def suspicions(result: Backtest) -> tuple[str, ...]:
    """Members whose directional AUC is beyond what honest features reach on real markets."""
    report = result.study.report
    if report is None:
        return ()
    return tuple(
        f"{name}: directional AUC {m.auc:.3f} - 2 x {m.auc_se:.3f} is above {SUSPICIOUS_AUC}: on a real market, look for a leak"
        for name, m in report.members.items()
        if m.auc is not None and m.auc_se is not None and m.auc - 2.0 * m.auc_se > SUSPICIOUS_AUC
    )


def fingerprints(parts: Setup, result: Backtest) -> dict[str, str]:
    """What the result is a function of."""
    return {
        "data_fingerprint": result.history.fingerprint(),
        "feature_fingerprint": parts.feature_fingerprint,
        "signal_fingerprint": result.study.source.fingerprint,
        "strategy_fingerprint": result.strategy.fingerprint,
    }


def metrics_document(experiment: str, result: Backtest, judgement: Judgement, prints: dict[str, str]) -> dict[str, Any]:
    """The content of ``metrics.json``; undefined numbers are null and have their reason beside them."""
    return {
        "experiment": experiment,
        "verdict": judgement.verdict.verdict,
        "judgement": judgement.verdict.as_dict(),
        "evidence": judgement.evidence,
        "lived": judgement.lived,
        "period": {
            "history_first": iso_utc(int(result.history.open_time_ms[0])),
            "first": iso_utc(int(result.bars.open_time_ms[0])),
            "last": iso_utc(int(result.bars.open_time_ms[-1])),
        },
        **prints,
        "benchmarks": benchmark_numbers(judgement.curves, result),
        "oracle": judgement.oracle,
        "suspicions": list(judgement.suspicions),
        **_signal_numbers(result),
    }


def _signal_numbers(result: Backtest) -> dict[str, Any]:
    report = result.study.report
    if report is None:
        names = ("consensus_rate", "mean_confidence", "buy_share")
        return {**dict.fromkeys(names), "members": {}, "undefined": dict.fromkeys(names, _NOT_LEARNED)}
    numbers = dataclasses.asdict(report)
    numbers["reliability"] = [
        {"predicted": predicted, "observed": observed, "count": count}
        for predicted, observed, count in report.reliability
    ]
    return numbers
