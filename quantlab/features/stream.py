"""The 49 features of one bar after another: the history's step, with its state held open."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from quantlab.core.arrays import BoolArray, Float64Array, read_only
from quantlab.core.blobs import pack, unpack
from quantlab.core.errors import ArtifactError, ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.features.contract import features_fingerprint, output_dtype, positive_interval
from quantlab.features.history import malformed_bar
from quantlab.features.kernels.cells import COUNT
from quantlab.features.kernels.loops import WARMUP, first_malformed, run
from quantlab.features.kernels.state import STATE, empty_state

_MAGIC = b"quantlab features 1\n"


class FeatureStream:
    """Features of live bars, bit-equal to :func:`~quantlab.features.compute` over the same bars.

    Parameters
    ----------
    symbols : tuple of str
        Unique, in the order of every bar's rows.
    interval : int
        Milliseconds between bars.
    dtype : float32 or float64
    warmup : int
        As :func:`~quantlab.features.compute`'s.

    Raises
    ------
    ConfigError
        If `interval` or `dtype` cannot be used.
    ContractError
        If a symbol repeats or there is none.
    """

    def __init__(
        self, symbols: tuple[str, ...], interval: int, *, dtype: DTypeLike = np.float32, warmup: int = WARMUP
    ) -> None:
        self.symbols = tuple(symbols)
        self.interval = positive_interval(interval)
        self.dtype = output_dtype(dtype)
        self.warmup = warmup
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ContractError("unique symbols", found=repr(self.symbols), fix="name every symbol once")
        self._state = empty_state(len(self.symbols))
        self._empty = empty_state(1)
        self._last: int | None = None

    @property
    def ready(self) -> BoolArray:
        """bool (S,): the symbol has seen `warmup` bars since its start or last reset."""
        ready: BoolArray = self._state["bars"] >= self.warmup
        return ready

    def update(self, time: int, ohlcv: Float64Array) -> NDArray[Any]:
        """Take in one bar of every symbol; return its features.

        Parameters
        ----------
        time : int
            Epoch milliseconds of the bar's open: one `interval` after the last one.
        ohlcv : float64 (S, 5), C-contiguous
            Five NaN where a symbol has no bar, which resets it.

        Returns
        -------
        array of `dtype` (S, 49)
            NaN for symbols that are not ready.

        Raises
        ------
        ContractError
            If the time, the shape or the dtype is not as above; the state is then unchanged.
        DataError
            If a bar is neither absent nor sound; the state is then unchanged.
        """
        self._check_time(time)
        count = len(self.symbols)
        bars = read_only(ohlcv, np.float64, (count, 5), "ohlcv").reshape(1, count, 5)
        bad = first_malformed(bars)
        if bad >= 0:
            raise malformed_bar(bars[0, bad], time, self.symbols[bad])
        out = np.empty((1, count, COUNT), dtype=self.dtype)
        run(self._state, self._empty, time // self.interval, bars, 0, count, out, self.warmup)
        self._last = int(time)
        row: NDArray[Any] = out[0]
        return row

    def state(self) -> bytes:
        """Everything that the next update depends on; :meth:`restore` takes it back exactly."""
        return pack(_MAGIC, {**self._identity(), "last": self._last}, self._state.tobytes())

    def restore(self, state: bytes) -> None:
        """Continue from what :meth:`state` returned, here or in another process.

        Raises
        ------
        ArtifactError
            If `state` is damaged or no such state.
        ContractError
            If it belongs to other features, symbols, interval or dtype, or to another kind of machine.
        """
        header, records = unpack(_MAGIC, state)
        for key, ours in self._identity().items():
            if header.get(key) != ours:
                raise ContractError(
                    f"a feature state with {key} {ours!r}",
                    found=repr(header.get(key)),
                    fix="restore it into the stream it was taken from, or warm up again",
                )
        if len(records) != len(self.symbols) * STATE.itemsize:
            raise ArtifactError(
                f"{len(self.symbols) * STATE.itemsize} bytes of feature state",
                found=f"{len(records)} bytes",
                fix="warm up again",
            )
        self._state = np.frombuffer(records, dtype=STATE).copy()
        self._last = header["last"]

    def _identity(self) -> dict[str, Any]:
        return {
            "symbols": list(self.symbols),
            "interval": self.interval,
            "dtype": self.dtype.name,
            "fingerprint": features_fingerprint(self.interval, self.dtype),
            "layout": fingerprint(repr(STATE.descr), sys.byteorder),
        }

    def _check_time(self, time: int) -> None:
        expected = None if self._last is None else self._last + self.interval
        if time < 0 or expected not in (None, time):
            raise ContractError(
                "a bar since 1970" if expected is None else f"the bar that opens at {expected} ms",
                found=f"{time} ms",
                fix="pass every bar of the grid once, in order, NaN where there is none",
            )
