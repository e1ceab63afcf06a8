"""Consoles of the jobs: text is printed as it is.

rich reads ``[...]`` as markup and ``:name:`` as a picture, in table cells and titles too: a path, a symbol or a reason with
brackets would lose them, or end the job. Colour is given by :class:`rich.text.Text` and ``style=`` instead.
"""

from __future__ import annotations

from rich.console import Console


def stdout_console() -> Console:
    """Make a console for what a job found."""
    return Console(markup=False, highlight=False, emoji=False)


def stderr_console() -> Console:
    """Make a console for what a job is doing."""
    return Console(stderr=True, markup=False, highlight=False, emoji=False)
