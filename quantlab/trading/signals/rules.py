"""Signal sources that need no learning: a moving-average crossing, and chance.

Both compute a row from past bars alone, by the same code in a batch and in a stream, so that the
two agree bit for bit. Neither has a side where the ATR is unknown: nothing trades in warm-up.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int8Array
from quantlab.core.blobs import pack_arrays, unpack_arrays
from quantlab.core.checks import check_has, check_range, check_whole
from quantlab.core.compiled import compiled
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, FeatureStream
from quantlab.core.types import Features, Signal

_MARK = b"quantlab moving average 1\n"


def _certain_signal(side: Int8Array, bars: Bars, features: Features) -> Signal:
    """Return a signal that is certain of its side, and has none where the ATR is unknown."""
    atr = average_true_range(bars, features)
    known = np.isfinite(atr)
    side = np.where(known, side, 0).astype(np.int8)
    proba = np.full((*side.shape, 3), np.nan)
    proba[known] = np.eye(3)[side[known] + 1]
    certain = np.where(known, 1.0, np.nan)
    return Signal(
        side=side,
        proba=proba,
        confidence=certain,
        consensus=certain.copy(),
        live_members=known.astype(np.int8),
        atr=atr,
    )


@compiled(_nrt=False, nogil=True)
def _mean_crossing(closes: Float64Array, fast: int, slow: int, sums: Float64Array, side: Any) -> None:
    """Side of the rows ``slow - 1 ..`` of closes (N, S) into `side` (N - slow + 1, S).

    Every window is summed anew from its oldest bar: a running sum would carry rounding from the
    distant past, and would differ between a batch and a stream. `sums` (2, S) is scratch, and the
    symbols are innermost so that the sums run side by side.
    """
    older, recent = sums[0], sums[1]
    for t in range(slow - 1, closes.shape[0]):
        older[:] = 0.0
        recent[:] = 0.0
        for k in range(t - slow + 1, t - fast + 1):
            for s in range(closes.shape[1]):
                older[s] += closes[k, s]
        for k in range(t - fast + 1, t + 1):
            for s in range(closes.shape[1]):
                recent[s] += closes[k, s]
        for s in range(closes.shape[1]):
            gap = recent[s] / fast - (older[s] + recent[s]) / slow
            side[t - slow + 1, s] = 1 if gap > 0.0 else (-1 if gap < 0.0 else 0)


def _sides(closes: Float64Array, fast: int, slow: int) -> Int8Array:
    """int8, one row for each window of `slow` closes; 0 on a tie and wherever a close is missing."""
    side = np.zeros((len(closes) - slow + 1, closes.shape[1]), np.int8)
    _mean_crossing(np.ascontiguousarray(closes), fast, slow, np.empty((2, closes.shape[1])), side)
    return side


@dataclass(frozen=True)
class MovingAverageSignal:
    """BUY while the fast mean of closes is above the slow one, SELL while it is below.

    Parameters
    ----------
    features : FeatureSource
        For the ATR.
    fast, slow : int
        Bars; ``1 <= fast < slow``.

    Raises
    ------
    ConfigError
        If the windows are not so.
    """

    features: FeatureSource
    fast: int
    slow: int

    def __post_init__(self) -> None:
        check_has("signal.features", self.features, "transform", "stream")
        for name in ("fast", "slow"):
            check_whole(f"signal.{name}", getattr(self, name), low=1)
        if not self.fast < self.slow:
            raise ConfigError(
                "signal.fast < signal.slow", found=f"{self.fast} and {self.slow}", fix="set a longer slow window"
            )

    @property
    def fingerprint(self) -> str:
        return fingerprint("MovingAverageSignal", self.features.fingerprint, self.fast, self.slow)

    def signal(self, bars: Bars) -> Signal:
        """Signal of a whole history."""
        side = np.zeros((bars.n_bars, bars.n_symbols), np.int8)
        if bars.n_bars >= self.slow:
            side[self.slow - 1 :] = _sides(bars.close, self.fast, self.slow)
        return _certain_signal(side, bars, self.features.transform(bars))

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _MovingAverageStream:
        """The same, one bar at a time."""
        return _MovingAverageStream(
            self.features.stream(symbols, interval_ms), self.fast, self.slow, deque(maxlen=self.slow)
        )


@dataclass
class _MovingAverageStream:
    features: FeatureStream
    fast: int
    slow: int
    closes: deque[Float64Array]

    def update(self, bar: Bars) -> Signal:
        self.closes.append(bar.close[0].copy())
        side = np.zeros((1, bar.n_symbols), np.int8)
        if len(self.closes) == self.slow:
            side = _sides(np.stack(self.closes), self.fast, self.slow)
        return _certain_signal(side, bar, self.features.update(bar))

    def state(self) -> bytes:
        """The last closes and the features' own state."""
        closes = np.array(self.closes) if self.closes else np.empty((0, 0))
        features = np.frombuffer(self.features.state(), dtype=np.uint8)
        return pack_arrays(_MARK, {"windows": [self.fast, self.slow]}, {"closes": closes, "features": features})

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as the port says."""
        header, arrays = unpack_arrays(_MARK, state, "moving-average state")
        if header["windows"] != [self.fast, self.slow]:
            raise ContractError(
                f"the state of windows {self.fast} and {self.slow}", found=str(header["windows"]), fix="warm up again"
            )
        self.features.restore(arrays["features"].tobytes())
        self.closes = deque(arrays["closes"], maxlen=self.slow)


@dataclass(frozen=True)
class RandomSignal:
    """A fair coin: the benchmark with a chosen turnover.

    Each (bar, symbol) draws from a hash of the seed, the symbol's name and the bar's absolute
    index, so that a draw depends neither on where the history begins nor on the other symbols.

    Parameters
    ----------
    features : FeatureSource
        For the ATR.
    seed : int
        >= 0.
    turnover : float
        Expected share of bars that bring a BUY or a SELL, 0 .. 1; both are equally likely.

    Raises
    ------
    ConfigError
        If the seed or the turnover is out of its range.
    """

    features: FeatureSource
    seed: int
    turnover: float

    def __post_init__(self) -> None:
        check_has("signal.features", self.features, "transform", "stream")
        check_whole("signal.seed", self.seed, low=0, high=2**63 - 1)
        check_range("signal.turnover", self.turnover, low=0.0, high=1.0)

    @property
    def fingerprint(self) -> str:
        return fingerprint("RandomSignal", self.features.fingerprint, self.seed, float(self.turnover))

    def signal(self, bars: Bars) -> Signal:
        """Signal of a whole history."""
        return _certain_signal(self._draw(bars), bars, self.features.transform(bars))

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> _RandomStream:
        """The same, one bar at a time."""
        return _RandomStream(self, self.features.stream(symbols, interval_ms))

    def _draw(self, bars: Bars) -> Int8Array:
        index = (bars.open_time_ms // bars.interval_ms).astype(np.uint64)
        names = np.array([_name_key(self.seed, symbol) for symbol in bars.symbols], dtype=np.uint64)
        uniform = _uniform(index[:, None] * np.uint64(_GOLDEN) + names[None, :])
        buys, sells = uniform < self.turnover / 2.0, uniform >= 1.0 - self.turnover / 2.0
        side: Int8Array = buys.astype(np.int8) - sells.astype(np.int8)
        return side


@dataclass
class _RandomStream:
    source: RandomSignal
    features: FeatureStream

    def update(self, bar: Bars) -> Signal:
        return _certain_signal(self.source._draw(bar), bar, self.features.update(bar))

    def state(self) -> bytes:
        """The features' own: a draw remembers nothing."""
        return self.features.state()

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as the port says."""
        self.features.restore(state)


_GOLDEN = 0x9E3779B97F4A7C15


def _name_key(seed: int, symbol: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{symbol}".encode()).digest()[:8], "little")


def _uniform(counter: Any) -> Float64Array:
    """float64 in [0, 1) by the finaliser of splitmix64 (Steele, Lea, Flood 2014)."""
    z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    uniform: Float64Array = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform
