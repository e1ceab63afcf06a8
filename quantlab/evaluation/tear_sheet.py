"""The tear sheet: one self-contained HTML file that works offline, in the dark and on a phone."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from quantlab.core.types import Records
from quantlab.evaluation import figures, headline, sections, tuning_section
from quantlab.evaluation.heatmap import returns_heat_map
from quantlab.evaluation.markup import Html, join, script_json, section, tag, text
from quantlab.evaluation.report import Report
from quantlab.evaluation.trades import round_trips


def render(report: Report) -> str:
    """The whole page as a string of at most 7 MB; nothing in it is loaded from elsewhere.

    Lines are reduced to 2,000 points that keep every extreme; the page's content security policy
    forbids network access altogether.
    """
    trades = round_trips(report.evidence.simulation, report.bars).records
    columns = figures.charted_symbols(report, trades)
    parts = Template(_asset("tear_sheet.html"))
    return parts.substitute(
        title=text(f"{report.experiment}: {report.verdict.verdict}"),
        style=_asset("tear_sheet.css"),
        plotly=get_plotlyjs(),
        script=_asset("tear_sheet.js"),
        figures=script_json(_figures(report, trades, columns)),
        header=headline.header(report),
        body=_body(report, trades, columns),
    )


def _body(report: Report, trades: Records, columns: list[int]) -> Html:
    return join(
        (
            headline.verdict(report),
            headline.statements(report),
            headline.cards(report),
            section("Equity and drawdown", tag("div", "", id="equity", class_="chart tall")),
            section("Returns by period", returns_heat_map(report.evidence.simulation), note="Evidence run, net, UTC."),
            sections.numbers(report),
            _price_section(report, trades, columns),
            sections.members(report),
            tuning_section.tuning(report),
            sections.costs(report),
            sections.per_symbol(report, trades),
            sections.risk(report),
            sections.open_positions(report),
            sections.provenance(report),
        )
    )


def _price_section(report: Report, trades: Records, columns: list[int]) -> Html:
    if not columns:
        return section("Trades on the price", tag("p", "Nothing was traded.", class_="empty"))
    traded = len(set(trades["symbol"].tolist()))
    note = (
        f"Evidence run; the {len(columns)} of {traded} traded symbols with the most trades, "
        f"the latest {figures.MAX_DRAWN_TRADES} trades of each."
    )
    options = join(tag("option", report.bars.symbols[column], value=i) for i, column in enumerate(columns))
    selector = tag("label", join(("Symbol ", tag("select", options, id="symbol"))), class_="selector")
    return section("Trades on the price", selector, tag("div", "", id="price", class_="chart tall"), note=note)


def _figures(report: Report, trades: Records, columns: list[int]) -> dict[str, Any]:
    """Specifications by element id; ``price`` holds one for each entry of the symbol selector."""
    fixed = {"equity": figures.specification(figures.equity_figure(report))}
    if report.signal is not None and report.signal.reliability:
        fixed["reliability"] = figures.specification(figures.reliability_figure(report.signal))
    for name, figure in tuning_section.tuning_figures(report).items():
        fixed[name] = figures.specification(figure)
    price = [figures.specification(figures.price_figure(report.bars, column, trades)) for column in columns]
    return {"fixed": fixed, "price": price}


def _asset(name: str) -> str:
    return files("quantlab.evaluation").joinpath(name).read_text(encoding="utf-8")
