"""Windows of history over one shared array: what members that read sequences are fed.

1. The columns that a member reads are copied once, symbol by symbol, so that a window is a contiguous
   view: ``4 * (1 + C)`` bytes per bar and symbol, and no window exists before its batch is drawn.
2. A row has a window if it and the rows before it are ready without a gap. Nothing is ever padded.
3. Returns are divided by the root mean square of *their own* window, which is known at its end: the level
   of a symbol's volatility is gone, so symbols can be pooled, and nothing is fitted. (Raw returns are of
   size 0.001: networks then forecast nothing but their bias, or repeat the last return.)
4. Other columns are standardised with moments of the rows that are fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from quantlab.core.errors import HistoryError
from quantlab.core.types import Dataset, Features

#: Scaled values beyond are cut. Quantiles commute with a cut, so a forecast inside it is the same; without
#: it one illiquid window, whose own scale is next to nothing, would outweigh all others in a loss.
CLIP = np.float32(10.0)

#: Windows gathered at once to know their scale: bounds the working memory.
_WINDOWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of the exogenous columns.

    Parameters
    ----------
    mean, deviation : float32 (C,)
        A column that never moved has deviation 1.
    """

    mean: Float32Array
    deviation: Float32Array

    @classmethod
    def of(cls, features: Features, columns: tuple[str, ...], index: Int64Array) -> Moments:
        """Moments over the rows `index` (flat, time-major) and nothing else."""
        picked = [features.column(name).reshape(-1)[index].astype(np.float64) for name in columns]
        mean = np.array([values.mean() for values in picked])
        deviation = np.array([values.std() for values in picked])
        return cls(mean.astype(np.float32), np.where(deviation > 0.0, deviation, 1.0).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Batch:
    """Gathered windows, oldest bar first.

    Parameters
    ----------
    returns : float32 (N, L)
        In units of `scale`.
    exogenous : float32 (N, L, C)
        Standardised.
    scale : float32 (N,)
        Root mean square of each window's returns; 1 where it never moved.
    """

    returns: Float32Array
    exogenous: Float32Array
    scale: Float32Array


@dataclass(frozen=True, eq=False)
class WindowTable:
    """The columns that windows are cut from.

    Parameters
    ----------
    returns : float32 (S, T)
        Log returns.
    exogenous : float32 (S, T, C)
        Standardised.
    length : int
        Bars in a window, L.
    """

    returns: Float32Array
    exogenous: Float32Array
    length: int

    @classmethod
    def of(cls, features: Features, columns: tuple[str, ...], moments: Moments, length: int) -> WindowTable:
        """Copy the named columns, the first of which holds log returns.

        Raises
        ------
        ContractError
            If a column is not among the features.
        """
        returns, *others = (features.column(name).T for name in columns)
        exogenous = np.empty((*returns.shape, len(others)), dtype=np.float32)
        for c, column in enumerate(others):
            exogenous[:, :, c] = (column - moments.mean[c]) / moments.deviation[c]
        np.clip(exogenous, -CLIP, CLIP, out=exogenous)
        return cls(np.ascontiguousarray(returns), exogenous, length)

    def gather(self, index: Int64Array) -> Batch:
        """The windows that end at the rows `index` (flat, time-major); each must be complete."""
        t, s = np.divmod(index, len(self.returns))
        first = t - self.length + 1
        returns = sliding_window_view(self.returns, self.length, axis=1)[s, first]
        scale = _root_mean_square(returns)
        if self.exogenous.shape[2]:
            exogenous = sliding_window_view(self.exogenous, self.length, axis=1)[s, first].transpose(0, 2, 1)
        else:
            exogenous = np.empty((*returns.shape, 0), dtype=np.float32)
        return Batch(returns / scale[:, None], np.ascontiguousarray(exogenous), scale)

    def scale(self, index: Int64Array) -> Float32Array:
        """float32 (N,): the scale of each of the windows that end at the rows `index`."""
        windows = sliding_window_view(self.returns, self.length, axis=1)
        scale = np.empty(len(index), dtype=np.float32)
        for start in range(0, len(index), _WINDOWS_AT_ONCE):
            t, s = np.divmod(index[start : start + _WINDOWS_AT_ONCE], len(self.returns))
            scale[start : start + _WINDOWS_AT_ONCE] = _root_mean_square(windows[s, t - self.length + 1])
        return scale


def complete_rows(ready: BoolArray, length: int) -> BoolArray:
    """bool (T, S): rows that end `length` ready rows of their symbol without a gap."""
    so_far = np.cumsum(ready, axis=0, dtype=np.int64)
    inside = so_far.copy()
    inside[length:] -= so_far[:-length]
    return np.asarray(inside == length)


def known_rows(dataset: Dataset, length: int, deadline_ms: int | None = None) -> Int64Array:
    """Masked rows with a complete window whose forward returns are all known by a deadline.

    A mask is purged by its *labels*, and a barrier may be met long before the horizon ends. Whoever learns
    from the returns themselves needs all of them: a row stays only if its last forward return was known
    when the part ended. That moment is `deadline_ms`, or else the latest ``known_at_ms`` of the mask,
    which lies in no later part.

    Returns
    -------
    int64 (N,)
        Flat, time-major.
    """
    if not dataset.mask.any():
        return np.empty(0, dtype=np.int64)
    deadline = int(dataset.known_at_ms[dataset.mask].max()) if deadline_ms is None else deadline_ms
    bar_ms = int(dataset.open_time_ms[1] - dataset.open_time_ms[0])
    last_known_ms = dataset.open_time_ms + (dataset.forward_returns.shape[2] + 1) * bar_ms
    rows = dataset.mask & complete_rows(dataset.features.ready, length) & (last_known_ms <= deadline)[:, None]
    index = np.flatnonzero(rows)
    finite = np.isfinite(_forward(dataset, index)).all(axis=1)
    return np.asarray(index[finite])


def targets(dataset: Dataset, index: Int64Array, scale: Float32Array) -> Float32Array:
    """float32 (N, H): forward returns of rows in units of their windows' scale (N,)."""
    scaled: Float32Array = np.clip(_forward(dataset, index) / scale[:, None], -CLIP, CLIP)
    return scaled


def normalized_weights(dataset: Dataset, index: Int64Array) -> Float64Array:
    """float64 (N,): weights of rows, scaled to a mean of 1."""
    weight = dataset.weight.reshape(-1)[index].astype(np.float64)
    return np.asarray(weight / weight.mean())


@dataclass(frozen=True, eq=False)
class ValidationSplit:
    """Validation rows, used once each.

    Parameters
    ----------
    stopping : int64 (N,)
        The older rows, for early stopping; their forward returns end before the first of the others.
    calibrating : int64 (M,)
        The newer rows, for the map from forecasts to class probabilities.
    """

    stopping: Int64Array
    calibrating: Int64Array

    @classmethod
    def of(cls, valid: Dataset, length: int, calibrator_fraction: float) -> ValidationSplit:
        """Cut by time, over all symbols at once, and purge.

        Parameters
        ----------
        valid : Dataset
        length : int
            Bars in a window.
        calibrator_fraction : float
            Share of the bars, the newest ones, that goes to the calibrator.

        Raises
        ------
        HistoryError
            If either is empty.
        """
        rows = valid.mask & complete_rows(valid.features.ready, length)
        bars = np.flatnonzero(rows.any(axis=1))
        require_rows(bars, "stop early on", length)
        border = int(bars[int(len(bars) * (1.0 - calibrator_fraction))])
        older, newer = valid.mask.copy(), rows
        older[border:], newer[:border] = False, False
        stopping = known_rows(valid.with_mask(older), length, deadline_ms=int(valid.open_time_ms[border]))
        require_rows(stopping, "stop early on", length)
        return cls(stopping, np.flatnonzero(newer))


def require_rows(index: Int64Array, purpose: str, length: int) -> None:
    """Raise HistoryError if `index` is empty; `purpose` says what its rows were for."""
    if len(index) == 0:
        raise HistoryError(
            f"rows to {purpose}",
            found=f"none with {length} ready bars behind it and its returns known in time",
            fix="load a longer history or lower learning.splits.n_folds",
        )


def _root_mean_square(returns: Float32Array) -> Float32Array:
    scale: Float32Array = np.sqrt(np.mean(returns * returns, axis=1))
    scale[scale == 0.0] = 1.0
    return scale


def _forward(dataset: Dataset, index: Int64Array) -> Float32Array:
    t, s = np.divmod(index, dataset.mask.shape[1])
    return dataset.forward_returns[t, s]
