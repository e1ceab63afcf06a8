"""``job=data``: coverage of the configured data, what is missing, and what looks wrong.

A table and a heat map of symbols by days; ``quality.json`` and ``coverage.html`` in the run folder keep
them. Files that are refused are all listed; what is left of a folder is still shown, and the job then
ends with an error, because no other job would read that folder as it is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig
from rich.table import Table
from rich.text import Text

from quantlab.core.errors import DataError
from quantlab.core.files import write_json, write_text
from quantlab.core.market import Bars
from quantlab.core.ports import HasDataNotes, HasFileChecks, HasSoundPart
from quantlab.data.quality.coverage import QualityReport, SymbolQuality, coverage
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.data.coverage_page import coverage_page
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.run_folder import run_folder
from quantlab.jobs.output.terminal import TerminalProgress

_SHOWN = 30


def run(cfg: DictConfig) -> float | None:
    """Print and keep the quality of the configured history; the result is the share of bars that are there.

    Raises
    ------
    DataError
        If a file is refused; the run folder is kept as the evidence.
    """
    console, progress = stdout_console(), TerminalProgress()
    source = build(cfg.data)
    with run_folder(cfg, check="data") as folder:
        with progress.stage("files", 1) as stage:
            refused = source.problems() if isinstance(source, HasFileChecks) else ()
            readable = source.sound_part() if refused and isinstance(source, HasSoundPart) else source
            stage.advance()
        bars = None if readable is None or _all_refused(readable, refused) else history_cut(cfg).load(readable)
        report = None if bars is None else coverage(bars)
        notes = source.data_notes() if report is not None and isinstance(source, HasDataNotes) else ()
        write_json(folder.path / "quality.json", _document(report, refused, notes))
        if bars is not None and report is not None:
            write_text(folder.path / "coverage.html", coverage_page(bars, report, refused))
        prints = {} if bars is None else {"data_fingerprint": bars.fingerprint()}
        folder.write_manifest(cfg, prints)
    if report is not None:
        console.print(_table(report))
        console.print("\n".join(_shortened(list(report.findings()))), highlight=False, soft_wrap=True)
        for note in notes:
            console.print(f"note: {note}", highlight=False, soft_wrap=True)
    for error in refused:
        console.print(Text.assemble(("refused", "red"), f" {error}"), soft_wrap=True)
    console.print(f"run: {folder.final}", highlight=False, soft_wrap=True)
    _require_none(refused)
    return None if bars is None else _share(bars)


def _all_refused(source: object, refused: tuple[DataError, ...]) -> bool:
    return bool(refused) and not isinstance(source, HasSoundPart)


def _share(bars: Bars) -> float:
    return float(bars.printed.mean())


def _document(report: QualityReport | None, refused: tuple[DataError, ...], notes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "report": None if report is None else dataclasses.asdict(report),
        "findings": [] if report is None else list(report.findings()),
        "refused": [str(error) for error in refused],
        "notes": list(notes),
    }


def _table(report: QualityReport) -> Table:
    title = f"{len(report.symbols)} symbols x {report.n_bars:,} bars"
    numbers = ("there", "missing", "gaps", "longest\ngap", "no\nvolume", "funding\nrates", "suspect\nbars")
    table = terminal_table("symbol", *numbers, numbers=numbers, title=title)
    suspects: dict[str, int] = {}
    for suspect in report.suspects:
        suspects[suspect.symbol] = suspects.get(suspect.symbol, 0) + suspect.count
    for symbol, quality in list(report.symbols.items())[:_SHOWN]:
        table.add_row(symbol, *_numbers(quality), f"{suspects.get(symbol, 0):,}")
    if len(report.symbols) > _SHOWN:
        table.caption = f"and {len(report.symbols) - _SHOWN} more in quality.json"
    return table


def _numbers(quality: SymbolQuality) -> tuple[str, ...]:
    printed = quality.traded + quality.zero_volume
    missing = sum(gap.missing_bars for gap in quality.gaps)
    longest = max((gap.missing_bars for gap in quality.gaps), default=0)
    share = printed / (printed + missing) if printed else 0.0
    rates = "-" if quality.funding_stamps is None else f"{quality.funding_stamps:,}"
    counts = (missing, len(quality.gaps), longest, quality.zero_volume)
    return (f"{share:.2%}", *(f"{count:,}" for count in counts), rates)


def _shortened(lines: list[str]) -> list[str]:
    rest = len(lines) - _SHOWN
    return lines[:_SHOWN] + [f"and {rest} more findings in quality.json"] * (rest > 0)


def _require_none(refused: tuple[DataError, ...]) -> None:
    if refused:
        first = refused[0]
        others = f" (and {len(refused) - 1} more files refused)" if len(refused) > 1 else ""
        raise DataError(first.expected, found=first.found + others, fix=first.fix)
