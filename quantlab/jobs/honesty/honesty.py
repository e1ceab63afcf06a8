"""``job=honesty``: the share of verdicts "edge" in synthetic markets without an edge, and in those with one.

1. The configured experiment runs, from bars to verdict, in synthetic markets without an edge and with the planted
   one, in turn; each market is a seed (:mod:`~quantlab.jobs.honesty.market_verdict`).
2. Every finished market is kept at once (:mod:`~quantlab.jobs.honesty.record`): whoever is stopped goes on with the next market.
3. ``honesty.json`` holds the counts, ``worlds.jsonl`` the numbers of every market, ``config.yaml`` what was measured.

The published seeds are 0 and up; whoever develops uses others, far away (``job.first_seed=10000``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from quantlab.core.checks import check_range, check_whole
from quantlab.jobs.honesty.market_verdict import check_measurable, judge_market, markets, measured_config
from quantlab.jobs.honesty.record import HonestyRecord, Share, open_record
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.learning.parallel.workers import worker_processes

_KIND_TITLES = {"no_edge": "without an edge", "planted": "with the planted edge"}


def run(cfg: DictConfig) -> float | None:
    """Measure what is missing; the result is the share of "edge" with the planted edge, None without a market.

    Raises
    ------
    ConfigError
        If the market's truth is not known, an option is out of range, or the record is another configuration's.
    QuantlabError
        If the pipeline refuses a market; what was finished before is kept.
    """
    check_measurable(cfg)
    check_whole("job.markets", cfg.job.markets, low=1)
    check_whole("job.first_seed", cfg.job.first_seed, low=0)
    check_range("job.confidence", cfg.job.confidence, low=0.5, high=0.9999)
    folder = Path(cfg.job.folder)
    with open_record(folder, measured_config(cfg), float(cfg.job.confidence)) as record:
        measure(cfg, record)
        found = record.shares
    console = stdout_console()
    console.print(_table(found, float(cfg.job.confidence)))
    console.print(f"record: {folder}", highlight=False, soft_wrap=True)
    planted = found[-1]
    return planted.edge / planted.markets if planted.markets else None


def measure(cfg: DictConfig, record: HonestyRecord) -> None:
    """Run the markets that the record lacks, ``workers`` at a time."""
    wanted = markets(int(cfg.job.first_seed), int(cfg.job.markets))
    missing = record.missing(wanted)
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    with (
        TerminalProgress().stage("markets", len(wanted)) as stage,
        worker_processes(int(cfg.workers), 1) as workers,
    ):
        stage.advance(len(wanted) - len(missing))
        for first in range(0, len(missing), int(cfg.workers)):
            some = missing[first : first + int(cfg.workers)]
            for one in workers.map(judge_market, [(plain, market) for market in some]):
                record.add(one)
                stage.advance()
            stage.set_remark(", ".join(f"{one.kind} {one.edge}/{one.markets}" for one in record.shares))


def _table(found: tuple[Share, ...], confidence: float) -> Table:
    numbers = ("number", 'verdict\n"edge"', "share, %", f"Wilson\n{confidence:.0%}, %", "Clopper-\nPearson, %")
    table = terminal_table("markets", *numbers, numbers=numbers)
    for one in found:
        share = f"{100 * one.edge / one.markets:.1f}" if one.markets else "-"
        intervals = (f"{100 * low:.1f} to {100 * high:.1f}" for low, high in (one.wilson, one.exact))
        table.add_row(_KIND_TITLES[one.kind], f"{one.markets:,}", f"{one.edge:,}", share, *intervals)
    return table
