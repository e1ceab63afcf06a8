"""``job=runs``: the runs below ``runs_dir`` as a table, newest first, and as a page over all of them.

Manifests and metrics are read, nothing is verified; a damaged run is a line that says what is wrong with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.core.files import require_writable, to_json, write_text
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.latest import short_ids
from quantlab.jobs.runs.index_page import index_page
from quantlab.jobs.runs.listing import Selection, find_beside, find_records, sort_runs
from quantlab.jobs.runs.record import RunRecord
from quantlab.jobs.runs.table import runs_table, shared_settings

INDEX = "index.html"


def run(cfg: DictConfig) -> float:
    """Print the runs that are asked for and write ``index.html`` over all; the result is how many there are.

    Raises
    ------
    ConfigError
        If there is no run, or no such name.
    InstallationError
        If the page cannot be written.
    """
    root, job = Path(cfg.runs_dir).resolve(), cfg.job
    records = find_records(root)
    if not records:
        raise ConfigError(
            f"finished runs in {root}",
            found="none",
            fix="run e.g. experiment=baseline, or set runs_dir to where they are",
        )
    if job.first is not None:
        check_whole("job.first", job.first, low=1)
    shown = Selection(job.experiment, job.job, job.verdict, job.sort, job.first).of(records)
    ids = short_ids([record.name for record in records])
    if job.json:
        sys.stdout.write(to_json([{"id": ids[record.name], **record.as_dict()} for record in shown]))
        return float(len(shown))
    _print(shown, len(records), ids)
    if job.page:
        require_writable("runs_dir", root)
        write_text(root / INDEX, index_page(root, sort_runs(records, "time"), ids, find_beside(root)))
        stdout_console().print(f"page: {root / INDEX}", soft_wrap=True)
    return float(len(shown))


def _print(shown: list[RunRecord], there: int, ids: dict[str, str]) -> None:
    console = stdout_console()
    good = [record for record in shown if not record.wrong]
    if good:
        console.print(runs_table(good, ids, console))
        if shared := shared_settings(good):
            console.print(f"settings of all of them: {' '.join(shared)}", soft_wrap=True)
    for record in shown:
        if record.wrong:
            console.print(f"damaged: {record.experiment}/{record.name}: {record.wrong}", soft_wrap=True)
    console.print(f"{len(shown):,} of {there:,} runs; run=ID takes one, run=latest the newest", soft_wrap=True)
