"""``metrics.json``: every number of a run, with nothing in it that time, place or host could change."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars
from quantlab.core.results import SignalReport, Simulation
from quantlab.data.quality.breaks import Break, break_numbers, find_breaks
from quantlab.evaluation.statistics.blind_entries import blind_stop_share
from quantlab.evaluation.statistics.by_symbol import by_symbol, symbol_numbers
from quantlab.evaluation.statistics.details import account_details, detail_numbers
from quantlab.evaluation.statistics.regimes import regime_numbers, regimes
from quantlab.evaluation.statistics.stress import Stress, stress_numbers
from quantlab.evaluation.statistics.summary import summarise
from quantlab.evaluation.statistics.unknown_rules import UnknownRule, unknown_rules
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.evaluation.verdict.suspicion import SUSPICIOUS_AUC, auc_exceeds
from quantlab.jobs.config.composition import build
from quantlab.jobs.research.benchmarks import Benchmarks, benchmark_numbers, run_benchmarks
from quantlab.jobs.research.idle import idle_note
from quantlab.jobs.research.oracle import oracle_numbers
from quantlab.jobs.research.pipeline import Backtest, Setup
from quantlab.jobs.research.stress import stress
from quantlab.jobs.research.suspect_prints import suspect_prints
from quantlab.jobs.threshold_tuning.record import tuning_numbers
from quantlab.trading.interface.sizer import Entry

_NOT_LEARNED = "the signal was not learned"


@dataclass(frozen=True)
class Judgement:
    """Both accounts in numbers, their benchmarks, and the verdict that rests on the evidence.

    Parameters
    ----------
    evidence, lived : dict
        From :func:`quantlab.evaluation.statistics.summary.summarise`.
    verdict : Verdict
    benchmarks : Benchmarks
    oracle : dict or None
        Numbers of an oracle that knows a synthetic market's truth, on the same bars.
    suspicions : tuple of str
        Sentences on results that are too good to be true.
    stress : Stress or None
        The evidence run replayed at other costs and with other accounts; None = not asked for.
    suspect_prints : dict or None
        From :func:`quantlab.jobs.research.suspect_prints.suspect_prints`; None = no print is suspect.
    unknown_rules : dict of rule name to UnknownRule
        Trading rules of the evidence account that were too coarse for its prices and orders.
    breaks : tuple of Break
        Steps in price of the whole history that nobody mended.
    idle : str
        Why nothing was traded; empty where something was.
    """

    evidence: dict[str, Any]
    lived: dict[str, Any]
    verdict: Verdict
    benchmarks: Benchmarks
    oracle: dict[str, Any] | None
    suspicions: tuple[str, ...]
    stress: Stress | None = None
    suspect_prints: dict[str, Any] | None = None
    unknown_rules: dict[str, UnknownRule] = dataclasses.field(default_factory=dict)
    breaks: tuple[Break, ...] = ()
    idle: str = ""


def judge(cfg: DictConfig, parts: Setup, result: Backtest) -> Judgement:
    """Summarise both accounts, run the benchmarks, judge the evidence."""
    benchmarks = run_benchmarks(parts, result, int(cfg.seed))
    evidence, lived = account_summaries(result)
    random_stops = summarise(benchmarks.random, result.bars)["stop_hit_share"]
    evidence["random_stop_hit_share"] = random_stops
    if random_stops is None:
        evidence["undefined"]["random_stop_hit_share"] = "the rotated signal closed no trade"
    oracle = oracle_of(cfg, parts, result)
    verdict: Verdict = get_method(cfg.internal.judge)(parts.rule, result.evidence, evidence)
    replays = stress(parts.stress, parts.engine, result.bars, result.signal, result.strategy, result.evidence)
    suspicious = suspicions(result.study.report, oracle)
    held = suspect_prints(parts, result)
    unknown = rules_unknown_to(result.strategy, result.evidence, result.bars)
    breaks = find_breaks(result.history)
    idle = idle_note(parts.signal, result)
    return Judgement(evidence, lived, verdict, benchmarks, oracle, suspicious, replays, held, unknown, breaks, idle)


def rules_unknown_to(strategy: Any, simulation: Simulation, bars: Bars) -> dict[str, UnknownRule]:
    """Trading rules that an account's costs took for unknown."""
    costs = strategy.costs
    return unknown_rules(
        simulation, bars, coarsest_tick=costs.coarsest_tick, coarsest_order_usd=costs.coarsest_order_usd
    )


