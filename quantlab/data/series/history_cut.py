"""The part of a source's history that a job works on."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.checks import check_period, check_whole, parse_time
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource


@dataclass(frozen=True)
class HistoryCut:
    """The ``history`` node of the configuration.

    Parameters
    ----------
    start, end : str or None
        ISO 8601 dates or times, UTC; bars with ``start <= open < end``.
    bars, symbols : int or None
        The newest so many bars and the source's first so many symbols.

    Raises
    ------
    ConfigError
        If a date is not ISO 8601, the end is not after the start, or a count is not a positive whole number.
    """

    start: str | None
    end: str | None
    bars: int | None
    symbols: int | None

    def __post_init__(self) -> None:
        check_period("history", self.start, self.end)
        for name in ("bars", "symbols"):
            count = getattr(self, name)
            if count is not None:
                check_whole(f"history.{name}", count, low=1)

    def load(self, source: DataSource) -> Bars:
        """The wanted part of `source`.

        Raises
        ------
        DataError
            If the source refuses its data.
        """
        bars = source.history(parse_time("history.start", self.start), parse_time("history.end", self.end))
        if self.bars is not None:
            bars = bars.rows(max(0, bars.n_bars - self.bars), bars.n_bars)
        if self.symbols is not None and self.symbols < bars.n_symbols:
            bars = bars.first_symbols(self.symbols)
        return bars
