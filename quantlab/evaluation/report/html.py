"""Numbers and tables as HTML; every string is escaped here, once."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from quantlab.core.clock import iso_utc

_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"
#: A hyphen that begins a number; those inside dates and names follow a character.
_HYPHEN = re.compile(r"(?<![\w-])-(?=\d)")


class Html(str):
    """Markup that is already safe; every other string is escaped when it is put on the page."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """`value` as safe markup."""
    return value if isinstance(value, Html) else Html(escape(str(value), quote=True))


def number(value: float | None, form: str = ",.2f", *, suffix: str = "", scale: float = 1.0) -> str:
    """A formatted number with a true minus sign, or a dash for None."""
    if value is None:
        return _NONE
    return (format(value * scale, form) + suffix).replace("-", _MINUS)


def significant(value: float, digits: int = 6) -> str:
    """Prices and units of any size to `digits` significant ones, never as powers of ten."""
    if value == 0.0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = number(value, f",.{places}f")
    return shown.rstrip("0").rstrip(".") if places else shown


def with_minus_signs(words: str) -> str:
    """`words` with a true minus sign before every negative number."""
    return _HYPHEN.sub(_MINUS, words)


def percent(value: float | None, form: str = ",.2f") -> str:
    """A fraction in per cent."""
    return number(value, form, suffix=" %", scale=100.0)


def usd(value: float | None, form: str = ",.2f") -> str:
    """An amount in USD, without the unit."""
    return number(value, form)


def tag(name: str, content: object = "", **attributes: object) -> Html:
    """One element; ``class_`` stands for the attribute ``class``."""
    written = "".join(f' {key.rstrip("_")}="{escaped(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{escaped(content)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """Parts one after another, each escaped unless it is markup."""
    return Html("".join(escaped(part) for part in parts))


@dataclass(frozen=True)
class SortCell:
    """A table cell with the value that it stands for.

    Parameters
    ----------
    shown : object
        Markup or text for the reader.
    value : float, str or None
        In full precision: a table that can be sorted is sorted and saved by it; None and NaN stand last and are saved empty.
    """

    shown: object
    value: float | str | None

    def attribute(self) -> str:
        """The value as text that JavaScript and a CSV file read."""
        if self.value is None or isinstance(self.value, str):
            return self.value or ""
        return "" if math.isnan(self.value) else repr(float(self.value)).removesuffix(".0")


def sort_cell(shown: object, value: float | str | None) -> SortCell:
    """A cell that shows `shown` and is sorted and saved by `value`; times as ISO texts."""
    return SortCell(shown, value)


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, words: int | Collection[int] = 1, empty: str
) -> Html:
    """A table with columns of text, and of right-aligned numbers.

    Without rows the sentence `empty` stands in its place. `words` is how many columns are text, from the first one on,
    or which ones are, counted from 0.
    """
    text = range(words) if isinstance(words, int) else words
    kinds = ["word" if i in text else "num" for i in range(len(head))]
    body = [join(_td(cell, kind) for cell, kind in zip(row, kinds, strict=True)) for row in rows]
    if not body:
        return tag("p", empty, class_="empty")
    top = join(tag("th", cell, class_=kind, scope="col") for cell, kind in zip(head, kinds, strict=True))
    inner = tag("thead", tag("tr", top)) + tag("tbody", join(tag("tr", row) for row in body))
    return tag("div", tag("table", Html(inner)), class_="scroll")


def _td(cell: object, kind: str) -> Html:
    if isinstance(cell, SortCell):
        return tag("td", cell.shown, class_=kind, **{"data-sort": cell.attribute()})
    return tag("td", cell, class_=kind)


def sortable_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: int | Collection[int] = 1,
    empty: str,
    csv_name: str | None = None,
    filters: bool = False,
    first: int | None = None,
) -> Html:
    """A :func:`table` that the page's script lets a reader sort, filter and save.

    The page needs :func:`table_style` and :func:`table_script`; without JavaScript every row stands there.

    Parameters
    ----------
    head, rows, words, empty
        As of :func:`table`; a cell made by :func:`sort_cell` is sorted and saved by its value, any other by what it shows.
    csv_name : str or None
        File name under which all rows that pass the filter are saved, in the order that is seen; None = no such button.
    filters : bool
        Whether a field filters rows by words and comparisons such as ``trades>100``, with numbers as they are shown.
    first : int or None
        Rows that are shown until all are asked for; None = all.
    """
    options = {"data-first": first, "data-csv": csv_name, "data-filter": "" if filters else None}
    given = {name: value for name, value in options.items() if value is not None}
    return tag("div", table(head, rows, words=words, empty=empty), class_="sortable", **given)


def table_style() -> str:
    """Style sheet of tables that can be sorted; its colours are those of ``report/page.css``."""
    return page_asset("report/table.css")


def table_script() -> str:
    """Script of tables: they can be sorted, and wide ones say that they go on; it needs nothing else of the page."""
    return page_asset("report/table.js")


def pairs_table(title: str, rows: Iterable[Sequence[object]]) -> Html:
    """A narrow table of numbers of both accounts, under `title`."""
    return tag("div", table((title, "Evidence", "Lived"), rows, empty="No numbers."), class_="pairs")


def section(title: str, *content: object, note: str = "", anchor: str = "") -> Html:
    """A titled part of the page, which ``#anchor`` points to."""
    lead = tag("p", note, class_="note") if note else ""
    named = {"id": anchor} if anchor else {}
    return tag("section", join((tag("h2", title), lead, *content)), **named)


