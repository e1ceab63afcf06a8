"""The picture of ``job=data``: a page with a cell for every symbol and day."""

from __future__ import annotations

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.clock import MS_PER_DAY, iso_utc
from quantlab.core.errors import DataError
from quantlab.core.market import Bars
from quantlab.data.quality.coverage import QualityReport
from quantlab.evaluation.report.html import Html, join, tag

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#1c2733;background:#fff}
.map{display:grid;gap:1px;overflow-x:auto;font-size:11px;align-items:center}
.map b{font-weight:500;padding-right:.6em;white-space:nowrap;position:sticky;left:0;background:#fff}
.map i{width:9px;height:12px;background:hsl(calc(var(--there)*150) 65% calc(88% - var(--there)*45%))}
.map i.none{background:#eef1f4}
.map span{color:#66758a;white-space:nowrap;width:0;overflow:visible}
h1{font-size:1.3rem}li.refused{color:#b00020}
"""


def coverage_page(bars: Bars, report: QualityReport, refused: tuple[DataError, ...]) -> str:
    """HTML without scripts: the share of each day's bars that are there, what was found, what was refused."""
    days, first_rows = np.unique(bars.open_time_ms // MS_PER_DAY, return_index=True)
    printed = bars.printed
    there = np.add.reduceat(printed.astype(np.float64), first_rows, axis=0)
    there /= np.diff(np.append(first_rows, bars.n_bars))[:, None]
    listed = np.maximum.accumulate(printed, axis=0)[np.append(first_rows[1:], bars.n_bars) - 1]
    head = [
        tag("span", iso_utc(int(day) * MS_PER_DAY)[5:10], style=f"grid-area:1/{d + 2}")
        for d, day in enumerate(days)
        if d % 7 == 0
    ]
    rows = [
        join([tag("b", symbol, style=f"grid-area:{s + 2}/1"), *_cells(s, days, there[:, s], listed[:, s])])
        for s, symbol in enumerate(bars.symbols)
    ]
    title = f"{bars.n_symbols} symbols, {iso_utc(report.first_ms)} to {iso_utc(report.last_ms)}"
    found = [tag("li", text) for text in report.findings()]
    found += [tag("li", str(error), class_="refused") for error in refused]
    body = join(
        [
            tag("h1", f"Coverage: {title}"),
            tag("p", "Each cell is a day: light where bars are missing, grey before a listing."),
            tag("div", join([*head, *rows]), class_="map"),
            tag("h2", f"{len(found)} findings"),
            tag("ul", join(found)),
        ]
    )
    head_part = tag(
        "head", join([Html('<meta charset="utf-8">'), tag("title", "Coverage"), tag("style", Html(_STYLE))])
    )
    return "<!doctype html>" + tag("html", join([head_part, tag("body", body)]), lang="en")


def _cells(s: int, days: Int64Array, there: Float64Array, listed: BoolArray) -> list[Html]:
    return [
        tag(
            "i",
            class_="there" if known else "none",
            title=f"{iso_utc(int(day) * MS_PER_DAY)[:10]}: {share:.1%}",
            style=f"grid-area:{s + 2}/{d + 2};--there:{share:.4f}",
        )
        for d, (day, share, known) in enumerate(zip(days, there, listed, strict=True))
    ]
