"""Returns by month as a table and by day as coloured cells: HTML only, so both print, scroll and need no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.evaluation.report.html import Html, join, number, percent, tag
from quantlab.evaluation.statistics.months import YearRow

#: More days than this have no calendar: months say more.
_MAX_DAYS = 400
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def month_table(years: Sequence[YearRow]) -> Html:
    """Net return of every month and year in per cent; the months of a run within one year only."""
    spans = [i for i in range(12) if len(years) > 1 or years[0].months[i] is not None]
    scale = _scale(np.array([value for row in years for value in row.months if value is not None]))
    head = ("Year", *(_MONTHS[i] for i in spans), "Year")
    top = join(tag("th", name, scope="col", class_="num" if i else "word") for i, name in enumerate(head))
    body = join(
        tag(
            "tr",
            join(
                (
                    tag("th", row.year, scope="row", class_="word"),
                    *(_month_cell(row, i, scale) for i in spans),
                    tag("td", number(row.total, "+,.2f", scale=100.0), class_="num total"),
                )
            ),
        )
        for row in years
    )
    made = tag("table", join((tag("thead", tag("tr", top)), tag("tbody", body))), class_="months")
    return tag("div", made, class_="scroll")


def _month_cell(row: YearRow, month: int, scale: float) -> Html:
    value = row.months[month]
    if value is None:
        return tag("td", "", class_="num")
    style = f"--strength:{min(abs(value) / scale, 1.0):.3f}"
    shown = number(value, "+,.2f", scale=100.0)
    return tag("td", shown, class_=f"num cell {_kind(value)}", style=style, title=f"{row.year}-{month + 1:02d}")


def day_calendar(days: Int64Array, returns: Float64Array) -> Html:
    """Daily returns (D,) of UTC days as coloured cells, weeks across, weekdays down; empty for a long run."""
    return _by_day(days, returns) if len(days) <= _MAX_DAYS else Html("")


def _by_day(days: Int64Array, returns: Float64Array) -> Html:
    scale = _scale(returns)
    # 1970-01-01 was a Thursday; weeks start on Monday.
    monday = (days[0] + 3) // 7
    labels = [tag("span", name, class_="axis", style=f"grid-area:{i + 2}/1") for i, name in enumerate(_WEEKDAYS)]
    # Of two months that begin in one week the later stays: their names would lie upon each other.
    weeks = {int((day + 3) // 7 - monday): day for day in _month_starts(days)}
    months = [_month_label(day, week) for week, day in weeks.items()]
    cells = [
        _cell(
            _date(int(day)).strftime("%Y-%m-%d"),
            float(value),
            scale,
            int((day + 3) % 7) + 2,
            int((day + 3) // 7 - monday) + 2,
        )
        for day, value in zip(days, returns, strict=True)
    ]
    return tag("div", tag("div", join([*labels, *months, *cells]), class_="calendar days"), class_="scroll")


def _cell(when: str, value: float, scale: float, row: int, column: int) -> Html:
    style = f"grid-area:{row}/{column};--strength:{min(abs(value) / scale, 1.0):.3f}"
    return tag("i", "", class_=f"cell {_kind(value)}", style=style, title=f"{when}: {percent(value, '+.2f')}")


def _kind(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else "flat"


def _month_starts(days: Int64Array) -> list[int]:
    return [int(day) for i, day in enumerate(days) if i == 0 or _date(int(day)).day == 1]


def _month_label(day: int, week: int) -> Html:
    return tag("span", _MONTHS[_date(day).month - 1], class_="axis", style=f"grid-area:1/{week + 2}")


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)


def _scale(returns: Float64Array) -> float:
    # A single extraordinary period must not bleach all the others.
    moved = np.abs(returns[returns != 0.0])
    return float(np.quantile(moved, 0.95)) if len(moved) else 1.0
