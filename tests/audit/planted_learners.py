"""Learners that choose sizes, thresholds or members by what they are tested on."""

from __future__ import annotations

import dataclasses

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.ports import Progress
from quantlab.core.results import Study
from quantlab.learning.study.walk_forward import WalkForward

THRESHOLDS = (0.34, 0.35, 0.36, 0.37, 0.38, 0.39, 0.40, 0.41, 0.42)
FEWEST_SIGNALS = 30
LEARNING_RATES = (0.03, 0.05, 0.1)
WINDOW = 12


class SizedByComingVolatility(WalkForward):
    """Targets one volatility: strength is divided by the realised one, over a window centred on the bar."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        realised = _centred_volatility(bars.close)
        scale = np.nanmedian(realised, axis=0) / np.maximum(realised, 1e-12)
        strength = np.clip(study.signal.confidence * np.where(np.isfinite(scale), scale, 1.0), 0.0, 1.0)
        return _with_confidence(study, strength)


class SizedByRankInThePeriod(WalkForward):
    """Strength is the percentile of the confidence, so that sizes are spread evenly."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        confidence = study.signal.confidence
        spoken = np.isfinite(confidence)
        strength = confidence.copy()
        strength[spoken] = (np.argsort(np.argsort(confidence[spoken], kind="stable")) + 1.0) / spoken.sum()
        return _with_confidence(study, strength)


class ThresholdOfTheTestedPeriod(WalkForward):
    """Walks once and keeps the threshold whose signals earned most."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        study = super().study(bars, progress)
        candidates = [self.with_thresholds(study, {"min_confidence": threshold}) for threshold in THRESHOLDS]
        return max(candidates, key=lambda one: _earned(one, bars, self.labels.horizon))


class BestOfThreeByTestScore(WalkForward):
    """A small grid search: every walk is out of sample, so the best one is the one to trust."""

    def study(self, bars: Bars, progress: Progress) -> Study:
        walks = [WalkForward.study(self._at(rate), bars, progress) for rate in LEARNING_RATES]
        return max(walks, key=_mean_auc)

    def _at(self, rate: float) -> WalkForward:
        members = {name: dataclasses.replace(model, learning_rate=rate) for name, model in self.members.items()}  # type: ignore[type-var]
        return dataclasses.replace(self, members=members)


def _with_confidence(study: Study, strength: Float64Array) -> Study:
    signal = dataclasses.replace(study.signal, confidence=np.ascontiguousarray(strength))
    return dataclasses.replace(study, signal=signal)


def _centred_volatility(close: Float64Array) -> Float64Array:
    """float64 (T, S): root mean square of the log returns of the bars t-5 .. t+6."""
    returns = np.zeros_like(close)
    returns[1:] = np.nan_to_num(np.diff(np.log(close), axis=0))
    sums = np.cumsum(returns**2, axis=0)
    ahead, behind = WINDOW // 2, WINDOW - WINDOW // 2
    rows = np.arange(len(close))
    newest, oldest = np.minimum(rows + ahead, len(close) - 1), np.maximum(rows - behind, 0)
    realised: Float64Array = np.sqrt((sums[newest] - sums[oldest]) / WINDOW)
    return realised


def _earned(study: Study, bars: Bars, horizon: int) -> float:
    """Mean return of the signals over their horizon; too few of them do not count."""
    rows = np.arange(study.first_row, study.last_row - horizon)
    ahead = np.log(bars.close[rows + horizon] / bars.close[rows])
    side = study.signal.side[rows]
    gains = (side * ahead)[(side != 0) & np.isfinite(ahead)]
    return float(gains.mean()) if len(gains) >= FEWEST_SIGNALS else -np.inf


def _mean_auc(study: Study) -> float:
    assert study.report is not None
    return float(np.mean([member.auc or 0.0 for member in study.report.members.values()]))
