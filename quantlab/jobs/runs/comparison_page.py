"""A comparison of runs as one offline page, in the manner of the tear sheet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from string import Template
from urllib.parse import quote

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from quantlab.evaluation.report.figures import specification
from quantlab.evaluation.report.html import (
    Html,
    escaped,
    join,
    page_asset,
    script_json,
    section,
    table,
    tag,
    with_minus_signs,
)
from quantlab.jobs.runs.comparison import Comparison, Row, evidence_path
from quantlab.jobs.runs.curve_figure import Curve, curves_figure
from quantlab.jobs.runs.number_forms import difference_text, label, value_text

_TONES = ("evidence", "lived", "gain", "loss", "benchmark-1", "price")
_DASHES = ("solid", "dash", "dot")
_CURVES = (
    "The evidence account of each run after all costs, every bar, in % of the cash that it began with. A click on a name hides its "
    "line, a second shows it again."
)
_NUMBERS = "Evidence: daily limit and breaker off, which the verdict rests on. Lived: with them on. Differences are from the first run."
_STYLE = "td code { overflow-wrap: anywhere; } .statements li { max-width: 110ch; }"


def comparison_page(comparison: Comparison, names: Sequence[str], place: Path) -> str:
    """Build the page; nothing in it is loaded from elsewhere.

    Parameters
    ----------
    comparison : Comparison
    names : sequence of str
        One for each run.
    place : Path
        Folder in which the page will lie: links are relative to it.
    """
    title = " against ".join(names)
    return Template(page_asset("report/page.html")).substitute(
        title=escaped(title),
        style=page_asset("report/page.css") + _STYLE,
        plotly=get_plotlyjs(),
        script=page_asset("report/page.js"),
        figures=script_json({"fixed": {"equity": specification(growth_figure(comparison, names))}, "price": []}),
        header=join((tag("h1", title), tag("p", "Finished runs side by side", class_="span"))),
        body=_body(comparison, names, place),
    )


def growth_figure(comparison: Comparison, names: Sequence[str]) -> go.Figure:
    """Both curves, each in % of its own initial cash, above their drawdowns."""
    curves = []
    for i, (name, run) in enumerate(zip(names, comparison.runs, strict=True)):
        path = evidence_path(run)
        tone, dash = _TONES[i % len(_TONES)], _DASHES[i // len(_TONES) % len(_DASHES)]
        times = path.open_time_ms + run.interval_ms
        curves.append(Curve(name, tone, times, 100.0 * path.equity / path.initial, 100.0, dash))
    return curves_figure(curves, "Equity, % of initial cash")


def _body(comparison: Comparison, names: Sequence[str], place: Path) -> Html:
    notes = [tag("li", with_minus_signs(note[:1].upper() + note[1:])) for note in comparison.notes]
    parts = [
        tag("ul", join(notes), class_="statements") if notes else Html(""),
        section("Runs", _runs_table(comparison, names, place)),
        section("Equity and drawdown", tag("div", "", id="equity", class_="chart"), note=_CURVES),
        section("Settings that differ", _settings_table(comparison, names)),
        section("Numbers", _numbers_table(comparison.numbers, names), note=_NUMBERS),
    ]
    if comparison.common:
        parts.append(section("On the common bars", _numbers_table(comparison.common, names), note="Evidence account."))
    return join(parts)


def _runs_table(comparison: Comparison, names: Sequence[str], place: Path) -> Html:
    rows = []
    for name, run in zip(names, comparison.runs, strict=True):
        page = quote(os.path.relpath(run.folder / "report.html", place))
        shown = tag("a", run.name, href=page) if run.has("report.html") else run.name
        rows.append((name, shown, str(run.manifest.get("job") or "?"), run.metrics["verdict"], run.manifest["started"]))
    return table(("", "Run", "Job", "Verdict", "Started"), rows, words=5, empty="")


def _settings_table(comparison: Comparison, names: Sequence[str]) -> Html:
    rows = [
        (row.name, *("(not there)" if value is None else tag("code", value) for value in row.values))
        for row in comparison.settings
    ]
    return table(("Setting", *names), rows, words=1 + len(names), empty="No setting differs.")


def _numbers_table(rows: Sequence[Row], names: Sequence[str]) -> Html:
    head = (
        "",
        *names,
        *(f"{name} \N{MINUS SIGN} {names[0]}" if len(names) > 2 else "Difference" for name in names[1:]),
    )
    lines = [
        (
            label(row.name).strip(),
            *(with_minus_signs(value_text(row.name, value)) for value in row.values),
            *(with_minus_signs(difference_text(row.name, value)) for value in row.differences),
        )
        for row in rows
    ]
    return table(head, lines, words=1, empty="")
