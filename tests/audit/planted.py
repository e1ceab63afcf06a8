"""Twenty pipelines that each leak the future in one place: what the audit has to find.

Every mistake is one that was made in earnest somewhere, small enough to be overlooked in a review. The classes
are in the ``planted_*`` modules beside this one; this folder must be on ``sys.path`` (and on ``PYTHONPATH`` of
processes that are started), so that their ``_target_`` can be imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STAGES = (
    "feature",
    "label",
    "scaler",
    "calibrator",
    "split",
    "universe",
    "weights",
    "fill",
    "sizing",
    "tuning",
)

#: Two tree members, two folds, at most 4,500 bars of four symbols: seconds.
MEMBERS = (
    "experiment=ensemble_v2",
    "debug=tiny",
    "~learning.members.nhits",
    "~learning.members.patchtst",
    "learning.members.xgboost.max_rounds=40",
    "learning.members.lightgbm.max_rounds=40",
    "workers=1",
)
#: Four invented perpetuals.
WORLD = ("data.days=16", "data.n_symbols=4", "data.late_listings=0")
TREES = (*MEMBERS, *WORLD, "learning.tuning=null")


@dataclass(frozen=True)
class Pipeline:
    """A configuration, and where it leaks.

    Parameters
    ----------
    name : str
        Unique; also a good ``experiment_name``.
    stage : str
        One of :data:`STAGES`; ``"clean"`` if it does not leak.
    overrides : tuple of str
        For ``quantlab.jobs.config.composition.compose``. The caller adds its own ``cache_dir`` and ``runs_dir``; the
        same ``cache_dir`` may serve all of them.
    mistake : str
        For people; empty if there is none.
    needs_market_data : bool
        Its overrides hold ``{market_data}``, the folder of the reference market data; see :meth:`composed_of`.
    """

    name: str
    stage: str
    overrides: tuple[str, ...]
    mistake: str = ""
    needs_market_data: bool = False

    def composed_of(self, market_data: Path | None = None) -> tuple[str, ...]:
        """The overrides, with the folder of the market data in its place."""
        named = (*self.overrides, f"experiment_name={self.name}")
        return tuple(text.replace("{market_data}", str(market_data)) for text in named)


def _trees(name: str, stage: str, mistake: str, *overrides: str) -> Pipeline:
    return Pipeline(name, stage, (*TREES, *overrides), mistake)


PLANTED: tuple[Pipeline, ...] = (
    _trees(
        "centred_smoothing",
        "feature",
        "noisy columns are smoothed by a rolling mean that is centred on the bar: two bars of it lie ahead",
        "features._target_=planted_features.CentredSmoothing",
    ),
    _trees(
        "standardised_history",
        "feature",
        "columns are turned into z-scores with the mean and deviation of the whole history",
        "features._target_=planted_features.StandardisedHistory",
    ),
    _trees(
        "known_when_entered",
        "label",
        "a label counts as known when its entry bar closes, up to a horizon before its race is settled",
        "learning.labels._target_=planted_labels.KnownWhenEntered",
    ),
    _trees(
        "race_from_own_bar",
        "label",
        "races start at the open of the decision's own bar, so that its features have seen their first bar",
        "learning.labels._target_=planted_labels.RaceFromOwnBar",
    ),
    _trees(
        "clipped_to_all_rows",
        "scaler",
        "outliers are clipped to quantiles of every row of the feature table instead of the rows fitted on",
        "learning.members.lightgbm._target_=planted_models.ClippedToAllRows",
    ),
    _trees(
        "symbol_scales_of_all_rows",
        "scaler",
        "every symbol is put on one scale with the means and deviations of all its rows, tested ones too",
        "learning.members.lightgbm._target_=planted_models.SymbolScalesOfAllRows",
    ),
    _trees(
        "temperature_of_all_labels",
        "calibrator",
        "a member's temperature is fitted on every labelled row that the dataset holds",
        "learning.members.lightgbm._target_=planted_models.TemperatureOfAllLabels",
    ),
    _trees(
        "priors_of_all_labels",
        "calibrator",
        "probabilities are corrected to each symbol's class shares over the whole history",
        "learning.members.xgboost._target_=planted_models.PriorsOfAllLabels",
    ),
    _trees(
        "parts_overlap_by_a_horizon",
        "split",
        "every part runs on for one label horizon into the next: what purging drops is put back",
        "learning.splits._target_=planted_splits.PartsOverlapByAHorizon",
    ),
    _trees(
        "early_stopping_on_the_test",
        "split",
        "boosting stops where the loss on the test window is smallest",
        "learning.splits._target_=planted_splits.EarlyStoppingOnTheTest",
    ),
    _trees(
        "gaining_volume",
        "universe",
        "the four symbols whose volume grew most over the period are traded from its first bar on",
        "data._target_=planted_universe.GainingVolume",
        "data.n_symbols=8",
        "+data.keep=4",
    ),
    _trees(
        "still_worth_listing",
        "universe",
        "the four symbols that kept most of their price until the end: the others were delisted since",
        "data._target_=planted_universe.StillWorthListing",
        "data.seed=18",
        "data.n_symbols=8",
        "+data.keep=4",
    ),
    _trees(
        "classes_balanced_over_history",
        "weights",
        "rows are weighted against the rarity of their class over the whole history",
        "learning.labels._target_=planted_labels.ClassesBalancedOverHistory",
    ),
    _trees(
        "weighted_towards_the_test",
        "weights",
        "training rows count more where volatility is as in the rows that come after the training window",
        "learning.members.lightgbm._target_=planted_models.WeightedTowardsTheTest",
    ),
    _trees(
        "filled_at_its_own_open",
        "fill",
        "the signal of a bar, known at its close, trades at that bar's open",
        "backtest._target_=planted_fills.FilledAtItsOwnOpen",
    ),
    _trees(
        "filled_at_the_best_price",
        "fill",
        "orders fill at the best price of the bar, as if a limit order had waited there",
        "backtest._target_=planted_fills.FilledAtTheBestPrice",
    ),
    _trees(
        "sized_by_coming_volatility",
        "sizing",
        "positions are larger where the volatility of the twelve bars around the decision is low",
        "learning.study._target_=planted_learners.SizedByComingVolatility",
        "trading.sizer.weight=0.1",
    ),
    _trees(
        "sized_by_rank_in_the_period",
        "sizing",
        "positions grow with the rank of their confidence among all decisions of the whole tested period",
        "learning.study._target_=planted_learners.SizedByRankInThePeriod",
        "trading.sizer.weight=0.1",
    ),
    _trees(
        "threshold_of_the_tested_period",
        "tuning",
        "the confidence threshold is the one that earned most over all tested bars, the last period included",
        "learning.study._target_=planted_learners.ThresholdOfTheTestedPeriod",
    ),
    _trees(
        "best_of_three_by_test_score",
        "tuning",
        "the learner walks with three learning rates and keeps the walk with the best out-of-sample score",
        "learning.study._target_=planted_learners.BestOfThreeByTestScore",
    ),
)
