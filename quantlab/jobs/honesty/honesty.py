"""``job=honesty``: how often does the pipeline say "edge" where there is none, and where there is one?

1. The configured experiment runs, from bars to verdict, in synthetic worlds without an edge and with the planted
   one, in turn; each world is a seed (``honesty_world``).
2. Every finished world is kept at once (``honesty_record``): whoever is stopped goes on with the next world.
3. ``honesty.json`` holds the counts, ``worlds.jsonl`` the numbers of every world, ``config.yaml`` what was measured.

The published seeds are 0 and up; whoever develops uses others, far away (``job.first_seed=10000``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from quantlab.core.checks import check_range, check_whole
from quantlab.jobs.honesty.market_verdict import check_measurable, live, measured, worlds
from quantlab.jobs.honesty.record import Record, Share, open_record
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.learning.parallel.workers import worker_processes

_CALLED = {"no_edge": "without an edge", "planted": "with the planted edge"}


def run(cfg: DictConfig) -> float | None:
    """Measure what is missing; the result is the share of "edge" with the planted edge, None without a world.

    Raises
    ------
    ConfigError
        If the market's truth is not known, an option is out of range, or the record is another configuration's.
    QuantlabError
        If the pipeline refuses a world; what was finished before is kept.
    """
    check_measurable(cfg)
    check_whole("job.worlds", cfg.job.worlds, low=1)
    check_whole("job.first_seed", cfg.job.first_seed, low=0)
    check_range("job.confidence", cfg.job.confidence, low=0.5, high=0.9999)
    folder = Path(cfg.job.folder)
    with open_record(folder, measured(cfg), float(cfg.job.confidence)) as record:
        measure(cfg, record)
        found = record.shares
    console = Console()
    console.print(_table(found, float(cfg.job.confidence)))
    console.print(f"record: {folder}", highlight=False, soft_wrap=True)
    planted = found[-1]
    return planted.edge / planted.worlds if planted.worlds else None


def measure(cfg: DictConfig, record: Record) -> None:
    """Run the worlds that the record lacks, ``workers`` at a time."""
    wanted = worlds(int(cfg.job.first_seed), int(cfg.job.worlds))
    missing = record.missing(wanted)
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    with (
        TerminalProgress().stage("worlds", len(wanted)) as stage,
        worker_processes(int(cfg.workers), 1) as workers,
    ):
        stage.advance(len(wanted) - len(missing))
        for first in range(0, len(missing), int(cfg.workers)):
            some = missing[first : first + int(cfg.workers)]
            for one in workers.map(live, [(plain, world) for world in some]):
                record.add(one)
                stage.advance()
            stage.say(", ".join(f"{one.kind} {one.edge}/{one.worlds}" for one in record.shares))


def _table(found: tuple[Share, ...], confidence: float) -> Table:
    table = Table("worlds", "number", 'verdict "edge"', "share, %", f"Wilson {confidence:.0%}, %", "Clopper-Pearson, %")
    for one in found:
        share = f"{100 * one.edge / one.worlds:.1f}" if one.worlds else "-"
        intervals = (f"{100 * low:.1f} to {100 * high:.1f}" for low, high in (one.wilson, one.exact))
        table.add_row(_CALLED[one.kind], f"{one.worlds:,}", f"{one.edge:,}", share, *intervals)
    return table
