"""Options that the sources of stored bars share: folder, symbols, trading rules, period, funding and adjustments."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from quantlab.core.checks import check_choice, check_has, check_period, check_range, parse_time
from quantlab.core.errors import ConfigError, DataError
from quantlab.core.market import Instrument


def check_file(option: str, value: str | Path | None) -> None:
    """Raise ConfigError unless `value` is the name of a file, or None."""
    if value is not None and not (isinstance(value, str | Path) and str(value)):
        raise ConfigError(f"{option} as a file", found=repr(value), fix=f"set {option}=FILE, or null")


def choose_symbols(
    wanted: str | Sequence[str], known: Collection[str], expected: Callable[[str], str]
) -> tuple[str, ...]:
    """The configured symbols in their order; ``"all"`` takes all that are known.

    Parameters
    ----------
    wanted : str or sequence of str
    known : collection of str
        In the order for ``"all"``.
    expected : callable
        A symbol -> the file or the bars of it that should be there, for the error.

    Raises
    ------
    ConfigError
        If a symbol is named twice, or none is.
    DataError
        If a symbol is not known; the nearest names are told.
    """
    if wanted == "all":
        return tuple(known)
    names = [wanted] if isinstance(wanted, str) else [str(symbol) for symbol in wanted]
    if not names or len(set(names)) != len(names):
        fix = "remove the repeats, or name at least one symbol"
        raise ConfigError("data.symbols as 'all' or a list that names each symbol once", found=str(names), fix=fix)
    for symbol in names:
        if symbol not in known:
            folded = {name.casefold(): name for name in known}
            near = [folded[name] for name in difflib.get_close_matches(symbol.casefold(), folded, n=3, cutoff=0.4)]
            raise DataError(
                expected(symbol),
                found=f"none; the nearest names are {', '.join(near)}" if near else f"none among {len(known)} symbols",
                fix="correct data.symbols, or add the data of that symbol",
            )
    return tuple(names)


@dataclass(frozen=True)
class StoredSource:
    """Base of the sources that read bars from a folder.

    Parameters
    ----------
    root : str or Path
        The folder.
    symbols : str or sequence of str
        In the order wanted; ``"all"`` takes all, alphabetically.
    instrument : Instrument
    start, end : str or None
        ISO 8601, UTC unless they name a zone; ``start <= open < end``. None = the data's own bound.
    funding : str
        One of :attr:`funding_modes`.
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional; larger ones count as missing, and notes say so.
    adjustments : str, Path or None
        A csv file of redenominations and splits, see :mod:`quantlab.data.series.adjustments`.
    instruments : str, Path or None
        A csv file of trading rules per symbol, see :mod:`quantlab.data.series.instruments_file`.

    Raises
    ------
    ConfigError
        If `root` is no folder's name, a bound is not ISO 8601, the period is empty, or `funding` is no such mode.
    """

    root: str | Path
    symbols: str | Sequence[str]
    instrument: Instrument
    start: str | None
    end: str | None
    funding: str
    largest_funding_rate: float
    adjustments: str | Path | None = field(default=None, kw_only=True)
    instruments: str | Path | None = field(default=None, kw_only=True)
    #: The ways in which funding can be read.
    funding_modes: ClassVar[tuple[str, ...]] = ("auto", "off")

    def __post_init__(self) -> None:
        check_has("data.instrument", self.instrument, "tick", "taker_fee_bps")
        if not isinstance(self.root, str | Path) or not str(self.root):
            raise ConfigError("data.root as a folder", found=repr(self.root), fix="set data.root=DIR")
        check_period("data", self.start, self.end)
        check_choice("data.funding", self.funding, self.funding_modes)
        check_range("data.largest_funding_rate", self.largest_funding_rate, low=0.0)
        check_file("data.adjustments", self.adjustments)
        check_file("data.instruments", self.instruments)

    @property
    def synthetic(self) -> bool:
        return False

    def _period(self, start_ms: int | None, end_ms: int | None) -> tuple[int | None, int | None]:
        """The part of the source's own period that lies in ``[start_ms, end_ms)``; None = open."""
        starts = [ms for ms in (parse_time("data.start", self.start), start_ms) if ms is not None]
        ends = [ms for ms in (parse_time("data.end", self.end), end_ms) if ms is not None]
        return max(starts, default=None), min(ends, default=None)
