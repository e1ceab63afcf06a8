"""The values of extra features: one compiled loop over bars, for a history and for live bars alike."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array
from quantlab.core.clock import iso_utc
from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.features.extra import WINDOW, ExtraFeature

_READ_2D = types.Array(types.boolean, 2, "C", readonly=True)
_READ_3D = types.Array(types.float64, 3, "C", readonly=True)
_FOLD = types.int64(
    types.FunctionType(WINDOW),
    types.float64,
    types.float64,
    types.Array(types.float64, 3, "C"),
    types.int64,
    _READ_3D,
    _READ_2D,
    types.Array(types.float32, 3, "C"),
    types.int64,
)


def _fold(value: Any, low: Any, high: Any, ring: Any, taken: Any, ohlcv: Any, ready: Any, out: Any, column: Any) -> Any:
    """Take bars into the ring; write the value of every ready row, NaN elsewhere.

    The ring holds every bar twice, a window apart, so that the last `n` always lie side by side, oldest first.
    A value that is not between `low` and `high` (NaN is not) stays NaN; the first one's ``t * S + s`` is
    returned, or -1. All bars are taken in, whatever the values: the ring never lags behind.
    """
    bars, symbols, _ = ohlcv.shape
    n = ring.shape[1] // 2
    refused = -1
    for t in range(bars):
        p = (taken + t) % n
        for s in range(symbols):
            for k in range(5):
                ring[s, p, k] = ohlcv[t, s, k]
                ring[s, p + n, k] = ohlcv[t, s, k]
            out[t, s, column] = np.nan
            if ready[t, s]:
                x = value(ring[s, p + 1 : p + 1 + n])
                if low <= x and x <= high:
                    out[t, s, column] = x
                elif refused < 0:
                    refused = t * symbols + s
    return refused


@cache
def _compiled_fold() -> Any:
    return compiled(signature=_FOLD, nogil=True)(_fold)


class ExtraRows:
    """The last bars of every symbol, as far as the extra features look back.

    Parameters
    ----------
    extra : tuple of ExtraFeature
    symbols : tuple of str
    """

    def __init__(self, extra: tuple[ExtraFeature, ...], symbols: tuple[str, ...]) -> None:
        self._extra = extra
        self._symbols = symbols
        self._rings = [np.zeros((len(symbols), 2 * one.window, 5)) for one in extra]
        self._taken = 0

    def append(
        self, values: Float32Array, ready: BoolArray, ohlcv: Float64Array, first_ms: int, interval: int
    ) -> Float32Array:
        """Take in bars; return `values` with the extra columns behind.

        Parameters
        ----------
        values : float32 (T, S, N)
        ready : bool (T, S)
            Rows with the whole warm-up of sound bars behind them, so that every window is full and sound.
        ohlcv : float64 (T, S, 5), C-contiguous
        first_ms, interval : int
            Open of the first bar and milliseconds between bars, for the error.

        Returns
        -------
        float32 (T, S, N + len(extra))

        Raises
        ------
        ContractError
            If a value of a ready row is not a number in its feature's range. The bars have been taken in.
        """
        unified = values.shape[2]
        out = np.empty((*ready.shape, unified + len(self._extra)), dtype=np.float32)
        out[:, :, :unified] = values
        refused = [
            int(_compiled_fold()(one.value, *one.bounds, ring, self._taken, ohlcv, ready, out, unified + i))
            for i, (one, ring) in enumerate(zip(self._extra, self._rings, strict=True))
        ]
        self._taken += len(ohlcv)
        for one, where in zip(self._extra, refused, strict=True):
            if where >= 0:
                row, symbol = divmod(where, len(self._symbols))
                raise ContractError(
                    f"values of {one.name} between {one.low:g} and {one.high:g} in every ready row",
                    found=f"another at {iso_utc(first_ms + row * interval)}, symbol {self._symbols[symbol]}",
                    fix=f"give {one.name} a neutral value where its formula has none, or state its true range",
                )
        return out

    def state(self) -> tuple[int, bytes]:
        """Bars taken in, and the rings' bytes."""
        return self._taken, b"".join(ring.tobytes() for ring in self._rings)

    def restore(self, taken: int, rings: bytes) -> None:
        """Continue from what :meth:`state` returned for the same features and symbols."""
        flat = np.frombuffer(rings, dtype=np.float64)
        ends = np.cumsum([ring.size for ring in self._rings])
        parts = np.split(flat, ends[:-1])
        self._rings = [part.reshape(ring.shape).copy() for part, ring in zip(parts, self._rings, strict=True)]
        self._taken = taken
