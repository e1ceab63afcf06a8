"""The 49 as one would write them with TA-Lib and numpy, or with pandas: one symbol, whole columns, no neutral values.

They are the benchmark's yardsticks, so they are as fast as their tools allow: running sums (which lose digits
after a burst of volume), shared intermediates, columns left where they are. On a market where nothing is
zero they compute the same values as :func:`quantlab.features.compute`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray
from scipy.special import erf

Column = NDArray[np.float64]

_K = 3.0 - 2.0 * np.sqrt(2.0)
_YANG_ZHANG_K = 0.34 / (1.34 + 25.0 / 23.0)


def talib_features(ohlcv: Column) -> list[Column]:
    """All 49 columns of ``ohlcv`` (T, 5), by TA-Lib where it has the function, else by numpy."""
    o, h, l, c, v = np.ascontiguousarray(ohlcv.T)  # noqa: E741
    c1, h1, l1 = lag(c, 1), lag(h, 1), lag(l, 1)
    log_o, log_h, log_l, log_c = np.log(o), np.log(h), np.log(l), np.log(c)
    log_c1 = lag(log_c, 1)
    r, gap, hl, body = log_c - log_c1, log_o - log_c1, log_h - log_l, log_c - log_o
    r1, square, change = lag(r, 1), r * r, c - c1
    add = talib.SUM
    q24, q48, q288 = add(square, 24), add(square, 48), add(square, 288)
    v20, v24, v48, v288 = add(v, 20), add(v, 24), add(v, 48), add(v, 288)
    sigma = np.sqrt(q288 / 288)
    typical = (h + l + c) / 3
    atr = talib.ATR(h, l, c, 14)
    per_atr = 1 / np.maximum(atr, 1e-5 * c)
    macd, _, histogram = talib.MACD(c, 12, 26, 9)
    k, d = talib.STOCHF(h, l, c, 14, 3)
    upper, middle, lower = talib.BBANDS(c, 20, 2, 2)
    low_55, high_55 = talib.MIN(l, 55), talib.MAX(h, 55)
    level = log_c - log_c[0]
    position = np.arange(len(c), dtype=np.float64)
    inside = (log_h - log_c) * (log_h - log_o) + (log_l - log_c) * (log_l - log_o)
    yang_zhang = (talib.VAR(gap, 24) + _YANG_ZHANG_K * talib.VAR(body, 24)) * (24 / 23)
    parkinson = add(hl * hl, 48) / (4 * np.log(2))
    clv = ((c - l) - (h - c)) / (h - l)
    cost = np.abs(r) / (c * v)
    recent, usual = add(cost, 24) / 24, add(cost, 288) / 288
    beta = hl * hl + lag(hl, 1) ** 2
    both = np.maximum(log_h, lag(log_h, 1)) - np.minimum(log_l, lag(log_l, 1))
    alpha = (np.sqrt(2) - 1) / _K * np.sqrt(beta) - both / np.sqrt(_K)
    spread = np.maximum(0, 2 * np.tanh(alpha / 2))
    flow = v * erf(r / (np.sqrt(2) * sigma))
    upper_body, lower_body = np.maximum(o, c), np.minimum(o, c)
    return [
        *(r, hl, np.log(c / talib.MAX(h, 288))),
        *(log_h - np.maximum(log_o, log_c), np.minimum(log_o, log_c) - log_l),
        c * v288 / add(typical * v, 288) - 1,
        *(talib.RSI(c, 14) / 100, macd * per_atr, histogram * per_atr, k / 100, d / 100),
        *((log_c - lag(log_c, n)) / (sigma * np.sqrt(n)) for n in (12, 48)),
        *((c - talib.EMA(c, n)) * per_atr for n in (9, 21, 50)),
        np.clip((c - talib.SMA(c, 200)) * per_atr, -50, 50),
        *(talib.ADX(h, l, c, 14) / 100, talib.PLUS_DI(h, l, c, 14) / 100, talib.MINUS_DI(h, l, c, 14) / 100),
        talib.AROONOSC(h, l, 25) / 100,
        *(talib.LINEARREG_SLOPE(level, 20) / sigma, talib.CORREL(level, position, 20) ** 2),
        np.abs(c - lag(c, 20)) / add(np.abs(change), 20),
        (log_c - lag(log_c, 288)) / (sigma * np.sqrt(288)),
        (c - low_55) / (high_55 - low_55),
        *(atr / c, (upper - lower) / middle, (c - lower) / (upper - lower)),
        np.sqrt(yang_zhang + (1 - _YANG_ZHANG_K) * add(inside, 24) / 24),
        *(sigma, np.sqrt(12 * q24 / q288), parkinson / (parkinson + q48)),
        add(np.where(r < 0, square, 0), 48) / q48,
        *(np.log1p(v * 20 / v20), np.log1p(v24 * 12 / v288)),
        *(add(np.sign(change) * v, 20) / v20, add(clv * v, 20) / v20, talib.MFI(h, l, c, v, 14) / 100),
        talib.CDLDOJI(o, h, l, c) / 100,
        ((lower_body - l) - (h - upper_body)) / (h - l),
        np.sign(talib.CDLENGULFING(o, h, l, c)),
        ((h > h1) & (l < l1)).astype(np.float64) - ((h < h1) & (l > l1)),
        streak(change),
        *(clv, recent / (recent + usual), add(r * r1, 48) / np.sqrt(q48 * add(r1 * r1, 48))),
        *(add(spread, 24) / 24, add(flow, 48) / v48),
    ]


def pandas_features(ohlcv: Column) -> list[Column]:
    """All 49 columns of ``ohlcv`` (T, 5), by pandas; by numpy where pandas would call Python for every window."""
    o, h, l, c, v = (pd.Series(column) for column in np.ascontiguousarray(ohlcv.T))  # noqa: E741
    c1, h1, l1, o1 = (x.shift(1).fillna(x.iloc[0]) for x in (c, h, l, o))
    log_o, log_h, log_l, log_c = np.log(o), np.log(h), np.log(l), np.log(c)
    r, gap, hl, body = log_c - np.log(c1), log_o - np.log(c1), log_h - log_l, log_c - log_o
    r1, square, change = r.shift(1).fillna(0.0), r * r, c - c1
    q24, q48, q288 = (square.rolling(n).sum() for n in (24, 48, 288))
    v20, v24, v48, v288 = (v.rolling(n).sum() for n in (20, 24, 48, 288))
    sigma = np.sqrt(q288 / 288)
    typical = (h + l + c) / 3
    reach = np.maximum(h - l, np.maximum((h - c1).abs(), (l - c1).abs()))
    atr = wilder(reach)
    per_atr = 1 / np.maximum(atr, 1e-5 * c)
    macd = c.ewm(span=12, adjust=False).mean() - c.ewm(span=26, adjust=False).mean()
    gain, loss = wilder(change.clip(lower=0)), wilder((-change).clip(lower=0))
    up, down = h - h1, l1 - l
    plus, minus = wilder(up.where((up > down) & (up > 0), 0.0)), wilder(down.where((down > up) & (down > 0), 0.0))
    low_14, high_14 = l.rolling(14).min(), h.rolling(14).max()
    low_55, high_55 = l.rolling(55).min(), h.rolling(55).max()
    stoch = (c - low_14) / (high_14 - low_14)
    mean, deviation = c.rolling(20).mean(), c.rolling(20).std(ddof=0)
    level, position = log_c - log_c.iloc[0], pd.Series(np.arange(len(c), dtype=np.float64))
    inside = (log_h - log_c) * (log_h - log_o) + (log_l - log_c) * (log_l - log_o)
    yang_zhang = gap.rolling(24).var() + _YANG_ZHANG_K * body.rolling(24).var()
    parkinson = (hl * hl).rolling(48).sum() / (4 * np.log(2))
    step, value = typical.diff(), typical * v
    rise, fall = (value.where(moved, 0.0).rolling(14).sum() for moved in (step > 0, step < 0))
    clv = ((c - l) - (h - c)) / (h - l)
    cost = r.abs() / (c * v)
    recent, usual = cost.rolling(24).mean(), cost.rolling(288).mean()
    beta = hl * hl + hl.shift(1) ** 2
    both = np.maximum(log_h, log_h.shift(1)) - np.minimum(log_l, log_l.shift(1))
    alpha = (np.sqrt(2) - 1) / _K * np.sqrt(beta) - both / np.sqrt(_K)
    flow = v * erf(r / (np.sqrt(2) * sigma))
    upper_body, lower_body = np.maximum(o, c), np.minimum(o, c)
    upper_body_1, lower_body_1 = np.maximum(o1, c1), np.minimum(o1, c1)
    covers = (upper_body >= upper_body_1) & (lower_body <= lower_body_1)
    covers &= (upper_body > upper_body_1) | (lower_body < lower_body_1)
    white = c >= o
    columns = [
        *(r, hl, np.log(c / h.rolling(288).max())),
        *(log_h - np.maximum(log_o, log_c), np.minimum(log_o, log_c) - log_l),
        c * v288 / value.rolling(288).sum() - 1,
        *(gain / (gain + loss), macd * per_atr, (macd - macd.ewm(span=9, adjust=False).mean()) * per_atr),
        *(stoch, stoch.rolling(3).mean()),
        *((log_c - log_c.shift(n)) / (sigma * np.sqrt(n)) for n in (12, 48)),
        *((c - c.ewm(span=n, adjust=False).mean()) * per_atr for n in (9, 21, 50)),
        ((c - c.rolling(200).mean()) * per_atr).clip(-50, 50),
        *(wilder((plus - minus).abs() / (plus + minus)), plus / atr, minus / atr),
        (since_top(-l.to_numpy(), 26) - since_top(h.to_numpy(), 26)) / 25,
        *(level.rolling(20).cov(position) / 35 / sigma, level.rolling(20).corr(position) ** 2),
        (c - c.shift(20)).abs() / change.abs().rolling(20).sum(),
        (log_c - log_c.shift(288)) / (sigma * np.sqrt(288)),
        (c - low_55) / (high_55 - low_55),
        *(atr / c, 4 * deviation / mean, (c - mean) / (4 * deviation) + 0.5),
        np.sqrt(yang_zhang + (1 - _YANG_ZHANG_K) * inside.rolling(24).mean()),
        *(sigma, np.sqrt(12 * q24 / q288), parkinson / (parkinson + q48)),
        square.where(r < 0, 0.0).rolling(48).sum() / q48,
        *(np.log1p(v * 20 / v20), np.log1p(v24 * 12 / v288)),
        *((np.sign(change) * v).rolling(20).sum() / v20, (clv * v).rolling(20).sum() / v20, rise / (rise + fall)),
        ((c - o).abs() <= 0.1 * (h - l).rolling(10).mean().shift(1)).astype(np.float64),
        ((lower_body - l) - (h - upper_body)) / (h - l),
        pd.Series(np.where(covers & (white != (c1 >= o1)), np.where(white, 1.0, -1.0), 0.0)),
        ((h > h1) & (l < l1)).astype(np.float64) - ((h < h1) & (l > l1)).astype(np.float64),
        pd.Series(streak(change.to_numpy())),
        *(clv, recent / (recent + usual)),
        (r * r1).rolling(48).sum() / np.sqrt(q48 * (r1 * r1).rolling(48).sum()),
        np.maximum(0, 2 * np.tanh(alpha / 2)).rolling(24).mean(),
        flow.rolling(48).sum() / v48,
    ]
    return [np.asarray(column) for column in columns]


def lag(values: Column, bars: int) -> Column:
    """`values` of `bars` bars ago; the first ones repeat the first."""
    out = np.empty_like(values)
    out[:bars], out[bars:] = values[0], values[:-bars]
    return out


def wilder(values: pd.Series[float]) -> pd.Series[float]:
    """Wilder's average over 14 bars."""
    return values.ewm(alpha=1 / 14, adjust=False).mean()


def since_top(values: Column, bars: int) -> Column:
    """Bars since the latest highest of the last `bars`."""
    out = np.full(len(values), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, bars)
    out[bars - 1 :] = np.argmax(windows[:, ::-1], axis=1)
    return out


def streak(change: Column) -> Column:
    """Signed run of rising or falling closes, capped at 10, over 10."""
    sign = np.sign(change)
    position = np.arange(len(sign))
    begun = np.maximum.accumulate(np.where(sign != lag(sign, 1), position, 0))
    return sign * np.minimum(position - begun + 1, 10) / 10
