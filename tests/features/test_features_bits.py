"""The same bar gives the same bits, whatever the path that leads to it."""

from __future__ import annotations

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.features import NAMES, WARMUP, FeatureStream, compute

INTERVAL = 300_000
SYMBOLS = ("A", "B", "C", "D")
BARS = 2_100


@pytest.fixture(scope="module")
def ohlcv(world):
    """Four symbols: one whole, one with a hole, one listed late, one that stops."""
    bars = world(1, BARS, 4).copy()
    bars[40:44, 1] = np.nan
    bars[:300, 2] = np.nan
    bars[1_900:1_905, 3] = np.nan
    return bars


@pytest.fixture(scope="module")
def history(ohlcv, grid):
    return compute(ohlcv, grid(BARS), INTERVAL, threads=1)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_ready_rows_are_counted_from_the_start_and_the_last_reset(history):
    ready = np.isfinite(history).all(axis=2)
    assert (np.isnan(history).all(axis=2) == ~ready).all()
    firsts = [int(np.argmax(ready[:, s])) for s in range(4)]
    assert firsts == [WARMUP - 1, 44 + WARMUP - 1, 300 + WARMUP - 1, WARMUP - 1]
    assert ready[:, 3].sum() == 1_900 - (WARMUP - 1)
    assert not ready[1_900:, 3].any()


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_do_not_show(history, ohlcv, grid, threads):
    assert same_bits(compute(ohlcv, grid(BARS), INTERVAL, threads=threads), history)


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_was_used_before_does_not_show(history, ohlcv, grid, threads):
    used = np.full(history.shape, 7.0, dtype=np.float32)
    assert compute(ohlcv, grid(BARS), INTERVAL, threads=threads, out=used) is used
    assert same_bits(used, history)


def test_memory_that_cannot_be_written_is_refused(history, ohlcv, grid):
    locked = np.empty(history.shape, dtype=np.float32)
    locked.flags.writeable = False
    overlapping = np.empty(ohlcv.size * 10)
    bars = overlapping[: ohlcv.size].reshape(ohlcv.shape)
    bars[...] = ohlcv
    for given, out in (
        (ohlcv, np.empty(history.shape)),
        (ohlcv, np.empty(history.shape[1:], dtype=np.float32)),
        (ohlcv, np.empty((*history.shape[:2], 98), dtype=np.float32)[:, :, ::2]),
        (ohlcv, locked),
        (bars, overlapping.view(np.float32)[: history.size].reshape(history.shape)),
    ):
        with pytest.raises(ContractError, match="out as writeable"):
            compute(given, grid(BARS), INTERVAL, out=out)


def test_permuted_and_dropped_columns_do_not_show(history, ohlcv, grid):
    order = [2, 0, 3]
    alone = compute(np.ascontiguousarray(ohlcv[:, order]), grid(BARS), INTERVAL)
    assert same_bits(alone, np.ascontiguousarray(history[:, order]))


def test_many_symbols_in_several_blocks_do_not_show(history, ohlcv, grid):
    wide = np.ascontiguousarray(np.tile(ohlcv, (1, 10, 1)))
    got = compute(wide, grid(BARS), INTERVAL, threads=2)
    assert same_bits(got, np.ascontiguousarray(np.tile(history, (1, 10, 1))))


def test_stream_equals_history_after_every_prefix_and_restart(history, ohlcv, grid):
    stream = FeatureStream(SYMBOLS, INTERVAL)
    restarts = set(np.random.default_rng(2).integers(0, BARS, 25)) | {1_901, BARS - 1}
    for row, time in enumerate(grid(BARS)):
        if row in restarts:
            saved = stream.state()
            stream = FeatureStream(SYMBOLS, INTERVAL)
            stream.restore(saved)
            assert stream.state() == saved
        got = stream.update(int(time), ohlcv[row])
        assert same_bits(got, history[row]), f"row {row}"
        assert (stream.ready == np.isfinite(history[row, :, 0])).all()


