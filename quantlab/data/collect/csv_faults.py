"""Lines of a csv file that are no rows of numbers, found after its table could not be read, and the way out of each.

Arrow names the value that it could not read, and no line. Only a refused file is read a second time, line by line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantlab.core.errors import DataError
from quantlab.data.collect.csv_headings import is_number
from quantlab.data.collect.csv_text import DELIMITERS, CsvText, Line
from quantlab.data.quality.bar_checks import FIELDS

#: Lines that a setting can still name; more of them are a table of another form.
_MOST = 20
#: Texts that Arrow reads as a missing number: the check of the rows names them.
_NULLS = {
    "",
    "null",
    "NULL",
    "nan",
    "NaN",
    "-nan",
    "-NaN",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "#NA",
    "inf",
    "-inf",
    "Inf",
    "-Inf",
}
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+")
_SUFFIXED = re.compile(r"[\d.,]+[KMBkmb]")
_DAY = re.compile(r"(\d{1,4})([/.-])(\d{1,2})\2(\d{1,4})")


def unread_lines(text: CsvText, columns: Mapping[str, str], problem: str) -> DataError:
    """The refusal of a table that could not be read, with the first line that is the reason.

    Parameters
    ----------
    text : CsvText
    columns : dict
        Ours -> the file's heading.
    problem : str
        Said if no line is found.
    """
    expected = f"numbers and timestamps in {text.name}"
    headings = next(text.lines()).fields
    places = {name: headings.index(columns[name]) for name in columns}
    faults = []
    for line in text.rows():
        reason = _fault(line, headings, places)
        if reason:
            faults.append((line, reason))
        if len(faults) > _MOST:
            break
    if not faults:
        return DataError(expected, found=problem, fix="correct the file")
    first, reason = faults[0]
    found = f"line {first.number} ({','.join(first.fields)[:80]}): {reason}"
    if len(faults) <= _MOST and all(_is_no_row(line, places) for line, _ in faults):
        lines = sorted({*text.skip_lines, *(line.number for line, _ in faults)})
        fix = f"set job.source.skip_lines={str(lines).replace(' ', '')}, which leaves out what is no row"
        return DataError(expected, found=found, fix=fix)
    if len(first.fields) != len(headings):
        fix = "fetch the file again, it may have been cut off there; or leave the line out by job.source.skip_lines"
        return DataError(expected, found=found, fix=fix)
    return DataError(expected, found=found, fix=clean_table(text, columns, first) or "correct the line")


def clean_table(text: CsvText, columns: Mapping[str, str], row: Line) -> str:
    """Lines of pandas that write a table which can be read; empty where `row` shows nothing that they mend."""
    headings = next(text.lines()).fields
    cells = {name: row.fields[headings.index(columns[name])].strip() for name in columns}
    options = [f'"{text.name}"']
    if text.delimiter != "comma":
        options.append(f"sep={DELIMITERS[text.delimiter]!r}")
    if text.skip_lines:
        options.append(f"skiprows={[number - 1 for number in sorted(text.skip_lines)]}")
    prices = [cells[name] for name in FIELDS]
    steps: list[str] = []
    if any(map(_THOUSANDS.fullmatch, prices)):
        steps.append("")
        options.append('thousands=","')
    elif any(map(_DECIMAL_COMMA.fullmatch, prices)):
        steps.append("")
        options += ['decimal=","', 'thousands="."']
    for name in FIELDS:
        if _SUFFIXED.fullmatch(cells[name]):
            cell = f't["{columns[name]}"]'
            units = '{"K": 1e3, "M": 1e6, "B": 1e9}'
            steps.append(f"{cell} = {cell}.str[:-1].astype(float) * {cell}.str[-1].str.upper().map({units})")
    steps += _clean_stamps(columns["timestamp"], cells["timestamp"])
    if not steps:
        return ""
    done = "; ".join(step for step in steps if step)
    return (
        f"write a clean table, e.g. in pandas: t = pd.read_csv({', '.join(options)}); {done}{'; ' if done else ''}"
        f't.to_csv("clean/{text.name}", index=False), and import it with job.source.folder=clean job.source.unit=text'
        f"{' job.source.skip_lines=[]' if text.skip_lines else ''}"
        f"{' job.source.delimiter=comma' if text.delimiter != 'comma' else ''}"
    )


def _clean_stamps(heading: str, text: str) -> list[str]:
    """A statement that writes dates such as 03/17/2025, 17.03.2025 and Mar 17, 2025 as ISO 8601."""
    match = _DAY.match(text)
    if match is None and not re.search(r"[A-Za-z]{3}", text):
        return []
    if match is None:
        return [f't["{heading}"] = pd.to_datetime(t["{heading}"], utc=True)']
    first, between, second, last = match.groups()
    if len(first) == 4:
        form = f"%Y{between}%m{between}%d"
        return [] if between == "-" else [_parsed(heading, text, match, form)]
    year = "%Y" if len(last) == 4 else "%y"
    day_first = between == "." or int(first) > 12
    order = f"%d{between}%m" if day_first and int(second) <= 12 else f"%m{between}%d"
    unclear = " (%d before %m if days come first)" if between != "." and max(int(first), int(second)) <= 12 else ""
    return [_parsed(heading, text, match, f"{order}{between}{year}") + unclear]


def _parsed(heading: str, text: str, match: re.Match[str], form: str) -> str:
    clock = text[match.end() :]
    form += "".join(" %H:%M:%S"[: 3 * clock.count(":") + 3]) if re.fullmatch(r" \d{1,2}:\d{2}(:\d{2})?", clock) else ""
    return f't["{heading}"] = pd.to_datetime(t["{heading}"], format="{form}", utc=True)'


def _fault(line: Line, headings: list[str], places: Mapping[str, int]) -> str:
    if len(line.fields) != len(headings):
        fields = "1 field" if len(line.fields) == 1 else f"{len(line.fields)} fields"
        return f"{fields} where the headings have {len(headings)}"
    for name in FIELDS:
        cell = line.fields[places[name]]
        if not is_number(cell) and cell.strip() not in _NULLS:
            return f"{name} is {cell!r}"
    return ""


def _is_no_row(line: Line, places: Mapping[str, int]) -> bool:
    """True if the line holds no number where a price or a volume stands."""
    cells = [line.fields[places[name]] for name in FIELDS if places[name] < len(line.fields)]
    return not any(re.search(r"\d", cell) for cell in cells)
