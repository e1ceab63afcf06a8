"""The ranking on the page: parameter sets from the best on, to be sorted, filtered and saved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.evaluation.report.html import Html, SortCell, join, number, percent, sort_cell, sortable_table, tag, usd
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Undefined, moments
from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import finite_or_none, short_names, value_text
from quantlab.evaluation.verdict.deflation import deflated_sharpe

#: More cells than this are not put on the page, which has to stay below 7 MB.
MAX_CELLS = 20_000
#: Results beside Sharpe ratio and parameters; of a column that the sweep does not know nothing is shown.
_RESULTS = (
    ("Return", "total_return", lambda value: percent(value, "+,.2f")),
    ("Max drawdown", "max_drawdown", percent),
    ("Deflated", "dsr", lambda value: number(value, ".3f")),
    ("Trades", "trades", lambda value: number(value, ",.0f")),
    ("Exposure", "exposure", lambda value: percent(value, ",.1f")),
    ("Final equity, USD", "final_equity", usd),
    ("All costs, USD", "costs", usd),
)


def ranking_section(report: SweepReport) -> tuple[str, Html]:
    """Title and content: the ranking of the judged scenario, and the files that hold every row."""
    simulated, rows = len(report.score.order), _listed(report)
    whole = f"{simulated:,} parameter sets"
    title = f"The best {rows:,} of {whole}" if rows < simulated else f"All {whole}, the best first"
    note = (
        "Deflated: the probability that this parameter set's true Sharpe ratio is above what luck gives the best of all that was tried. "
        "All costs: fees, slippage, funding and liquidation fees."
    )
    if len(report.scenarios) > 1:
        note += " Those of the judged scenario; the others are in the files."
    shown = tag("div", ranking_table(report), class_="tall-table")
    return title, join((tag("p", note, class_="note"), shown, _files(report.files)))


def _files(files: Mapping[str, str]) -> Html:
    """Links to what lies beside the page in the run's folder."""
    if not files:
        return Html("")
    links = (join((tag("a", name, href=name), f" ({what})")) for name, what in files.items())
    parts = [part for link in links for part in (", ", link)][1:]
    return tag("p", join(("In the run's folder: ", *parts, ".")), class_="hint files")


def ranking_table(report: SweepReport) -> Html:
    """Rows of the ranking: Sharpe ratio, parameters, other results; the first ``report.top`` until all are asked for."""
    names, rows = report.table.names, report.score.order[: _listed(report)]
    results = {name: column[rows] for name, column in report.table.numbers.items()} | {
        "total_return": report.table.numbers["final_equity"][rows] / report.evidence.simulation.initial_cash - 1.0,
        "dsr": _deflated(report, report.table.daily_returns[rows]),
    }
    shown = [(heading, results[key], form) for heading, key, form in _RESULTS if key in results]
    head = ["Rank", "Sharpe", *short_names(names), *(heading for heading, _, _ in shown)]
    body = []
    for k, row in enumerate(rows):
        sharpe = finite_or_none(report.sharpe[row])
        cells = [f"{k + 1}", sort_cell(number(sharpe, "+.2f"), sharpe)]
        cells += [_parameter(report.table.values[row][name]) for name in names]
        cells += [sort_cell(form(value), value) for _, column, form in shown for value in (finite_or_none(column[k]),)]
        body.append(cells)
    options: dict[str, Any] = {"csv_name": "ranking.csv", "filters": True, "first": report.top}
    return sortable_table(head, body, empty="Nothing was simulated.", **options)


def _listed(report: SweepReport) -> int:
    columns = 2 + len(report.table.names) + len(_RESULTS)
    return min(len(report.score.order), report.listed, MAX_CELLS // columns)


def _parameter(value: Any) -> SortCell:
    """A limit that is switched off is no number: it stands last and is saved empty, as in ``sweep.parquet``."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = value_text(value)
    return sort_cell(text, float(value) if is_number else None if value is None or text == "off" else text)


def _deflated(report: SweepReport, daily_returns: Float64Array) -> Float64Array:
    """float64 (M,): probability of a true Sharpe ratio above the judged scenario's luck; NaN = undefined."""
    luck = report.score.luck_sharpe
    if luck is None:
        return np.full(len(daily_returns), np.nan)
    found = []
    for shape in map(moments, daily_returns):
        ratio = shape if isinstance(shape, Undefined) else deflated_sharpe(shape, luck / math.sqrt(DAYS_PER_YEAR))
        found.append(math.nan if isinstance(ratio, Undefined) else ratio)
    return np.array(found)
