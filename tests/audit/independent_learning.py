"""Splits, an ensemble, learners and a tuning, each with an honest form and one that looks ahead: `leaks=true`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import BoolArray, Float32Array, Float64Array, Int8Array
from quantlab.core.market import Bars
from quantlab.core.ports import Model, Progress
from quantlab.core.results import Study, TuningStage
from quantlab.core.types import NO_LABEL, Dataset
from quantlab.learning.ensemble.calibration import fit_temperature
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.ensemble.pooling import has_forecast
from quantlab.learning.samples.splits import Fold, PurgedWalkForward
from quantlab.learning.study.walk_forward import WalkForward
from quantlab.learning.tuning.search import Tuning

DAY_MS = 86_400_000


@dataclass(frozen=True)
class LateCalibration(PurgedWalkForward):
    """Calibration rows end beside the test. Leaks: half a day inside it; honest: half a day before it."""

    leaks: bool = True
    bars_off: int = 144

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        off = self.bars_off if self.leaks else -self.bars_off
        folds = super().split(dataset)
        moved = [dataclasses.replace(f, calibration=(f.calibration[0], f.calibration[1] + off)) for f in folds]
        return tuple(moved)


@dataclass(frozen=True)
class BalancedBorders(PurgedWalkForward):
    """Parts begin where the classes are balanced. Leaks: in the bars *after* a border; honest: before the training."""

    leaks: bool = True

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        folds = list(super().split(dataset))
        for left, right in zip(range(len(folds) - 1), range(1, len(folds)), strict=True):
            border = self._balanced(dataset.label, folds[left].test[1])
            folds[left] = dataclasses.replace(folds[left], test=(folds[left].test[0], border))
            calibration = (folds[right].calibration[0], border)
            folds[right] = dataclasses.replace(
                folds[right], calibration=calibration, test=(border, folds[right].test[1])
            )
        return tuple(folds)

    def _balanced(self, label: Int8Array, border: int) -> int:
        candidates = range(border - 60, border + 60, 12)
        return min(
            candidates,
            key=lambda row: _imbalance(label[row : row + 96] if self.leaks else label[row - 400 : row - 300]),
        )


def _imbalance(label: Int8Array) -> int:
    counts = np.bincount(label[label != NO_LABEL], minlength=3)
    return int(counts.max() - counts.min())


@dataclass(frozen=True)
class UnpurgedTemperature(Ensemble):
    """Leaks: the temperature is fitted on all calibration labels, those too that settle inside the test."""

    leaks: bool = True

    def fit(
        self, names: tuple[str, ...], members: Float32Array, label: Int8Array, weight: Float32Array, rows: BoolArray
    ) -> FittedEnsemble:
        fitted = super().fit(names, members, label, weight, rows)
        pooled, _ = dataclasses.replace(fitted, temperature=1.0).pool_forecasts(members, fitted.begin(members.shape[2]))
        used = has_forecast(pooled.proba) & ((label != NO_LABEL) if self.leaks else rows)
        return dataclasses.replace(fitted, temperature=fit_temperature(pooled.proba[used], label[used], weight[used]))


@dataclass(frozen=True)
class RelativeConfidence(WalkForward):
    """Confidence as a share of the highest. Leaks: the highest of the whole test; honest: of what came before."""

    leaks: bool = True

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        confidence = study.signal.confidence
        known = np.nan_to_num(confidence)
        highest = known.max() if self.leaks else np.maximum.accumulate(known.max(axis=1))[:, None]
        relative: Float64Array = np.ascontiguousarray(confidence / np.maximum(highest, 1e-9))
        return dataclasses.replace(study, signal=dataclasses.replace(study.signal, confidence=relative))


@dataclass(frozen=True)
class DailyVolatilityTarget(WalkForward):
    """Targets in inverse proportion to the volatility of a UTC day. Leaks: the row's own day; honest: the day before."""

    leaks: bool = True

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        days = bars.open_time_ms // DAY_MS
        size = np.zeros(bars.state.shape)
        before = np.full(bars.n_symbols, 0.01)
        for day in np.unique(days):
            rows = days == day
            today = np.nanstd(np.diff(np.log(bars.close[rows]), axis=0), axis=0)
            size[rows] = 1e-4 / np.maximum(np.nan_to_num(today if self.leaks else before), 1e-5)
            before = today
        side = study.signal.side.astype(np.float64)
        target = np.where(side == 0.0, np.nan, side * np.minimum(size, 0.2))
        return dataclasses.replace(study, signal=dataclasses.replace(study.signal, target=np.ascontiguousarray(target)))


@dataclass(frozen=True)
class BestThreshold(WalkForward):
    """The confidence threshold with the best tested return. Leaks: of all test windows; honest: before the last one.

    The honest form is one choice for all windows, on tested bars before the last.
    """

    leaks: bool = True

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        stop = study.last_row if self.leaks else study.last_test - self.labels.horizon
        ahead = np.zeros_like(bars.close)
        ahead[:-12] = bars.close[12:] / bars.close[:-12] - 1.0

        def earned(threshold: float) -> float:
            side = self.with_thresholds(study, {"min_confidence": threshold}).signal.side[study.first_row : stop]
            return float(np.nansum(side * ahead[study.first_row : stop]))

        best = max((0.334, 0.34, 0.35, 0.36, 0.37, 0.38, 0.39, 0.40), key=earned)
        return self.with_thresholds(study, {"min_confidence": best})


@dataclass(frozen=True)
class LastFoldTuning(Tuning):
    """Leaks: hyper-parameters are searched on everything before the *end*, so every fold has them from its future."""

    leaks: bool = True

    def tune_members(
        self, members: Mapping[str, Model], dataset: Dataset, first: Fold, **rest: Any
    ) -> tuple[dict[str, Model], tuple[TuningStage, ...]]:
        if self.leaks:
            last = len(dataset.open_time_ms) - 1
            first = dataclasses.replace(first, test=(last, last + 1))
        return super().tune_members(members, dataset, first, **rest)
