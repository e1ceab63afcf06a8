"""Files of other tools, written from one synthetic path of five-minute bars, and their import into a dataset."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from binance_server import DAY_MS, EPOCH_MS, STEP_MS, CountingProgress, kline, make_bars
from omegaconf import OmegaConf

from quantlab.core.ports import Importer
from quantlab.core.types import CollectOutcome
from quantlab.data.store.store import Store, open_store
from quantlab.jobs.config.composition import build

BARS = make_bars(5, 31 * 288)
TIMES = EPOCH_MS + STEP_MS * np.arange(len(BARS), dtype=np.int64)
HEAD = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
MARCH_MS = EPOCH_MS + 31 * DAY_MS


def run_import(root: Path, source: Importer[Store]) -> CollectOutcome:
    with open_store(root, source.exchange, source.interval_ms, source.market) as store:
        outcome = source.fill(store, CountingProgress())
        store.finish()
    return outcome


def source_of(repository: Path, name: str, folder: Path, **settings: Any) -> Any:
    node = OmegaConf.load(repository / "conf" / "job" / "source" / f"{name}.yaml")
    return build(OmegaConf.merge(node, {"folder": str(folder), **settings}))


def archive(
    folder: Path, name: str, rows: slice, *, head: bool = False, micro: bool = False, checksum: bool = False
) -> Path:
    lines = [HEAD] if head else []
    for open_ms, bar in zip(TIMES[rows], BARS[rows], strict=True):
        row = kline(int(open_ms), bar, closed=True)
        if micro:
            row[0], row[6] = row[0] * 1000, row[6] * 1000 + 999
        lines.append(",".join(map(str, row)))
    path = folder / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.csv", "\n".join(lines) + "\n")
    if checksum:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n")
    return path


def write_csv(path: Path, stamps: list[Any], rows: slice, **names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = [names.get(name, name) for name in ("timestamp", "open", "high", "low", "close", "volume")]
    lines = [",".join(map(str, (stamp, *bar))) for stamp, bar in zip(stamps, BARS[rows].tolist(), strict=True)]
    path.write_text("\n".join([",".join(head), *lines]) + "\n")
    return path
