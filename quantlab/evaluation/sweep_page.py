"""A sweep as one self-contained HTML page, in the manner of the tear sheet."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from quantlab.evaluation.figures import specification
from quantlab.evaluation.markup import Html, join, number, script_json, section, table, tag, text
from quantlab.evaluation.sweep_maps import PairMap, label, pair_maps
from quantlab.evaluation.sweep_report import SweepReport
from quantlab.evaluation.verdict import EDGE, NO_EDGE

#: Bars of the distribution.
_BINS = 60


def render_sweep(report: SweepReport) -> str:
    """The page; nothing in it is loaded from elsewhere."""
    figures = {"fixed": {"distribution": specification(distribution(report))}, "price": []}
    return Template(_asset("tear_sheet.html")).substitute(
        title=text(f"{report.experiment}, sweep: {report.verdict.verdict}"),
        style=_asset("tear_sheet.css") + _asset("sweep.css"),
        plotly=get_plotlyjs(),
        script=_asset("tear_sheet.js"),
        figures=script_json(figures),
        header=_header(report),
        body=_body(report),
    )


def _header(report: SweepReport) -> Html:
    badge = tag("span", "Synthetic market", class_="badge") if report.synthetic else ""
    what = f"{report.table.tried:,} parameter sets on {report.data_label}"
    return join((tag("h1", f"{report.experiment}: sweep"), tag("p", join((badge, what)), class_="data")))


def _body(report: SweepReport) -> Html:
    return join(
        (
            _verdict(report),
            tag("ul", join(tag("li", note) for note in report.notes), class_="statements"),
            section(
                "Sharpe ratios of all parameter sets",
                tag("div", "", id="distribution", class_="chart"),
                note="After costs, annualised. The best of many looks good by chance alone: what luck is expected to "
                "give the best of so many is drawn beside it.",
            ),
            section(f"The best {min(report.top, len(report.table))}", best_table(report)),
            _maps(pair_maps(report.table, report.sharpe)),
            _provenance(report),
        )
    )


def _verdict(report: SweepReport) -> Html:
    kind = {EDGE: "edge", NO_EDGE: "none"}.get(report.verdict.verdict, "open")
    words = (tag("p", report.verdict.verdict, class_="word"), tag("p", report.verdict.words))
    return tag("div", join(words), class_=f"verdict {kind}")


def best_table(report: SweepReport) -> Html:
    """The first rows of the ranking: parameters, then results."""
    names, numbers = report.table.names, report.table.numbers
    head = ["", *names, "Sharpe", "final equity, USD", "max drawdown", "trades", "costs, USD"]
    rows = [
        [
            f"{rank + 1}",
            *(label(report.table.values[row][name]) for name in names),
            number(_known(report.sharpe[row]), "+.2f"),
            number(float(numbers["final_equity"][row])),
            number(float(numbers["max_drawdown"][row]), ".2f", suffix=" %", scale=100.0),
            number(float(numbers["trades"][row]), ",.0f"),
            number(float(numbers["costs"][row])),
        ]
        for rank, row in enumerate(report.order[: report.top])
    ]
    return table(head, rows, empty="Nothing was simulated.")


def distribution(report: SweepReport) -> go.Figure:
    """Histogram of the Sharpe ratios, with the best and what luck gives the best as lines."""
    known = report.sharpe[np.isfinite(report.sharpe)]
    counts, edges = np.histogram(known, bins=_BINS) if len(known) else (np.zeros(1, np.int64), np.array([-0.5, 0.5]))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2.0,
            y=counts.astype(np.float64),
            width=np.diff(edges),
            name="Parameter sets",
            meta={"tone": "price"},
            hovertemplate="Sharpe %{x:.2f}: %{y:,.0f}<extra></extra>",
        )
    )
    lines = {
        "Best": (_known(report.sharpe[report.order[0]]), "evidence", "solid"),
        "Luck": (report.luck, "loss", "dash"),
    }
    for name, (value, tone, dash) in lines.items():
        if value is not None:
            figure.add_trace(_upright(name, value, float(max(counts.max(), 1)), tone, dash))
    figure.update_layout(height=380, bargap=0.0, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title_text="Annualised Sharpe ratio")
    figure.update_yaxes(title_text="Parameter sets")
    return figure


def _upright(name: str, x: float, height: float, tone: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=[x, x],
        y=[0.0, height],
        mode="lines",
        name=f"{name} {x:+.2f}",
        line={"width": 2, "dash": dash},
        meta={"tone": tone},
        hoverinfo="name",
    )


def _maps(maps: list[PairMap]) -> Html:
    note = (
        "Median Sharpe ratio over everything else that was varied: a good region is broad, a lucky cell stands alone."
    )
    if not maps:
        return section("Pairs", tag("p", "Fewer than two parameters were varied.", class_="empty"))
    return section("Pairs", join(_map(one) for one in maps), note=note)


def _map(one: PairMap) -> Html:
    known = np.abs(one.median[np.isfinite(one.median)])
    scale = float(known.max()) if len(known) and known.max() > 0.0 else 1.0
    head = [
        tag("th", f"{one.down} \N{DOWNWARDS ARROW}  {one.across} \N{RIGHTWARDS ARROW}"),
        *(tag("th", c) for c in one.columns),
    ]
    body = [
        tag("tr", join((tag("th", name), *(_cell(one, r, c, scale) for c in range(len(one.columns))))))
        for r, name in enumerate(one.rows)
    ]
    grid = tag("table", join((tag("thead", tag("tr", join(head))), tag("tbody", join(body)))), class_="map")
    return tag("div", grid, class_="scroll")


def _cell(one: PairMap, r: int, c: int, scale: float) -> Html:
    value = one.median[r, c]
    if not np.isfinite(value):
        return tag("td", number(None), class_="cell flat")
    kind = "gain" if value > 0 else "loss" if value < 0 else "flat"
    style = f"--strength:{min(abs(value) / scale, 1.0):.3f}"
    title = f"{one.down} {one.rows[r]}, {one.across} {one.columns[c]}: {int(one.count[r, c]):,} parameter sets"
    return tag("td", number(float(value), "+.2f"), class_=f"cell {kind}", style=style, title=title)


def _provenance(report: SweepReport) -> Html:
    rows = [(name, tag("code", value)) for name, value in report.stamps.items()]
    details = tag("details", join((tag("summary", "Configuration"), tag("pre", report.config_text))))
    return section("Provenance", table(["", ""], rows, words=2, empty=""), details)


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _asset(name: str) -> str:
    return files("quantlab.evaluation").joinpath(name).read_text(encoding="utf-8")
