"""Redenominations are found where they were planted; crashes, squeezes and other steps are none."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantlab.core.arrays import Float64Array
from quantlab.core.clock import iso_utc
from quantlab.core.market import Bars, BarState, PrintFlag
from quantlab.data import ParquetSource, coverage
from quantlab.data.quality.breaks import break_note, break_numbers, find_breaks
from quantlab.data.quality.gate import QualityGate
from quantlab.data.quality.suspects import find_suspects

MakeBars = Callable[..., Bars]
FACTORS = [factor for size in (2.0, 3.0, 5.0, 10.0, 100.0, 1000.0) for factor in (size, 1.0 / size)]
#: From the most traded to the least, and those with the largest moves: OM -72 %, TST -44 %, COMP +38 %.
REAL = ("BTC", "TRX", "OM", "TST", "COMP", "kPEPE", "VINE", "TRB", "ZEREBRO", "RLB", "HPOS", "SOPH")


def changed(bars: Bars, change: Callable[[Float64Array], object]) -> Bars:
    """The same market with other prints, through the gate."""
    raw = np.where(bars.printed[:, :, None], bars.ohlcv, np.nan)
    change(raw)
    gate = QualityGate(bars.symbols, bars.instruments, bars.interval_ms)
    return gate.run(gate.begin(), np.ascontiguousarray(raw), bars.open_time_ms)[1]


def planted(bars: Bars, row: int, s: int, factor: float, hole: int = 0) -> Bars:
    """From `row` on prices are multiplied and volumes divided; the bars before are missing."""

    def change(raw: Float64Array) -> None:
        raw[row:, s, :4] *= factor
        raw[row:, s, 4] /= factor
        raw[row - hole : row, s] = np.nan

    return changed(bars, change)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("hole", [0, 40])
def test_a_redenomination_is_named_with_the_line_that_mends_it(random_bars: MakeBars, factor: float, hole: int) -> None:
    bars = planted(random_bars(seed=5, n_bars=700), 350, 1, factor, hole)
    (found,) = find_breaks(bars)
    assert (found.symbol, found.time_ms, found.missing_bars) == ("S01", int(bars.open_time_ms[350]), hole)
    assert found.factor == pytest.approx(factor, rel=1e-12)
    assert found.volume_ratio == pytest.approx(1.0 / factor, rel=0.5)
    assert found.adjustment == f"S01,{iso_utc(found.time_ms)},{factor:.12g}"
    assert f"S01: {found.sentence()}" in coverage(bars).findings()
    assert found.adjustment in found.sentence()


def test_results_of_unmended_prices_say_so_in_one_sentence(random_bars: MakeBars) -> None:
    bars = planted(random_bars(seed=5, n_bars=700), 350, 1, 0.01)
    (step,) = found = find_breaks(bars)
    time = iso_utc(int(bars.open_time_ms[350]))
    assert break_numbers(found) == [{"symbol": "S01", "time": time, "ratio": step.after / step.before}]
    assert break_numbers(found)[0]["ratio"] == pytest.approx(0.01, rel=0.01)
    assert f"the price of S01 steps to {step.after / step.before:.6g} times at {time}" in break_note(found)
    assert "(and 3 more)" in break_note(found * 6)
    assert break_note(()) == ""


def test_bars_without_a_trade_at_either_price_lie_on_the_right_side_of_the_time(random_bars: MakeBars) -> None:
    """A venue that pauses prints flat bars: two at the old price, then three at the new one, from row 347 on."""
    bars = random_bars(seed=5, n_bars=700)

    def change(raw: Float64Array) -> None:
        raw[350:, 1, :4] *= 10.0
        raw[350:, 1, 4] /= 10.0
        raw[345:347, 1] = [*[raw[344, 1, 3]] * 4, 0.0]
        raw[347:350, 1] = [*[raw[350, 1, 0]] * 4, 0.0]

    (found,) = find_breaks(changed(bars, change))
    assert (found.time_ms, found.missing_bars) == (int(bars.open_time_ms[347]), 5)


def test_a_break_is_a_suspect_print_for_one_bar_and_no_spike(random_bars: MakeBars) -> None:
    bars = planted(random_bars(seed=5, n_bars=700), 350, 1, 0.01)
    assert bars.suspect is not None
    assert np.flatnonzero(bars.suspect[:, 1]).tolist() == [350]
    assert bars.suspect[350, 1] == PrintFlag.STANDS
    assert find_suspects(bars) == ()


def crash_through_its_range(raw: Float64Array) -> None:
    raw[350:, 1, :4] *= 0.2
    raw[350, 1, :2] *= 5.0  # it opens where the last bar closed
    raw[350:, 1, 4] *= 5.0


def gap_with_a_rush(raw: Float64Array) -> None:
    """Closed for two hours, open at half the price; then five times the coins and six times the moves."""
    middle = raw[350, 1, 0] * 0.5
    raw[350:, 1, :4] = middle * np.exp(6.0 * np.log(raw[350:, 1, :4] / raw[350, 1, 0]))
    raw[350:, 1, 4] *= 5.0
    raw[326:350, 1] = np.nan


def squeeze_by_a_gap(raw: Float64Array) -> None:
    raw[350:, 1, :4] *= 2.0
    raw[350:, 1, 4] *= 10.0


def price_without_volume(raw: Float64Array) -> None:
    raw[350:, 1, :4] *= 1000.0


def spike_of_an_hour(raw: Float64Array) -> None:
    raw[350:362, 1, :4] *= 10.0
    raw[350:362, 1, 4] /= 10.0


def too_late_to_tell(raw: Float64Array) -> None:
    raw[695:, 1, :4] *= 10.0
    raw[695:, 1, 4] /= 10.0


@pytest.mark.parametrize(
    "change",
    [
        crash_through_its_range,
        gap_with_a_rush,
        squeeze_by_a_gap,
        price_without_volume,
        spike_of_an_hour,
        too_late_to_tell,
    ],
)
def test_other_steps_are_no_breaks(random_bars: MakeBars, change: Callable[[Float64Array], object]) -> None:
    assert find_breaks(changed(random_bars(seed=5, n_bars=700), change)) == ()


def real_bars(perps_5m: Path, parquet_source: Callable[..., ParquetSource], symbols: object) -> Bars:
    return parquet_source(perps_5m, symbols, folders=["ragged"], funding="off").history()


def test_real_markets_have_none_and_planted_ones_are_found(
    perps_5m: Path, parquet_source: Callable[..., ParquetSource]
) -> None:
    bars = real_bars(perps_5m, parquet_source, list(REAL))
    assert find_breaks(bars) == ()
    rng = np.random.default_rng(4)
    for s, symbol in enumerate(REAL):
        traded = np.flatnonzero(bars.state[:, s] == BarState.TRADED)
        one = dataclasses.replace(
            bars,
            ohlcv=bars.ohlcv[:, s : s + 1].copy(),
            state=bars.state[:, s : s + 1].copy(),
            symbols=(symbol,),
            instruments=bars.instruments[:1],
            suspect=None,
        )
        for factor in rng.choice(FACTORS, 3):
            row = int(traded[rng.integers(30, len(traded) - 30)])
            assert [step.time_ms for step in find_breaks(planted(one, row, 0, factor))] == [bars.open_time_ms[row]]


def coarser(bars: Bars, count: int) -> Bars:
    """Bars of `count` times the interval, of those that traded in them."""
    n = bars.n_bars // count
    cells = bars.ohlcv[: n * count].reshape(n, count, bars.n_symbols, 5).copy()
    traded = (bars.state[: n * count] == BarState.TRADED).reshape(n, count, bars.n_symbols)
    cells[~traded] = np.nan
    first, last = np.argmax(traded, axis=1), count - 1 - np.argmax(traded[:, ::-1], axis=1)
    pick = np.ix_(np.arange(n), np.arange(bars.n_symbols))
    ohlcv = np.full((n, bars.n_symbols, 5), np.nan)
    there = traded.any(axis=1)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # symbols that did not trade in a bar
        ohlcv[:, :, 0] = cells[pick[0], first, pick[1], 0]
        ohlcv[:, :, 1], ohlcv[:, :, 2] = np.nanmax(cells[..., 1], axis=1), np.nanmin(cells[..., 2], axis=1)
        ohlcv[:, :, 3] = cells[pick[0], last, pick[1], 3]
        ohlcv[:, :, 4] = np.nansum(cells[..., 4], axis=1)
    ohlcv[~there] = np.nan
    state = np.where(there, BarState.TRADED, BarState.ABSENT).astype(np.uint8)
    opens = bars.open_time_ms[: n * count : count].copy()
    return Bars(np.ascontiguousarray(ohlcv), opens, bars.interval_ms * count, state, bars.symbols, bars.instruments)


COUNTS = {"5m": 1, "1h": 12, "4h": 48, "1d": 288}


@pytest.mark.slow
@pytest.mark.parametrize("timeframe", COUNTS)
def test_no_symbol_of_the_reference_data_has_a_break(
    market_data: Path, perps_5m: Path, parquet_source: Callable[..., ParquetSource], timeframe: str
) -> None:
    assert find_breaks(coarser(real_bars(perps_5m, parquet_source, "all"), COUNTS[timeframe])) == ()
    assert find_breaks(parquet_source(market_data / "btc_perp_1m", funding="off").history()) == ()


@pytest.mark.slow
@pytest.mark.parametrize(("timeframe", "least"), [("5m", 0.99), ("1h", 0.99), ("4h", 0.99), ("1d", 0.92)])
def test_most_of_what_is_planted_in_any_symbol_is_found_and_nothing_else(
    perps_5m: Path, parquet_source: Callable[..., ParquetSource], timeframe: str, least: float
) -> None:
    """One per symbol and factor, at random places, every third after up to half a day without bars; ``-s`` prints the counts."""
    bars = coarser(real_bars(perps_5m, parquet_source, "all"), COUNTS[timeframe])
    rng = np.random.default_rng(8)
    planted_count, found = dict.fromkeys(FACTORS, 0), dict.fromkeys(FACTORS, 0)
    for s, symbol in enumerate(bars.symbols):
        traded = np.flatnonzero(bars.state[:, s] == BarState.TRADED)
        if len(traded) < 60:
            continue
        for factor in FACTORS:
            row = int(traded[rng.integers(26, len(traded) - 13)])
            ohlcv, state = bars.ohlcv[:, s : s + 1].copy(), bars.state[:, s : s + 1].copy()
            hole = min(int(rng.choice([0, 0, 0, 0, 6, 144])) // COUNTS[timeframe], row - int(traded[20]))
            ohlcv[row:, 0, :4] *= factor
            ohlcv[row:, 0, 4] /= factor
            ohlcv[row - hole : row], state[row - hole : row] = np.nan, BarState.ABSENT
            one = Bars(ohlcv, bars.open_time_ms, bars.interval_ms, state, (symbol,), bars.instruments[:1])
            times = [step.time_ms for step in find_breaks(one)]
            assert set(times) <= {int(bars.open_time_ms[row])}
            planted_count[factor] += 1
            found[factor] += len(times)
    print(timeframe, sum(found.values()), "of", sum(planted_count.values()), found)  # noqa: T201 - docs/data.md quotes it
    assert sum(planted_count.values()) >= 1_200
    assert sum(found.values()) >= least * sum(planted_count.values())
