"""Returns by day or by month as coloured cells: HTML only, so it prints, scrolls and needs no script."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.results import Simulation
from quantlab.evaluation.report.html import Html, join, percent, tag
from quantlab.evaluation.statistics.metrics import daily_returns, days_of

#: More days than this are shown by month.
_MAX_DAYS = 400
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def returns_heat_map(simulation: Simulation) -> Html:
    """A calendar of daily returns (weeks across, weekdays down), or of monthly ones for long runs."""
    returns = daily_returns(simulation.equity, simulation.open_time_ms, simulation.initial_cash)
    days = days_of(simulation.open_time_ms)
    return _by_day(days, returns) if len(days) <= _MAX_DAYS else _by_month(days, returns)


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
            "",
        )
        for day, value in zip(days, returns, strict=True)
    ]
    return tag("div", tag("div", join([*labels, *months, *cells]), class_="calendar days"), class_="scroll")


def _by_month(days: Int64Array, returns: Float64Array) -> Html:
    grown: dict[tuple[int, int], float] = {}
    for day, value in zip(days, returns, strict=True):
        key = (_date(int(day)).year, _date(int(day)).month)
        grown[key] = (1.0 + grown.get(key, 0.0)) * (1.0 + float(value)) - 1.0
    scale = _scale(np.array(list(grown.values())))
    first = min(year for year, _ in grown)
    years = sorted({year for year, _ in grown})
    labels = [tag("span", name, class_="axis", style=f"grid-area:1/{i + 2}") for i, name in enumerate(_MONTHS)]
    labels += [tag("span", year, class_="axis", style=f"grid-area:{year - first + 2}/1") for year in years]
    cells = [
        _cell(f"{year}-{month:02d}", value, scale, year - first + 2, month + 1, percent(value, "+.1f"))
        for (year, month), value in grown.items()
    ]
    return tag("div", tag("div", join([*labels, *cells]), class_="calendar months"), class_="scroll")


def _cell(when: str, value: float, scale: float, row: int, column: int, content: str) -> Html:
    style = f"grid-area:{row}/{column};--strength:{min(abs(value) / scale, 1.0):.3f}"
    kind = "gain" if value > 0 else "loss" if value < 0 else "flat"
    return tag("i", content, class_=f"cell {kind}", style=style, title=f"{when}: {percent(value, '+.2f')}")


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
