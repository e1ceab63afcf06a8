"""Everything that is asked of an extra feature, in one call: ``check_feature(MY_FEATURE)``.

The same questions are asked of the 49 by the project's own tests. They run on one seeded market in which
every symbol is another trouble, and take about a second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from quantlab.core.arrays import Float32Array, Float64Array
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars, BarState, Instrument
from quantlab.features.extra import ExtraFeature
from quantlab.features.kernels.loops import WARMUP
from quantlab.features.pipeline import FeaturePipeline

INTERVAL_MS = 300_000
_START_MS = 1_742_083_200_000
_BARS = WARMUP + 600
_TROUBLE = WARMUP + 100  # the row from which the single bars go wrong: ready rows lie before and behind
_RULES = Instrument(
    tick=0.0, lot=0.0, min_notional=0.0, maintenance_margin_rate=0.0, maker_fee_bps=0.0, taker_fee_bps=0.0
)


def _usual(bars: Float64Array) -> None:
    """No trouble."""


def _dead(bars: Float64Array) -> None:
    bars[:, :4], bars[:, 4] = 7.3, 0.0


def _dies(bars: Float64Array) -> None:
    bars[_TROUBLE:, :4], bars[_TROUBLE:, 4] = bars[_TROUBLE - 1, 3], 0.0


def _silent(bars: Float64Array) -> None:
    bars[:, 4] = 0.0


def _jumps(bars: Float64Array) -> None:
    bars[_TROUBLE : _TROUBLE + 40, :4] *= 10.0
    bars[_TROUBLE + 80 :, :4] *= 0.1


def _bursts(bars: Float64Array) -> None:
    bars[_TROUBLE, 4] = 1e12


def _tiny(bars: Float64Array) -> None:
    bars[:, :4] *= 1e-10


def _huge(bars: Float64Array) -> None:
    bars[:, :4] *= 1e4


def _ladder(bars: Float64Array) -> None:
    bars[:, :4] = (100.0 + np.arange(len(bars)))[:, np.newaxis]


def _hole(bars: Float64Array) -> None:
    bars[30:43] = np.nan


def _late(bars: Float64Array) -> None:
    bars[:500] = np.nan


#: Symbol of the market -> what is done to its bars (T, 5).
TROUBLES: dict[str, Callable[[Float64Array], None]] = {
    "usual": _usual,
    "dead": _dead,
    "dies": _dies,
    "silent": _silent,
    "jumps": _jumps,
    "bursts": _bursts,
    "tiny": _tiny,
    "huge": _huge,
    "ladder": _ladder,
    "hole": _hole,
    "late": _late,
}


def troubled_market(seed: int = 0) -> Bars:
    """A seeded market on a tick, calm at times, with one symbol for every trouble."""
    rng = np.random.default_rng(seed)
    shape = (_BARS, len(TROUBLES))
    calm = rng.random(shape) < 0.2
    close = np.exp(np.cumsum(np.where(calm, 0.0, rng.standard_t(3, shape) * 0.0015), axis=0))
    close = np.round(100.0 * close, 2)
    open_ = np.vstack([close[:1], close[:-1]])
    reach = np.round(np.where(calm, 0.0, np.abs(rng.normal(0.0, 0.1, (2, *shape)))), 2)
    high, low = np.maximum(open_, close) + reach[0], np.maximum(np.minimum(open_, close) - reach[1], 0.01)
    volume = np.where(rng.random(shape) < 0.15, 0.0, rng.lognormal(4.0, 2.0, shape))
    ohlcv = np.ascontiguousarray(np.stack([open_, high, low, close, volume], axis=-1))
    for column, spoil in enumerate(TROUBLES.values()):
        spoil(ohlcv[:, column])
    return Bars(
        ohlcv=ohlcv,
        open_time_ms=_START_MS + INTERVAL_MS * np.arange(_BARS, dtype=np.int64),
        interval_ms=INTERVAL_MS,
        state=np.where(np.isnan(ohlcv[:, :, 3]), BarState.ABSENT, BarState.TRADED).astype(np.uint8),
        symbols=tuple(TROUBLES),
        instruments=(_RULES,) * len(TROUBLES),
    )


def check_feature(feature: ExtraFeature, seed: int = 0) -> None:
    """Return if `feature` keeps every promise that the 49 keep.

    A number in its range in every ready row, whatever the trouble; its neutral value in a dead market; some
    variation in a usual one; and the same bits from the stream with its state saved and restored, from a
    cold start, from other symbols beside it, from a shorter history, and in units of price or volume that
    are another power of two (models pool symbols from 1e-5 to 1e5 USD: a feature must not know the unit).

    Raises
    ------
    ContractError
        Naming the first promise that does not hold.
    """
    market = troubled_market(seed)
    pipeline = FeaturePipeline(interval_ms=INTERVAL_MS, threads=1, extra=(feature,))
    values = _column(pipeline, market)  # refuses what is no number in the range
    dead, usual = (values[WARMUP:, market.symbols.index(name)] for name in ("dead", "usual"))
    _require_promise(
        feature, (dead == np.float32(feature.neutral)).all(), f"its neutral value {feature.neutral:g} in a dead market"
    )
    _require_promise(feature, len(np.unique(usual)) > 1, "other values than one in a usual market")
    for promise, same in (
        ("in the stream as in the history", _stream_bytes(pipeline, market) == values.tobytes()),
        ("after a cold start", _cold_start_bytes(pipeline, market) == values[-50:, :2].tobytes()),
        ("whatever the other symbols", _reordered_bytes(pipeline, market) == values[:, ::-1][:, :4].tobytes()),
        ("whatever the future", _prefix_bytes(pipeline, market) == values[:_TROUBLE].tobytes()),
        ("in other units of price", _scaled_bytes(pipeline, market, 2.0**-9, 1.0) == values.tobytes()),
        ("in other units of volume", _scaled_bytes(pipeline, market, 1.0, 2.0**11) == values.tobytes()),
    ):
        _require_promise(feature, same, f"the same bits {promise}")


def _require_promise(feature: ExtraFeature, holds: bool | np.bool_, promise: str) -> None:
    if not holds:
        raise ContractError(
            f"{feature.name} to give {promise}", found="something else", fix="correct the function, or what it states"
        )


def _column(pipeline: FeaturePipeline, bars: Bars) -> Float32Array:
    return np.ascontiguousarray(pipeline.transform(bars).values[:, :, -1])


def _stream_bytes(pipeline: FeaturePipeline, market: Bars) -> bytes:
    stream = pipeline.stream(market.symbols, market.interval_ms)
    rows = []
    for row in range(market.n_bars):
        if row in (3, WARMUP, _TROUBLE + 1):
            saved = stream.state()
            stream = pipeline.stream(market.symbols, market.interval_ms)
            stream.restore(saved)
        rows.append(stream.update(market.rows(row, row + 1)).values[0, :, -1])
    return np.stack(rows).tobytes()


def _cold_start_bytes(pipeline: FeaturePipeline, market: Bars) -> bytes:
    return _column(pipeline, market.rows(_BARS - 50 - WARMUP + 1, _BARS))[-50:, :2].tobytes()


def _reordered_bytes(pipeline: FeaturePipeline, market: Bars) -> bytes:
    turned = dataclasses.replace(
        market,
        ohlcv=np.ascontiguousarray(market.ohlcv[:, ::-1]),
        state=np.ascontiguousarray(market.state[:, ::-1]),
        symbols=market.symbols[::-1],
    )
    return _column(pipeline, turned.first_symbols(4)).tobytes()


def _prefix_bytes(pipeline: FeaturePipeline, market: Bars) -> bytes:
    return _column(pipeline, market.rows(0, _TROUBLE)).tobytes()


def _scaled_bytes(pipeline: FeaturePipeline, market: Bars, price: float, volume: float) -> bytes:
    scaled = market.ohlcv * np.array([price, price, price, price, volume])
    return _column(pipeline, dataclasses.replace(market, ohlcv=scaled)).tobytes()
