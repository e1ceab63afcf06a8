"""Result of one of the doctor's checks, and its lines on the terminal."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

_SHOWN_FINDINGS = 4
_NAME_WIDTH, _STATE_WIDTH = 14, 11


class Status(Enum):
    """Result of a check."""

    OK = "OK"
    LOOK = "look at it"  # it works, and a person should know something about it
    NOT_SET_UP = "not set up"  # nothing asked for it
    NOT_CHECKED = "not checked"  # it was asked for, and could not be looked at
    BROKEN = "broken"


_COLOURS = {
    Status.OK: "green",
    Status.LOOK: "yellow",
    Status.NOT_SET_UP: "dim",
    Status.NOT_CHECKED: "yellow",
    Status.BROKEN: "red",
}


class Check(NamedTuple):
    """Finding of one check."""

    name: str
    status: Status
    detail: str
    fix: str = ""

    def lines(self) -> Table:
        """Lines for the terminal: name, state, and what was found with its fix."""
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(width=_NAME_WIDTH)
        grid.add_column(width=_STATE_WIDTH)
        grid.add_column(ratio=1, overflow="fold")
        found = Text(self.detail)
        if self.fix:
            broken = self.status is Status.BROKEN
            found.append(f"\nto {'fix' if broken else 'set up'}: {self.fix}", "bold" if broken else "")
        grid.add_row(Text(self.name), Text(self.status.value, _COLOURS[self.status]), found)
        return grid


def checked(name: str, findings: list[str], fact: str) -> Check:
    """Check of something that works: OK, or to look at where there are findings.

    Parameters
    ----------
    name : str
    findings : list of str
        Problems, one sentence each.
    fact : str
        First line, whatever was found.
    """
    return Check(name, Status.LOOK if findings else Status.OK, shortened([fact, *findings]))


def shortened(lines: list[str]) -> str:
    """The first few lines, and how many more there are."""
    rest = len(lines) - _SHOWN_FINDINGS
    return "\n".join(lines[:_SHOWN_FINDINGS] + [f"and {rest} more"] * (rest > 0))
