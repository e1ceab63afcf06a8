"""One line of the doctor's table."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

_SHOWN_FINDINGS = 4


class Status(Enum):
    """Result of a check."""

    OK = "OK"
    NOT_SET_UP = "not set up"
    BROKEN = "broken"


class Check(NamedTuple):
    """One line of the doctor's table."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def shortened(lines: list[str]) -> str:
    """The first few lines, and how many more there are."""
    rest = len(lines) - _SHOWN_FINDINGS
    return "\n".join(lines[:_SHOWN_FINDINGS] + [f"and {rest} more"] * (rest > 0))
