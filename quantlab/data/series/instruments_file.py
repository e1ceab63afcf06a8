"""Trading rules per symbol from a csv file that a person writes, dated where they changed.

Columns: ``symbol``, optional ``from`` (the time since which a row holds; an empty cell: always), and any of the fields
of :class:`~quantlab.core.market.Instrument`. An empty cell, or a column that is left out, is the value that the symbol has
without the file. Before a symbol's first dated row its undated row holds, or what it has without the file.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantlab.core.clock import iso_utc
from quantlab.core.market import LARGEST_RULES, Instrument, RuleChange
from quantlab.data.series.csv_table import TableRow, read_table

_MINUTE_MS = 60_000
_FIELDS = tuple(field.name for field in dataclasses.fields(Instrument))


@dataclass(frozen=True)
class InstrumentRow:
    """One row of the file.

    Parameters
    ----------
    symbol : str
    from_ms : int or None
        None = always.
    stated : dict of field to float
    row : TableRow
        Where it stands.
    """

    symbol: str
    from_ms: int | None
    stated: Mapping[str, float]
    row: TableRow


@dataclass(frozen=True)
class InstrumentsFile:
    """All rows of a file; none where there is no file.

    Parameters
    ----------
    rows : tuple of InstrumentRow
        Undated ones first, then by time.
    name : str
        Of the file, for notes.
    """

    rows: tuple[InstrumentRow, ...] = ()
    name: str = ""

    def check(self, known: Collection[str]) -> None:
        """Refuse, by its row, a symbol that the data does not have.

        Raises
        ------
        DataError
            Naming the row.
        """
        for row in self.rows:
            if row.symbol not in known:
                found = f"{row.symbol}, of which there are no bars"
                raise row.row.refuse("a symbol of the data", found, "correct the symbol, or remove the row")

    def rules(
        self, defaults: Mapping[str, Instrument], first_ms: int
    ) -> tuple[tuple[Instrument, ...], tuple[RuleChange, ...]]:
        """Trading rules of a bar that opens at `first_ms`, and their changes after it, by time.

        Parameters
        ----------
        defaults : dict of symbol to Instrument
            What each symbol has without the file, in the order wanted.
        first_ms : int
        """
        now, changes = dict(defaults), []
        for row in self.rows:
            if row.symbol not in now:
                continue
            instrument = dataclasses.replace(defaults[row.symbol], **row.stated)
            if row.from_ms is None or row.from_ms <= first_ms:
                now[row.symbol] = instrument
            else:
                changes.append(RuleChange(row.from_ms, row.symbol, instrument))
        return tuple(now.values()), tuple(changes)

    def states(self, symbol: str, field: str) -> bool:
        """Return whether the file states a rule of a symbol at every time."""
        rows = [row for row in self.rows if row.symbol == symbol]
        return any(row.from_ms is None for row in rows) and all(field in row.stated for row in rows)

    def notes(self, symbols: Collection[str]) -> tuple[str, ...]:
        """Sentences on the symbols that the file does not name, and on changes of rules."""
        if not self.name:
            return ()
        named = {row.symbol for row in self.rows if row.symbol in symbols}
        dated = [row for row in self.rows if row.symbol in symbols and row.from_ms is not None]
        without, notes = [symbol for symbol in symbols if symbol not in named], []
        if without:
            shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
            notes.append(
                f"{len(without)} of {len(symbols)} symbols have no row in {self.name} and keep the rules that they have without it ({shown})"
            )
        if dated:
            changed = list(dict.fromkeys(row.symbol for row in dated))
            shown = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
            notes.append(
                f"trading rules are dated: {self.name} changes those of {shown}, rows with a time: {len(dated)}"
            )
        return tuple(notes)


def read_instruments(path: str | Path | None) -> InstrumentsFile:
    """The instruments of a file; none for None.

    Raises
    ------
    DataError
        If the file cannot be read, or naming the first row with a cell that is not as the module says, or that names the symbol
        and time of another.
    """
    if path is None:
        return InstrumentsFile()
    found: dict[tuple[str, int | None], InstrumentRow] = {}
    for row in read_table(Path(path), ("symbol",), ("from", *_FIELDS)):
        symbol, from_ms = row.text("symbol"), row.time_ms("from") if row.texts["from"] else None
        if from_ms is not None and from_ms % _MINUTE_MS:
            raise row.refuse("from as a whole minute", row.texts["from"], "write the time that the venue announced")
        stated = {name: row.number_of(name, LARGEST_RULES.get(name, math.inf)) for name in _FIELDS if row.texts[name]}
        instrument = InstrumentRow(symbol, from_ms, stated, row)
        before = found.setdefault((symbol, from_ms), instrument)
        if before is not instrument:
            when = "without a time" if from_ms is None else f"from {iso_utc(from_ms)}"
            expected = "one row per symbol and time"
            raise row.refuse(expected, f"{symbol} {when} also in row {before.row.number}", "remove one of them")
    rows = sorted(found.values(), key=lambda row: (row.from_ms is not None, row.from_ms or 0, row.symbol))
    return InstrumentsFile(tuple(rows), Path(path).name)
