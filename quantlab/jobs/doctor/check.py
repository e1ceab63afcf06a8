"""One line of the doctor's table, and what a source must offer to be looked at."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from quantlab.core.errors import DataError

_SHOWN_FINDINGS = 4


class Status(Enum):
    """How a check ended."""

    OK = "OK"
    NOT_SET_UP = "not set up"
    BROKEN = "broken"


class Check(NamedTuple):
    """One line of the doctor's table."""

    name: str
    status: Status
    detail: str
    fix: str = ""


@runtime_checkable
class ChecksFiles(Protocol):
    """A source that can name everything wrong with its files at once."""

    def problems(self) -> tuple[DataError, ...]:
        """Every refusal that reading would meet."""
        ...


def shortened(lines: list[str]) -> str:
    """The first few lines, and how many more there are."""
    rest = len(lines) - _SHOWN_FINDINGS
    return "\n".join(lines[:_SHOWN_FINDINGS] + [f"and {rest} more"] * (rest > 0))
