"""An independent oracle for the 49, written from the definitions with no regard for speed, and worlds to try it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import erf

INTERVAL = 300_000
START = 1_742_083_200_000

Windowed = Callable[[np.ndarray], np.ndarray]


def over(values: np.ndarray, bars: int, aggregate: Callable[..., np.ndarray]) -> np.ndarray:
    """`aggregate` of every full window; NaN before the first."""
    out = np.full(len(values), np.nan, dtype=np.longdouble)
    out[bars - 1 :] = aggregate(np.lib.stride_tricks.sliding_window_view(values, bars), axis=1)
    return out


def total(values: np.ndarray, bars: int) -> np.ndarray:
    return over(values, bars, np.sum)


def lag(values: np.ndarray, bars: int) -> np.ndarray:
    return np.concatenate([np.repeat(values[:1], bars), values[:-bars]])


def smooth(values: np.ndarray, rate: float, floor: np.ndarray) -> np.ndarray:
    """Exponential average with the two rules for dead markets: take the input when all but equal, end at the floor."""
    out = np.empty(len(values), dtype=np.longdouble)
    y = np.longdouble(values[0])
    for t, x in enumerate(values):
        y = (1 - np.longdouble(rate)) * y + np.longdouble(rate) * x
        y = x if abs(x - y) <= 1e-14 * abs(x) else y
        y = np.longdouble(0) if abs(y) < floor[t] else y
        out[t] = y
    return out


def share(part: np.ndarray, whole: np.ndarray, dead: np.ndarray, neutral: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(dead, neutral, part / whole)


def since_top(values: np.ndarray, bars: int) -> np.ndarray:
    """Bars since the latest highest value of the last `bars`."""
    return over(values, bars, lambda window, axis: np.argmax(window[:, ::-1], axis=axis))


def oracle_features(ohlcv: np.ndarray) -> dict[str, np.ndarray]:
    """All 49 of one symbol, ``ohlcv`` (T, 5), in extended precision; trust rows past the warm-up only."""
    o, h, l, c, v = ohlcv.T  # noqa: E741
    # What is compared for a tie is compared in float64, as it was written.
    d, up, down = c - lag(c, 1), h - lag(h, 1), lag(l, 1) - l
    tp = (h + l + c) / 3.0
    tp_step = tp - lag(tp, 1)
    engulfs, wicks = oracle_engulfing(o, c), np.minimum(o, c) - l - (h - np.maximum(o, c))
    run = oracle_streak(d)
    O, H, L, C, V, TP = (x.astype(np.longdouble) for x in (o, h, l, c, v, tp))  # noqa: E741
    lO, lH, lL, lC = np.log(O), np.log(H), np.log(L), np.log(C)
    r, g, hl, bd = lC - lag(lC, 1), lO - lag(lC, 1), lH - lL, lC - lO
    tiny = 1e-12 * C
    q = {n: total(r * r, n) for n in (24, 48, 288)}
    dead = q[288] <= 1e-20
    sigma = np.sqrt(q[288] / 288)
    reach = np.maximum(H - L, np.maximum(abs(H - lag(C, 1)), abs(L - lag(C, 1))))
    atr = smooth(reach, 1 / 14, tiny)
    A = np.maximum(atr, 1e-5 * C)
    plus = smooth(np.where((up > down) & (up > 0), up, 0), 1 / 14, tiny)
    minus = smooth(np.where((down > up) & (down > 0), down, 0), 1 / 14, tiny)
    ema = {n: smooth(C, 2 / (n + 1), tiny) for n in (9, 12, 21, 26, 50)}
    macd = ema[12] - ema[26]
    gain, loss = smooth(np.maximum(d, 0), 1 / 14, tiny), smooth(np.maximum(-d, 0), 1 / 14, tiny)
    hh = {n: over(h, n, np.max) for n in (14, 55, 288)}
    ll = {n: over(l, n, np.min) for n in (14, 55)}
    f: dict[str, np.ndarray] = {}

    f["ret_1"], f["hl_range"] = r, hl
    f["drawdown_288"] = np.log(C / hh[288])
    f["upper_wick"], f["lower_wick"] = lH - np.maximum(lO, lC), np.minimum(lO, lC) - lL
    v288 = total(V, 288)
    f["vwap_dist_288"] = share(C * v288, total(TP * V, 288), v288 == 0, 1) - 1

    f["rsi_14"] = share(gain, gain + loss, gain + loss <= tiny, 0.5)
    f["macd_atr"] = np.clip(macd / A, -50, 50)
    f["macd_hist_atr"] = np.clip((macd - smooth(macd, 0.2, tiny)) / A, -50, 50)
    f["stoch_k_14"] = share(C - ll[14], hh[14] - ll[14], hh[14] == ll[14], 0.5)
    f["stoch_d_3"] = over(f["stoch_k_14"], 3, np.mean)
    for n in (12, 48, 288):
        f[f"mom_z_{n}"] = share(lC - lag(lC, n), np.sqrt(q[288] * n / 288), dead, 0)

    for n in (9, 21, 50):
        f[f"ema_dist_atr_{n}"] = np.clip((C - ema[n]) / A, -50, 50)
    f["sma_dist_atr_200"] = np.clip((C - over(C, 200, np.mean)) / A, -50, 50)
    dx = share(abs(plus - minus), plus + minus, plus + minus <= tiny, 0)
    f["adx_14"] = smooth(dx, 1 / 14, np.full(len(c), 1e-12))
    f["plus_di_14"] = share(plus, atr, atr <= tiny, 0)
    f["minus_di_14"] = share(minus, atr, atr <= tiny, 0)
    f["aroon_osc_25"] = (since_top(-l, 26) - since_top(h, 26)) / 25
    slope, r2 = oracle_regression(lC, 20)
    f["linreg_slope_z_20"] = share(slope, sigma, dead, 0)
    f["linreg_r2_20"] = r2
    moved = total(abs(d), 20)
    f["efficiency_20"] = share(abs(c - lag(c, 20)), moved, moved <= tiny, 0)
    f["donchian_pos_55"] = share(C - ll[55], hh[55] - ll[55], hh[55] == ll[55], 0.5)

    f["natr_14"] = atr / C
    sma, sd = over(C, 20, np.mean), over(C, 20, np.std)
    f["bb_width_20"] = 4 * sd / sma
    f["bb_pos_20"] = share(C - sma, 4 * sd, sd <= tiny, 0) + 0.5
    rs = (lH - lC) * (lH - lO) + (lL - lC) * (lL - lO)
    k = 0.34 / (1.34 + 25 / 23)
    variance = {name: over(x, 24, lambda w, axis: np.var(w, axis=axis, ddof=1)) for name, x in (("g", g), ("bd", bd))}
    f["yang_zhang_24"] = np.sqrt(variance["g"] + k * variance["bd"] + (1 - k) * over(rs, 24, np.mean))
    f["rv_288"] = sigma
    f["vol_ratio_24_288"] = np.sqrt(share(12 * q[24], q[288], dead, 1))
    parkinson = total(hl * hl, 48) / (4 * np.log(2))
    f["parkinson_share_48"] = share(parkinson, parkinson + q[48], parkinson + q[48] <= 1e-20, 0.5)
    f["downside_share_48"] = share(total(np.where(d < 0, r * r, 0), 48), q[48], q[48] <= 1e-20, 0.5)

    v20, v24 = total(V, 20), total(V, 24)
    f["rel_volume_20"] = np.log1p(share(V, v20 / 20, v20 == 0, 0))
    f["volume_trend_24_288"] = np.log1p(share(v24 / 24, v288 / 288, v288 == 0, 1))
    f["obv_20"] = share(total(np.sign(d) * V, 20), v20, v20 == 0, 0)
    clv = share(2 * C - H - L, H - L, h == l, 0)
    f["cmf_20"] = share(total(clv * V, 20), v20, v20 == 0, 0)
    rise, fall = total(np.where(tp_step > 0, TP * V, 0), 14), total(np.where(tp_step < 0, TP * V, 0), 14)
    f["mfi_14"] = share(rise, rise + fall, rise + fall == 0, 0.5)

    f["doji"] = (abs(c - o) <= 0.1 * lag(over(h - l, 10, np.mean), 1)).astype(float)
    f["pin_bar"] = share(wicks, h - l, h == l, 0)
    f["engulfing"] = engulfs
    f["inside_outside"] = ((up > 0) & (down > 0)).astype(float) - ((up < 0) & (down < 0))
    f["streak"] = run / 10

    f["clv"] = clv
    cost = share(abs(r), C * V, v == 0, 0)
    traded = (v > 0).astype(float)
    means = [share(total(cost, n), total(traded, n), total(traded, n) == 0, 0) for n in (24, 288)]
    f["amihud_share_24_288"] = share(means[0], means[0] + means[1], means[0] + means[1] == 0, 0.5)
    f["amihud_share_24_288"] = np.where(total(traded, 24) == 0, 0.5, f["amihud_share_24_288"])
    r1 = lag(r, 1)
    root = np.sqrt(q[48] * total(r1 * r1, 48))
    f["autocorr_48"] = share(total(r * r1, 48), root, root <= 1e-20, 0)
    f["corwin_schultz_24"] = over(oracle_spread(lH, lL), 24, np.mean)
    signed = V * erf(share(r, np.sqrt(2) * sigma, dead, 0).astype(float))
    v48 = total(V, 48)
    f["bvc_imbalance_48"] = share(total(signed, 48), v48, v48 == 0, 0)
    return f


def oracle_engulfing(o: np.ndarray, c: np.ndarray) -> np.ndarray:
    out = np.zeros(len(o))
    for t in range(1, len(o)):
        white, before = c[t] >= o[t], c[t - 1] >= o[t - 1]
        low, high = sorted((o[t], c[t]))
        low_1, high_1 = sorted((o[t - 1], c[t - 1]))
        covers = high >= high_1 and low <= low_1 and not (high == high_1 and low == low_1)
        if white != before and covers:
            out[t] = 1 if white else -1
    return out


def oracle_streak(d: np.ndarray) -> np.ndarray:
    out = np.zeros(len(d))
    for t in range(1, len(d)):
        sign = np.sign(d[t])
        same = sign != 0 and np.sign(out[t - 1]) == sign
        out[t] = np.clip(out[t - 1] + sign if same else sign, -10, 10)
    return out


def oracle_regression(y: np.ndarray, bars: int) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(bars, dtype=np.longdouble) - np.longdouble(bars - 1) / 2
    rows = np.lib.stride_tricks.sliding_window_view(y, bars)
    centred = rows - rows.mean(axis=1, keepdims=True)
    cross, squares = (centred * x).sum(axis=1), (centred**2).sum(axis=1)
    slope, r2 = np.full((2, len(y)), np.nan, dtype=np.longdouble)
    slope[bars - 1 :] = cross / (x**2).sum()
    r2[bars - 1 :] = share(cross**2, (x**2).sum() * squares, squares <= 1e-20, 0)
    return slope, r2


def oracle_spread(lH: np.ndarray, lL: np.ndarray) -> np.ndarray:
    hl = lH - lL
    beta = hl**2 + lag(hl, 1) ** 2
    gamma = (np.maximum(lH, lag(lH, 1)) - np.minimum(lL, lag(lL, 1))) ** 2
    k = 3 - 2 * np.sqrt(np.longdouble(2))
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
    return np.maximum(0, 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha)))


def make_world(seed: int = 0, n_bars: int = 2400, n_symbols: int = 3) -> np.ndarray:
    """Seeded ``ohlcv`` (T, S, 5) with prices on a tick, quiet stretches, bars without volume and jumps."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_symbols)
    calm = rng.random(shape) < 0.2
    steps = np.where(calm, 0.0, rng.standard_t(3, shape) * 0.0015)
    level = 10.0 ** rng.uniform(-4, 4, n_symbols)
    tick = level * 1e-4
    close = np.round(level * np.exp(np.cumsum(steps, axis=0)) / tick) * tick
    open_ = np.round(
        np.vstack([close[:1], close[:-1]]) * np.exp(np.where(calm, 0, 2e-4) * rng.normal(size=shape)) / tick
    )
    open_ = np.where(calm, close, open_ * tick)
    reach = np.where(calm, 0.0, np.abs(rng.normal(0, 1e-3, (2, *shape)))) * level
    high = np.maximum(open_, close) + np.round(reach[0] / tick) * tick
    low = np.maximum(np.minimum(open_, close) - np.round(reach[1] / tick) * tick, tick)
    low = np.minimum(low, np.minimum(open_, close))
    volume = np.where(rng.random(shape) < 0.15, 0.0, rng.lognormal(4, 2, shape))
    return np.ascontiguousarray(np.stack([open_, high, low, close, volume], axis=-1))


@pytest.fixture(scope="session")
def oracle() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    return oracle_features


@pytest.fixture(scope="session")
def world() -> Callable[..., np.ndarray]:
    return make_world


@pytest.fixture(scope="session")
def grid() -> Callable[..., np.ndarray]:
    """Open times of `n` five-minute bars from bar number `first` after an arbitrary, not round, start."""
    return lambda n, first=0: START + INTERVAL * (7 + first + np.arange(n, dtype=np.int64))


@pytest.fixture(scope="session")
def real_ohlcv(perps_5m: Path) -> Callable[[str, int], np.ndarray]:
    """The last `n` bars (T, 5) of a real perpetual, a venue stop among them."""

    def load(symbol: str, n: int) -> np.ndarray:
        frame = pd.read_parquet(perps_5m / f"{symbol}.parquet").set_index("timestamp").iloc[-n:]
        assert (np.diff(frame.index.asi8) == INTERVAL).all()
        return np.ascontiguousarray(frame[["open", "high", "low", "close", "volume"]].to_numpy(np.float64))

    return load