@pytest.mark.parametrize("symbol", ["BTC", "kPEPE", "MNT", "VVV", "ALT"])
def test_real_bars_stream_in_random_chunks_as_two_threads_compute_them(symbol, real_ohlcv, grid):
    bars = 3_000
    ohlcv = np.ascontiguousarray(np.stack([real_ohlcv("BTC", bars), real_ohlcv(symbol, bars)], axis=1))
    ohlcv[700:703, 1] = np.nan
    whole = compute(ohlcv, grid(bars), INTERVAL, threads=2)
    alone = compute(np.ascontiguousarray(ohlcv[:, [1, 0]]), grid(bars), INTERVAL, threads=1)
    assert same_bits(np.ascontiguousarray(alone[:, ::-1]), whole)
    rng, stream = np.random.default_rng(5), FeatureStream(("A", "B"), INTERVAL)
    for row, time in enumerate(grid(bars)):
        if rng.random() < 0.02:
            saved = stream.state()
            stream = FeatureStream(("A", "B"), INTERVAL)
            stream.restore(saved)
        assert same_bits(stream.update(int(time), ohlcv[row]), whole[row]), f"row {row}"


def test_float64_rounds_to_the_float32_bits(history, ohlcv, grid):
    exact = compute(ohlcv, grid(BARS), INTERVAL, dtype=np.float64)
    assert exact.dtype == np.float64
    assert same_bits(exact.astype(np.float32), history)


def test_two_runs_are_equal(history, ohlcv, grid):
    assert same_bits(compute(ohlcv, grid(BARS), INTERVAL), history)


@pytest.mark.parametrize("source", ["synthetic", "BTC", "MNT", "VVV", "ALT"])
def test_a_thousand_cold_starts_reach_the_bits_of_the_full_history(source, world, grid, request):
    bars = 6_000
    if source == "synthetic":
        ohlcv = world(3, bars, 1)
    else:
        ohlcv = request.getfixturevalue("real_ohlcv")(source, bars)[:, None, :].copy()
    full = compute(ohlcv, grid(bars), INTERVAL, dtype=np.float64)
    for start in np.random.default_rng(4).integers(1, bars - WARMUP, 1_000):
        cold = compute(ohlcv[start : start + WARMUP], grid(WARMUP, start), INTERVAL, dtype=np.float64, threads=1)
        row = start + WARMUP - 1
        assert same_bits(cold[WARMUP - 1], full[row]), f"started at {start}"


@pytest.mark.parametrize(("price", "volume"), [(2.0**20, 1.0), (2.0**-20, 1.0), (1.0, 2.0**30), (0.5, 2.0**-30)])
def test_units_that_are_powers_of_two_do_not_show(history, ohlcv, grid, price, volume):
    scaled = ohlcv * np.array([price, price, price, price, volume])
    assert same_bits(compute(scaled, grid(BARS), INTERVAL), history)


def test_other_units_show_in_the_last_digits_only(ohlcv, grid, history):
    scaled = ohlcv * np.array([1.1, 1.1, 1.1, 1.1, 0.3])
    scaled[..., 1] = np.fmax(scaled[..., 1], np.fmax(scaled[..., 0], scaled[..., 3]))
    scaled[..., 2] = np.fmin(scaled[..., 2], np.fmin(scaled[..., 0], scaled[..., 3]))
    got = compute(scaled, grid(BARS), INTERVAL)
    ties = {"mfi_14", "adx_14", "plus_di_14", "minus_di_14", "doji", "engulfing", "inside_outside", "aroon_osc_25"}
    columns = [i for i, name in enumerate(NAMES) if name not in ties]
    np.testing.assert_allclose(got[:, :, columns], history[:, :, columns], rtol=1e-5, atol=1e-6)


def test_phase_of_the_blocks_comes_from_the_clock_not_from_the_first_row(ohlcv, grid, history):
    shift = 1
    late = compute(ohlcv[shift:], grid(BARS - shift, shift), INTERVAL)
    assert same_bits(late[WARMUP - 1 + shift :, 0], history[WARMUP - 1 + 2 * shift :, 0])


def test_a_reset_leaves_no_trace_in_the_state(ohlcv, grid):
    used, fresh = FeatureStream(SYMBOLS, INTERVAL), FeatureStream(SYMBOLS, INTERVAL)
    times = grid(30, 50).tolist()
    for row, time in enumerate(times[:-1], 50):
        used.update(time, ohlcv[row])
    absent = np.full((4, 5), np.nan)
    for stream in (used, fresh):
        stream.update(times[-1], absent)
    assert used.state() == fresh.state()
