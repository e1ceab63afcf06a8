"""Ports of pages about a judged strategy."""

from __future__ import annotations

from typing import Any, Protocol

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.results import Simulation


class ReportedAccount(Protocol):
    """A simulated account with its numbers, as a page shows it."""

    @property
    def simulation(self) -> Simulation: ...

    @property
    def summary(self) -> dict[str, Any]: ...


class ReportedVerdict(Protocol):
    """A verdict in words, with the numbers that it rests on and the reasons for those that are undefined."""

    @property
    def verdict(self) -> str: ...

    @property
    def words(self) -> str: ...

    @property
    def numbers(self) -> dict[str, float | int | str | None]: ...

    @property
    def undefined(self) -> dict[str, str]: ...


class StrategyReport(Protocol):
    """Content that every page about a judged strategy has; asked for by the header, the verdict and the figures."""

    @property
    def experiment(self) -> str: ...

    @property
    def data_label(self) -> str: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def bars(self) -> Bars: ...

    @property
    def verdict(self) -> ReportedVerdict: ...

    @property
    def evidence(self) -> ReportedAccount: ...

    @property
    def lived(self) -> ReportedAccount: ...

    @property
    def benchmarks(self) -> dict[str, Float64Array]: ...

    @property
    def idle(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...
