"""An oracle of its own for the planted decisions: the market is played as it was, and the parts are told another future.

A policy or a sizer that is honest decides the same, whatever its source says of later bars. So the fills up to the bar
that is filled from the last common close must be the same, row by row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, Bars, BarState
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Simulation
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research.pipeline import Setup, learn, setup
from quantlab.jobs.research.results import load_history

_WILDER = 1.4


@dataclass(frozen=True)
class OtherFuture:
    """A source whose bars from row `cut` on are mirrored around the last close and wilder; every other symbol dies there."""

    bars: Bars
    cut: int

    @property
    def synthetic(self) -> bool:
        return True

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        assert start_ms is None
        assert end_ms is None
        ohlcv, state = self.bars.ohlcv.copy(), self.bars.state.copy()
        for s in range(self.bars.n_symbols):
            closes = ohlcv[: self.cut, s, CLOSE]
            known = closes[np.isfinite(closes)]
            if s % 2 or len(known) == 0:
                ohlcv[self.cut :, s], state[self.cut :, s] = np.nan, BarState.ABSENT
                continue
            prices = known[-1] * (known[-1] / ohlcv[self.cut :, s, : CLOSE + 1]) ** _WILDER
            ohlcv[self.cut :, s, : CLOSE + 1] = prices[:, [OPEN, LOW, HIGH, CLOSE]]
        return dataclasses.replace(self.bars, ohlcv=ohlcv, state=state, suspect=None)


def told(part: Any, source: Any) -> Any:
    """A part whose every source, however deep in fields, lists and dicts, is another one."""
    if hasattr(part, "history"):
        return source
    if isinstance(part, dict):
        return {key: told(value, source) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(told(value, source) for value in part)
    if dataclasses.is_dataclass(part) and type(part).__module__.startswith("decision_"):
        fields = {field.name: told(getattr(part, field.name), source) for field in dataclasses.fields(part)}
        return type(part)(**fields)
    return part


@dataclass(frozen=True)
class Played:
    """A configured pipeline with its signal computed once."""

    parts: Setup
    source: Bars
    history: Bars
    first_row: int
    signal: Any
    strategy: Any

    def told(self, cut: int | None) -> Simulation:
        """The evidence on the real bars; policy and sizer are told another future from row `cut` on, None = the real one.

        Rows are those of the loaded history, which may begin later than the source's.
        """
        strategy = self.strategy
        if cut is not None:
            offset = int(np.searchsorted(self.source.open_time_ms, self.history.open_time_ms[0]))
            source = OtherFuture(self.source, offset + cut)
            strategy = dataclasses.replace(
                strategy, policy=told(strategy.policy, source), sizer=told(strategy.sizer, source)
            )
        rows = self.history.rows(self.first_row, self.first_row + len(self.signal.side))
        return self.parts.engine.run(rows, self.signal, strategy, limits_on=False)

    def moved(self, cuts: Iterator[int]) -> int:
        """The number of cuts up to which something was filled otherwise."""
        real = self.told(None)
        return sum(not np.array_equal(*(self._until(cut, one) for one in (real, self.told(cut)))) for cut in cuts)

    def _until(self, cut: int, simulation: Simulation) -> Any:
        orders = simulation.orders
        return orders[orders["idx"] + self.first_row <= cut]

    def cuts(self, count: int, seed: int = 0) -> Iterator[int]:
        """Rows of the played part, drawn at random."""
        drawn = np.random.default_rng(seed).integers(self.first_row + 1, self.first_row + len(self.signal.side), count)
        return iter(sorted(int(row) for row in drawn))


def played(pipeline: Any) -> Played:
    """A pipeline, loaded and with its signal."""
    parts = setup(compose(*pipeline.composed_of(None)))
    history = load_history(parts, SilentProgress())
    study, strategy = learn(parts, history, SilentProgress())
    signal = study.signal.rows(study.first_row, study.last_row)
    return Played(parts, parts.source.history(), history, study.first_row, signal, strategy)
