"""The notebook's picture of a feature shows what was computed, and nothing that was not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Features
from quantlab.evaluation.report import feature_figure as module
from quantlab.evaluation.report.feature_figure import feature_figure


@pytest.fixture
def pair(random_bars: Callable[..., Bars]) -> tuple[Bars, Features]:
    bars = random_bars(2, 50, 2)
    values = np.random.default_rng(0).normal(size=(50, 2, 2)).astype(np.float32)
    ready = np.ones((50, 2), dtype=bool)
    ready[:20] = False
    return bars, Features(values, ready, ("rsi_14", "<b>"), "made")


def test_it_draws_the_symbols_bars_and_the_ready_values(pair: tuple[Bars, Features]) -> None:
    bars, features = pair
    figure = feature_figure(bars, features, symbol="S01", name="rsi_14")
    candles, line = figure.data
    np.testing.assert_array_equal(candles.close, bars.close[:, 1])
    np.testing.assert_array_equal(candles.high, bars.ohlcv[:, 1, 1])
    np.testing.assert_array_equal(np.asarray(candles.x, "datetime64[ms]").astype(np.int64), bars.open_time_ms)
    assert np.isnan(line.y[:20]).all()
    np.testing.assert_array_equal(np.asarray(line.y[20:], np.float32), features.values[20:, 1, 0])
    assert figure.layout.title.text == "S01: rsi_14"
    assert "&lt;b&gt;" in feature_figure(bars, features, symbol="S01", name="<b>").layout.title.text


def test_it_draws_the_last_bars_of_a_long_history(pair: tuple[Bars, Features], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BARS", 10)
    bars, features = pair
    candles, line = feature_figure(bars, features, symbol="S00", name="rsi_14").data
    np.testing.assert_array_equal(candles.open, bars.ohlcv[40:, 0, 0])
    assert len(line.y) == 10


def test_it_refuses_what_is_not_there(pair: tuple[Bars, Features]) -> None:
    bars, features = pair
    with pytest.raises(ContractError, match="S00, S01"):
        feature_figure(bars, features, symbol="BTC", name="rsi_14")
    with pytest.raises(ContractError, match="rsi_15"):
        feature_figure(bars, features, symbol="S00", name="rsi_15")
    with pytest.raises(ContractError, match=r"\(49, 2\)"):
        feature_figure(bars, features.rows(0, 49), symbol="S00", name="rsi_14")
