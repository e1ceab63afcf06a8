"""freqtrade's downloaded data: feather files of candles and funding rates.

``BTC_USDT_USDT-5m-futures.feather`` becomes BTCUSDT; ``BTC_USDT_USDT-8h-funding_rate.feather`` keeps each
rate in its column ``open``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.feather

from quantlab.core.errors import DataError
from quantlab.data.collect.from_files import FileImport, SourceFile
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.alignment import Series
from quantlab.data.store.day_files import BARS, FUNDING

_NAME = re.compile(r"(\w+?)_([A-Z0-9]+)(?:_([A-Z0-9]+))?-(\d+[smhd])(?:-(futures|funding_rate))?\.feather")


@dataclass(frozen=True)
class FreqtradeImport(FileImport):
    """A folder such as ``user_data/data/binance``.

    Parameters
    ----------
    folder, exchange
        As in :class:`~quantlab.data.collect.from_files.FileImport`.
    timeframe : str
        Files of other intervals are left alone, funding rates aside.
    """

    pattern: ClassVar[str] = "*.feather"

    @property
    def expected_files(self) -> str:
        return f"files named BASE_QUOTE_SETTLE-{self.timeframe}-futures.feather"

    def accept(self, path: Path) -> SourceFile | None:
        """Take bars of the timeframe, and funding rates."""
        match = _NAME.fullmatch(path.name)
        kind = FUNDING if match and match.group(5) == "funding_rate" else BARS
        if match is None or (kind == BARS and match.group(4) != self.timeframe):
            return None
        return SourceFile(path, match.group(1) + match.group(2), kind, None)

    def read(self, file: SourceFile) -> Series:
        """Return the rows of one file, stamped by their opens."""
        columns = FIELDS if file.kind == BARS else ("open",)
        name = file.path.name
        try:
            table = pyarrow.feather.read_table(file.path, memory_map=False)
        except (pa.ArrowException, OSError) as error:
            problem = "an empty file" if not file.path.stat().st_size else str(error)
            raise DataError(f"a whole feather file {name}", found=problem, fix="download it again") from error
        missing = [column for column in ("date", *columns) if table.column_names.count(column) != 1]
        if missing:
            raise DataError(
                f"the columns date, {', '.join(columns)} in {name}",
                found=f"no {', '.join(missing)}",
                fix="check the file",
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
