"""Rows about the tree members: training time and memory against the bare library on a flat array."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import xgboost as xgb
from measure import Row
from nets_data import dataset, member, rows
from peak import peak_bytes

from quantlab.core.types import Dataset

SYMBOLS = 100
VALID_BARS = 50
#: A tenth of the 26,000 bars that the goal speaks of: time grows with the rows, the ratio does not.
TIMED_BARS, ROUNDS, REPEATS = 2_600, 100, 3
#: Memory is that of the whole set, in which two rounds peak as high as a hundred.
WHOLE_BARS, FEW_ROUNDS = 26_000, 2


def tree_rows() -> list[Row]:
    """Every row about trees."""
    return [time_row(), memory_row()]


def time_row() -> Row:
    """100 rounds of XGBoost on 260,000 rows x 49."""
    data = dataset(TIMED_BARS + VALID_BARS, SYMBOLS)
    recipe = _recipe(ROUNDS)
    flat = _flat(data, TIMED_BARS)
    train, valid = _parts(data, TIMED_BARS)
    ours, bare = [], []
    for _ in range(REPEATS):
        ours.append(_seconds(lambda: recipe.fit(train, valid)))
        bare.append(_seconds(lambda: _bare(recipe, *flat)))
    return Row(
        f"XGBoost, {ROUNDS} rounds, {TIMED_BARS * SYMBOLS:,} rows x 49",
        f"{median(ours):.1f} s",
        f"bare library {median(bare):.1f} s",
        median(ours) / median(bare),
    )


def memory_row() -> Row:
    """2.6 M rows x 49: what a fit needs beside the data, against the data."""
    here = Path(__file__)
    nothing, ours, bare = (peak_bytes(here, what) for what in ("none", "ours", "bare"))
    size = WHOLE_BARS * SYMBOLS * 49 * 4
    return Row(
        f"XGBoost, memory, {WHOLE_BARS * SYMBOLS:,} rows x 49 ({size / 1e6:.0f} MB)",
        f"{(ours - nothing) / 1e6:.0f} MB beside the data",
        f"the data (bare library: {(bare - nothing) / 1e6:.0f} MB beside it)",
        (ours - nothing) / size,
    )


def _recipe(rounds: int) -> Any:
    return member("xgboost", max_rounds=rounds, early_stopping_rounds=rounds)


def _parts(data: Dataset, bars: int) -> tuple[Dataset, Dataset]:
    return rows(data, 0, bars), rows(data, bars, bars + VALID_BARS)


def _flat(data: Dataset, bars: int) -> tuple[Any, ...]:
    """Values and labels to fit on and to stop on, as the bare library takes them: views."""
    values, label = data.features.values.reshape(-1, 49), data.label.reshape(-1)
    cut = bars * data.mask.shape[1]
    return values[:cut], label[:cut].astype(np.float32), values[cut:], label[cut:].astype(np.float32)


def _bare(recipe: Any, values: Any, label: Any, stop_values: Any, stop_label: Any) -> None:
    """What a user of XGBoost would write."""
    matrix = xgb.QuantileDMatrix(values, label, weight=np.ones_like(label), max_bin=recipe.max_bin, nthread=1)
    stop_on = xgb.QuantileDMatrix(stop_values, stop_label, max_bin=recipe.max_bin, nthread=1, ref=matrix)
    parameters = {
        "objective": "multi:softprob",
        "num_class": 3,
        "eval_metric": "mlogloss",
        "tree_method": "hist",
        "seed": recipe.seed,
        "nthread": 1,
        **{name: getattr(recipe, name) for name in ("learning_rate", "max_depth", "min_child_weight", "reg_lambda")},
        **{name: getattr(recipe, name) for name in ("subsample", "colsample_bytree", "max_bin")},
    }
    rounds = recipe.max_rounds
    xgb.train(
        parameters,
        matrix,
        num_boost_round=rounds,
        evals=[(stop_on, "valid")],
        callbacks=[xgb.callback.EarlyStopping(rounds=rounds, save_best=True)],
        verbose_eval=False,
    )


def _seconds(work: Any) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _fit(what: str) -> None:
    """In a process of its own: the data, and a fit on it (or none)."""
    data, recipe = dataset(WHOLE_BARS + VALID_BARS, SYMBOLS), _recipe(FEW_ROUNDS)
    flat, parts = _flat(data, WHOLE_BARS), _parts(data, WHOLE_BARS)
    if what == "ours":
        recipe.fit(*parts)
    elif what == "bare":
        _bare(recipe, *flat)


if __name__ == "__main__":
    _fit(sys.argv[1])
