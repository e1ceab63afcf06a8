"""Values refuse what they are not, and cannot be changed afterwards."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quantlab.core.checks import check_flag, check_has, check_range, check_whole
from quantlab.core.errors import ConfigError, ContractError, DataError, QuantlabError
from quantlab.core.fakes import BarsSource
from quantlab.core.market import Bars, Funding, Instrument
from quantlab.core.types import Features, Signal


def test_arrays_are_read_only_views_not_copies(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=10)
    with pytest.raises(ValueError, match="read-only"):
        bars.ohlcv[0, 0, 0] = 1.0
    assert np.shares_memory(bars.rows(2, 5).ohlcv, bars.ohlcv)
    assert np.shares_memory(bars.close, bars.ohlcv)


def test_bars_show_themselves_in_a_line(random_bars: Callable[..., Bars]) -> None:
    shown = repr(random_bars(n_bars=10, n_symbols=5))
    assert shown.startswith("Bars(10 x 300 s, 20")
    assert "; 5 symbols: " in shown
    assert "\n" not in shown
    assert len(shown) < 160


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval_ms": 60_000}, "60000 ms apart"),
        ({"symbols": ("A", "A", "B")}, "unique symbols"),
        ({"instruments": ()}, "3 instruments"),
        ({"ohlcv": np.zeros((10, 3, 4))}, "shape"),
        ({"ohlcv": np.zeros((10, 3, 5), dtype=np.float32)}, "float64"),
        ({"ohlcv": np.asfortranarray(np.zeros((10, 3, 5)))}, "C-contiguous"),
        ({"state": np.zeros((10, 3), dtype=np.int8)}, "uint8"),
        ({"funding": Funding(np.array([0], dtype=np.int64), np.zeros((1, 2)))}, "3 symbols"),
    ],
)
def test_bars_refuse(random_bars: Callable[..., Bars], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        dataclasses.replace(random_bars(n_bars=10), **change)


def test_instrument_refuses_a_negative_fee() -> None:
    with pytest.raises(ConfigError, match="taker_fee_bps"):
        Instrument(0.0, 0.0, 10.0, 0.03, 1.5, -4.5)


def test_instrument_refuses_a_margin_in_percent_and_a_fee_beyond_reason() -> None:
    Instrument(0.0, 0.0, 10.0, 0.99, 1000.0, 1000.0)
    for slip in ({"maintenance_margin_rate": 2.5}, {"maker_fee_bps": 1001.0}, {"taker_fee_bps": 4500.0}):
        with pytest.raises(ConfigError, match=next(iter(slip))):
            dataclasses.replace(Instrument(0.0, 0.0, 10.0, 0.03, 1.5, 4.5), **slip)


def test_first_symbols_keeps_everything_aligned(random_bars: Callable[..., Bars]) -> None:
    funding = Funding(np.array([0, 3_600_000], dtype=np.int64), np.arange(6.0).reshape(2, 3))
    bars = dataclasses.replace(random_bars(n_bars=10), funding=funding)
    two = bars.first_symbols(2)
    assert two.symbols == bars.symbols[:2]
    np.testing.assert_array_equal(two.ohlcv, bars.ohlcv[:, :2])
    assert two.funding is not None
    np.testing.assert_array_equal(two.funding.rate, [[0.0, 1.0], [3.0, 4.0]])


def test_bars_fingerprint_sees_every_value(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=10)
    changed = bars.ohlcv.copy()
    changed[7, 2, 4] += 1e-9
    funded = Funding(np.array([0], dtype=np.int64), np.zeros((1, 3)))
    others = [dataclasses.replace(bars, ohlcv=changed), dataclasses.replace(bars, funding=funded), bars.rows(0, 9)]
    assert len({bars.fingerprint(), *(b.fingerprint() for b in others)}) == 4
    assert bars.fingerprint() == random_bars(n_bars=10).fingerprint()


def test_a_source_of_bars_streams_what_its_history_holds(random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=10)
    source = BarsSource(bars)
    cut = source.history(int(bars.open_time_ms[3]), int(bars.open_time_ms[7]))
    np.testing.assert_array_equal(cut.ohlcv, bars.ohlcv[3:7])
    np.testing.assert_array_equal(np.concatenate([b.ohlcv for b in source.stream()]), bars.ohlcv)


def test_features_name_their_columns() -> None:
    features = Features(np.zeros((2, 1, 2), dtype=np.float32), np.ones((2, 1), dtype=np.bool_), ("a", "b"), "f")
    assert features.column("b").shape == (2, 1)
    with pytest.raises(ContractError, match="'c'"):
        features.column("c")


def test_signal_rows_cut_every_array() -> None:
    grid = np.arange(8.0).reshape(4, 2)
    signal = Signal(
        side=np.zeros((4, 2), dtype=np.int8), proba=np.zeros((4, 2, 3)), confidence=grid, consensus=grid,
        live_members=np.zeros((4, 2), dtype=np.int8), atr=grid, target=grid,
    )  # fmt: skip
    cut = signal.rows(1, 3)
    assert cut.side.shape == (2, 2)
    assert cut.target is not None
    np.testing.assert_array_equal(cut.target, grid[1:3])
    assert cut.stop_distance is None


def test_errors_say_three_things_and_cross_process_borders() -> None:
    error = DataError("a column 'close'", found="open, high", fix="rename it")
    assert str(error) == "expected a column 'close'; found open, high. Rename it."
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - how process pools carry exceptions
    assert type(back) is DataError
    assert (back.expected, back.found, back.fix) == (error.expected, error.found, error.fix)
    assert isinstance(back, QuantlabError)


@pytest.mark.parametrize("value", [1.0, 1.5, True, "1", None, np.float64(2.0), [1], math.nan])
def test_a_whole_number_is_an_int(value: object) -> None:
    with pytest.raises(ConfigError, match="rounds as a whole number"):
        check_whole("rounds", value)  # type: ignore[arg-type]


def test_whole_numbers_have_bounds() -> None:
    for value in (1, 2, 3):
        check_whole("rounds", value, low=1, high=3)
    for value in (0, 4):
        with pytest.raises(ConfigError, match=f"rounds as a whole number between 1 and 3; found {value}"):
            check_whole("rounds", value, low=1, high=3)
    with pytest.raises(ConfigError, match="rounds as a whole number >= 1; found 0"):
        check_whole("rounds", 0, low=1)


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -0.1, 1.1])
def test_a_number_in_a_range_is_finite_and_no_bool(value: object) -> None:
    with pytest.raises(ConfigError, match="share between 0 and 1"):
        check_range("share", value, low=0.0, high=1.0)  # type: ignore[arg-type]
    check_range("share", 1, low=0.0, high=1.0)
    with pytest.raises(ConfigError, match="share as a number"):
        check_range("share", math.nan)


@pytest.mark.parametrize("value", [1, 0, "off", "false", None])
def test_a_flag_is_a_bool(value: object) -> None:
    with pytest.raises(ConfigError, match="rebalance as true or false"):
        check_flag("rebalance", value)  # type: ignore[arg-type]
    check_flag("rebalance", False)


def test_a_part_has_its_methods_and_none_is_called() -> None:
    class Costly:
        limit = None

        @property
        def step(self) -> object:
            raise AssertionError("compiled")

    check_has("policy", Costly(), "step", "limit")
    with pytest.raises(ConfigError, match="policy with step, size; found Costly without size"):
        check_has("policy", Costly(), "step", "size")
    with pytest.raises(ConfigError, match="policy with step; found null"):
        check_has("policy", None, "step")


def test_what_travels_between_processes_stays_read_only(random_bars: Callable[..., Bars]) -> None:
    plain = random_bars(n_bars=30)
    funding = Funding(plain.open_time_ms[:1] // 3_600_000 * 3_600_000, np.zeros((1, plain.n_symbols)))
    bars = dataclasses.replace(plain, funding=funding)
    back = pickle.loads(pickle.dumps(bars))  # noqa: S301 - our own bytes
    assert back.fingerprint() == bars.fingerprint()
    for array in (back.ohlcv, back.state, back.open_time_ms, back.funding.time_ms, back.funding.rate):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
