"""Loading and validating 100 symbols x 91 days, against the bare work that cannot be avoided."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Row, market, wall_medians

from quantlab.core.compiled import compiled
from quantlab.core.market import Bars, Instrument
from quantlab.data.quality.gate import QualityGate
from quantlab.data.quality.suspects import find_suspects
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import Batch, open_store

RULES = Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5)


def write_dataset(root: Path, bars: Bars) -> None:
    """The bars as ``job=collect`` would have stored them."""
    span = (int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + bars.interval_ms)
    series = {symbol: (bars.open_time_ms, bars.ohlcv[:, s]) for s, symbol in enumerate(bars.symbols)}
    with open_store(root, "bench", bars.interval_ms) as store:
        store.add(Batch("bars", series, dict.fromkeys(series, (span,)), {}))


def decode_only(root: Path) -> int:
    """What Arrow needs to decode the same files, with nothing done with them."""
    manifest = read_manifest(root)
    files = (stored.path(root, part) for part, stored in sorted(manifest.files.items()))
    return sum(pq.read_table(pa.BufferReader(path.read_bytes())).num_rows for path in files)


@compiled
def add_up(ohlcv: np.ndarray) -> float:
    """The least that any validation does: look at every number."""
    total = 0.0
    for t in range(ohlcv.shape[0]):
        for s in range(ohlcv.shape[1]):
            for k in range(5):
                total += ohlcv[t, s, k]
    return total


def data_rows() -> list[Row]:
    """The load, its memory, and the gate."""
    bars = market(91 * 288, 100)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_dataset(root, bars)
        source = CollectedSource(root, "all", RULES, None, None, "auto", 0.05)
        ours, bare = wall_medians(source.history, lambda: decode_only(root), repeats=3)
        grown = _grown(source)
    data = bars.ohlcv.nbytes / 1e6
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    check, look, suspects = wall_medians(
        lambda: gate.run(gate.begin(), bars.ohlcv, bars.open_time_ms),
        lambda: add_up(bars.ohlcv),
        lambda: find_suspects(bars),
        repeats=3,
    )
    cells = bars.n_bars * bars.n_symbols / 1e6
    return [
        Row("load 100 symbols x 91 days", f"{ours:.2f} s", f"decoding alone {bare:.2f} s", ours / bare),
        Row("its memory", f"{grown:.0f} MB at most", f"the data {data:.0f} MB", grown / data),
        Row(f"gate, {cells:.1f} M bars", f"{check * 1e3:.0f} ms", f"bare loop {look * 1e3:.0f} ms", check / look),
        Row(
            f"suspects, {cells:.1f} M bars",
            f"{suspects * 1e3:.0f} ms",
            f"bare loop {look * 1e3:.0f} ms",
            suspects / look,
        ),
    ]


def _grown(source: CollectedSource) -> float:
    """MB that one load adds to the process, at its end; what was decoded before may have left room."""
    process = psutil.Process()
    before = process.memory_info().rss
    bars = source.history()
    grown = (process.memory_info().rss - before) / 1e6
    assert bars.n_bars
    return grown
