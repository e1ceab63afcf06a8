"""The page's part on what a sweep assumes: the best of every scenario, and how it does in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quantlab.evaluation.report.html import Html, join, number, section, table, tag
from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import finite_or_none, sharpe_cell, short_names, value_text, varied_names
from quantlab.evaluation.sweep.scenario_scores import ScenarioScore

#: Scenarios that are shown, evenly from the cheapest to the dearest.
MAX_SCENARIOS = 12
_NOTE = (
    "What trading costs is assumed, not chosen. In each scenario the best is deflated by what was tried there. The verdict rests on "
    "the marked one, which no result had a say in. Every other probability stands for itself: among many, one is high by chance more "
    "often than a single one."
)
_CROSS_TITLE = "Sharpe ratio of the best of one scenario, down, in every scenario, across."


def scenario_section(report: SweepReport) -> Html:
    """Nothing where a single scenario was swept."""
    if len(report.scenarios) < 2:
        return Html("")
    shown = _shown_scenarios(len(report.scenarios), report.judged)
    left = (
        f" Shown are {len(shown)} of {len(report.scenarios):,} scenarios." if len(shown) < len(report.scenarios) else ""
    )
    across = join((tag("h3", _CROSS_TITLE), tag("div", _cross_table(report, shown), class_="scroll")))
    maps = tag("div", tag("div", across), class_="maps")
    return section("What was assumed", _best_table(report, shown), maps, note=_NOTE + left, anchor="scenarios")


def _shown_scenarios(count: int, judged: int) -> list[int]:
    """Evenly spread, the judged one among them."""
    if count <= MAX_SCENARIOS:
        return list(range(count))
    evenly = np.linspace(0, count - 1, MAX_SCENARIOS - 1).round().astype(int)
    return sorted({*evenly.tolist(), judged})


def _best_table(report: SweepReport, shown: Sequence[int]) -> Html:
    assumed = list(report.scenarios[0].scenario.assumed)
    chosen = [name for name in report.table.names if name in varied_names(report.table) and name not in assumed]
    head = ["", *short_names(assumed), "Deflated", "Sharpe", "Luck", *short_names(chosen)]
    rows = []
    for i in shown:
        one = report.scenarios[i]
        values = report.table.values[one.row]
        rows.append(
            [
                tag("span", "judged", class_="check moot") if i == report.judged else "",
                *(value_text(one.scenario.assumed[name]) for name in assumed),
                number(one.dsr, ".3f"),
                number(finite_or_none(report.sharpe[one.row]), "+.2f"),
                number(one.luck_sharpe, "+.2f"),
                *(value_text(values[name]) for name in chosen),
            ]
        )
    return table(head, rows, empty="")


def _cross_table(report: SweepReport, shown: Sequence[int]) -> Html:
    scores = [report.scenarios[i] for i in shown]
    sharpe = np.array([one.sharpe_by_scenario[list(shown)] for one in scores])
    scale = float(np.nanmax(np.abs(sharpe), initial=1e-12))
    head = [tag("th"), *(tag("th", _short(one), scope="col") for one in scores)]
    body = [
        tag("tr", join((tag("th", _short(one), scope="row"), *(sharpe_cell(float(value), scale) for value in row))))
        for one, row in zip(scores, sharpe, strict=True)
    ]
    return tag("table", join((tag("thead", tag("tr", join(head))), tag("tbody", join(body)))), class_="map")


def _short(one: ScenarioScore) -> str:
    return " · ".join(value_text(value) for value in one.scenario.assumed.values())
