"""Ports of a strategy's parts and of the engine that simulates it."""

from __future__ import annotations

from typing import Any, Protocol

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.types import Signal


class Policy(Protocol):
    """Decides, from one bar's signal and the account, what to hold; a frozen dataclass.

    ``step`` is a compiled function of the signature ``quantlab.trading.interface.policy.STEP``; everything
    it may vary is in ``params``, so that another value never recompiles.
    """

    @property
    def step(self) -> Any: ...

    def params(self) -> Float64Array:
        """float64 (P,) handed to every call of ``step``."""
        ...

    def begin(self, n_symbols: int) -> Float64Array:
        """float64 (K, S) memory at the start of a run."""
        ...


class PositionSizer(Protocol):
    """Turns a side and its strength into a signed weight of equity; a frozen dataclass.

    ``size`` is a compiled function of the signature ``quantlab.trading.interface.sizer.SIZE``.
    """

    @property
    def size(self) -> Any: ...

    def params(self) -> Float64Array:
        """float64 (P,) handed to every call of ``size``."""
        ...


class BacktestEngine(Protocol):
    """Simulates a strategy over a history; ``conf/backtest`` names the one that is used."""

    def run(self, bars: Bars, signal: Signal, strategy: Any, *, limits_on: bool = True) -> Simulation:
        """Simulate one account over `bars`; `limits_on` is false where halts must not hide what comes after them."""
        ...
