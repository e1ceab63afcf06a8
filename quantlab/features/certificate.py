"""Number of bars that a restart needs until its features are those of the whole history, to the last bit.

1. The features of the history, in float64, are the truth; a restart may begin wherever they are ready.
2. A restart feeds the bars from there on to empty states, which remember nothing of what was before.
3. Its need is the number of bars after which every later row, as far as it is followed, has the truth's bits.

The warm-up of a set promises that no need exceeds it: windows need their length, and recursions forget their start
when rounding has eaten the last trace of it, which only trying can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.core.arrays import BoolArray, Float64Array, Int64Array
from quantlab.core.checks import check_range
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.market import Bars, BarState
from quantlab.core.ports import FeatureSource, Stage
from quantlab.features.extra import ExtraFeature
from quantlab.features.extra_rows import ExtraRows
from quantlab.features.history import compute
from quantlab.features.kernels.formulas import COUNT
from quantlab.features.kernels.loops import run
from quantlab.features.kernels.state import empty_state
from quantlab.features.memory import warmup_days
from quantlab.features.pipeline import FeaturePipeline

#: Symbols restarted side by side: bounds the memory.
_SYMBOLS_AT_ONCE = 16


@dataclass(frozen=True)
class FeatureNeed:
    """Bars that one feature needed, over all restarts.

    Parameters
    ----------
    name : str
    median, p99, most : int
        At least 2 (a single bar is not looked at); ``horizon + 1`` means: not as far as it was followed.
    symbol, restarted : str
        Where and when (ISO 8601, open of the first bar) the restart that needed `most` began.
    """

    name: str
    median: int
    p99: int
    most: int
    symbol: str
    restarted: str


@dataclass(frozen=True)
class WarmupCertificate:
    """The outcome of :func:`certify`.

    Parameters
    ----------
    fingerprint : str
        Of the pipeline.
    warmup : int
        What is promised.
    horizon : int
        Bars that every restart was followed.
    restarts : int
    needs : tuple of FeatureNeed
        In column order.
    """

    fingerprint: str
    warmup: int
    horizon: int
    restarts: int
    needs: tuple[FeatureNeed, ...]

    @property
    def broken(self) -> tuple[FeatureNeed, ...]:
        """Features that needed more than was promised, worst first."""
        return tuple(sorted((n for n in self.needs if n.most > self.warmup), key=lambda n: -n.most))

    def to_dict(self) -> dict[str, Any]:
        """Strict JSON values; ``warmup_days`` says what the warm-up is in days, by the length of a bar."""
        return {**asdict(self), "warmup_days": warmup_days(self.warmup)}


def certify(
    source: FeatureSource, bars: Bars, *, restarts: int, horizon: int, seed: int, stage: Stage
) -> WarmupCertificate:
    """Restart the symbols at random bars and measure.

    Parameters
    ----------
    source : FeatureSource
        A :class:`~quantlab.features.FeaturePipeline`: rows before the warm-up cannot be asked of any other.
    restarts : int
        In all; those that fall on a symbol while it is not listed, or into a hole, are left out.
    horizon : int
        Bars that a restart is followed, more than the pipeline's warm-up.
    seed : int
        Of the restarts' places.
    stage : Stage
        Advances by 1 per symbol.

    Raises
    ------
    ConfigError
        If a number is out of range, or `source` is no ``FeaturePipeline``.
    HistoryError
        If no symbol has as many bars as the warm-up and `horizon` together, without a hole.
    ContractError, DataError
        As ``FeaturePipeline.transform``.
    """
    check_range("job.restarts", restarts, low=1)
    pipeline = _pipeline(source)
    check_range("job.horizon", horizon, low=pipeline.warmup + 1)
    pipeline.check_interval(bars.interval_ms)
    rng = np.random.default_rng(seed)
    each = -(-restarts // bars.n_symbols)
    needs: list[Int64Array] = []
    places: list[tuple[str, int]] = []
    for begin in range(0, bars.n_symbols, _SYMBOLS_AT_ONCE):
        part = _symbols(bars, begin, min(begin + _SYMBOLS_AT_ONCE, bars.n_symbols))
        for start, column, need in _restarts(pipeline, part, each, horizon, rng):
            needs.append(need)
            places.append((part.symbols[column], int(part.open_time_ms[start])))
        stage.advance(part.n_symbols)
    if not needs:
        raise _too_short(pipeline.warmup, horizon, _longest_run(bars))
    table = np.stack(needs)
    summary = tuple(_summary(name, table[:, column], places) for column, name in enumerate(pipeline.names))
    return WarmupCertificate(pipeline.fingerprint, pipeline.warmup, horizon, len(needs), summary)


def _too_short(warmup: int, horizon: int, longest: int) -> HistoryError:
    """Say what would do: a restart begins after a warm-up and is followed for one bar more than another."""
    fix = (
        f"load a history with {2 * warmup + 2} bars or more without a hole (and set job.horizon={warmup + 1}), or choose "
        "features with a shorter warm-up"
    )
    if longest >= 2 * warmup + 2:
        fix = f"load a longer history, or follow the restarts less far: job.horizon={longest - warmup - 1} at most"
    return HistoryError(
        f"a symbol with {warmup + horizon + 1} bars without a hole", found=f"{longest} at most", fix=fix
    )


def _longest_run(bars: Bars) -> int:
    """Bars of the longest stretch of one symbol in which none is absent."""
    run, longest = np.zeros(bars.n_symbols, dtype=np.int64), 0
    for there in bars.state != BarState.ABSENT:
        run = np.where(there, run + 1, 0)
        longest = max(longest, int(run.max()))
    return longest


def _pipeline(source: FeatureSource) -> FeaturePipeline:
    if not isinstance(source, FeaturePipeline):
        raise ConfigError("a FeaturePipeline", found=type(source).__name__, fix="use features=unified49")
    return source


def _summary(name: str, needs: Int64Array, places: list[tuple[str, int]]) -> FeatureNeed:
    worst = int(np.argmax(needs))
    symbol, start_ms = places[worst]
    median, p99 = (int(np.quantile(needs, q, method="higher")) for q in (0.5, 0.99))
    return FeatureNeed(name, median, p99, int(needs[worst]), symbol, iso_utc(start_ms))


def _symbols(bars: Bars, begin: int, end: int) -> Bars:
    return Bars(
        ohlcv=np.ascontiguousarray(bars.ohlcv[:, begin:end]),
        open_time_ms=bars.open_time_ms,
        interval_ms=bars.interval_ms,
        state=np.ascontiguousarray(bars.state[:, begin:end]),
        symbols=bars.symbols[begin:end],
        instruments=bars.instruments[begin:end],
    )


def _restarts(
    pipeline: FeaturePipeline, bars: Bars, each: int, horizon: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, Int64Array]]:
    """(row, column, needs (F,)) of `each` restarts per symbol, where the symbol is ready throughout."""
    warmup, places, windowed = pipeline.warmup, pipeline.set.places, pipeline.set.windowed
    truth = compute(
        bars.ohlcv, bars.open_time_ms, bars.interval_ms, dtype=np.float64, threads=pipeline.threads, warmup=warmup
    )
    ready: BoolArray = ~np.isnan(truth[:, :, 0])
    truths: list[NDArray[Any]] = [truth[:, :, places], *(_extra_rows(one, bars, ready) for one in windowed)]
    last = bars.n_bars - horizon
    if last <= warmup:
        return
    for start in rng.integers(warmup, last, each).tolist():
        columns = np.flatnonzero(ready[start - 1 : start + horizon].all(axis=0))
        if len(columns) == 0:
            continue
        cold = bars.rows(start, start + horizon)
        seen = np.arange(1, horizon + 1)[:, np.newaxis]
        colds: list[NDArray[Any]] = [_cold_rows(cold)[:, :, places]]
        for one in windowed:
            full = np.broadcast_to(seen >= one.window, cold.state.shape) & ready[start : start + horizon]
            colds.append(_extra_rows(one, cold, full))
        needs = np.concatenate(
            [_needs(c, w[start : start + horizon]) for c, w in zip(colds, truths, strict=True)], axis=1
        )
        for column in columns.tolist():
            yield start, column, needs[column]


def _cold_rows(bars: Bars) -> Float64Array:
    """float64 (T, S, 49): rows of states that were empty before the first bar, warm or not; the first is NaN."""
    rows, symbols = bars.state.shape
    out = np.full((rows, symbols, COUNT), np.nan)
    state, empty = empty_state(symbols), empty_state(1)
    index = int(bars.open_time_ms[0]) // bars.interval_ms
    run(state, empty, index, bars.ohlcv, 0, symbols, out, 2)  # only a row's *output* waits for the warm-up
    return out


def _extra_rows(one: ExtraFeature, bars: Bars, ready: BoolArray) -> NDArray[np.float32]:
    nothing = np.empty((*ready.shape, 0), dtype=np.float32)
    first_ms = int(bars.open_time_ms[0])
    return ExtraRows((one,), bars.symbols).append(nothing, ready, bars.ohlcv, first_ms, bars.interval_ms)


def _needs(cold: NDArray[Any], truth: NDArray[Any]) -> Int64Array:
    """int64 (S, F): bars after which no row differs; the first bar alone is never enough."""
    word = f"u{cold.dtype.itemsize}"
    differs = np.ascontiguousarray(cold).view(word) != np.ascontiguousarray(truth).view(word)
    differs[0] = True
    last = len(differs) - 1 - np.argmax(differs[::-1], axis=0)
    needs: Int64Array = (last + 2).astype(np.int64)
    return needs
