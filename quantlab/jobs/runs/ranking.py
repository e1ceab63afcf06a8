"""The end of a multirun: its combinations ranked, printed and written into its folder."""

from __future__ import annotations

import atexit
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from quantlab.core.files import write_json, write_text
from quantlab.core.redaction import hide_named
from quantlab.jobs.output.asked_for import shown_overrides
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.runs.combination import (
    OUTCOME,
    Combination,
    differing_keys,
    ranked,
    read_combinations,
    sameness_notes,
)
from quantlab.jobs.runs.table import number_text

CSV, JSON = "ranking.csv", "ranking.json"
#: Combinations that the terminal shows, and characters of a refusal's reason.
_SHOWN, _REASON = 20, 160
_BEST_OF_MANY = "No verdict above covers choosing the best of these; job=sweep counts every parameter set that it tries into its verdict"


class RankCombinations(Callback):
    """A callback that notes each combination's outcome and ranks all of them at the end.

    Also where a combination failed unexpectedly or the command was stopped: Hydra then calls nobody, so the table is made when
    the process ends.
    """

    def __init__(self) -> None:
        self._open = False

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember to rank."""
        self._open = True
        atexit.register(self._rank, Path(config.hydra.sweep.dir))

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note a combination's outcome in its folder; a launcher may run this in a process of its own."""
        if config.hydra.mode is None or config.hydra.mode.name != "MULTIRUN":
            return
        finished = job_return.status == JobStatus.COMPLETED
        value = job_return._return_value  # the public property raises the error of one that failed
        outcome = {
            "number": int(config.hydra.job.num),
            "overrides": shown_overrides(config.hydra.overrides.task),
            "objective": float(value) if finished and isinstance(value, int | float) else None,
            "error": None if finished else hide_named(f"{type(value).__name__}: {value}"),
        }
        write_json(Path(config.hydra.runtime.output_dir) / OUTCOME, outcome)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Rank."""
        self._rank(Path(config.hydra.sweep.dir))

    def _rank(self, folder: Path) -> None:
        if self._open:
            self._open = False
            rank_multirun(folder, stdout_console())


def rank_multirun(folder: Path, console: Console) -> None:
    """Write ``ranking.csv`` and ``ranking.json`` and print the table; nothing where no combination has ended."""
    combinations = ranked(read_combinations(folder))
    if not combinations:
        return
    keys, notes = differing_keys(combinations), sameness_notes(combinations)
    rows = ranking_rows(combinations, keys)
    write_json(folder / JSON, {"combinations": rows, "notes": notes})
    write_text(folder / CSV, _csv(rows, keys))
    if not all(one.reason for one in combinations):
        console.print(ranking_table(combinations, keys))
        notes = [*notes, _BEST_OF_MANY]
    left_out = len(combinations) - _SHOWN
    if left_out > 0:
        console.print(f"and {left_out:,} more in {folder / CSV}", soft_wrap=True)
    for one in combinations:
        if one.reason:
            console.print(f"no run: {one.differing(keys)}: {_shortened(one.reason)}", soft_wrap=True)
    for note in notes:
        console.print(f"{note}.", soft_wrap=True)
    console.print(f"ranking: {folder.resolve() / CSV}", soft_wrap=True)


def ranking_rows(combinations: Sequence[Combination], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Combinations as plain values, best first.

    Parameters
    ----------
    combinations : sequence of Combination
        Ranked.
    keys : sequence of str
        Settings that differ between them.
    """
    return [
        {
            "rank": None if one.reason else rank,
            "combination": one.number,
            "settings": {key: one.settings.get(key) for key in keys},
            "objective": one.objective,
            "total_return": None if one.run is None else one.run.total_return,
            "max_drawdown": None if one.run is None else one.run.max_drawdown,
            "trades": None if one.run is None else one.run.trades,
            "verdict": None if one.run is None else one.run.verdict,
            "run": None if one.run is None else f"{one.run.experiment}/{one.run.name}",
            "reason": one.reason or None,
        }
        for rank, one in enumerate(combinations, start=1)
    ]


def _csv(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> str:
    """The same as a file for spreadsheets, one column a setting; undefined is empty."""
    text = io.StringIO()
    plain = [name for name in rows[0] if name != "settings"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain[:2], *keys, *plain[2:]])
    for row in rows:
        values = [row[name] for name in plain]
        writer.writerow([*values[:2], *(row["settings"][key] for key in keys), *values[2:]])
    return text.getvalue()


def ranking_table(combinations: Sequence[Combination], keys: Sequence[str]) -> Table:
    """Build the table of the first combinations that have an outcome; settings that all share are left out.

    Parameters
    ----------
    combinations : sequence of Combination
        Ranked.
    keys : sequence of str
    """
    numbers = ("", "objective", "return %", "drawdown %", "trades")
    table = terminal_table(*numbers, "settings", whole=(), numbers=numbers, title="combinations by their objective")
    for rank, one in enumerate(combinations[:_SHOWN], start=1):
        if one.reason:
            continue
        run = one.run
        table.add_row(
            str(rank),
            number_text(one.objective, "+.2f"),
            "-" if run is None else number_text(run.total_return, "+.2f", 100.0),
            "-" if run is None else number_text(run.max_drawdown, ".2f", 100.0),
            "-" if run is None else number_text(run.trades, ",d"),
            one.differing(keys),
        )
    return table


def _shortened(reason: str) -> str:
    words = " ".join(reason.split())
    return words if len(words) <= _REASON else f"{words[:_REASON]}..."
