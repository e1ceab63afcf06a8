"""XGBoost as a member of the ensemble: three classes, native API, histogram trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import xgboost as xgb

from quantlab.core.arrays import Float32Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError, InstallationError
from quantlab.core.ports import ProgressCallback
from quantlab.learning.models.rows import BLOCK_ROWS, RowTable
from quantlab.learning.models.trees import FittedTrees, TreeRecipe

MODEL_FILE = "model.ubj"

_MAX_DEPTH = 20


class FittedXGBoost(FittedTrees):
    """A fitted :class:`XGBoost`."""

    library: ClassVar[str] = f"xgboost {xgb.__version__}"
    model_file: ClassVar[str] = MODEL_FILE
    refusals: ClassVar[tuple[type[Exception], ...]] = (xgb.core.XGBoostError,)

    def payload(self) -> bytes:
        """The booster as its file holds it."""
        return bytes(self.booster.save_raw("ubj"))

    @classmethod
    def load_booster(cls, payload: bytes, threads: int) -> Any:
        """See :class:`~quantlab.learning.models.trees.FittedTrees`."""
        booster = xgb.Booster()
        booster.load_model(bytearray(payload))
        booster.set_param({"nthread": threads})
        return booster

    def classify(self, rows: Float32Array) -> Float32Array:
        """float32 (N, 3): probabilities of rows (N, F)."""
        proba: Float32Array = self.booster.inplace_predict(rows, validate_features=False)
        return proba


@dataclass(frozen=True)
class XGBoost(TreeRecipe):
    """Gradient boosted trees (Chen and Guestrin 2016), stopped early on weighted log loss.

    Parameters
    ----------
    max_depth : int
    min_child_weight : float
        Smallest sum of hessians in a leaf, for sample weights of mean 1: about 0.4 per row.
    reg_lambda : float
        L2 penalty on leaf values.
    subsample, colsample_bytree : float
        Shares of rows and features that each tree sees, in (0, 1].
    device : "cpu" or "cuda"
        Where to fit; predictions are always made on the CPU.

    Notes
    -----
    All other parameters are those of :class:`quantlab.learning.models.trees.TreeRecipe`.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    fitted_class: ClassVar[type[FittedTrees]] = FittedXGBoost

    max_depth: int
    min_child_weight: float
    reg_lambda: float
    subsample: float
    colsample_bytree: float
    device: Literal["cpu", "cuda"]

    def __post_init__(self) -> None:
        super().__post_init__()
        # A tree of depth d is made room for at once: 2^d leaves.
        check_whole(f"{self.name}.max_depth", self.max_depth, low=1, high=_MAX_DEPTH)
        for name in ("subsample", "colsample_bytree"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1e-6, high=1.0)
        for name in ("min_child_weight", "reg_lambda"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=0.0)
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"{self.name}.device cpu or cuda", found=repr(self.device), fix="set one of them")

    def boost(
        self, rows: RowTable, stop_on: RowTable, directions: tuple[int, ...] | None, on_progress: ProgressCallback
    ) -> bytes:
        """The best rounds' trees as the library writes them."""
        with xgb.config_context(verbosity=0):
            self._require_device()
            matrix = _quantile_matrix(rows, self.max_bin, self.threads)
            stopping = _quantile_matrix(stop_on, self.max_bin, self.threads, ref=matrix)
            booster = xgb.train(
                self._library_parameters(directions),
                matrix,
                num_boost_round=self.max_rounds,
                evals=[(stopping, "valid")],
                callbacks=[
                    xgb.callback.EarlyStopping(rounds=self.early_stopping_rounds, save_best=True),
                    _ReportRounds(on_progress, self.max_rounds),
                ],
                verbose_eval=False,
            )
        return bytes(booster.save_raw("ubj"))

    def _library_parameters(self, directions: tuple[int, ...] | None) -> dict[str, Any]:
        bound = {} if directions is None else {"monotone_constraints": directions}
        return {
            **bound,
            "objective": "multi:softprob",
            "num_class": 3,
            "eval_metric": "mlogloss",
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "reg_lambda": self.reg_lambda,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "max_bin": self.max_bin,
            "seed": self.seed,
            "nthread": self.threads,
            "device": self.device,
        }

    def _require_device(self) -> None:
        """Asked for CUDA where there is none, XGBoost fits on the CPU and says so in a log only."""
        rows = xgb.DMatrix(np.zeros((2, 1), dtype=np.float32), label=np.zeros(2, dtype=np.float32), nthread=1)
        probe = xgb.train({"device": self.device, "nthread": 1}, rows, num_boost_round=1)
        effective = str(json.loads(probe.save_config())["learner"]["generic_param"]["device"])
        if not effective.startswith(self.device):
            raise InstallationError(
                f"XGBoost on device {self.device!r}",
                found=f"it would use {effective!r}",
                fix=f"set {self.name}.device to cpu, or fix the driver",
            )


class _ReportRounds(xgb.callback.TrainingCallback):
    """Report the share of rounds that are done."""

    def __init__(self, on_progress: ProgressCallback, rounds: int) -> None:
        self._on_progress, self._rounds = on_progress, rounds

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Never asks to stop."""
        self._on_progress((epoch + 1) / self._rounds)
        return False


def _quantile_matrix(rows: RowTable, max_bin: int, threads: int, ref: Any = None) -> Any:
    return xgb.QuantileDMatrix(_RowBlocks(rows), max_bin=max_bin, nthread=threads, ref=ref)


class _RowBlocks(xgb.DataIter):
    """Hands XGBoost one block of rows after another; it keeps bins, never the rows."""

    def __init__(self, rows: RowTable) -> None:
        super().__init__()
        self._rows = rows
        self._start = 0

    def next(self, input_data: Callable[..., None]) -> bool:
        """Pass on the next block; False when there is none."""
        if self._start >= len(self._rows):
            return False
        block = slice(self._start, self._start + BLOCK_ROWS)
        input_data(
            data=self._rows.block(block.start, block.stop),
            label=self._rows.label[block],
            weight=self._rows.weight[block],
        )
        self._start = block.stop
        return True

    def reset(self) -> None:
        """Begin again."""
        self._start = 0
