"""Ports of market data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from quantlab.core.market import Bars


class DataSource(Protocol):
    """Where bars come from; everything it yields has passed the quality gate."""

    @property
    def synthetic(self) -> bool:
        """Is the market made up? Every report says so."""
        ...

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """Bars with ``start_ms <= open < end_ms`` (None: all there is), on one dense grid.

        Raises
        ------
        DataError
            If data is missing, malformed or inconsistent.
        """
        ...

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        """The same bars one at a time, oldest first, each a :class:`Bars` of length 1."""
        ...
