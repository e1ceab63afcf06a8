"""The flat side of tree members: rows of a dataset as a table, gathered block by block.

Datasets keep their time axis; only the members that look at one row at a time flatten it, and never
all at once: a block of rows is gathered when a library asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float32Array, Int64Array
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.types import Dataset, Features
from quantlab.features.contract import FeatureContract

#: Rows gathered at once: bounds the working memory (49 float32 columns: 13 MB). Part of the results'
#: definition, because quantile sketches see the data in these blocks.
BLOCK_ROWS = 65_536

#: Rows kept with a fitted member, to hold its reloaded self against.
GOLDEN_ROWS = 32

#: Both tree libraries keep their seed in a signed 32-bit number.
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, eq=False)
class RowTable:
    """The masked rows of a dataset.

    Parameters
    ----------
    values : float32 (T * S, F)
        View of the dataset's features.
    index : int64 (N,)
        Which rows of `values`, in time order and then symbol order.
    label : float32 (N,)
        Class indices.
    weight : float32 (N,)
        Scaled to a mean of 1, so that a member's regularisation (leaf sizes, penalties) means the same
        whatever the overlap of the labels.
    """

    values: Float32Array
    index: Int64Array
    label: Float32Array
    weight: Float32Array

    @classmethod
    def of(
        cls, dataset: Dataset, purpose: str, class_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> RowTable:
        """Rows of a dataset's mask; `class_weights` multiply the weights of SELL, HOLD and BUY rows.

        Raises
        ------
        HistoryError
            If there is none; `purpose` says what they were for.
        """
        index = np.flatnonzero(dataset.mask)
        if len(index) == 0:
            raise HistoryError(
                f"rows to {purpose}",
                found="none that is ready, labelled and known in time",
                fix="load a longer history or lower learning.splits.n_folds",
            )
        label = dataset.label.reshape(-1)[index]
        weight = dataset.weight.reshape(-1)[index] * np.array(class_weights)[label]
        return cls(
            values=dataset.features.values.reshape(-1, dataset.features.values.shape[2]),
            index=index,
            label=label.astype(np.float32),
            weight=(weight / weight.mean()).astype(np.float32),
        )

    def __len__(self) -> int:
        return len(self.index)

    def block(self, start: int, stop: int) -> Float32Array:
        """float32 (stop - start, F): a gathered copy of those rows."""
        return self.values[self.index[start:stop]]

    def golden(self) -> Float32Array:
        """float32 (at most GOLDEN_ROWS, F): rows spread evenly over all of them."""
        chosen = np.linspace(0, len(self) - 1, min(GOLDEN_ROWS, len(self))).astype(np.int64)
        return self.values[self.index[chosen]]


def common_contract(train: Dataset, valid: Dataset) -> FeatureContract:
    """The contract under which both were made.

    Raises
    ------
    ContractError
        If their features differ, or a ready row holds a NaN or an infinity.
    """
    contract = FeatureContract(names=train.features.names, fingerprint=train.features.fingerprint)
    contract.check(train.features)
    contract.check(valid.features)
    return contract


@contextmanager
def refusals_of(member: str, refusals: type[Exception] | tuple[type[Exception], ...]) -> Iterator[None]:
    """Say in one sentence what a member's library refuses, e.g. a combination of hyper-parameters.

    Raises
    ------
    ConfigError
        With the last line of the library's message.
    """
    try:
        yield
    except refusals as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # XGBoost prints where it was in its sources, then what is wrong, then its stack.
        reason = next((line.split(": ", 1)[-1] for line in lines if "Stack trace" not in line), "no reason")
        raise ConfigError(
            f"hyper-parameters of {member} that its library takes",
            found=reason,
            fix=f"change them in learning.members.{member}",
        ) from error


def classify_ready_rows(features: Features, classify: Callable[[Float32Array], Float32Array]) -> Float32Array:
    """Class probabilities of every ready row, block by block.

    Parameters
    ----------
    features : Features, (T, S, F)
    classify : callable
        float32 (N, F), C-contiguous -> (N, 3).

    Returns
    -------
    float32 (T, S, 3)
        NaN where a row is not ready.
    """
    n_bars, n_symbols, n_features = features.values.shape
    proba = np.full((n_bars, n_symbols, 3), np.nan, dtype=np.float32)
    bars_at_once = max(1, BLOCK_ROWS // n_symbols)
    for start in range(0, n_bars, bars_at_once):
        window = slice(start, start + bars_at_once)
        ready = features.ready[window]
        if not ready.any():
            continue
        values = features.values[window]
        rows = values.reshape(-1, n_features) if ready.all() else values[ready]
        proba[window][ready] = classify(rows)
    return proba
