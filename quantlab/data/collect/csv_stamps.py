"""Stamps of a csv file, texts or numbers, in whole milliseconds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quantlab.core.arrays import Int64Array
from quantlab.core.clock import iso_exact
from quantlab.core.errors import DataError
from quantlab.data.collect.csv_faults import clean_table
from quantlab.data.collect.csv_headings import is_number
from quantlab.data.collect.csv_text import CsvText
from quantlab.data.series.arrow_stamps import whole_milliseconds
from quantlab.data.series.timestamp_checks import check_years

#: Units of a millisecond.
UNITS = {"s": 0.001, "ms": 1.0, "us": 1_000.0, "ns": 1_000_000.0}
#: Units by the number of digits that a stamp has from 2001 to 2286.
_DIGITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$"


def parse_stamps(texts: pa.Array, unit: str, zone: str | None, text: CsvText, columns: Mapping[str, str]) -> Int64Array:
    """Epoch milliseconds of a column as it stands in the file.

    Parameters
    ----------
    texts : pa.Array of string
    unit : str
        ``text`` or a key of :data:`UNITS`.
    zone : str or None
        Of texts that name none.
    text : CsvText
        The file, for messages.
    columns : dict
        Ours -> the file's heading.

    Raises
    ------
    DataError
        Naming the first stamp that is none, with its row and line, and the way out.
    """
    texts = pc.utf8_trim_whitespace(texts)
    _refuse_first(pc.equal(texts, ""), texts, text, "a timestamp in every row", "fill it in, or leave the line out")
    if unit == "text":
        return _parse_texts(texts, zone, text, columns)
    texts = pc.replace_substring_regex(texts, r"\.0*$", "")
    wrong = pc.invert(pc.match_substring_regex(texts, r"^[+-]?\d{1,19}$"))
    fix = "set job.source.unit=text, and job.source.zone where the texts name none"
    first = _first(texts, wrong)
    if is_number(first):
        fix = "write the stamps as whole numbers: one with a fraction or an exponent is no exact time"
    elif first and not pc.match_substring_regex(pa.array([first]), _ISO)[0].as_py():
        fix = _cleaned(text, columns) or fix
    _refuse_first(wrong, texts, text, f"timestamps in whole numbers (job.source.unit={unit})", fix)
    # Checked in years before it is scaled: milliseconds read as seconds would overflow.
    numbers = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False) / UNITS[unit]
    clipped: Int64Array = np.clip(numbers, -9e15, 9e15).astype(np.int64)
    check_years(clipped, text.name)
    off = np.flatnonzero(clipped != numbers)
    if len(off):
        found = f"{len(off)} with fractions, the first in row {off[0]} ({iso_exact(int(clipped[off[0]]))})"
        raise DataError(f"timestamps of {text.name} in whole milliseconds", found=found, fix="round the stamps")
    return clipped


def _parse_texts(texts: pa.Array, zone: str | None, text: CsvText, columns: Mapping[str, str]) -> Int64Array:
    # The same moment in other words: "UTC" for Z, and the comma that ISO 8601 allows before a fraction.
    texts = pc.replace_substring_regex(texts, r" ?(UTC|GMT)$", "Z")
    texts = pc.replace_substring_regex(texts, r"(:\d{2}),(\d+)", r"\1.\2")
    # Tools write whole milliseconds with any number of digits: Arrow reads nine of them.
    texts = pc.replace_substring_regex(texts, r"(\.\d{3})0+(Z|[+-]\d{2}:?\d{2}|)$", r"\1\2")
    wrong = pc.invert(pc.match_substring_regex(texts, _ISO))
    first = _first(texts, wrong)
    unit = _DIGITS.get(len(first.split(".")[0])) if is_number(first) else None
    fix = f"set job.source.unit={unit}" if unit else _cleaned(text, columns) or "write them like 2025-03-17T00:00:00Z"
    _refuse_first(wrong, texts, text, "ISO 8601 timestamps", fix)
    named = pc.match_substring_regex(texts, _ZONE)
    with_zone = bool(pc.all(named).as_py())
    if not with_zone and (zone is None or pc.any(named).as_py()):
        none = _first(texts, pc.invert(named))
        raise DataError(
            f"a time zone with every timestamp of {text.name}",
            found=f"none with {none!r}",
            fix="say which zone it is: job.source.zone=UTC",
        )
    try:
        moments = pc.cast(texts, pa.timestamp("ns", tz="UTC") if with_zone else pa.timestamp("ns"))
    except pa.ArrowException as error:
        fix = "correct the stamp, or leave the line out by job.source.skip_lines"
        raise DataError(f"ISO 8601 timestamps in {text.name}", found=str(error), fix=fix) from error
    try:
        return whole_milliseconds(moments if with_zone else pc.assume_timezone(moments, zone), text.name)
    except pa.ArrowException as error:
        fix = "stamps of an hour that a clock change leaves out or repeats are no moments: fetch the table in UTC"
        raise DataError(f"timestamps of {text.name} in the zone {zone}", found=str(error), fix=fix) from error


def _refuse_first(wrong: pa.Array, texts: pa.Array, text: CsvText, expected: str, fix: str) -> None:
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))
    if len(rows):
        row = int(rows[0])
        line = next(itertools.islice(text.rows(), row, None))
        found = f"{texts[row].as_py()!r} in row {row} (line {line.number})"
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise DataError(f"{expected} in {text.name}", found=found + more, fix=fix)


def _first(texts: pa.Array, chosen: pa.Array) -> str:
    """The first text that is chosen; empty if none is."""
    rows = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
    return str(texts[int(rows[0])].as_py()) if len(rows) else ""


def _cleaned(text: CsvText, columns: Mapping[str, str]) -> str:
    return clean_table(text, columns, next(text.rows()))
