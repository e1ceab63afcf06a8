"""Bars whose trading rules change: stretches with the same rules, and one rule in single cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.market import Bars, Instrument, rules_at


@dataclass(frozen=True)
class RuleSpan:
    """Rows ``first:stop`` of bars, and the rules that hold in all of them.

    Parameters
    ----------
    first, stop : int
    instruments : tuple of Instrument, length S
    """

    first: int
    stop: int
    instruments: tuple[Instrument, ...]


def rule_spans(bars: Bars) -> Iterator[RuleSpan]:
    """The stretches of `bars` with the same rules, in order; one where nothing changes."""
    rows = {int(bars.open_time_ms.searchsorted(change.time_ms)) for change in bars.rule_changes}
    for first, stop in pairwise(sorted({0, bars.n_bars, *(row for row in rows if row < bars.n_bars)})):
        open_ms = int(bars.open_time_ms[first])
        yield RuleSpan(first, stop, rules_at(bars.symbols, bars.instruments, bars.rule_changes, open_ms))


def last_rules(bars: Bars) -> tuple[Instrument, ...]:
    """The trading rules of the last bar."""
    return rules_at(bars.symbols, bars.instruments, bars.rule_changes, int(bars.open_time_ms[-1]))


def rule_in_cells(bars: Bars, name: str, rows: Int64Array, columns: Int64Array) -> Float64Array:
    """float64: the rule `name`, a field of Instrument, in the cells of `rows` and `columns`, broadcast together."""
    spans = list(rule_spans(bars))
    values = np.array([[getattr(one, name) for one in span.instruments] for span in spans], dtype=np.float64)
    span_of_row = np.searchsorted([span.first for span in spans], rows, side="right") - 1
    found: Float64Array = values[span_of_row, columns]
    return found


def map_rules(bars: Bars, change: Callable[[Instrument], Instrument]) -> Bars:
    """The same bars with every instrument, that of each rule change included, replaced by ``change(instrument)``."""
    dated = tuple(dataclasses.replace(one, instrument=change(one.instrument)) for one in bars.rule_changes)
    return dataclasses.replace(bars, instruments=tuple(map(change, bars.instruments)), rule_changes=dated)
