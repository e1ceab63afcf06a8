"""The tables of the tear sheet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from quantlab.core.last_marks import last_marks
from quantlab.core.ports import StrategyReport
from quantlab.core.results import CUT_RULES, Trial, TuningStage
from quantlab.evaluation.report.content import AccountResult, Report
from quantlab.evaluation.report.html import (
    Html,
    join,
    number,
    percent,
    section,
    significant,
    table,
    tag,
    undefined_reasons,
    usd,
    utc_cell,
)
from quantlab.evaluation.report.words import event_words, rule_words
from quantlab.evaluation.statistics.benchmarks import curve_numbers
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR

_MAX_EVENTS = 200
#: Importances compare the best tenth of the trials with all: below this many, that tenth is one trial.
MIN_IMPORTANCE_TRIALS = 20
_RELIABILITY = (
    "On the dotted line a stated probability comes true as often as it says; below it the ensemble is too confident. "
    "Whiskers are two standard errors of independent rows; neighbouring rows overlap, so the truth is wider."
)


def numbers_section(report: StrategyReport) -> Html:
    """Every number of both runs, and the reason where there is none."""
    forms = (
        ("Net P&L, USD", "net_pnl", usd),
        (_growth(report), "cagr", percent),
        ("Volatility, annual", "volatility", percent),
        ("Sortino ratio", "sortino", number),
        ("Calmar ratio", "calmar", number),
        ("Longest drawdown, days", "max_drawdown_days", lambda v: number(v, ",.1f")),
        ("Exposure, gross / equity", "exposure", percent),
        ("Time in the market", "time_in_market", percent),
        ("Turnover per day, × equity", "turnover", lambda v: number(v, ",.3f")),
        ("Average trade, USD", "average_trade", usd),
        ("Stopped out", "stop_hit_share", lambda v: percent(v, ".1f")),
        ("Stopped out, blind entries", "stop_hit_baseline", lambda v: percent(v, ".1f")),
        ("Stopped out, random signal (limits off)", "random_stop_hit_share", lambda v: percent(v, ".1f")),
        ("Took profit", "take_profit_share", lambda v: percent(v, ".1f")),
        ("Symbols traded", "symbols_traded", lambda v: number(v, ",.0f")),
        ("Fills below the smallest order", "dust_share", lambda v: percent(v, ".1f")),
        ("Capacity, USD", "capacity_usd", lambda v: number(v, ",.0f")),
    )
    rows = [
        (label, form(report.evidence.summary.get(key)), form(report.lived.summary.get(key)))
        for label, key, form in forms
        if key in report.evidence.summary
    ]
    body = table(("", "Evidence", "Lived"), rows, empty="No numbers.")
    missing = undefined_reasons(report.lived.summary["undefined"] | report.evidence.summary["undefined"])
    return section("Numbers", body, missing, anchor="numbers")


def _growth(report: StrategyReport) -> str:
    days = report.evidence.summary["days"]
    return "CAGR" if days >= DAYS_PER_YEAR else f"CAGR, extrapolated from {number(days, '.0f')} days"


def benchmark_table(report: StrategyReport) -> Html:
    """Return and risk of both accounts and of the benchmarks."""
    curves = {"Evidence": report.evidence.simulation.equity, "Lived": report.lived.simulation.equity}
    cash = report.evidence.simulation.initial_cash
    rows = []
    for name, equity in (curves | report.benchmarks).items():
        curve = curve_numbers(equity, report.bars.open_time_ms, cash)
        rows.append(
            (name, percent(curve["total_return"], "+,.2f"), number(curve["sharpe"]), percent(curve["max_drawdown"]))
        )
    note = (
        "Holdings pay no costs, which makes them hard to beat. The random signal is the strategy's own, moved in time: "
        "it trades as much, pays as much, and knows nothing."
    )
    return join(
        (
            tag("h3", "Beside the benchmarks"),
            table(("", "Return", "Sharpe", "Max drawdown"), rows, empty=""),
            tag("p", note, class_="note"),
        )
    )


def members_section(report: Report) -> Html:
    """Every configured member, and how the ensemble decided."""
    signal = report.signal
    if signal is None:
        return section(
            "Signal",
            tag("p", "This signal was not learned: there are no members to judge.", class_="empty"),
            anchor="members",
        )
    rows = [
        (
            name,
            number(m.auc, ".4f") + ("" if m.auc_se is None else f" ± {number(m.auc_se, '.4f')}"),
            number(m.log_loss, ".4f"),
            percent(m.weight, ".1f"),
            percent(m.influence, ".1f"),
        )
        for name, m in signal.members.items()
    ]
    body = table(("Member", "AUC", "Log loss", "Weight", "Influence"), rows, empty="No members were configured.")
    summary = (
        f"{signal.evaluated_rows:,} out-of-sample rows. Before thresholds: consensus rate {percent(signal.consensus_rate, '.1f')}, "
        f"mean confidence {number(signal.mean_confidence, '.3f')}, BUY share {percent(signal.buy_share, '.1f')}. "
        "Influence: share of final decisions that flip without the member."
    )
    missing = {f"{name} {key}": why for name, m in signal.members.items() for key, why in m.undefined.items()}
    chart = tag("div", "", id="reliability", class_="chart") if signal.reliability else ""
    read = tag("p", _RELIABILITY, class_="note") if signal.reliability else ""
    title = tag("h3", "Reliability: does 0.4 mean 40 %?") if signal.reliability else ""
    return section(
        "Members",
        body,
        undefined_reasons(signal.undefined | missing),
        title,
        read,
        chart,
        note=summary,
        anchor="members",
    )


def risk_section(report: Report) -> Html:
    """Risk events of the lived run and what the rules cut in both."""
    events = report.lived.simulation.events[-_MAX_EVENTS:]
    rows = [
        (
            utc_cell(_bar_close(report, int(e["idx"]))),
            event_words(int(e["kind"])),
            usd(float(e["equity"])),
            usd(float(e["level"])),
        )
        for e in events
    ]
    happened = table(("Time, UTC", "Event", "Equity, USD", "Level, USD"), rows, words=2, empty="No risk event.")
    counts = [account.simulation.cuts for account in (report.evidence, report.lived)]
    rules = [
        rule for rule in (*CUT_RULES, *sorted(set(counts[0]) - set(CUT_RULES))) if any(c.get(rule) for c in counts)
    ]
    rules.sort(key=lambda rule: -max(c.get(rule, 0) for c in counts))
    cut_rows = [
        (tag("span", rule_words(rule), title=rule), *(number(c.get(rule, 0), ",.0f") for c in counts)) for rule in rules
    ]
    cuts = table(("Rule", "Evidence", "Lived"), cut_rows, empty="No rule changed a request.")
    total = len(report.lived.simulation.events)
    note = f"The latest {_MAX_EVENTS} of {total:,} events." if total > _MAX_EVENTS else ""
    return section(
        "Risk",
        tag("h3", "Events, lived run"),
        happened,
        tag("h3", "Requests that a rule changed"),
        cuts,
        note=note,
        anchor="risk",
    )


def open_positions_section(report: Report) -> Html:
    """Positions that are open at the last bar, valued at the last price."""
    rows = [
        row
        for name, account in (("Evidence", report.evidence), ("Lived", report.lived))
        for row in _position_rows(report, name, account)
    ]
    head = ("Run", "Symbol", "Units", "Entry, USD", "Mark, USD", "Value, USD", "Unrealised, USD", "Mark is")
    body = table(head, rows, words=2, empty="No position was open at the end.")
    return section("Open at the end", body, anchor="open_positions")


def _position_rows(report: Report, name: str, account: AccountResult) -> Iterator[tuple[object, ...]]:
    marks = last_marks(report.bars, account.simulation.units)
    for s in np.flatnonzero(account.simulation.units):
        units, entry, mark = (
            float(account.simulation.units[s]),
            float(account.simulation.entry_price[s]),
            float(marks[s]),
        )
        stale = not np.isfinite(report.bars.close[-1, s])
        prices = significant(entry), significant(mark)
        gain = number(units * (mark - entry), "+,.2f")
        yield (
            name,
            report.bars.symbols[s],
            significant(units),
            *prices,
            usd(units * mark),
            gain,
            "stale" if stale else "current",
        )


def provenance_section(report: Report) -> Html:
    """Stamps, fingerprints and the whole configuration."""
    rows = [*report.stamps.items(), *((name, tag("code", value)) for name, value in report.fingerprints.items())]
    facts = table(("", ""), rows, words=2, empty="No stamps.")
    opened = tag("details", join((tag("summary", "Configuration"), tag("pre", report.config_text))))
    seen = join(tag("li", line) for line in report.findings)
    gate = tag("details", join((tag("summary", f"Quality gate: {len(report.findings)} findings"), tag("ul", seen))))
    return section(
        "Provenance", facts, gate if report.findings else "", opened if report.config_text else "", anchor="provenance"
    )


def _bar_close(report: Report, row: int) -> int:
    return int(report.bars.close_time_ms[row])


def importance_is_known(stage: TuningStage) -> bool:
    """Say whether enough trials have a value to tell which parameters set the good ones apart."""
    return bool(stage.importance) and sum(trial.value is not None for trial in stage.trials) >= MIN_IMPORTANCE_TRIALS


def trial_table(stage: TuningStage) -> Html:
    """One row per trial, the chosen one marked."""
    names = list(stage.trials[0].values)
    rows = [_row(stage, trial, names) for trial in stage.trials]
    return table(("Trial", "State", "Value", *names, "Remark"), rows, words=2, empty="No trial.")


def _row(stage: TuningStage, trial: Trial, names: list[str]) -> tuple[object, ...]:
    name = f"{trial.number} (chosen)" if trial.number == stage.best else str(trial.number)
    values = (parameter_text(trial.values[key]) for key in names)
    return name, trial.state, number(trial.value, ",.5g"), *values, trial.note


def parameter_text(value: Any) -> str:
    """A parameter's value, short."""
    if isinstance(value, float):
        return number(value, ".4g")
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
