"""Twenty more leaks, two for each stage, and twenty more clean pipelines, most of them the honest twin of a leak.

They were written from the page of the audit and the definitions of learning alone, by somebody who knew neither
the first twenty nor the audit.
"""

from __future__ import annotations

from planted import MEMBERS, TREES, WORLD, Pipeline

_LEAKS, _HONEST = "true", "false"
_REAL = (
    "data=parquet",
    "data.root={market_data}/perps_5m",
    "history.start=2025-05-01",
    "history.end=2025-05-17",
    "history.symbols=null",
    "data.symbols=[BTC,SOL,AVAX,LINK]",
)
_TUNED = (
    *MEMBERS,
    *WORLD,
    "learning.tuning.thresholds=null",
    "~learning.tuning.members.searches.nhits",
    "~learning.tuning.members.searches.patchtst",
    "learning.tuning.members.folds=1",
    "learning.search.tree_trials=4",
)

#: Stage, what is wrong, and the overrides without `leaks`; a key that ends in ``leaks=`` takes true or false.
_PARTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "daily_candle": (
        "feature",
        "a daily candle joined by date: its close is at midnight",
        (*TREES, "features._target_=independent_market.DailyTrend", "+features.leaks="),
    ),
    "fourier_filter": (
        "feature",
        "noise is taken out of two columns by a Fourier filter over the whole history",
        (*TREES, "features._target_=independent_market.Denoised", "+features.leaks="),
    ),
    "known_at_open": (
        "label",
        "known_at is the open of the settling bar, not its close",
        (*TREES, "learning.labels._target_=independent_market.KnownAtOpen", "+learning.labels.leaks="),
    ),
    "typical_range": (
        "label",
        "barriers as wide as the whole history's mean range",
        (*TREES, "learning.labels._target_=independent_market.TypicalRange", "+learning.labels.leaks="),
    ),
    "principal_components": (
        "scaler",
        "components fitted on train and test together",
        (
            *TREES,
            "learning.members.lightgbm._target_=independent_members.PrincipalComponents",
            "+learning.members.lightgbm.leaks=",
        ),
    ),
    "fit_transform": (
        "scaler",
        "test rows standardised by their own mean",
        (
            *TREES,
            "learning.members.lightgbm._target_=independent_members.Standardised",
            "+learning.members.lightgbm.leaks=",
        ),
    ),
    "unpurged_temperature": (
        "calibrator",
        "the temperature knows labels that settle inside the test",
        (*TREES, "learning.ensemble._target_=independent_learning.UnpurgedTemperature", "+learning.ensemble.leaks="),
    ),
    "bias_correction": (
        "calibrator",
        "class biases are fitted on every row that was not trained on, tested ones too",
        (
            *TREES,
            "learning.members.lightgbm._target_=independent_members.BiasCorrected",
            "+learning.members.lightgbm.leaks=",
        ),
    ),
    "late_calibration": (
        "split",
        "calibration rows reach half a day into the test",
        (
            *TREES,
            "learning.splits._target_=independent_learning.LateCalibration",
            "learning.splits.calibration_fraction=0.35",
            "+learning.splits.leaks=",
        ),
    ),
    "balanced_borders": (
        "split",
        "test windows begin where the coming labels are balanced",
        (*TREES, "learning.splits._target_=independent_learning.BalancedBorders", "+learning.splits.leaks="),
    ),
    "largest_first": (
        "universe",
        "the symbols that are largest on the last day",
        (*TREES, "data.n_symbols=8", "data._target_=independent_market.LargestFirst", "+data.leaks="),
    ),
    "busy_days": (
        "universe",
        "a day's membership by that whole day's volume",
        (*TREES, "data._target_=independent_market.BusyDays", "+data.leaks="),
    ),
    "weighted_by_move": (
        "weights",
        "weights by a move that goes on after the label is known",
        (*TREES, "learning.labels._target_=independent_market.WeightedByMove", "+learning.labels.leaks="),
    ),
    "equal_days": (
        "weights",
        "every day weighs the same: a morning row is divided by what the afternoon will bring",
        (*TREES, "learning.labels._target_=independent_market.EqualDays", "+learning.labels.leaks="),
    ),
    "typical_price": (
        "fill",
        "fills at the typical price of a bar that has only opened",
        (*TREES, "backtest._target_=independent_engine.TypicalPrice", "+backtest.leaks="),
    ),
    "passive_entries": (
        "fill",
        "a limit order that becomes a market order at the open when it was not reached",
        (*TREES, "backtest._target_=independent_engine.PassiveEntries", "+backtest.leaks="),
    ),
    "relative_confidence": (
        "sizing",
        "confidence as a share of the highest ever",
        (*TREES, "learning.study._target_=independent_learning.RelativeConfidence", "+learning.study.leaks="),
    ),
    "daily_volatility": (
        "sizing",
        "targets by the volatility of the day that has only begun",
        (
            *TREES,
            "trading/policy=from_signals",
            "learning.study._target_=independent_learning.DailyVolatilityTarget",
            "+learning.study.leaks=",
        ),
    ),
    "best_threshold": (
        "tuning",
        "a threshold chosen by the return of all tested bars",
        # Narrow exits trade often enough for the choice to turn on what it must not see.
        (
            *TREES,
            "barriers={take_profit_atr: 2.0, stop_atr: 1.2, horizon: 12}",
            "exits={take_profit_atr: 2.0, stop_atr: 1.2, horizon: 12}",
            "learning.study._target_=independent_learning.BestThreshold",
            "+learning.study.leaks=",
        ),
    ),
    "tuned_to_the_end": (
        "tuning",
        "hyper-parameters searched on everything before the end",
        (*_TUNED, "learning.tuning._target_=independent_learning.LastFoldTuning", "+learning.tuning.leaks="),
    ),
}