def fold(title: str, key: object, *content: object, note: str = "", anchor: str) -> Html:
    """A part of the page that is folded to one line, its title and key numbers, until it is opened.

    Figures in it are drawn when it is opened; a link to ``#anchor`` opens it.
    """
    lead = tag("p", note, class_="note") if note else ""
    line = tag("summary", join((tag("h2", title), tag("p", key, class_="key"))))
    return tag("details", join((line, tag("div", join((lead, *content)), class_="inner"))), class_="fold", id=anchor)


def folds(*parts: object) -> Html:
    """Several :func:`fold`, one below the other; neighbours on the page close up."""
    return tag("div", join(parts), class_="folds")


def contents_bar(entries: Iterable[tuple[str, str]]) -> Html:
    """Links to sections, as pairs of name and anchor, that stay at the top of the window below their own place."""
    links = join(tag("a", name, href=f"#{anchor}") for name, anchor in entries)
    return tag("nav", links, class_="contents", **{"aria-label": "Contents"})


def undefined_reasons(undefined: Mapping[str, str]) -> Html:
    """Reasons why numbers are missing, names with the same reason together."""
    grouped: dict[str, list[str]] = {}
    for name, reason in undefined.items():
        grouped.setdefault(reason, []).append(name.replace("_", " "))
    lines = [tag("li", f"{', '.join(names)}: {reason}") for reason, names in grouped.items()]
    return tag("ul", join(lines), class_="reasons") if lines else Html("")


def duration(days: float) -> str:
    """A time span in the unit that fits it.

    Examples
    --------
    >>> duration(1.5 / 24.0), duration(3.25), duration(0.0)
    ('1.5 h', '3.2 days', '0 min')
    """
    if days >= 2.0:
        return f"{days:,.1f} days" if days < 100.0 else f"{days:,.0f} days"
    return f"{days * 24.0:.1f} h" if days >= 1.0 / 24.0 else f"{days * 1_440.0:.0f} min"


def utc_minute(time_ms: int) -> str:
    """A UTC time to the minute."""
    return iso_utc(time_ms)[:16].replace("T", " ")


def utc_cell(time_ms: int) -> Html:
    """The same in a table's cell, in one line."""
    return tag("span", utc_minute(time_ms), class_="when")


def script_json(value: Any) -> Html:
    """JSON that cannot end the script element in which it stands.

    Raises
    ------
    ValueError
        If a number is NaN or infinite.
    """
    plain = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def page_asset(name: str) -> str:
    """Text of a template, style sheet or script; `name` is its path below ``quantlab/evaluation``."""
    return files("quantlab.evaluation").joinpath(name).read_text(encoding="utf-8")
