"""freqtrade's downloaded data: feather files of candles and funding rates.

``BTC_USDT_USDT-5m-futures.feather`` becomes BTCUSDT; ``BTC_USDT_USDT-8h-funding_rate.feather`` keeps each
rate in its column ``open``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather

from quantlab.core.errors import DataError
from quantlab.core.ports import CollectProgress
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.from_files import SourceFile, import_files, list_files, require_files
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.alignment import Series
from quantlab.data.series.timeframes import timeframe_ms
from quantlab.data.store.day_files import BARS, FUNDING
from quantlab.data.store.store import Store

_NAME = re.compile(r"(\w+?)_([A-Z0-9]+)(?:_([A-Z0-9]+))?-(\d+[smhd])(?:-(futures|funding_rate))?\.feather")


@dataclass(frozen=True)
class FreqtradeImport:
    """A folder such as ``user_data/data/binance``.

    Parameters
    ----------
    folder : str or Path
    exchange : str
        Whose bars these are, as ccxt names it.
    timeframe : str
        Files of other intervals are left alone, funding rates aside.
    """

    folder: str | Path
    exchange: str
    timeframe: str

    @property
    def interval_ms(self) -> int:
        return timeframe_ms(self.timeframe)

    def fill(self, store: Store, progress: CollectProgress) -> CollectOutcome:
        """Import every file.

        Raises
        ------
        DataError
            If there is none.
        """
        folder = Path(self.folder)
        files, others = [], 0
        for path in list_files(folder, "*.feather"):
            match = _NAME.fullmatch(path.name)
            kind = FUNDING if match and match.group(5) == "funding_rate" else BARS
            if match is None or (kind == BARS and match.group(4) != self.timeframe):
                others += 1
                continue
            files.append(SourceFile(path, match.group(1) + match.group(2), kind, None))
        require_files(files, folder, f"files named BASE_QUOTE_SETTLE-{self.timeframe}-futures.feather")
        notes = (f"{others} files of another kind or interval were left alone",) if others else ()
        return import_files(files, _read, self.interval_ms, store, progress, notes)


def _read(found: SourceFile) -> Series:
    columns = FIELDS if found.kind == BARS else ("open",)
    name = found.path.name
    try:
        table = pyarrow.feather.read_table(found.path, memory_map=False)
    except (pa.ArrowException, OSError) as error:
        problem = "an empty file" if not found.path.stat().st_size else str(error)
        raise DataError(f"a whole feather file {name}", found=problem, fix="download it again") from error
    missing = [column for column in ("date", *columns) if table.column_names.count(column) != 1]
    if missing:
        raise DataError(
            f"the columns date, {', '.join(columns)} in {name}", found=f"no {', '.join(missing)}", fix="check the file"
        )
    dates = table.column("date")
    if not pa.types.is_timestamp(dates.type) or dates.type.tz is None or dates.null_count:
        raise DataError(f"date as a time with a zone in every row of {name}", found=str(dates.type), fix="check it")
    try:
        time_ms = dates.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy()
        values = np.column_stack([table.column(column).cast(pa.float64()).to_numpy() for column in columns])
    except pa.ArrowException as error:
        raise DataError(f"numbers and whole milliseconds in {name}", found=str(error), fix="check it") from error
    return np.ascontiguousarray(time_ms, dtype=np.int64), values
