"""XGBoost as a member of the ensemble: three classes, native API, histogram trees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import xgboost as xgb

from quantlab.core.errors import ArtifactError, ConfigError, InstallationError
from quantlab.core.types import Dataset, Features, Float32Array, check_range, check_whole
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard, write_member
from quantlab.learning.models.rows import BLOCK_ROWS, LARGEST_SEED, RowTable, agreed_contract, refusals_of, score

MODEL_FILE = "model.ubj"

_DEEPEST = 20


@dataclass(frozen=True)
class XGBoost:
    """Gradient boosted trees (Chen and Guestrin 2016), stopped early on weighted log loss.

    Parameters
    ----------
    name : str
        The member's name in the ensemble.
    max_rounds : int
        Boosting rounds at most, three trees each.
    early_stopping_rounds : int
        Rounds without a better log loss on the validation rows after which boosting stops; the best
        round's trees are kept.
    learning_rate : float
    max_depth : int
    min_child_weight : float
        Smallest sum of hessians in a leaf, for sample weights of mean 1: about 0.4 per row.
    reg_lambda : float
        L2 penalty on leaf values.
    subsample, colsample_bytree : float
        Shares of rows and features that each tree sees, in (0, 1].
    max_bin : int
        Histogram bins per feature.
    seed : int
    threads : int
        For fitting and predicting, never the host's number: sums depend on it.
    device : "cpu" or "cuda"
        Where to fit; predictions are always made on the CPU.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    name: str
    max_rounds: int
    early_stopping_rounds: int
    learning_rate: float
    max_depth: int
    min_child_weight: float
    reg_lambda: float
    subsample: float
    colsample_bytree: float
    max_bin: int
    seed: int
    threads: int
    device: Literal["cpu", "cuda"]

    def __post_init__(self) -> None:
        for name in ("max_rounds", "early_stopping_rounds", "threads"):
            check_whole(f"{self.name}.{name}", getattr(self, name), low=1)
        # A tree of depth d is made room for at once: 2^d leaves.
        check_whole(f"{self.name}.max_depth", self.max_depth, low=1, high=_DEEPEST)
        check_whole(f"{self.name}.max_bin", self.max_bin, low=2, high=65_536)
        check_whole(f"{self.name}.seed", self.seed, low=0, high=LARGEST_SEED)
        for name in ("learning_rate", "subsample", "colsample_bytree"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1e-6, high=1.0)
        for name in ("min_child_weight", "reg_lambda"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=0.0)
        if self.device not in ("cpu", "cuda"):
            raise ConfigError(f"{self.name}.device cpu or cuda", found=repr(self.device), mend="set one of them")

    def fit(self, train: Dataset, valid: Dataset) -> FittedXGBoost:
        """Fit on the masked rows of `train`, stop early on those of `valid`.

        Raises
        ------
        HistoryError
            If either has no rows.
        ContractError
            If a row holds a NaN, or the two have different features.
        InstallationError
            If ``device="cuda"`` and XGBoost would silently use the CPU.
        ConfigError
            If XGBoost refuses a hyper-parameter.
        """
        contract = agreed_contract(train, valid)
        rows = RowTable.of(train, "fit on")
        with refusals_of(self.name, xgb.core.XGBoostError), xgb.config_context(verbosity=0):
            self._require_device()
            matrix = _quantile_matrix(rows, self.max_bin, self.threads)
            stop_on = _quantile_matrix(RowTable.of(valid, "stop early on"), self.max_bin, self.threads, ref=matrix)
            booster = xgb.train(
                self._library_parameters(),
                matrix,
                num_boost_round=self.max_rounds,
                evals=[(stop_on, "valid")],
                callbacks=[xgb.callback.EarlyStopping(rounds=self.early_stopping_rounds, save_best=True)],
                verbose_eval=False,
            )
        payload = booster.save_raw("ubj")
        return FittedXGBoost(_read_booster(payload, self.threads), contract, self.threads, rows.golden())

    def _library_parameters(self) -> dict[str, Any]:
        return {
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
        rows = xgb.DMatrix(np.zeros((2, 1), dtype=np.float32), label=np.zeros(2, dtype=np.float32), nthread=1)
        probe = xgb.train({"device": self.device, "nthread": 1}, rows, num_boost_round=1)
        effective = str(json.loads(probe.save_config())["learner"]["generic_param"]["device"])
        if not effective.startswith(self.device):
            raise InstallationError(
                f"XGBoost on device {self.device!r}",
                found=f"it would use {effective!r}",
                mend=f"set {self.name}.device to cpu, or mend the driver",
            )


@dataclass(frozen=True, eq=False)
class FittedXGBoost:
    """A fitted :class:`XGBoost`; only the best rounds' trees, exactly as its file holds them.

    Parameters
    ----------
    booster : xgboost.Booster
    contract : FeatureContract
    threads : int
    golden : float32 (G, F)
        Rows that a reloaded member is compared on.
    """

    booster: Any
    contract: FeatureContract
    threads: int
    golden: Float32Array

    def predict_proba(self, features: Features) -> Float32Array:
        """See :class:`quantlab.core.ports.FittedModel`."""
        self.contract.check(features)
        return score(features, self._classify)

    def save(self, folder: Path) -> None:
        """Write ``model.ubj`` and its card, load both again and compare golden predictions bit for bit.

        Raises
        ------
        ArtifactError
            If the reloaded member differs.
        """
        card = write_member(
            folder,
            library=f"xgboost {xgb.__version__}",
            file=MODEL_FILE,
            payload=bytes(self.booster.save_raw("ubj")),
            threads=self.threads,
            contract=self.contract,
            golden_inputs=self.golden,
            golden_outputs=self._classify(self.golden),
        )
        card.require_golden(self.load(folder)._classify(self.golden), tolerance=0.0)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ArtifactError
            If a file is missing or damaged, or golden predictions differ.
        """
        card = MemberCard.read(folder)
        try:
            booster = _read_booster(bytearray((folder / card.file).read_bytes()), card.threads)
        except xgb.core.XGBoostError as error:
            raise ArtifactError(
                f"an XGBoost model in {folder / card.file}", found="a file that it refuses", mend="fit the member again"
            ) from error
        fitted = cls(booster, card.contract, card.threads, card.golden())
        card.require_golden(fitted._classify(fitted.golden))
        return fitted

    def _classify(self, rows: Float32Array) -> Float32Array:
        proba: Float32Array = self.booster.inplace_predict(rows, validate_features=False)
        return proba


def _read_booster(payload: bytearray, threads: int) -> Any:
    """A booster as a file holds it: no training data, no training state."""
    booster = xgb.Booster()
    booster.load_model(payload)
    booster.set_param({"nthread": threads})
    return booster


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
