"""Records that are kept as bytes come back as they were, and nothing that happens later reaches them."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from quantlab.trading.account.arrays import record_buffers
from quantlab.trading.account.record_log import RecordLog
from quantlab.trading.lowlevel.compact import list_marked


@njit
def listed(marks):
    """Compiled into a caller, as everywhere: it has no wrapper for Python."""
    return list_marked(marks)


def filled(rng, buffers):
    """Random bytes in every record, as a bar leaves them."""
    for part in buffers:
        part.view(np.uint8)[:] = rng.integers(0, 2, part.nbytes)
    return buffers


def test_records_come_back_in_order_bar_after_bar():
    rng, buffers = np.random.default_rng(5), record_buffers(6, 4)
    log, expected = RecordLog(buffers), [[], [], [], []]
    for _ in range(40):
        filled(rng, buffers)
        n_orders, n_events = (int(n) for n in rng.integers(0, (7, 5)))
        log.append(n_orders, n_events)
        for bars, part, n in zip(expected, buffers, (n_orders, n_orders, n_orders, n_events), strict=True):
            bars.append(part[:n].copy())
    for found, bars, part in zip(log.records(), expected, buffers, strict=True):
        whole = np.concatenate(bars)
        assert len(whole) > 40
        assert found.dtype == part.dtype
        assert found.tobytes() == whole.tobytes()


def test_what_was_given_back_stays():
    buffers = filled(np.random.default_rng(1), record_buffers(3, 2))
    log = RecordLog(buffers)
    log.append(2, 1)
    before = log.records()
    copies = [part.copy() for part in before]
    filled(np.random.default_rng(2), buffers)
    log.append(3, 2)
    for part, copy in zip(before, copies, strict=True):
        assert part.tobytes() == copy.tobytes()
        with pytest.raises(ValueError, match="read-only"):
            part[0] = part[0]
    assert [len(part) for part in log.records()] == [5, 5, 5, 3]


@pytest.mark.parametrize("n", [0, 1, 7, 64])
def test_marks_become_the_indices_of_the_ones(n):
    for seed in range(20):
        marks = np.random.default_rng(seed).integers(0, 2, n)
        expected = np.flatnonzero(marks)
        assert listed(marks) == len(expected)
        assert np.array_equal(marks[: len(expected)], expected)
