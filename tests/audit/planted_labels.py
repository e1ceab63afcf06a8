"""Triple barriers whose labels, times or weights know too much."""

from __future__ import annotations

import dataclasses

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.types import NO_LABEL, Labels
from quantlab.learning.samples.triple_barrier import NEVER_MS, TripleBarrier


class KnownWhenEntered(TripleBarrier):
    """A label belongs to its entry bar: it is known when that has closed."""

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        labels = super().label(bars, atr)
        entry_closes = np.broadcast_to((bars.close_time_ms + bars.interval_ms)[:, None], labels.label.shape)
        known_at_ms = np.where(labels.label != NO_LABEL, entry_closes, NEVER_MS)
        return dataclasses.replace(labels, known_at_ms=np.ascontiguousarray(known_at_ms))


class RaceFromOwnBar(TripleBarrier):
    """Row t carries the race that starts at the open of bar t."""

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        labels = super().label(bars, atr)
        label, weight = np.full_like(labels.label, NO_LABEL), np.zeros_like(labels.weight)
        known_at_ms = np.full_like(labels.known_at_ms, NEVER_MS)
        label[1:], weight[1:], known_at_ms[1:] = labels.label[:-1], labels.weight[:-1], labels.known_at_ms[:-1]
        return Labels(label=label, weight=weight, known_at_ms=known_at_ms)


class ClassesBalancedOverHistory(TripleBarrier):
    """Rare classes weigh as much as frequent ones: ``compute_class_weight("balanced", y)`` per symbol."""

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        labels = super().label(bars, atr)
        weight = labels.weight.copy()
        for s in range(bars.n_symbols):
            has_one = labels.label[:, s] != NO_LABEL
            counts = np.bincount(labels.label[has_one, s], minlength=3)
            balance = counts.sum() / (3.0 * np.maximum(counts, 1))
            weight[has_one, s] *= balance[labels.label[has_one, s]].astype(np.float32)
        return dataclasses.replace(labels, weight=weight)