def account_summaries(result: Backtest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summaries of both accounts: the evidence, and the lived one with the time of its halt."""
    settings = summary_settings(result)
    evidence = summarise(result.evidence, result.bars, **settings)
    lived = summarise(result.lived, result.bars, **settings)
    halted = result.lived.halted_at_ms
    lived["halted_at"] = None if halted is None else iso_utc(halted)
    return evidence, lived


def summary_settings(result: Backtest) -> dict[str, Any]:
    """Arguments of :func:`~quantlab.evaluation.statistics.summary.summarise` that depend on the strategy."""
    return {
        "participation": result.strategy.costs.participation,
        "entry_weight": entry_weight(result),
        "stop_hit_baseline": blind_stops(result),
        "coarsest_order_usd": result.strategy.costs.coarsest_order_usd,
    }


def entry_weight(result: Backtest) -> float | None:
    """Fraction of equity of an uncut entry at the median confidence; None if the user brings targets."""
    decided = (result.signal.side != 0) & np.isfinite(result.signal.atr)
    if result.signal.target is not None or not decided.any():
        return None
    sizer, limits = result.strategy.sizer, result.strategy.limits
    confidence = float(np.median(result.signal.confidence[decided]))
    volatility = float(np.median((result.signal.atr / result.bars.close)[decided]))
    stop, take = (_distance(result.strategy.policy, name, volatility) for name in ("stop_atr", "take_profit_atr"))
    entry = Entry(1.0, confidence, volatility, 1.0, result.evidence.initial_cash, stop, take)
    weight = float(sizer.size(sizer.params(), entry))
    weight = weight if limits.max_weight is None else min(weight, limits.max_weight)
    return weight if weight > 0.0 else None


def _distance(policy: Any, name: str, atr: float) -> float:
    """Distance of the policy's exit at this ATR, +inf where it has no such exit."""
    multiple = getattr(policy, name, None)
    return math.inf if multiple is None else float(multiple) * atr


def blind_stops(result: Backtest) -> float | None:
    """The stop-hit share of blind entries with the policy's own exits; None where it has no stop."""
    policy = result.strategy.policy
    stop, take, horizon = (getattr(policy, name, None) for name in ("stop_atr", "take_profit_atr", "horizon"))
    if stop is None:
        return None
    return blind_stop_share(
        result.bars,
        result.signal.atr,
        take_profit_atr=math.inf if take is None else float(take),
        stop_atr=float(stop),
        horizon=result.bars.n_bars if horizon is None else int(horizon),
    )


def oracle_of(cfg: DictConfig, parts: Setup, result: Backtest) -> dict[str, Any] | None:
    """Numbers of an oracle on these bars: its knowledge and its return; None on a real market."""
    if not parts.source.synthetic:
        return None
    taker = float(np.mean([instrument.taker_fee_bps for instrument in result.bars.instruments]))
    label = build(cfg.learning.labels).label(result.bars, result.signal.atr).label
    cost_bps = taker + result.strategy.costs.slippage_bps
    return oracle_numbers(parts.source, result.bars, label, horizon=parts.barriers.horizon, cost_bps=cost_bps)


def suspicions(report: SignalReport | None, oracle: dict[str, Any] | None) -> tuple[str, ...]:
    """Members whose directional AUC is, by two standard errors, beyond what can honestly be known.

    On a real market that is ``SUSPICIOUS_AUC``; in a synthetic one the oracle's own AUC.
    """
    bound = SUSPICIOUS_AUC if oracle is None else oracle["label_auc"]
    if report is None or bound is None:
        return ()
    who = "honest features reach" if oracle is None else "the oracle itself reaches"
    return tuple(
        f"{name}: directional AUC {m.auc:.3f} - 2 x {m.auc_se:.3f} is above the {bound:.3f} that {who}: look for a leak"
        for name, m in report.members.items()
        if auc_exceeds(m, bound)
    )


def in_multirun() -> bool:
    """Return whether this run is one of a multirun; its verdict does not cover a choice among its siblings."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def result_fingerprints(parts: Setup, result: Backtest) -> dict[str, str]:
    """Fingerprints of all that the result is a function of."""
    return {
        "data_fingerprint": result.history.fingerprint(),
        "feature_fingerprint": parts.feature_fingerprint,
        "signal_fingerprint": result.study.source.fingerprint,
        "strategy_fingerprint": result.strategy.fingerprint,
    }


def common_metrics(cfg: DictConfig, parts: Setup, history: Bars, bars: Bars) -> dict[str, Any]:
    """Experiment, market and period: keys that ``metrics.json`` of a backtest and of a sweep share.

    Parameters
    ----------
    cfg : DictConfig
    parts : Setup
    history : Bars
        Everything that was loaded.
    bars : Bars
        The out-of-sample rows.
    """
    return {
        "experiment": cfg.experiment_name,
        "synthetic": parts.source.synthetic,
        "one_of_a_sweep": in_multirun(),
        "period": {
            "history_first": iso_utc(int(history.open_time_ms[0])),
            "first": iso_utc(int(bars.open_time_ms[0])),
            "last": iso_utc(int(bars.open_time_ms[-1])),
        },
    }


def metrics_document(
    cfg: DictConfig, parts: Setup, result: Backtest, judgement: Judgement, fingerprints: dict[str, str]
) -> dict[str, Any]:
    """The content of ``metrics.json``; undefined numbers are null and have their reason beside them."""
    return {
        **common_metrics(cfg, parts, result.history, result.bars),
        "verdict": judgement.verdict.verdict,
        "judgement": judgement.verdict.as_dict(),
        "evidence": judgement.evidence,
        "lived": judgement.lived,
        **fingerprints,
        "benchmarks": benchmark_numbers(judgement.benchmarks, result),
        "oracle": judgement.oracle,
        "suspicions": list(judgement.suspicions),
        "suspect_prints": judgement.suspect_prints,
        "unknown_rules": unknown_numbers(judgement.unknown_rules),
        "breaks": break_numbers(judgement.breaks),
        "tuning": tuning_numbers(result.study.tuning),
        "stress": stress_numbers(judgement.stress),
        "regimes": regime_numbers(regimes(result.evidence, result.bars)),
        "per_symbol": symbol_numbers(by_symbol(result.evidence, result.bars)),
        "account_details": {
            name: detail_numbers(account_details(account, result.bars, judgement.benchmarks.curves))
            for name, account in (("evidence", result.evidence), ("lived", result.lived))
        },
        **_signal_numbers(result),
    }


def unknown_numbers(found: dict[str, UnknownRule]) -> dict[str, Any]:
    """The same in dictionaries, for ``metrics.json``."""
    return {name: dataclasses.asdict(rule) for name, rule in found.items()}


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
