"""LightGBM as a member of the ensemble: three classes, native API, leaf-wise trees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import lightgbm as lgb
import numpy as np

from quantlab.core.arrays import Float32Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.ports import ProgressCallback
from quantlab.learning.models.rows import RowTable
from quantlab.learning.models.trees import FittedTrees, TreeRecipe

MODEL_FILE = "model.txt"

_SILENT = -1


class FittedLightGBM(FittedTrees):
    """A fitted :class:`LightGBM`."""

    library: ClassVar[str] = f"lightgbm {lgb.__version__}"
    model_file: ClassVar[str] = MODEL_FILE
    refusals: ClassVar[tuple[type[Exception], ...]] = (lgb.basic.LightGBMError, UnicodeDecodeError)

    def payload(self) -> bytes:
        """The booster as its file holds it."""
        return bytes(self.booster.model_to_string().encode())

    @classmethod
    def load_booster(cls, payload: bytes, threads: int) -> Any:  # noqa: ARG003 - its predictions take them each time
        """See :class:`~quantlab.learning.models.trees.FittedTrees`."""
        return lgb.Booster(model_str=payload.decode("utf-8"))

    def classify(self, rows: Float32Array) -> Float32Array:
        """float32 (N, 3): probabilities of rows (N, F)."""
        return np.asarray(self.booster.predict(rows, num_threads=self.threads), dtype=np.float32)


@dataclass(frozen=True)
class LightGBM(TreeRecipe):
    """Gradient boosted trees (Ke et al. 2017), stopped early on weighted log loss.

    Parameters
    ----------
    num_leaves : int
    min_data_in_leaf : int
        Smallest number of rows in a leaf.
    lambda_l2 : float
        L2 penalty on leaf values.
    bagging_fraction, feature_fraction : float
        Shares of rows and features that each round and tree see, in (0, 1].

    Notes
    -----
    All other parameters are those of :class:`quantlab.learning.models.trees.TreeRecipe`.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    fitted_class: ClassVar[type[FittedTrees]] = FittedLightGBM

    num_leaves: int
    min_data_in_leaf: int
    lambda_l2: float
    bagging_fraction: float
    feature_fraction: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(f"{self.name}.min_data_in_leaf", self.min_data_in_leaf, low=1)
        check_whole(f"{self.name}.num_leaves", self.num_leaves, low=2, high=131_072)
        check_range(f"{self.name}.lambda_l2", self.lambda_l2, low=0.0)
        for name in ("bagging_fraction", "feature_fraction"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1e-6, high=1.0)

    def boost(
        self, rows: RowTable, stop_on: RowTable, directions: tuple[int, ...] | None, on_progress: ProgressCallback
    ) -> bytes:
        """The best rounds' trees as the library writes them."""
        parameters = self._library_parameters(directions)
        table = _table(rows, parameters)
        booster = lgb.train(
            parameters,
            table,
            num_boost_round=self.max_rounds,
            valid_sets=[_table(stop_on, parameters, reference=table)],
            callbacks=[lgb.early_stopping(self.early_stopping_rounds, verbose=False), _report_rounds(on_progress)],
        )
        return bytes(booster.model_to_string(num_iteration=booster.best_iteration).encode())

    def _library_parameters(self, directions: tuple[int, ...] | None) -> dict[str, Any]:
        bound = {} if directions is None else {"monotone_constraints": list(directions)}
        return {
            **bound,
            "objective": "multiclass",
            "num_class": 3,
            "metric": "multi_logloss",
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "lambda_l2": self.lambda_l2,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "feature_fraction": self.feature_fraction,
            "max_bin": self.max_bin,
            "seed": self.seed,
            "num_threads": self.threads,
            # Left to itself it times two memory layouts and takes the faster: other runs, other bits.
            "force_row_wise": True,
            "deterministic": True,
            "verbosity": _SILENT,
        }


def _report_rounds(on_progress: ProgressCallback) -> Callable[[Any], None]:
    """Report the share of rounds that are done."""

    def after_round(environment: Any) -> None:
        on_progress((environment.iteration + 1) / environment.end_iteration)

    # Callbacks run in this order, and early stopping ends the round for those behind it.
    after_round.order = 0  # type: ignore[attr-defined]
    return after_round


def _table(rows: RowTable, parameters: dict[str, Any], reference: Any = None) -> Any:
    # One float32 gather, freed once it is binned: lgb.Sequence was slower and saved a sixth of the memory.
    return lgb.Dataset(
        rows.block(0, len(rows)),
        label=rows.label,
        weight=rows.weight,
        reference=reference,
        params=parameters,
        feature_name=[f"f{i}" for i in range(rows.values.shape[1])],
    )
