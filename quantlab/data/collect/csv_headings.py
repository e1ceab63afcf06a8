"""Headings of a csv file: one line of names, whatever download tools write around it.

Some write a line with an address above the headings, some write several lines of headings. None of them is guessed: lines
that are no rows are left out by their numbers, and a file that has such lines is refused with the setting that reads it.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from quantlab.core.errors import DataError

_BOM = b"\xef\xbb\xbf"
#: Lines in which the first row of numbers must be found.
_SEARCHED = 20
#: Numbers that make a line a row: prices, or all of them but a volume.
_NUMBERS = 4


class Line(NamedTuple):
    """A line of a file: its number, counted from 1, and its fields."""

    number: int
    fields: list[str]


def read_table(path: Path, skip_lines: Collection[int], columns: Sequence[str]) -> bytes:
    """Bytes of a csv file without the lines to be left out: one line of headings, then rows.

    Parameters
    ----------
    path : Path
    skip_lines : collection of int
        Numbers of lines, counted from 1.
    columns : sequence of str
        Headings that must be there, each once.

    Raises
    ------
    DataError
        If they are not, or a line after the headings is no row; it says which lines to leave out.
    """
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise DataError(f"a file {path.name} that can be read", found=str(error), fix="check it") from error
    lines = data.split(b"\n", max((*skip_lines, _SEARCHED)))
    kept = [(number, line) for number, line in enumerate(lines, start=1) if number not in skip_lines]
    filled = [(number, line) for number, line in kept if line.strip()][:_SEARCHED]
    texts = [line.decode(errors="replace").strip("\r") for _, line in filled]
    head = [Line(number, fields) for (number, _), fields in zip(filled, csv.reader(texts), strict=False)]
    _check(head, columns, path.name, skip_lines)
    return b"\n".join(line for _, line in kept)


def _check(head: Sequence[Line], columns: Sequence[str], name: str, skipped: Collection[int]) -> None:
    found = head[0].fields if head else []
    missing = [column for column in columns if found.count(column) != 1]
    way_out = _lines_to_skip(head, skipped)
    if missing:
        raise DataError(
            f"the columns {', '.join(columns)}, each once, in {name}",
            found=f"{', '.join(found)} (wrong or missing: {', '.join(missing)})" if found else "an empty file",
            fix=f"{way_out}set job.source.columns to the file's own headings; names are never guessed",
        )
    if way_out:
        raise DataError(
            f"rows of numbers after the headings of {name}",
            found=f"in line {head[1].number}: {','.join(head[1].fields)}",
            fix=f"{way_out}rows follow the headings at once",
        )


def _lines_to_skip(head: Sequence[Line], skipped: Collection[int]) -> str:
    """Words on the lines that are neither headings nor rows; empty if there are none, or no row was found."""
    rows = [place for place, line in enumerate(head) if sum(map(_is_number, line.fields)) >= _NUMBERS]
    if not rows or rows[0] <= 1:
        return ""
    row, above = head[rows[0]], head[: rows[0]]
    names = [
        line for line in above if len(set(line.fields)) == len(row.fields) == len(line.fields) and all(line.fields)
    ]
    if not names:
        return ""
    lines = sorted({*skipped, *(line.number for line in above if line is not names[0])})
    return (
        f"set job.source.skip_lines={str(lines).replace(' ', '')}: line {names[0].number} holds the headings "
        f"({', '.join(names[0].fields)}) and line {row.number} the first row ({', '.join(row.fields[:2])}, ...); "
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
