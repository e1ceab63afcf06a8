"""The top of the tear sheet: what it is, the verdict, what must be known, the first numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from quantlab.core.ports import StrategyReport
from quantlab.evaluation.report.html import (
    Html,
    join,
    number,
    percent,
    section,
    table,
    tag,
    undefined_reasons,
    utc_minute,
    with_minus_signs,
)
from quantlab.evaluation.verdict.rule import EDGE, NOT_ENOUGH

_CHECK_KIND = {"passed": "yes", "not passed": "no", "not asked": "moot"}
_VERDICT_KIND = {EDGE: "edge", NOT_ENOUGH: "unknown"}


def header(report: StrategyReport, title: str) -> Html:
    """Title, data, span; the loud badge of a synthetic market."""
    bars = report.bars
    span = f"{utc_minute(int(bars.open_time_ms[0]))} to {utc_minute(int(bars.close_time_ms[-1]))} UTC"
    size = f"{bars.n_symbols:,} symbols × {bars.n_bars:,} bars of {bars.interval_ms / 60_000:g} min"
    badge = tag("strong", "Synthetic data", class_="badge") if report.synthetic else ""
    lines = join(
        (tag("p", join((badge, report.data_label)), class_="data"), tag("p", f"{span} · {size}", class_="span"))
    )
    return join((tag("h1", title), lines))


def verdict_section(report: StrategyReport) -> Html:
    """The verdict in words, the checks that it rests on, then its other numbers."""
    v = report.verdict
    n: dict[str, Any] = v.numbers
    facts = (
        ("Probabilistic Sharpe ratio", number(n["psr"], ".3f"), "psr"),
        ("Trials", number(n["trials"], ",.0f"), ""),
        ("Sharpe ratio of luck alone", number(n["luck_sharpe"]), "luck_sharpe"),
        ("Minimum track record", number(n["min_track_record_days"], ",.0f", suffix=" days"), "min_track_record_days"),
    )
    items = [
        tag("div", join((tag("dt", name), tag("dd", value))), title=v.undefined.get(key, ""))
        for name, value, key in facts
    ]
    top = join((tag("p", v.verdict, class_="word"), tag("p", with_minus_signs(v.words))))
    rows = [(tag("span", outcome, class_=f"check {_CHECK_KIND[outcome]}"), *cells) for outcome, *cells in _checks(n)]
    checks = table(("Check", "", "Found", "Needed"), rows, words=2, empty="")
    beside = tag("div", join((tag("div", join((checks, _missing(report)))), tag("dl", join(items)))), class_="evidence")
    kind = _VERDICT_KIND.get(v.verdict, "none")
    return tag("section", join((top, beside)), class_=f"verdict {kind}", id="verdict")


def _checks(n: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Outcome, name, value, what is needed; in the rule's order."""
    trades, days = n["trades"], n["days"]
    yield _outcome(trades >= n["min_trades"]), "Closed trades", f"{trades:,}", f"at least {n['min_trades']:,}"
    yield _outcome(days >= n["min_days"]), "Days", number(days, ",.1f"), f"at least {n['min_days']:g}"
    dsr, low, pbo = n["dsr"], n["mean_daily_return_lower"], n["pbo"]
    lucky = _outcome(dsr is not None and dsr >= n["min_dsr"])
    yield lucky, "Deflated Sharpe ratio", number(dsr, ".3f"), f"at least {n['min_dsr']:g}"
    high = percent(n["mean_daily_return_upper"], "+.3f")
    interval = number(None) if low is None else f"{number(low, '+.3f', scale=100.0)} … {high}"
    name = f"Mean daily net return, {percent(n['confidence'], 'g')} interval"
    yield _outcome(low is not None and low > 0.0), name, interval, "all above 0"
    name = "Probability of backtest overfitting"
    if n["trials"] == 1:
        yield "not asked", name, number(pbo, ".2f"), "only with several trials"
    else:
        chosen_well = _outcome(pbo is not None and pbo < n["max_pbo"])
        yield chosen_well, name, number(pbo, ".2f"), f"below {n['max_pbo']:g}"


def _missing(report: StrategyReport) -> Html:
    """Reasons why a check of the verdict has no number."""
    asked = {"dsr": "Deflated Sharpe ratio", "mean_daily_return_lower": "Mean daily net return"}
    if report.verdict.numbers["trials"] != 1:
        asked["pbo"] = "Probability of backtest overfitting"
    return undefined_reasons(
        {name: report.verdict.undefined[key] for key, name in asked.items() if key in report.verdict.undefined}
    )


def _outcome(passed: bool) -> str:
    return "passed" if passed else "not passed"


def statements(report: StrategyReport) -> Html:
    """Sentences that a reader must know before believing a number."""
    sentences = [*filter(None, [report.idle]), *_facts(report), *report.notes]
    whole = (line if line.endswith(".") else f"{line}." for line in sentences)
    return (
        tag("ul", join(tag("li", with_minus_signs(line)) for line in whole), class_="statements")
        if sentences
        else Html("")
    )


def _facts(report: StrategyReport) -> Iterator[str]:
    if report.synthetic:
        yield "The market is synthetic: results show that the machinery works, not that a strategy earns."
    if not report.evidence.simulation.has_funding:
        yield "No funding data: the results leave funding out, they do not assume it to be zero."
    halted = report.lived.simulation.halted_at_ms
    if halted is not None:
        yield f"The lived account was halted by the circuit breaker at {utc_minute(halted)} UTC and stayed out from then on."
    stops = int(np.sum(report.evidence.simulation.over_participation))
    if stops:
        yield f"Stops of the evidence run that filled more than the participation budget: {stops:,}."


def cards_section(report: StrategyReport, title: str) -> Html:
    """The first numbers of both runs."""
    chosen = (
        ("Total return", lambda s: percent(s["total_return"], "+,.2f"), "over the whole run"),
        ("Sharpe ratio", _sharpe, "annualised, ± one standard error"),
        ("Max drawdown", lambda s: percent(s["max_drawdown"]), "from a peak, every bar"),
        ("Profit factor", lambda s: number(s["profit_factor"]), "won / lost"),
        ("Closed trades", lambda s: number(s["trades"], ",.0f"), "round trips"),
        ("Hit rate", lambda s: percent(s["hit_rate"], ".1f"), "after fees"),
        ("Cost share", lambda s: percent(s["cost_share"], ",.1f"), "of the profit before costs"),
        (
            "Break-even cost",
            lambda s: number(s["break_even_cost_bps"], suffix=" bps"),
            "fees and slippage a fill bears",
        ),
    )
    made = [_card(name, form(report.evidence.summary), form(report.lived.summary), hint) for name, form, hint in chosen]
    note = (
        "Evidence: daily limit and breaker off; all statistics and the verdict rest on it. "
        "Lived: risk limits on; what an account would have gone through."
    )
    return section(title, tag("div", join(made), class_="cards"), note=note)


def _card(name: str, evidence: str, lived: str, hint: str) -> Html:
    small = join((tag("span", "lived", class_="tone lived"), " ", lived))
    parts = (
        tag("h3", name),
        tag("p", evidence, class_="big"),
        tag("p", small, class_="small"),
        tag("p", hint, class_="hint"),
    )
    return tag("article", join(parts))


def _sharpe(summary: dict[str, Any]) -> str:
    if summary["sharpe"] is None:
        return number(None)
    return f"{number(summary['sharpe'])} ± {number(summary['sharpe_se'])}"
