"""``job=compare runs=[A,B]``: finished runs side by side, on the terminal and on a page with their curves.

Each is a folder, an id in ``job=runs``, ``latest`` or ``latest:EXPERIMENT``, and is held against its hashes before it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig
from rich.console import Console
from rich.table import Table

from quantlab.core.clock import SystemClock
from quantlab.core.errors import ConfigError
from quantlab.core.files import require_writable, staged_folder, write_json, write_text
from quantlab.jobs.config.composition import COMPARISONS
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.latest import resolve_run, short_ids
from quantlab.jobs.runs.comparison import Comparison, Row, compare_runs
from quantlab.jobs.runs.comparison_page import comparison_page
from quantlab.jobs.runs.number_forms import difference_text, label, value_text
from quantlab.jobs.runs.stored_run import StoredRun, open_stored

PAGE, DOCUMENT = "compare.html", "compare.json"
_ABSENT = "(not there)"


def run(cfg: DictConfig) -> None:
    """Open, compare, print and write.

    Raises
    ------
    ConfigError
        If fewer than two runs are named, or one is not there.
    ArtifactError
        If a file of a run is missing or altered.
    InstallationError
        If ``runs_dir`` cannot be written.
    """
    root = Path(cfg.runs_dir).resolve()
    runs = [open_stored(resolve_run(name, root, option="runs")) for name in _names(cfg)]
    comparison = compare_runs(runs)
    names = run_labels(runs)
    require_writable("runs_dir", root)
    final = root / COMPARISONS / _stamp(runs, SystemClock().now_ms())
    with staged_folder(final) as folder:
        write_json(folder / DOCUMENT, comparison_document(comparison))
        write_text(folder / PAGE, comparison_page(comparison, names, final))
    console = stdout_console()
    print_comparison(console, comparison, names)
    console.print(f"page: {final / PAGE}", soft_wrap=True)


def _names(cfg: DictConfig) -> list[str]:
    if not isinstance(cfg.runs, ListConfig) or len(cfg.runs) < 2:
        found = "none" if cfg.runs is None else str(cfg.runs)
        raise ConfigError(
            "two or more runs to compare", found=found, fix="add e.g. 'runs=[latest,ID]'; job=runs lists the ids"
        )
    return [str(name) for name in cfg.runs]


def _stamp(runs: Sequence[StoredRun], now_ms: int) -> str:
    """Name of the comparison's folder: its time, and a piece of a hash over the runs."""
    digest = hashlib.sha256("\n".join(run.name for run in runs).encode()).hexdigest()[:8]
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d_%H%M%S")
    return f"{stamp}_{now_ms % 1000:03d}-{digest}"


def run_labels(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """Short names of runs: experiment and the end of the id that tells them apart."""
    ids = short_ids(list(dict.fromkeys(run.folder.name for run in runs)))
    experiments = {run.folder.parent.name for run in runs}
    return tuple(
        ids[run.folder.name] if len(experiments) == 1 else f"{run.folder.parent.name} {ids[run.folder.name]}"
        for run in runs
    )


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The content of ``compare.json``: numbers in full precision, null where they are undefined."""

    def rows(part: Sequence[Row]) -> dict[str, Any]:
        return {row.name: list(row.values) for row in part}

    return {
        "runs": [str(run.folder) for run in comparison.runs],
        "verdicts": [run.metrics["verdict"] for run in comparison.runs],
        "notes": list(comparison.notes),
        "settings": rows(comparison.settings),
        "numbers": rows(comparison.numbers),
        "on_common_bars": rows(comparison.common),
    }


def print_comparison(console: Console, comparison: Comparison, names: Sequence[str]) -> None:
    """Print what must be known first, the settings that differ, and the numbers.

    Parameters
    ----------
    console : Console
    comparison : Comparison
    names : sequence of str
        One for each run.
    """
    for note in comparison.notes:
        console.print(f"{note}.", soft_wrap=True)
    console.print(settings_table(comparison, names))
    console.print(numbers_table(comparison.numbers, names, "evidence"))
    if comparison.common:
        console.print(numbers_table(comparison.common, names, "evidence on the common bars"))
    for name, run in zip(names, comparison.runs, strict=True):
        console.print(f"{name}: {run.metrics['verdict']}. {run.folder}", soft_wrap=True)


def settings_table(comparison: Comparison, names: Sequence[str]) -> Table:
    """Build the table of settings that differ."""
    title = "settings that differ" if comparison.settings else "no setting differs"
    table = terminal_table("", *names, title=title)
    for row in comparison.settings:
        table.add_row(row.name, *(_ABSENT if value is None else value for value in row.values))
    return table


def numbers_table(rows: Sequence[Row], names: Sequence[str], title: str) -> Table:
    """Build the table of numbers; with two runs the second minus the first stands beside them."""
    head = [*names, "difference"] if len(names) == 2 else list(names)
    table = terminal_table("", *head, numbers=head, title=title)
    for row in rows:
        cells = [value_text(row.name, value) for value in row.values]
        apart = [difference_text(row.name, value) for value in row.differences] if len(names) == 2 else []
        table.add_row(label(row.name), *cells, *apart)
    return table
