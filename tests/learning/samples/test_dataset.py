"""The dataset: rows that may be used, and what came after each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars
from quantlab.core.types import NO_LABEL, Features, Labels
from quantlab.learning.samples.dataset import build_dataset, forward_returns
from quantlab.learning.samples.triple_barrier import TripleBarrier

MakeBars = Callable[..., Bars]


def features_of(n_bars: int, n_symbols: int, warmup: int = 10) -> Features:
    values = np.random.default_rng(0).normal(size=(n_bars, n_symbols, 3)).astype(np.float32)
    values[:warmup] = np.nan
    ready = np.zeros((n_bars, n_symbols), bool)
    ready[warmup:] = True
    return Features(values, ready, ("a", "b", "c"), "f")


def labels_of(bars: Bars) -> Labels:
    return TripleBarrier(2.0, 1.2, 12).label(bars, np.full(bars.state.shape, 0.3))


def test_mask_is_ready_and_labelled_and_nothing_is_copied(random_bars: MakeBars) -> None:
    bars, features = random_bars(0, 100, 2), features_of(100, 2)
    labels = labels_of(bars)
    dataset = build_dataset(bars, features, labels, 12)
    np.testing.assert_array_equal(dataset.mask, features.ready & (labels.label != NO_LABEL))
    assert dataset.features is features
    assert np.shares_memory(dataset.label, labels.label)
    assert np.shares_memory(dataset.open_time_ms, bars.open_time_ms)


def test_forward_returns_by_hand(random_bars: MakeBars) -> None:
    bars = random_bars(2, 60, 2)
    got = forward_returns(bars, 5)
    assert got.shape == (60, 2, 5)
    assert got.dtype == np.float32
    for t in (0, 17, 54):
        for h in range(5):
            expected = np.log(bars.close[t + h + 1] / bars.close[t + h])
            np.testing.assert_allclose(got[t, :, h], expected, rtol=1e-5, atol=1e-9)
    assert np.isnan(got[55, :, 4]).all()
    assert np.isnan(got[59]).all()
    assert not np.isnan(got[54]).any()


def test_forward_returns_cost_no_memory_per_step(random_bars: MakeBars) -> None:
    got = forward_returns(random_bars(0, 200, 3), 12)
    assert got.strides == (3 * 4, 4, 3 * 4)
    with pytest.raises(ValueError, match="read-only"):
        got[0, 0, 0] = 1.0


def test_an_absent_bar_leaves_its_returns_unknown(random_bars: MakeBars) -> None:
    bars = random_bars(0, 30, 1)
    ohlcv = bars.ohlcv.copy()
    ohlcv[10] = np.nan
    got = forward_returns(dataclasses.replace(bars, ohlcv=ohlcv), 1)[:, 0, 0]
    assert np.flatnonzero(np.isnan(got)).tolist() == [9, 10, 29]


def test_parts_of_other_bars_are_refused(random_bars: MakeBars) -> None:
    bars = random_bars(0, 100, 2)
    with pytest.raises(ContractError, match="features of shape"):
        build_dataset(bars, features_of(99, 2), labels_of(bars), 12)
    with pytest.raises(ContractError, match="labels of shape"):
        build_dataset(bars, features_of(100, 2), labels_of(random_bars(0, 100, 3)), 12)
    with pytest.raises(ConfigError, match="horizon"):
        build_dataset(bars, features_of(100, 2), labels_of(bars), 0)
