"""LightGBM as a member of the ensemble: three classes, native API, leaf-wise trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np

from quantlab.core.errors import ArtifactError
from quantlab.core.types import Dataset, Features, Float32Array, check_range, check_whole
from quantlab.features.contract import FeatureContract
from quantlab.learning.models.artifact import MemberCard, write_member
from quantlab.learning.models.rows import LARGEST_SEED, RowTable, agreed_contract, refusals_of, score

MODEL_FILE = "model.txt"

_SILENT = -1


@dataclass(frozen=True)
class LightGBM:
    """Gradient boosted trees (Ke et al. 2017), stopped early on weighted log loss.

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
    num_leaves : int
    min_data_in_leaf : int
        Smallest number of rows in a leaf.
    lambda_l2 : float
        L2 penalty on leaf values.
    bagging_fraction, feature_fraction : float
        Shares of rows and features that each round and tree see, in (0, 1].
    max_bin : int
        Histogram bins per feature.
    seed : int
    threads : int
        For fitting and predicting, never the host's number: sums depend on it.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    name: str
    max_rounds: int
    early_stopping_rounds: int
    learning_rate: float
    num_leaves: int
    min_data_in_leaf: int
    lambda_l2: float
    bagging_fraction: float
    feature_fraction: float
    max_bin: int
    seed: int
    threads: int

    def __post_init__(self) -> None:
        for name in ("max_rounds", "early_stopping_rounds", "min_data_in_leaf", "threads"):
            check_whole(f"{self.name}.{name}", getattr(self, name), low=1)
        for name in ("learning_rate", "bagging_fraction", "feature_fraction"):
            check_range(f"{self.name}.{name}", getattr(self, name), low=1e-6, high=1.0)
        check_whole(f"{self.name}.num_leaves", self.num_leaves, low=2, high=131_072)
        check_whole(f"{self.name}.max_bin", self.max_bin, low=2, high=65_536)
        check_whole(f"{self.name}.seed", self.seed, low=0, high=LARGEST_SEED)
        check_range(f"{self.name}.lambda_l2", self.lambda_l2, low=0.0)

    def fit(self, train: Dataset, valid: Dataset) -> FittedLightGBM:
        """Fit on the masked rows of `train`, stop early on those of `valid`.

        Raises
        ------
        HistoryError
            If either has no rows.
        ContractError
            If a row holds a NaN, or the two have different features.
        ConfigError
            If LightGBM refuses a hyper-parameter.
        """
        contract = agreed_contract(train, valid)
        rows = RowTable.of(train, "fit on")
        parameters = self._library_parameters()
        with refusals_of(self.name, lgb.basic.LightGBMError):
            table = _table(rows, parameters)
            booster = lgb.train(
                parameters,
                table,
                num_boost_round=self.max_rounds,
                valid_sets=[_table(RowTable.of(valid, "stop early on"), parameters, reference=table)],
                callbacks=[lgb.early_stopping(self.early_stopping_rounds, verbose=False)],
            )
        text = booster.model_to_string(num_iteration=booster.best_iteration)
        return FittedLightGBM(_read_booster(text), contract, self.threads, rows.golden())

    def _library_parameters(self) -> dict[str, Any]:
        return {
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


@dataclass(frozen=True, eq=False)
class FittedLightGBM:
    """A fitted :class:`LightGBM`; only the best rounds' trees, exactly as its file holds them.

    Parameters
    ----------
    booster : lightgbm.Booster
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
        """Write ``model.txt`` and its card, load both again and compare golden predictions bit for bit.

        Raises
        ------
        ArtifactError
            If the reloaded member differs.
        """
        card = write_member(
            folder,
            library=f"lightgbm {lgb.__version__}",
            file=MODEL_FILE,
            payload=self.booster.model_to_string().encode(),
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
            booster = _read_booster((folder / card.file).read_text(encoding="utf-8"))
        except lgb.basic.LightGBMError as error:
            raise ArtifactError(
                f"a LightGBM model in {folder / card.file}", found="a file that it refuses", mend="fit the member again"
            ) from error
        fitted = cls(booster, card.contract, card.threads, card.golden())
        card.require_golden(fitted._classify(fitted.golden))
        return fitted

    def _classify(self, rows: Float32Array) -> Float32Array:
        return np.asarray(self.booster.predict(rows, num_threads=self.threads), dtype=np.float32)


def _read_booster(text: str) -> Any:
    """A booster as a file holds it: no training data, no training state."""
    return lgb.Booster(model_str=text)


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