def _pipeline(name: str, leaks: str) -> Pipeline:
    stage, mistake, overrides = _PARTS[name]
    said = tuple(text + leaks if text.endswith("leaks=") else text for text in overrides)
    if leaks == _LEAKS:
        return Pipeline(name, stage, said, mistake)
    return Pipeline(f"honest_{name}", "clean", said)


def _trees(name: str, *overrides: str) -> Pipeline:
    return Pipeline(name, "clean", (*TREES, *overrides))


SECOND_PLANTED = tuple(_pipeline(name, _LEAKS) for name in _PARTS)

#: Not every honest form is a twin: some leaks have none.
_TWINS = (
    "daily_candle",
    "fourier_filter",
    "known_at_open",
    "typical_range",
    "principal_components",
    "fit_transform",
    "unpurged_temperature",
    "bias_correction",
    "largest_first",
    "busy_days",
    "weighted_by_move",
    "passive_entries",
    "relative_confidence",
    "daily_volatility",
)

SECOND_CLEAN = (
    *(_pipeline(name, _HONEST) for name in _TWINS),
    _trees("other_world", "data.seed=101", "data.edge=1.5", "data.late_listings=1", "seed=23"),
    _trees("recent_rows_weigh_more", "learning.members.lightgbm._target_=independent_members.Recent", "data.seed=31"),
    _trees(
        "slow_venue",
        "backtest._target_=independent_engine.SlowVenue",
        "trading/sizer=volatility_target",
        "trading.limits.loss_streak=2",
        "trading.limits.max_stops=3",
    ),
    _trees("thinned_and_carried", "learning.splits.every_k=3", "learning.study.stride=4", "data.seed=77"),
    Pipeline("honestly_tuned", "clean", (*_TUNED, "seed=5", "data.seed=19", "trading/sizer=kelly_fraction")),
    Pipeline("real_trees_in_may", "clean", (*MEMBERS, "learning.tuning=null", *_REAL), needs_market_data=True),
)
