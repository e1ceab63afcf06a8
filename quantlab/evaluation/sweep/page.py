"""A sweep as one self-contained HTML page, in the manner of the tear sheet."""

from __future__ import annotations

from string import Template

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from quantlab.core.arrays import Float64Array
from quantlab.evaluation.report import headline, tables
from quantlab.evaluation.report.figures import equity_figure, specification
from quantlab.evaluation.report.html import (
    Html,
    escaped,
    join,
    number,
    page_asset,
    script_json,
    section,
    table,
    table_script,
    table_style,
    tag,
)
from quantlab.evaluation.sweep.content import SweepReport
from quantlab.evaluation.sweep.maps import (
    MAX_MAPS,
    PairMap,
    finite_or_none,
    pair_maps,
    sharpe_cell,
    values_text,
    varied_names,
)
from quantlab.evaluation.sweep.parameter_line import parameter_line
from quantlab.evaluation.sweep.ranking_table import ranking_section
from quantlab.evaluation.sweep.scenario_section import scenario_section
from quantlab.evaluation.sweep.scenarios import Scenario

#: Most bars of the distribution.
_BINS = 60
_DISTRIBUTION = (
    "After costs, annualised. The best of many looks good by chance alone: what luck is expected to give the best of so many is "
    "drawn beside it."
)
_CURVE = (
    "This curve was chosen because it is the best of all: what follows a choice is rarely as good. Evidence: daily limit and "
    "breaker off, as for every row of the sweep. Lived: with them on, hidden behind the evidence where both are the same. "
    "Shaded: its deepest drawdowns, each fall darker than the way back."
)
_PAIRS = (
    "Median Sharpe ratio over everything else that was varied: a good region is broad, a lucky cell stands alone. The "
    "first name runs down, the second across."
)
_LINE = "One parameter was varied: a good region is broad, a lucky value stands alone."


def render_sweep(report: SweepReport) -> str:
    """The page; nothing in it is loaded from elsewhere."""
    score = report.score
    drawn = {
        "equity": equity_figure(report, report.benchmarks),
        "distribution": distribution(
            report.sharpe[score.scenario.rows], float(report.sharpe[score.row]), score.luck_sharpe
        ),
    }
    line = parameter_line(report)
    figures = {
        name: specification(figure) for name, figure in (drawn if line is None else drawn | {"line": line}).items()
    }
    return Template(page_asset("report/page.html")).substitute(
        title=escaped(f"{report.experiment}, sweep: {report.verdict.verdict}"),
        style=page_asset("report/page.css") + table_style() + page_asset("sweep/page.css"),
        plotly=get_plotlyjs(),
        script=table_script() + page_asset("report/page.js"),
        figures=script_json({"fixed": figures, "price": []}),
        header=headline.header(report, f"{report.experiment}: sweep"),
        body=_body(report),
    )


def _body(report: SweepReport) -> Html:
    return join(
        (
            headline.verdict_section(report),
            headline.statements(report),
            section(
                _distribution_title(report.score.scenario),
                tag("div", "", id="distribution", class_="chart"),
                note=_DISTRIBUTION,
            ),
            section(*ranking_section(report), anchor="ranking"),
            headline.cards_section(report, "The first of them"),
            section(
                "Its equity, drawdown, exposure",
                tag("div", "", id="equity", class_="chart"),
                tables.benchmark_table(report),
                note=_CURVE,
            ),
            scenario_section(report),
            _pairs_section(report),
            tables.numbers_section(report),
            _provenance_section(report),
        )
    )


def _distribution_title(family: Scenario) -> str:
    where = f" with {values_text(family.assumed)}" if family.assumed else ""
    return f"Sharpe ratios of all {len(family.rows):,} parameter sets{where}"


def distribution(sharpe: Float64Array, best: float, luck: float | None) -> go.Figure:
    """Histogram of the Sharpe ratios, with the best and what luck gives the best as lines.

    Parameters
    ----------
    sharpe : float64 (N,)
        Annualised; NaN = undefined, left out.
    best : float
        Of the chosen one, NaN = undefined.
    luck : float or None
    """
    counts, edges = _histogram(sharpe[np.isfinite(sharpe)])
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2.0,
            y=counts,
            width=np.diff(edges),
            name="Parameter sets",
            meta={"tone": "price"},
            hovertemplate="Sharpe %{x:.2f}: %{y:,.0f}<extra></extra>",
        )
    )
    lines = {"Best": (finite_or_none(best), "evidence", "solid"), "Luck": (luck, "loss", "dash")}
    for name, (value, tone, dash) in lines.items():
        if value is not None:
            figure.add_trace(_vertical_line(name, value, float(max(counts.max(), 1)), tone, dash))
    figure.update_layout(height=380, bargap=0.0, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title_text="Annualised Sharpe ratio")
    figure.update_yaxes(title_text="Parameter sets")
    return figure


def _histogram(values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Counts and edges, as many bars as the number of values can fill."""
    if not len(values):
        return np.zeros(1), np.array([-0.5, 0.5])
    counts, edges = np.histogram(values, bins=min(_BINS, len(np.histogram_bin_edges(values, "auto")) - 1))
    return counts.astype(np.float64), edges


def _vertical_line(name: str, x: float, height: float, tone: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=[x, x],
        y=[0.0, height],
        mode="lines",
        name=f"{name} {number(x, '+.2f')}",
        line={"width": 2, "dash": dash},
        meta={"tone": tone},
        hoverinfo="name",
    )


def _pairs_section(report: SweepReport) -> Html:
    maps, count = pair_maps(report.table, report.sharpe), len(varied_names(report.table))
    if count == 0:
        return section("Pairs", tag("p", "No parameter was varied.", class_="empty"))
    if count == 1:
        return section("Along the parameter", tag("div", "", id="line", class_="chart"), note=_LINE)
    pairs = count * (count - 1) // 2
    left = f" Shown are the first {MAX_MAPS} of {pairs} pairs." if pairs > len(maps) else ""
    return section("Pairs", tag("div", join(map(_map, maps)), class_="maps"), note=_PAIRS + left)


def _map(one: PairMap) -> Html:
    sizes = np.abs(one.median[np.isfinite(one.median)])
    scale = float(sizes.max()) if len(sizes) and sizes.max() > 0.0 else 1.0
    names = f"{one.down} \N{DOWNWARDS ARROW} {one.across} \N{RIGHTWARDS ARROW}"
    head = [tag("th"), *(tag("th", name, scope="col") for name in one.columns)]
    body = [
        tag("tr", join((tag("th", name, scope="row"), *(_cell(one, r, c, scale) for c in range(len(one.columns))))))
        for r, name in enumerate(one.rows)
    ]
    grid = tag("table", join((tag("thead", tag("tr", join(head))), tag("tbody", join(body)))), class_="map")
    return tag("div", join((tag("h3", names), tag("div", grid, class_="scroll"))))


def _cell(one: PairMap, r: int, c: int, scale: float) -> Html:
    title = f"{one.down} {one.rows[r]}, {one.across} {one.columns[c]}: {int(one.count[r, c]):,} parameter sets"
    return sharpe_cell(float(one.median[r, c]), scale, title=title)


def _provenance_section(report: SweepReport) -> Html:
    rows = [(name, tag("code", value)) for name, value in report.stamps.items()]
    details = tag("details", join((tag("summary", "Configuration"), tag("pre", report.config_text))))
    return section("Provenance", table(["", ""], rows, words=2, empty=""), details)
