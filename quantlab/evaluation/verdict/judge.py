"""Judging a run by the rule; apart from the rule itself because the bootstrap library is slow to import."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ContractError
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.metrics import (
    DAYS_PER_YEAR,
    Moments,
    Statistic,
    Undefined,
    daily_returns,
    moments,
    sharpe_error,
)
from quantlab.evaluation.statistics.overfitting import (
    backtest_overfitting,
    bootstrap_mean,
    min_track_record_days,
    probabilistic_sharpe,
)
from quantlab.evaluation.verdict.deflation import deflated_sharpe, luck_sharpe
from quantlab.evaluation.verdict.rule import EDGE, NO_EDGE, NOT_ENOUGH, Trials, Verdict, VerdictRule


def judge(
    rule: VerdictRule,
    simulation: Simulation,
    summary: dict[str, Any],
    trials: Trials | None = None,
    *,
    run: str = "evidence",
) -> Verdict:
    """Judge one run.

    Parameters
    ----------
    simulation : Simulation
        The run to judge, by rule the one with daily limit and breaker off.
    summary : dict
        What :func:`quantlab.evaluation.statistics.summary.summarise` made of the same simulation.
    trials : Trials, optional
        What was tried before; None = a single trial.
    run : str
        Name of that run, for the words.

    Raises
    ------
    ContractError
        If `summary` belongs to another simulation.
    """
    if summary["final_equity"] != float(simulation.equity[-1]):
        raise ContractError(
            f"the summary of this run (final equity {float(simulation.equity[-1])!r})",
            found=repr(summary["final_equity"]),
            fix="summarise the simulation that is judged",
        )
    tried = trials or Trials(1)
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    numbers, undefined = _split_undefined(_statistics(rule, returns, tried))
    numbers |= {
        "run": run,
        "trades": summary["trades"],
        "days": summary["days"],
        "trials": tried.count,
        "confidence": rule.confidence,
        "min_trades": rule.min_trades,
        "min_days": rule.min_days,
        "min_dsr": rule.min_dsr,
        "max_pbo": rule.max_pbo,
    }
    verdict = decide(rule, numbers)
    return Verdict(verdict, _explanation(rule, verdict, numbers, undefined), numbers, undefined)


def _statistics(rule: VerdictRule, returns: Float64Array, trials: Trials) -> dict[str, Statistic]:
    shape = moments(returns)
    interval = bootstrap_mean(
        returns,
        samples=rule.bootstrap_samples,
        block_days=rule.block_days,
        confidence=rule.confidence,
        seed=rule.seed,
    )
    return {
        "mean_daily_return": float(np.mean(returns)),
        "mean_daily_return_lower": interval if isinstance(interval, Undefined) else interval.lower,
        "mean_daily_return_upper": interval if isinstance(interval, Undefined) else interval.upper,
        **_sharpe_statistics(rule, shape, luck_sharpe(trials, len(returns))),
        "pbo": _pbo(rule, trials),
    }


def _sharpe_statistics(rule: VerdictRule, shape: Moments | Undefined, benchmark: Statistic) -> dict[str, Statistic]:
    annual = math.sqrt(DAYS_PER_YEAR)
    lucky = {"luck_sharpe": benchmark if isinstance(benchmark, Undefined) else benchmark * annual}
    if isinstance(shape, Undefined):
        return dict.fromkeys(("sharpe", "sharpe_se", "psr", "dsr", "min_track_record_days"), shape) | lucky
    return {
        "sharpe": shape.sharpe * annual,
        "sharpe_se": sharpe_error(shape) * annual,
        "psr": probabilistic_sharpe(shape),
        "dsr": deflated_sharpe(shape, benchmark),
        **lucky,
        "min_track_record_days": min_track_record_days(shape, rule.min_dsr),
    }


def _pbo(rule: VerdictRule, trials: Trials) -> Statistic:
    if trials.count == 1:
        return Undefined("a single trial: nothing was chosen by these returns")
    if trials.returns is None:
        return Undefined("the trials' daily returns were not kept")
    return backtest_overfitting(trials.returns, rule.pbo_blocks)


def decide(rule: VerdictRule, numbers: dict[str, Any]) -> str:
    if numbers["trades"] < rule.min_trades or numbers["days"] < rule.min_days:
        return NOT_ENOUGH
    dsr, lower, pbo = numbers["dsr"], numbers["mean_daily_return_lower"], numbers["pbo"]
    unlikely_luck = dsr is not None and dsr >= rule.min_dsr
    profitable = lower is not None and lower > 0.0
    chosen_well = numbers["trials"] == 1 or (pbo is not None and pbo < rule.max_pbo)
    return EDGE if unlikely_luck and profitable and chosen_well else NO_EDGE


def _explanation(rule: VerdictRule, verdict: str, numbers: dict[str, Any], undefined: dict[str, str]) -> str:
    span = f"{numbers['trades']:,} closed trades in {numbers['days']:.1f} days of the {numbers['run']} run"
    if verdict == NOT_ENOUGH:
        return (
            f"{span}, where at least {rule.min_trades:,} trades and {rule.min_days:g} days are needed to say anything."
        )
    checks = "; ".join(_checks(rule, numbers, undefined))
    if numbers["sharpe"] is None:
        return f"Over {span} the Sharpe ratio is undefined ({undefined['sharpe']}). {checks}."
    sharpe = f"{numbers['sharpe']:.2f} ± {numbers['sharpe_se']:.2f}"
    return f"Over {span} the annualised Sharpe ratio after costs is {sharpe} (one standard error). {checks}."


def _checks(rule: VerdictRule, numbers: dict[str, Any], undefined: dict[str, str]) -> list[str]:
    dsr = _value_text(numbers["dsr"], undefined.get("dsr"), ".3f")
    beaten = "zero" if numbers["trials"] == 1 else f"what luck gives the best of {numbers['trials']:,} trials"
    texts = [f"The probability that it exceeds {beaten} is {dsr} (needed: {rule.min_dsr:g})"]
    low, high = numbers["mean_daily_return_lower"], numbers["mean_daily_return_upper"]
    if low is None:
        texts.append(f"the interval of the mean daily return is undefined ({undefined['mean_daily_return_lower']})")
    else:
        texts.append(
            f"the {rule.confidence * 100:g} % interval of the mean daily net return is {low * 100:+.3f} % to {high * 100:+.3f} % "
            "(needed: all above zero)"
        )
    if numbers["trials"] > 1:
        pbo = _value_text(numbers["pbo"], undefined.get("pbo"), ".2f")
        texts.append(f"the probability of backtest overfitting is {pbo} (needed: below {rule.max_pbo:g})")
    return texts


def _split_undefined(statistics: dict[str, Statistic]) -> tuple[dict[str, Any], dict[str, str]]:
    numbers = {name: None if isinstance(value, Undefined) else value for name, value in statistics.items()}
    return numbers, {name: value.reason for name, value in statistics.items() if isinstance(value, Undefined)}


def _value_text(value: float | None, reason: str | None, form: str) -> str:
    return f"undefined ({reason})" if value is None else format(value, form)
