"""The 49 against formulas written from the definitions, and against TA-Lib where it has them."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from quantlab.features import NAMES, WARMUP, compute

INTERVAL = 300_000
# From the most to the least traded; in MNT and VVV 22 % and 30 % of the bars are without volume.
WORLDS = ("synthetic", "BTC", "kPEPE", "MNT", "VVV", "ALT")
# VVV stands still for 405 bars: there the rules for dead markets act on every recursion, and TA-Lib has none.
TALIB_WORLDS = tuple(name for name in WORLDS if name != "VVV")
BARS = 7_000


@pytest.fixture(scope="module")
def case(request, world, grid):
    """One symbol (T, 5) and its features (T, 49) in float64."""
    if request.param == "synthetic":
        ohlcv = np.ascontiguousarray(world(5, BARS, 1)[:, 0])
    else:
        ohlcv = request.getfixturevalue("real_ohlcv")(request.param, BARS)
    values = compute(ohlcv[:, None, :].copy(), grid(BARS), INTERVAL, dtype=np.float64)[:, 0]
    return ohlcv, dict(zip(NAMES, values.T, strict=True))


@pytest.fixture(scope="module")
def expected(case, oracle):
    return oracle(case[0])


def assert_close(got: np.ndarray, want: np.ndarray, tolerance: float = 1e-9) -> None:
    got, want = got[WARMUP - 1 :], np.asarray(want[WARMUP - 1 :], dtype=np.float64)
    assert np.isfinite(want).all()
    rms = np.sqrt(np.mean(want**2))
    excess = np.abs(got - want) / (np.maximum(np.abs(want), 1e-3 * rms) + 1e-300)
    worst = int(np.argmax(excess))
    assert excess[worst] <= tolerance, (
        f"{got[worst]!r}, not {want[worst]!r}, in row {worst + WARMUP - 1}: {excess[worst]:.2e}"
    )


@pytest.mark.parametrize("case", WORLDS, indirect=True, scope="module")
@pytest.mark.parametrize("name", NAMES)
def test_equals_its_definition(name, case, expected):
    got, want = case[1][name], expected[name]
    if name.startswith(("ema_dist", "macd")) and (expected["natr_14"][WARMUP:] < 1e-5).any():
        # A market that stands still: an average snaps to the price within 1e-14 of it, maybe a bar sooner or later
        # than the oracle's, and the unit of the distance is then as small as 1e-5 of the price.
        want = want.astype(np.float64)
        within = np.abs(got - want) <= 4e-14 / np.maximum(expected["natr_14"], 1e-5)
        got = np.where(within, want, got)
    assert_close(got, want)


@pytest.mark.parametrize("case", ["synthetic"], indirect=True, scope="module")
def test_the_oracle_has_no_feature_of_its_own(expected):
    assert sorted(expected) == sorted(NAMES)


PIECE = 5


def in_pieces(function, x, window, shift=True):
    """A TA-Lib function of windows, called for a few rows at a time.

    TA-Lib adds to and subtracts from running sums, and takes E[x^2] - E[x]^2, which costs it digits in a long
    series of large numbers. It keeps them in short pieces, measured from the piece's first value.
    """
    out = None
    for start in range(window - 1, len(x), PIECE):
        piece = x[start - window + 1 : start + PIECE]
        origin = piece[0] if shift else 0.0
        found = [y[window - 1 :] + origin for y in function(np.ascontiguousarray(piece - origin))]
        out = np.full((len(found), len(x)), np.nan) if out is None else out
        out[:, start : start + PIECE] = found
    return out


def mean_volume(v, window):
    return in_pieces(lambda x: (talib.SMA(x, window),), v, window, shift=False)[0]


def talib_features(o, h, l, c, v):  # noqa: E741
    """What TA-Lib says of the features that it knows."""
    macd, _, hist = talib.MACD(c, 12, 26, 9)
    unit = np.maximum(talib.ATR(h, l, c, 14), 1e-5 * c)
    upper, middle, lower = in_pieces(lambda x: talib.BBANDS(x, 20, 2, 2), c, 20)
    k, d = talib.STOCHF(h, l, c, 14, 3)
    return {
        "ret_1": np.log(talib.ROCR(c, 1)),
        "drawdown_288": np.log(c / talib.MAX(h, 288)),
        "rsi_14": talib.RSI(c, 14) / 100,
        "macd_atr": macd / unit,
        "macd_hist_atr": hist / unit,
        "stoch_k_14": k / 100,
        "stoch_d_3": d / 100,
        **{f"ema_dist_atr_{n}": (c - talib.EMA(c, n)) / unit for n in (9, 21, 50)},
        "sma_dist_atr_200": np.clip((c - in_pieces(lambda x: (talib.SMA(x, 200),), c, 200)[0]) / unit, -50, 50),
        "adx_14": talib.ADX(h, l, c, 14) / 100,
        "plus_di_14": talib.PLUS_DI(h, l, c, 14) / 100,
        "minus_di_14": talib.MINUS_DI(h, l, c, 14) / 100,
        "aroon_osc_25": talib.AROONOSC(h, l, 25) / 100,
        "donchian_pos_55": (c - talib.MIN(l, 55)) / (talib.MAX(h, 55) - talib.MIN(l, 55)),
        "natr_14": talib.NATR(h, l, c, 14) / 100,
        "bb_width_20": (upper - lower) / middle,
        "bb_pos_20": (c - lower) / (upper - lower),
        "rel_volume_20": np.log(1 + v / mean_volume(v, 20)),
        "volume_trend_24_288": np.log(1 + mean_volume(v, 24) / mean_volume(v, 288)),
        "mfi_14": talib.MFI(h, l, c, v, 14) / 100,
        "doji": talib.CDLDOJI(o, h, l, c) / 100,
        "engulfing": np.sign(talib.CDLENGULFING(o, h, l, c)),
    }


TALIB = tuple(name for name in talib_features(*np.random.default_rng(0).random((5, 400))) if name in NAMES)


def undefined_in_talib(name, o, h, l, c, v):  # noqa: E741
    """Rows where TA-Lib returns 0 by its own convention and the definition a neutral value (or a real one)."""
    flat = {n: talib.MAX(h, n) == talib.MIN(l, n) for n in (14, 20)}
    if name == "stoch_k_14":
        return flat[14]
    if name == "stoch_d_3":
        return flat[14] | np.roll(flat[14], 1) | np.roll(flat[14], 2)
    if name == "bb_pos_20":
        return talib.MAX(c, 20) == talib.MIN(c, 20)
    if name == "mfi_14":  # TA-Lib: 0 where less than 1 (in the currency) moved
        tp = (h + l + c) / 3
        change = np.diff(tp, prepend=tp[0])
        moved = np.where(change != 0, tp * v, 0)
        tied = (abs(change) <= 1e-14 * tp) & (h != np.roll(h, 1))  # equal up to rounding: either answer will do
        return (np.convolve(moved, np.ones(14))[: len(c)] < 1.0 + 1e-9) | (np.convolve(tied, np.ones(14))[: len(c)] > 0)
    return np.zeros(len(c), dtype=bool)


@pytest.mark.parametrize("case", TALIB_WORLDS, indirect=True, scope="module")
@pytest.mark.parametrize("name", TALIB)
def test_equals_talib(name, case):
    columns = case[0].T.copy()
    got, want = case[1][name], talib_features(*columns)[name]
    skipped = undefined_in_talib(name, *columns)
    assert skipped[WARMUP:].mean() < 0.3
    assert_close(got, np.where(skipped, got, want))
