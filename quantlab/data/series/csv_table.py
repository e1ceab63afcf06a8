"""Small tables that a person writes: csv files with headings, read as texts and refused by row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from quantlab.core.clock import parse_utc
from quantlab.core.errors import DataError


@dataclass(frozen=True)
class TableRow:
    """One row: its number in the file, without the heading, from 1 on, and its texts by column.

    Parameters
    ----------
    file : str
        Name of the file, for messages.
    number : int
    texts : dict of column to str
        Empty where the cell is.
    """

    file: str
    number: int
    texts: dict[str, str]

    def refuse(self, expected: str, found: str, fix: str) -> DataError:
        """An error that names the row."""
        return DataError(f"{expected} in row {self.number} of {self.file}", found=found, fix=fix)

    def text(self, column: str) -> str:
        """The text of a cell that must not be empty."""
        text = self.texts[column]
        if not text:
            raise self.refuse(f"a {column}", "an empty cell", "fill it in, or remove the row")
        return text

    def time_ms(self, column: str) -> int:
        """Epoch milliseconds of a time, UTC unless it names a zone."""
        text = self.text(column)
        try:
            return parse_utc(text)
        except (ValueError, OverflowError) as error:
            fix = "write it like 2025-03-16T00:00:00Z"
            raise self.refuse(f"{column} as an ISO 8601 time", repr(text), fix) from error

    def number_of(self, column: str, high: float = math.inf) -> float:
        """A finite number >= 0 and not above `high`, in plain digits or with an exponent."""
        text = self.text(column)
        try:
            value = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0.0):
            raise self.refuse(f"{column} as a finite number >= 0", repr(text), "write it like 0.001")
        if value > high:
            found, fix = repr(text), "correct it; is it in percent, or in another unit?"
            raise self.refuse(f"{column} from 0 to {high:g}", found, fix)
        return value


def read_table(path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> tuple[TableRow, ...]:
    """All rows of a csv file, as texts.

    Parameters
    ----------
    path : Path
        UTF-8, commas, one line of headings.
    required, optional : tuple of str
        Names of columns. There may be no others.

    Raises
    ------
    DataError
        If the file cannot be read, or a column is missing, unknown or there twice.
    """
    columns = (*required, *optional)
    options = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False)
    expected = f"a csv file with the columns {', '.join(required)}" + (
        f" and any of {', '.join(optional)}" if optional else ""
    )
    try:
        table = pyarrow.csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{expected} at {path}", found=str(error), fix="correct the file or its name") from error
    names = table.column_names
    wrong = [n for n in names if n not in columns or names.count(n) > 1] + [n for n in required if n not in names]
    if wrong:
        found = f"{', '.join(names)} (wrong, missing or there twice: {', '.join(dict.fromkeys(wrong))})"
        raise DataError(f"{expected} at {path}", found=found, fix="rename or remove columns; names are never guessed")
    rows = enumerate(table.to_pylist(), 1)
    return tuple(TableRow(path.name, number, {name: row.get(name, "") for name in columns}) for number, row in rows)
