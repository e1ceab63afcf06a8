"""The features as the rest of the house sees them: ``Bars`` in, ``Features`` out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantlab.core.errors import ContractError
from quantlab.core.types import Bars, Features
from quantlab.features.catalogue import NAMES
from quantlab.features.contract import features_fingerprint, positive_interval
from quantlab.features.history import compute
from quantlab.features.kernels.loops import WARMUP
from quantlab.features.stream import FeatureStream


@dataclass(frozen=True)
class FeaturePipeline:
    """The unified 49 for bars of one interval; implements :class:`quantlab.core.ports.FeatureSource`.

    Parameters
    ----------
    interval_ms : int
        Bar length in milliseconds; part of the fingerprint, because what a feature means depends on it.
    threads : int or None
        For histories; None uses the processors that the process may use. The bits do not depend on it.

    Raises
    ------
    ConfigError
        If `interval_ms` is not a whole number >= 1.
    """

    interval_ms: int
    threads: int | None

    def __post_init__(self) -> None:
        positive_interval(self.interval_ms)

    @property
    def names(self) -> tuple[str, ...]:
        """The 49 names, in column order."""
        return NAMES

    @property
    def warmup(self) -> int:
        """Bars before a symbol's rows are ready."""
        return WARMUP

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over names, order, versions and windows of the definitions, warm-up, dtype and interval."""
        return features_fingerprint(self.interval_ms, np.float32)

    def transform(self, bars: Bars) -> Features:
        """Features of a whole history.

        Raises
        ------
        ContractError
            If the bars have another interval.
        DataError
            If a bar is neither absent nor sound.
        """
        self._check_interval(bars.interval_ms)
        values = compute(bars.ohlcv, bars.open_time_ms, bars.interval_ms, dtype=np.float32, threads=self.threads)
        return Features(values=values, ready=~np.isnan(values[:, :, 0]), names=NAMES, fingerprint=self.fingerprint)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> BarFeatureStream:
        """A stream that starts before the first bar.

        Raises
        ------
        ContractError
            If the interval is another, or a symbol repeats.
        """
        self._check_interval(interval_ms)
        return BarFeatureStream(FeatureStream(symbols, interval_ms), self.fingerprint)

    def _check_interval(self, interval_ms: int) -> None:
        if interval_ms != self.interval_ms:
            raise ContractError(
                f"bars of {self.interval_ms} ms",
                found=f"bars of {interval_ms} ms",
                mend="set features.interval_ms to the data's interval",
            )


class BarFeatureStream:
    """A :class:`FeatureStream` over ``Bars`` of length 1; see :meth:`FeaturePipeline.stream`."""

    def __init__(self, stream: FeatureStream, fingerprint: str) -> None:
        self._stream = stream
        self._fingerprint = fingerprint

    def update(self, bar: Bars) -> Features:
        """One bar in, one row of features out, bit-equal to the history's row.

        Raises
        ------
        ContractError
            If it is not the next bar of the same symbols.
        DataError
            If a symbol's bar is neither absent nor sound.
        """
        if bar.n_bars != 1 or bar.symbols != self._stream.symbols or bar.interval_ms != self._stream.interval:
            raise ContractError(
                f"one bar of {self._stream.interval} ms for {len(self._stream.symbols)} symbols in the stream's order",
                found=f"{bar.n_bars} of {bar.interval_ms} ms for {', '.join(bar.symbols)}",
                mend="pass the next bar of every symbol of the stream",
            )
        values = self._stream.update(int(bar.open_time_ms[0]), bar.ohlcv[0])
        return Features(
            values=values[np.newaxis], ready=self._stream.ready[np.newaxis], names=NAMES, fingerprint=self._fingerprint
        )

    def state(self) -> bytes:
        """Everything that the next update depends on."""
        return self._stream.state()

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as :meth:`FeatureStream.restore`."""
        self._stream.restore(state)
