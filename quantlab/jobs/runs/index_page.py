"""``index.html`` over ``runs_dir``: one offline page of all runs, with links to their reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from quantlab.core.clock import SystemClock, iso_utc
from quantlab.evaluation.report.html import (
    Html,
    escaped,
    join,
    number,
    page_asset,
    percent,
    section,
    sort_cell,
    sortable_table,
    table,
    table_script,
    table_style,
    tag,
)
from quantlab.jobs.runs.listing import Beside
from quantlab.jobs.runs.ranking import CSV, JSON
from quantlab.jobs.runs.record import RunRecord
from quantlab.jobs.runs.table import one_trial_mark, settings_text

#: Rows of the table of runs before all are asked for.
_FIRST = 50
_HEAD = (
    "Started", "Run", "Experiment", "Job", "Verdict", "Sharpe", "Deflated", "Return", "Drawdown", "Trades",
    "Data", "Days", "Settings",
)  # fmt: skip
_NUMBERS = ("Sharpe", "Deflated", "Return", "Drawdown", "Trades")
_NOTE = (
    "Numbers of the evidence account, after all costs. Deflated: the probability that the Sharpe ratio exceeds what luck gives the best of all that was "
    "tried; p marks a run that tried one thing, where it is the probabilistic Sharpe ratio. Choosing the best of many runs in "
    "this table is one more choice, which no verdict here covers."
)
_STYLE = """
main { max-width: 1640px; }
#runs table { font-size: 13px; }
#runs th, #runs td { padding-left: 12px; vertical-align: top; }
#runs th:first-child, #runs td:first-child { padding-left: 0; }
.settings { display: block; min-width: 170px; }
.note { max-width: 110ch; }
details table { width: auto; margin-top: 8px; }
@page { size: A4 landscape; }
@media print { .scroll { overflow: visible; } #runs table { font-size: 9px; } #runs th, #runs td { padding-left: 6px; } .settings { min-width: 120px; font-size: 8px; } }
"""
_FILE_NAMES = {
    "data": "coverage.html",
    "warmup": "warmup.json",
    "audit": "audit.md",
}


def index_page(root: Path, runs: Sequence[RunRecord], ids: Mapping[str, str], beside: Beside) -> str:
    """Build the page; nothing in it is loaded from elsewhere.

    Parameters
    ----------
    root : Path
        Folder in which the page will lie: links are relative to it.
    runs : sequence of RunRecord
        In the order in which they are shown at first, damaged ones too.
    ids : dict of run name to short id
    beside : Beside
    """
    good = [run for run in runs if not run.wrong]
    written = iso_utc(SystemClock().now_ms())[:16].replace("T", " ")
    span = f"{len(good):,} runs in {root}. Written {written} UTC; job=runs writes it anew."
    return Template(page_asset("report/plain.html")).substitute(
        title=escaped(f"{len(good):,} runs"),
        style=page_asset("report/page.css") + table_style() + _STYLE,
        script=table_script(),
        header=join((tag("h1", "Runs"), tag("p", span, class_="span"))),
        body=join((_runs_section(root, good, ids), *_folded_sections(root, runs, beside))),
    )


def _runs_section(root: Path, runs: Sequence[RunRecord], ids: Mapping[str, str]) -> Html:
    shown = sortable_table(
        _HEAD,
        [_row(root, run, ids) for run in runs],
        words=[i for i, name in enumerate(_HEAD) if name not in _NUMBERS],
        empty="No run yet.",
        csv_name="runs.csv",
        filters=True,
        first=_FIRST,
    )
    return section("All runs", shown, note=_NOTE, anchor="runs")


def _row(root: Path, run: RunRecord, ids: Mapping[str, str]) -> tuple[object, ...]:
    link = _link(root, run.folder / "report.html", ids[run.name]) if run.page else ids[run.name]
    return (
        sort_cell(tag("span", run.started[:16].replace("T", " "), class_="when"), run.started),
        sort_cell(tag("span", link, class_="when", title=f"{run.experiment}/{run.name}"), run.name),
        run.experiment,
        run.job,
        tag("span", run.verdict, class_="when"),
        sort_cell(number(run.sharpe, "+.2f"), run.sharpe),
        sort_cell(number(run.deflated, ".3f") + one_trial_mark(run), run.deflated),
        sort_cell(percent(run.total_return, "+.2f"), run.total_return),
        sort_cell(percent(run.max_drawdown), run.max_drawdown),
        sort_cell(number(run.trades, ",.0f"), run.trades),
        tag("span", f"{run.source} {run.market}", class_="when"),
        sort_cell(_days(run), run.first),
        tag("code", settings_text(run), class_="settings"),
    )


def _days(run: RunRecord) -> Html:
    """First and last day, each in one line."""
    if not run.first:
        return Html("")
    first, last = (tag("span", part, class_="when") for part in (f"{run.first[:10]} to", run.last[:10]))
    return join((first, " ", last))


def _folded_sections(root: Path, runs: Sequence[RunRecord], beside: Beside) -> list[Html]:
    damaged = [(f"{run.experiment}/{run.name}", run.wrong) for run in runs if run.wrong]
    found = (
        ("Damaged runs", ("Run", "What is wrong"), damaged),
        (
            "Multiruns",
            ("Multirun", "Combinations", "Best", "Remarks"),
            [_multirun(root, path) for path in beside.multiruns],
        ),
        ("Checks of data and code", ("Check", "Folder"), [_check(root, path) for path in beside.checks]),
        ("Paper sessions", ("Session", "Folder"), [(path.name, _link(root, path, "open")) for path in beside.sessions]),
        (
            "Comparisons",
            ("Comparison", "Runs"),
            [_comparison(root, path) for path in beside.comparisons],
        ),
    )
    return [_folded(title, head, rows) for title, head, rows in found if rows]


def _folded(title: str, head: Sequence[str], rows: Sequence[Iterable[object]]) -> Html:
    lines = [list(row) for row in rows]
    summary = tag("summary", join((tag("strong", title), f" ({len(lines):,})")))
    return tag("details", join((summary, table(head, lines, words=len(head), empty=""))))


def _multirun(root: Path, folder: Path) -> tuple[object, ...]:
    try:
        ranking: dict[str, Any] = json.loads((folder / JSON).read_bytes())
        rows, notes = list(ranking["combinations"]), [str(note) for note in ranking["notes"]]
        best = next((row for row in rows if row["objective"] is not None), None)
        failed = sum(row["reason"] is not None for row in rows)
        shown = "none" if best is None else f"{number(best['objective'], '+.2f')} with {_settings(best['settings'])}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return (
            folder.name,
            "",
            "",
            "no ranking: it was made by an older version, or stopped before its first combination ended",
        )
    count = f"{len(rows):,}" + (f", {failed:,} without a run" if failed else "")
    return (_link(root, folder / CSV, folder.name), count, shown, "; ".join(notes))


def _settings(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items()) or "the same settings"


def _check(root: Path, folder: Path) -> tuple[object, ...]:
    name = folder.parent.name
    page = folder / _FILE_NAMES.get(name, "")
    return (name, _link(root, page if page.is_file() else folder, folder.name))


def _comparison(root: Path, folder: Path) -> tuple[object, ...]:
    try:
        document = json.loads((folder / "compare.json").read_bytes())
        names = [Path(str(run)) for run in document["runs"]]
    except (OSError, ValueError, KeyError, TypeError):
        names = []
    shown = " against ".join(f"{path.parent.name}/{path.name}" for path in names) or "not readable"
    return (_link(root, folder / "compare.html", folder.name), shown)


def _link(root: Path, target: Path, shown: str) -> Html:
    """A link that still holds when `root` is moved as a whole."""
    return tag("a", shown, href=quote(target.relative_to(root).as_posix()))
