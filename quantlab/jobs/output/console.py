"""Consoles and tables of the jobs: text is printed as it is, and none of it is cut.

rich reads ``[...]`` as markup and ``:name:`` as a picture, in table cells and titles too: a path, a symbol or a reason with
brackets would lose them, or end the job. Colour is given by :class:`rich.text.Text` and ``style=`` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from io import TextIOWrapper

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def stdout_console() -> Console:
    """Make a console for what a job found.

    A letter that the output's encoding lacks is written as an escape: it must not end a job whose work is done. Standard error
    does so by itself.
    """
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(markup=False, highlight=False, emoji=False)


def stderr_console() -> Console:
    """Make a console for what a job is doing."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def terminal_table(
    *headings: str,
    whole: Collection[str] | None = None,
    numbers: Collection[str] = (),
    title: str | None = None,
    caption: str | None = None,
) -> Table:
    """Make a table for 80 columns: names and numbers stay in one line, everything else folds, nothing is cut off.

    Parameters
    ----------
    *headings : str
        One for each column; a line break in one makes room.
    whole : collection of str, optional
        Headings of columns whose cells are not folded as long as there is room; the first column unless given.
    numbers : collection of str
        Headings of right-aligned columns, which are not folded either.
    title, caption : str, optional
        Lines above and below.
    """
    left = {"title_justify": "left", "caption_justify": "left"}
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), **left)  # type: ignore[arg-type]
    kept = {*(headings[:1] if whole is None else whole), *numbers}
    for heading in headings:
        justify = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading in kept)  # type: ignore[arg-type]
    return table
