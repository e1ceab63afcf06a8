"""Headings of a csv file: one line of names, whatever download tools write around it.

Some write a line with an address above the headings, some write several lines of headings, some none. None of them is
guessed: lines that are no rows are left out by their numbers, and a file that has such lines is refused with the setting
that reads it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence

from quantlab.core.errors import DataError
from quantlab.data.collect.csv_text import DELIMITERS, CsvText, Line

#: Lines in which the first row of numbers must be found.
_SEARCHED = 20
#: Numbers that make a line a row: prices, or all of them but a volume.
_NUMBERS = 4
_NUMBER = re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)? *")


def check_headings(text: CsvText, columns: Mapping[str, str]) -> None:
    """Refuse a file whose first line is not its headings, or that has other lines than rows below them.

    Parameters
    ----------
    text : CsvText
    columns : dict
        Ours -> the heading that must be there once.

    Raises
    ------
    DataError
        Naming the setting that reads the file, or what to do with it.
    """
    head = list(itertools.islice(text.lines(), _SEARCHED))
    found = head[0].fields if head else []
    missing = [column for column in columns.values() if found.count(column) != 1]
    skip = _lines_to_skip(head, text.skip_lines)
    if missing:
        raise DataError(
            f"the columns {', '.join(columns.values())}, each once, in {text.name}",
            found=f"{', '.join(found)} (wrong or missing: {', '.join(missing)})" if found else "an empty file",
            fix=_way_out(text, head, columns, skip) if found else "fetch it again, or leave it out",
        )
    if skip:
        raise DataError(
            f"rows of numbers after the headings of {text.name}",
            found=f"in line {head[1].number}: {','.join(head[1].fields)}",
            fix=f"{skip}rows follow the headings at once",
        )


def is_number(text: str) -> bool:
    """True for a number in plain digits or with an exponent."""
    return _NUMBER.fullmatch(text) is not None


def _way_out(text: CsvText, head: Sequence[Line], columns: Mapping[str, str], skip: str) -> str:
    """Words on the setting that reads a table with other headings, or on the table to fetch instead."""
    found = head[0].fields
    for name, character in DELIMITERS.items():
        if len(found) == 1 and character in found[0]:
            return f"set job.source.delimiter={name}, and job.source.columns to the file's own headings"
    if _is_row(head[0]):
        return (
            "this file has no headings, line 1 is a row: write a line of headings above it that names its columns in "
            f"their order, e.g. {','.join(columns.values())}"
        )
    if skip:
        return f"{skip}set job.source.columns to the file's own headings; names are never guessed"
    if len(set(found)) < len(found):
        return (
            "a table of several symbols side by side is written as one file each, e.g. in pandas: t = "
            f'pd.read_csv("{text.name}", header=[0, 1], index_col=0); [t.xs(s, axis=1, level=1).rename_axis("Date")'
            '.to_csv(f"clean/{s}.csv") for s in t.columns.levels[1]]'
        )
    if len(found) < len(columns) - 1:
        return (
            "bars have a time, open, high, low, close and volume: fetch a table that does, e.g. klines of an exchange"
        )
    volume = columns["volume"]
    if volume not in found and not any("vol" in heading.lower() for heading in found):
        return (
            "bars need a volume, which says what can be traded: fetch a table that has it, with opens, highs, lows and "
            "closes, and set job.source.columns to its headings; a made-up volume makes fills that could not have been"
        )
    return "set job.source.columns to the file's own headings; names are never guessed"


def _lines_to_skip(head: Sequence[Line], skipped: Collection[int]) -> str:
    """Words on the lines that are neither headings nor rows; empty if there are none, or no row was found."""
    rows = [place for place, line in enumerate(head) if _is_row(line)]
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


def _is_row(line: Line) -> bool:
    return sum(map(is_number, line.fields)) >= _NUMBERS
