"""The table of runs on a terminal: as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from quantlab.jobs.output.console import terminal_table
from quantlab.jobs.runs.record import RunRecord

_VERDICTS = {"no evidence of an edge": "no edge", "not enough data": "too little"}
#: Widest settings and names, and narrowest settings: what is longer folds. Columns between two cells.
_SETTINGS, _NAME, _NARROWEST, _GAP = 60, 20, 16, 2
_ENDLESS = 10_000
_ONE_TRIAL = "p: one trial, nothing to deflate; the probabilistic Sharpe ratio. Returns and drawdowns in %, of the evidence, net."


@dataclass(frozen=True)
class _Column:
    """A column: heading, cell, and the rank at which it is left out where room is short (the highest first)."""

    head: str
    cell: Callable[[RunRecord], str]
    rank: int
    number: bool = False
    widest: int | None = None


def _columns(runs: Sequence[RunRecord], ids: Mapping[str, str]) -> list[_Column]:
    shared = shared_settings(runs)
    years = slice(2 if len({run.started[:4] for run in runs}) > 1 else 5, 16)  # without the year where all share it
    return [
        _Column("started", lambda run: run.started[years].replace("T", " "), 1),
        _Column("id", lambda run: ids[run.name], 0),
        _Column("job", lambda run: run.job, 6, widest=_NAME),
        _Column("experiment", lambda run: run.experiment, 0, widest=_NAME),
        _Column("verdict", verdict_text, 0),
        _Column("Sharpe", lambda run: number_text(run.sharpe, "+.2f"), 5, number=True),
        _Column("deflated", deflated_text, 0, number=True),
        _Column("return", lambda run: number_text(run.total_return, "+.1f", 100.0), 0, number=True),
        _Column("drawdown", lambda run: number_text(run.max_drawdown, ".1f", 100.0), 2, number=True),
        _Column("trades", lambda run: number_text(run.trades, ",d"), 3, number=True),
        _Column("data", lambda run: f"{run.source} {run.market}", 7),
        _Column("days", lambda run: run.span, 8),
        _Column("settings", lambda run: settings_text(run, shared), 4, widest=_SETTINGS),
    ]


def runs_table(runs: Sequence[RunRecord], ids: Mapping[str, str], console: Console) -> Table:
    """Build the table of good runs with the columns for which `console` has room.

    Parameters
    ----------
    runs : sequence of RunRecord
    ids : dict of run name to short id
    console : Console
    """
    columns = _columns(runs, ids)
    for rank in sorted({column.rank for column in columns}, reverse=True):
        table = _table(runs, [column for column in columns if column.rank <= rank])
        if _width(table, console) <= console.width:
            return _with_settings(table, runs, columns, rank, console)
    return table


def _width(table: Table, console: Console) -> int:
    """Columns that a table takes where it has room for everything."""
    return Measurement.get(console, console.options.update(width=_ENDLESS), table).maximum


def _table(runs: Sequence[RunRecord], columns: Sequence[_Column]) -> Table:
    heads = [column.head for column in columns]
    numbers = [column.head for column in columns if column.number]
    whole = [column.head for column in columns if column.widest is None]
    table = terminal_table(*heads, whole=whole, numbers=numbers, caption=_ONE_TRIAL)
    for shown, column in zip(table.columns, columns, strict=True):
        shown.max_width = column.widest
    for run in runs:
        table.add_row(*(column.cell(run) for column in columns))
    return table


def _with_settings(
    table: Table, runs: Sequence[RunRecord], columns: Sequence[_Column], rank: int, console: Console
) -> Table:
    """Add the settings, folded into the room that is left, where they did not fit in their own width."""
    shown = [column for column in columns if column.rank <= rank]
    settings = next(column for column in columns if column.head == "settings")
    left = console.width - _width(table, console) - _GAP
    if settings in shown or left < _NARROWEST or not any(settings.cell(run) for run in runs):
        return table
    return _table(runs, [*shown, replace(settings, widest=left)])


def shared_settings(runs: Sequence[RunRecord]) -> list[str]:
    """Settings that all of several runs have, which tell none from another; those of older runs are not known."""
    known = [run.settings for run in runs if run.settings is not None]
    if len(runs) < 2 or len(known) < len(runs):
        return []
    return [text for text in known[0] if all(text in others for others in known)]


def settings_text(run: RunRecord, shared: Sequence[str] = ()) -> str:
    """Settings as typed, but for the shared ones; a question mark where they are not known."""
    return "?" if run.settings is None else " ".join(text for text in run.settings if text not in shared)


def verdict_text(run: RunRecord) -> str:
    """The verdict in a word or two."""
    return _VERDICTS.get(run.verdict, run.verdict)


def deflated_text(run: RunRecord) -> str:
    """The deflated Sharpe ratio; with one trial it is the probabilistic one, and says so."""
    return number_text(run.deflated, ".3f") + one_trial_mark(run)


def one_trial_mark(run: RunRecord) -> str:
    """The mark of a ratio that nothing deflates; else empty."""
    return " p" if run.trials == 1 and run.deflated is not None else ""


def number_text(value: float | None, form: str, factor: float = 1) -> str:
    """A number, or a dash where it is undefined."""
    return "-" if value is None else format(value * factor, form)
