"""``job=collect``: bring a dataset up to date, from an exchange or from files.

Whatever is finished is stored: the job can be killed at any moment and run again, and ends with the
same dataset. ``data=collected`` reads it.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from quantlab.core.clock import iso_utc
from quantlab.core.errors import DataError
from quantlab.core.ports import Importer
from quantlab.core.types import CollectOutcome
from quantlab.data.series.spans import Spans
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.manifest import Manifest
from quantlab.data.store.store import Store, open_store
from quantlab.jobs.config.composition import build
from quantlab.jobs.data.collect_progress import CollectProgressBars

#: Symbols that the table shows; the manifest has all.
_SHOWN = 30


def run(cfg: DictConfig) -> None:
    """Collect, print what the dataset holds now.

    Raises
    ------
    DataError
        If a symbol's data was refused; everything else is stored.
    QuantlabError
        If the exchange stops answering, or something cannot be read; what was committed before stays.
    """
    console = Console()
    source: Importer[Store] = build(cfg.job.source)
    root = Path(str(cfg.job.root))
    with open_store(root, source.exchange, source.interval_ms, source.market) as store:
        if cfg.job.repair:
            damaged = store.damaged_parts()
            store.forget(damaged)
            console.print(f"repair: {len(damaged)} damaged files forgotten", highlight=False)
        with CollectProgressBars() as progress:
            outcome = source.fill(store, progress)
        store.finish()
        manifest = store.manifest
    console.print(_table(manifest, outcome))
    for line in _summary(manifest, outcome, root):
        console.print(line, highlight=False, soft_wrap=True)
    _require_all(outcome)


def _table(manifest: Manifest, outcome: CollectOutcome) -> Table:
    title = f"{manifest.exchange}, {manifest.market}, a bar every {manifest.interval_ms // 1000} s"
    columns = ("symbol", "first bar", "bars until", "bars", "missing", "gaps", "funding until", "rates refused")
    table = Table(*columns, title=title, title_justify="left")
    for column in (*table.columns[3:6], table.columns[7]):
        column.justify = "right"
    for symbol, gaps in list((manifest.gaps or {}).items())[:_SHOWN]:
        covered = manifest.symbols[symbol].covered
        counts = (f"{gaps[name]:,}" for name in ("bars", "missing", "count"))
        ends = (_end(covered.get(kind, ())) for kind in (BARS, FUNDING))
        bars_end, funding_end = ends
        table.add_row(
            symbol,
            _minute(gaps["first"] or "-"),
            bars_end,
            *counts,
            funding_end,
            f"{outcome.refused_rates.get(symbol, 0):,}",
        )
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
        others = f" (and {len(outcome.refused) - 1} more symbols)" if len(outcome.refused) > 1 else ""
        raise DataError(f"sound data of every symbol, e.g. {error.expected}", found=error.found + others, fix=error.fix)
