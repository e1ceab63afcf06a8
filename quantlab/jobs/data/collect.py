"""``job=collect``: bring a dataset up to date, from an exchange or from files.

Whatever is finished is stored: the job can be killed at any moment and run again, and ends with the
same dataset. ``data=collected`` reads it.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich import box
from rich.table import Table

from quantlab.core.clock import iso_utc
from quantlab.core.durations import duration_text
from quantlab.core.errors import DataError
from quantlab.core.ports import Importer
from quantlab.core.types import CollectOutcome
from quantlab.data.series.spans import Spans
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import Manifest
from quantlab.data.store.store import Store, open_store
from quantlab.jobs.config.composition import build
from quantlab.jobs.data.collect_progress import CollectProgressBars
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.waits import shown_waits

#: Symbols that the table shows; the manifest has all.
_SHOWN = 30
#: Letters of a date; the time of day may stand below it.
_DAY_WIDTH = 10


def run(cfg: DictConfig) -> None:
    """Collect, print what the dataset holds now.

    Raises
    ------
    DataError
        If a symbol's data was refused; everything else is stored.
    QuantlabError
        If the exchange stops answering, or something cannot be read; what was committed before stays.
    """
    console = stdout_console()
    source: Importer[Store] = build(cfg.job.source)
    root = Path(str(cfg.job.root))
    with open_store(root, source.exchange, source.interval_ms, source.market) as store:
        if cfg.job.repair:
            damaged = store.damaged_parts()
            store.forget(damaged)
            console.print(f"repair: {len(damaged)} damaged files forgotten", highlight=False)
        with CollectProgressBars() as progress, shown_waits(progress.console):
            outcome = source.fill(store, progress)
        store.finish()
        manifest = store.manifest
    console.print(_table(manifest, outcome))
    for line in _summary(manifest, outcome, root):
        console.print(line, highlight=False, soft_wrap=True)
    _require_all(outcome)


def _table(manifest: Manifest, outcome: CollectOutcome) -> Table:
    """The symbols of the dataset, in 80 columns: times fold, and columns that nothing stands in are left out."""
    title = f"{manifest.exchange}, {manifest.market}, a bar every {duration_text(manifest.interval_ms)}"
    shown = list((manifest.gaps or {}).items())[:_SHOWN]
    funding = any(manifest.symbols[symbol].covered.get(FUNDING) for symbol, _ in shown)
    refused = any(outcome.refused_rates.get(symbol) for symbol, _ in shown)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("symbol", overflow="fold", min_width=8)
    for name in ("first bar", "bars until"):
        table.add_column(name, min_width=_DAY_WIDTH)
    for name in ("bars", "missing", "gaps"):
        table.add_column(name, justify="right", no_wrap=True)
    if funding:
        table.add_column("funding until", min_width=_DAY_WIDTH)
    if refused:
        table.add_column("rates refused", justify="right")
    for symbol, gaps in shown:
        covered = manifest.symbols[symbol].covered
        cells = [symbol, _minute(gaps["first"] or "-"), _end(covered.get(BARS, ()))]
        cells += [f"{gaps[name]:,}" for name in ("bars", "missing", "count")]
        cells += [_end(covered.get(FUNDING, ()))] if funding else []
        cells += [f"{outcome.refused_rates.get(symbol, 0):,}"] if refused else []
        table.add_row(*cells)
    return table


def _end(spans: Spans) -> str:
    return _minute(iso_utc(spans[-1][1])) if spans else "-"


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")


def _summary(manifest: Manifest, outcome: CollectOutcome, root: Path) -> list[str]:
    hidden = len(manifest.symbols) - _SHOWN
    size = sum(stored.size for stored in manifest.files.values())
    lines = [f"and {hidden} more symbols"] if hidden > 0 else []
    lines += [f"note: {note}" for note in outcome.notes]
    lines += [f"refused: {symbol}: {error}" for symbol, error in outcome.refused.items()]
    lines.append(
        f"{outcome.rows:,} new rows, {outcome.repeated:,} repeated ones dropped; "
        f"{len(manifest.symbols)} symbols, {len(manifest.files)} files, {size / 1e6:.1f} MB in {root}"
    )
    return lines


def _require_all(outcome: CollectOutcome) -> None:
    if outcome.refused:
        error = next(iter(outcome.refused.values()))
        others = (
            f" (and {len(outcome.refused) - 1} more refusals, all listed above)" if len(outcome.refused) > 1 else ""
        )
        raise DataError(f"sound data of every symbol, e.g. {error.expected}", found=error.found + others, fix=error.fix)
