"""The features as the rest of the house sees them: ``Bars`` in, ``Features`` out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantlab.core.arrays import BoolArray, Float32Array
from quantlab.core.blobs import pack, unpack
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.types import Features
from quantlab.features.contract import declare, positive_interval
from quantlab.features.extra import ExtraFeature
from quantlab.features.extra_rows import ExtraRows
from quantlab.features.feature_set import FeatureSet
from quantlab.features.history import compute
from quantlab.features.stream import FeatureStream

_MAGIC = b"quantlab extended features 1\n"


@dataclass(frozen=True)
class FeaturePipeline:
    """The unified 49, or some of them, for bars of one interval; implements :class:`quantlab.core.ports.FeatureSource`.

    Parameters
    ----------
    interval_ms : int
        Bar length in milliseconds; part of the fingerprint, because what a feature means depends on it.
    threads : int or None
        For histories; None uses the processors that the process may use. The bits do not depend on it.
    extra : tuple of ExtraFeature
        The user's own, in the columns behind the 49; part of names and fingerprint.
    columns : tuple of str or None
        Those of the 49 that are wanted, in any order; None = all. A choice without recursions has the shorter warm-up of
        its longest window, and ``mean_range_14`` behind it for stops, sizes and labels; see
        :class:`~quantlab.features.feature_set.FeatureSet`.

    Raises
    ------
    ConfigError
        If `interval_ms` is not a whole number >= 1, a column is unknown, or two names are equal.
    """

    interval_ms: int
    threads: int | None
    extra: tuple[ExtraFeature, ...] = ()
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        positive_interval(self.interval_ms)
        object.__setattr__(self, "extra", tuple(self.extra))
        object.__setattr__(self, "columns", self.set.columns)

    @cached_property
    def set(self) -> FeatureSet:
        """The columns, and all that follows from the choice of them."""
        return FeatureSet(self.columns, self.extra)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in their order."""
        return self.set.names

    @property
    def warmup(self) -> int:
        """Bars before a symbol's rows are ready."""
        return self.set.warmup

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over names, order, versions and windows of the definitions, warm-up, dtype and interval."""
        found = self.set.fingerprint(self.interval_ms, np.float32)
        declare(found, self.names)
        return found

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Pieces of which the fingerprint is made; see :func:`first_difference`."""
        return self.set.definitions(self.interval_ms, "float32")

    def transform(self, bars: Bars) -> Features:
        """Features of a whole history.

        Raises
        ------
        ContractError
            If the bars have another interval.
        ContractError
            If an extra feature breaks its promise in a ready row.
        DataError
            If a bar is neither absent nor sound.
        """
        self.check_interval(bars.interval_ms)
        unified = compute(
            bars.ohlcv, bars.open_time_ms, bars.interval_ms, dtype=np.float32, threads=self.threads, warmup=self.warmup
        )
        ready: BoolArray = ~np.isnan(unified[:, :, 0])
        rows = _windowed_rows(self, bars.symbols)
        return _features(self, _extended(rows, self.set.chosen(unified), ready, bars), ready)

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> BarFeatureStream:
        """A stream that starts before the first bar.

        Raises
        ------
        ContractError
            If the interval is another, or a symbol repeats.
        """
        self.check_interval(interval_ms)
        return BarFeatureStream(self, FeatureStream(symbols, interval_ms, warmup=self.warmup))

    def check_interval(self, interval_ms: int) -> None:
        """ContractError unless bars of `interval_ms` are what this pipeline is for."""
        if interval_ms != self.interval_ms:
            raise ContractError(
                f"bars of {self.interval_ms} ms",
                found=f"bars of {interval_ms} ms",
                fix="set features.interval_ms to the data's interval",
            )


def _windowed_rows(pipeline: FeaturePipeline, symbols: tuple[str, ...]) -> ExtraRows | None:
    return ExtraRows(pipeline.set.windowed, symbols) if pipeline.set.windowed else None


def _extended(rows: ExtraRows | None, values: Float32Array, ready: BoolArray, bars: Bars) -> Float32Array:
    if rows is None:
        return values
    return rows.append(values, ready, bars.ohlcv, int(bars.open_time_ms[0]), bars.interval_ms)


def _features(pipeline: FeaturePipeline, values: Float32Array, ready: BoolArray) -> Features:
    return Features(values=values, ready=ready, names=pipeline.names, fingerprint=pipeline.fingerprint)


class BarFeatureStream:
    """A :class:`FeatureStream` over ``Bars`` of length 1; see :meth:`FeaturePipeline.stream`."""

    def __init__(self, pipeline: FeaturePipeline, stream: FeatureStream) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._rows = _windowed_rows(pipeline, stream.symbols)

    def update(self, bar: Bars) -> Features:
        """One bar in, one row of features out, bit-equal to the history's row.

        Raises
        ------
        ContractError
            If it is not the next bar of the same symbols; the state is then unchanged. If an extra feature
            breaks its promise; the bar has then been taken in.
        DataError
            If a symbol's bar is neither absent nor sound; the state is then unchanged.
        """
        if bar.n_bars != 1 or bar.symbols != self._stream.symbols or bar.interval_ms != self._stream.interval:
            raise ContractError(
                f"one bar of {self._stream.interval} ms for {len(self._stream.symbols)} symbols in the stream's order",
                found=f"{bar.n_bars} of {bar.interval_ms} ms for {', '.join(bar.symbols)}",
                fix="pass the next bar of every symbol of the stream",
            )
        values = self._pipeline.set.chosen(self._stream.update(int(bar.open_time_ms[0]), bar.ohlcv[0])[np.newaxis])
        ready = self._stream.ready[np.newaxis]
        return _features(self._pipeline, _extended(self._rows, values, ready, bar), ready)

    def state(self) -> bytes:
        """Everything that the next update depends on."""
        unified = self._stream.state()
        if self._pipeline.set.whole:
            return unified
        taken, rings = (0, b"") if self._rows is None else self._rows.state()
        header = {"fingerprint": self._pipeline.fingerprint, "taken": taken, "unified_bytes": len(unified)}
        return pack(_MAGIC, header, unified + rings)

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned; errors as :meth:`FeatureStream.restore`."""
        if self._pipeline.set.whole:
            self._stream.restore(state)
            return
        header, records = unpack(_MAGIC, state)
        if header["fingerprint"] != self._pipeline.fingerprint:
            raise ContractError(
                f"a feature state with fingerprint {self._pipeline.fingerprint}",
                found=str(header["fingerprint"]),
                fix="restore it into the stream it was taken from, or warm up again",
            )
        end = header["unified_bytes"]
        self._stream.restore(records[:end])  # refuses other symbols, and with them rings of another size
        if self._rows is not None:
            self._rows.restore(header["taken"], records[end:])
