"""``metrics.json``: every number of a run, with nothing in it that time, place or host could change."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.evaluation.summary import summarise
from quantlab.evaluation.verdict import Verdict, VerdictRule
from quantlab.jobs.backtesting import Backtest, Setup

_NOT_LEARNED = "the signal was not learned"


@dataclass(frozen=True)
class Judgement:
    """Both accounts in numbers, and the verdict that rests on the evidence.

    Parameters
    ----------
    evidence, lived : dict
        From :func:`quantlab.evaluation.summary.summarise`.
    verdict : Verdict
    """

    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict


def judge(rule: VerdictRule, result: Backtest) -> Judgement:
    """Summarise both accounts and judge the evidence."""
    participation = result.strategy.costs.participation
    evidence = summarise(result.evidence, result.bars, participation=participation)
    lived = summarise(result.lived, result.bars, participation=participation)
    halted = result.lived.halted_at_ms
    lived["halted_at"] = None if halted is None else iso_utc(halted)
    return Judgement(evidence, lived, rule.judge(result.evidence, evidence))


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
