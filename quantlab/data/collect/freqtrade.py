"""freqtrade's downloaded data: feather files of candles and funding rates.

``BTC_USDT_USDT-5m-futures.feather`` becomes BTCUSDT; ``BTC_USDT_USDT-8h-funding_rate.feather`` keeps each
rate in its column ``open``. The names tell every market: ``BTC_USDT-5m.feather`` is spot, ``BTC_USD_BTC-...`` settles in
the coin, ``BTC_USDT_USDT-250328-...`` expires.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.feather

from quantlab.core.errors import DataError
from quantlab.data.collect.file_choice import LeftOut, SourceFile
from quantlab.data.collect.file_markets import DATED, INDEX, MARK, PREMIUM, TITLES, market_fix, pair_market
from quantlab.data.collect.from_files import FileImport, Rows
from quantlab.data.collect.row_markets import refuse_without_volume
from quantlab.data.quality.bar_checks import FIELDS
from quantlab.data.series.arrow_stamps import whole_milliseconds
from quantlab.data.store.day_files import BARS, FUNDING

_NAME = re.compile(r"(\S+?)(-\d{6})?-(\d+(?:mo|[smhdwM]))(?:-([A-Za-z_]+))?\.(?i:feather)")
_FUTURES, _RATES = "futures", "funding_rate"
_PRICES = {"mark": MARK, "index": INDEX, "premiumIndex": PREMIUM}


@dataclass(frozen=True)
class FreqtradeImport(FileImport):
    """A folder such as ``user_data/data/binance``.

    Parameters
    ----------
    folder, exchange, market, largest_funding_rate, largest_step
        As in :class:`~quantlab.data.collect.from_files.FileImport`.
    timeframe : str
        Files of other intervals are left out, funding rates aside.
    quotes : sequence of str
        Currencies that may be quoted in.
    """

    quotes: Sequence[str]
    ending: ClassVar[str] = ".feather"
    one_file_each: ClassVar[bool] = True

    @property
    def expected_files(self) -> str:
        return f"files named BASE_QUOTE_SETTLE-{self.timeframe}-futures.feather"

    def accept(self, path: Path) -> SourceFile | LeftOut:
        """Take bars of the timeframe, and funding rates, of the wanted market."""
        match = _NAME.fullmatch(unicodedata.normalize("NFC", path.name))
        words = match.group(1).split("_") if match else []
        if match is None or len(words) < 2:
            return LeftOut(path, "a name other than BASE_QUOTE[_SETTLE]-TIMEFRAME[-futures].feather")
        expiry, timeframe, candles = match.group(2), match.group(3), match.group(4)
        if candles in _PRICES:
            return LeftOut(path, TITLES[_PRICES[candles]], market_fix(_PRICES[candles]))
        if candles not in (None, _FUTURES, _RATES):
            return LeftOut(path, f"candles of the kind {candles}")
        # A base may have underscores of its own (freqtrade writes one for a dot): the last words are the currencies.
        count = 1 if candles is None else 2
        if len(words) <= count:
            return LeftOut(path, "futures whose name does not say what they settle in (BASE_QUOTE_SETTLE)")
        base, quote = "_".join(words[:-count]), words[-count]
        market = DATED if expiry else pair_market((base, *words[-count:]))
        if market is None:
            return LeftOut(path, "contracts that settle in neither currency of their pair")
        if quote not in self.quotes and market == self.market:
            return LeftOut(
                path,
                f"quoted in none of {', '.join(self.quotes)} (job.source.quotes)",
                "add the currency to job.source.quotes",
            )
        other = self.another_market(path, market)
        if other is not None:
            return other
        if candles != _RATES and timeframe != self.timeframe:
            return LeftOut(
                path,
                f"bars of {timeframe}, not {self.timeframe} (job.source.timeframe)",
                "set job.source.timeframe to the one of your files",
            )
        return SourceFile(path, base + quote, FUNDING if candles == _RATES else BARS, None)

    def read(self, file: SourceFile) -> Rows:
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
        time_ms = whole_milliseconds(dates, name)
        try:
            values = np.column_stack([table.column(column).cast(pa.float64()).to_numpy() for column in columns])
        except pa.ArrowException as error:
            raise DataError(f"numbers in {name}", found=str(error), fix="check it") from error
        if file.kind == BARS:
            refuse_without_volume(values, name, "")
        return Rows((time_ms, values))
