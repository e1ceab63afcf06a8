"""Lines of a csv file, by their numbers: those to be left out, headings, and rows."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from quantlab.core.errors import DataError

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: Characters between two fields, by their names in the configuration.
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


class Line(NamedTuple):
    """A line of a file: its number, counted from 1, and its fields."""

    number: int
    fields: list[str]


@dataclass(frozen=True)
class CsvText:
    """The text of a csv file.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    data : bytes
        UTF-8 with lines that end with a line feed.
    skip_lines : collection of int
        Numbers of lines to be left out, counted from 1.
    delimiter : str
        A key of :data:`DELIMITERS`.
    """

    name: str
    data: bytes
    skip_lines: Collection[int]
    delimiter: str

    def lines(self) -> Iterator[Line]:
        """Headings and rows: every line that is not left out and not blank.

        Raises
        ------
        DataError
            If the fields of a line cannot be told apart.
        """
        for number, start, end in self._bounds():
            line = self.data[start:end]
            if number not in self.skip_lines and line.strip():
                yield Line(number, self._fields(number, line.decode(errors="replace").strip("\r")))

    def rows(self) -> Iterator[Line]:
        """Every line after the headings."""
        return itertools.islice(self.lines(), 1, None)

    def table(self) -> bytes:
        """The whole text without the lines to be left out."""
        if not self.skip_lines:
            return self.data
        last, kept, rest = max(self.skip_lines), [], len(self.data)
        for number, start, end in self._bounds():
            if number > last:
                rest = start
                break
            if number not in self.skip_lines:
                kept.append(self.data[start : end + 1])
        return b"".join([*kept, self.data[rest:]])

    def _bounds(self) -> Iterator[tuple[int, int, int]]:
        start = 0
        for number in itertools.count(1):
            if start >= len(self.data):
                return
            end = self.data.find(b"\n", start)
            end = len(self.data) if end < 0 else end
            yield number, start, end
            start = end + 1

    def _fields(self, number: int, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=DELIMITERS[self.delimiter]))
        except csv.Error as error:
            raise DataError(
                f"fields with {self.delimiter}s between them in line {number} of {self.name}",
                found=str(error),
                fix="correct that line, or leave it out by job.source.skip_lines",
            ) from error


def read_text(path: Path, skip_lines: Collection[int], delimiter: str) -> CsvText:
    """Read a csv file, whatever its line ends.

    Raises
    ------
    DataError
        If it cannot be read, or is no UTF-8 text.
    """
    try:
        data = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise DataError(f"a file {path.name} that can be read", found=str(error), fix="check it") from error
    if data.startswith(_UTF16) or b"\0" in data[:1000]:
        raise DataError(f"UTF-8 text in {path.name}", found="UTF-16, or no text", fix="save it as csv in UTF-8")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    return CsvText(path.name, data, skip_lines, delimiter)
