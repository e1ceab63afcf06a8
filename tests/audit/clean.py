"""Twenty pipelines without a leak, unlike enough that an audit that guesses accuses one of them.

Some are made to look suspicious: a market with a strong and honest edge, scalers of the member's own, thresholds
that were tuned on tested bars before the window that they are used in, labels that overlap a lot.
"""

from __future__ import annotations

from planted import MEMBERS, TREES, WORLD, Pipeline


def _clean(name: str, *overrides: str, needs_market_data: bool = False) -> Pipeline:
    return Pipeline(name, "clean", overrides, needs_market_data=needs_market_data)


def _trees(name: str, *overrides: str) -> Pipeline:
    return _clean(name, *TREES, *overrides)


_RULE = ("experiment=baseline", "debug=tiny", *WORLD, "workers=1")
_REAL = (
    "data=parquet",
    "data.root={market_data}/perps_5m",
    "history.start=2025-04-01",
    "history.end=2025-04-17",
    "history.symbols=null",
)

CLEAN: tuple[Pipeline, ...] = (
    _clean("moving_averages", *_RULE),
    _clean("moving_averages_without_an_edge", *_RULE, "data.edge=0.0", "data.seed=11"),
    _clean("coin_flips", *_RULE, "trading/signal=random", "trading/policy=ensemble_threshold"),
    _clean("bought_and_held", *_RULE, "trading/policy=buy_and_hold"),
    _trees("expanding_window"),
    _trees("rolling_window", "learning.splits.train_bars=1800", "learning.splits.n_folds=3"),
    _trees("no_edge", "data.edge=0.0", "data.seed=3"),
    _trees("strong_honest_edge", "data.edge=2.0", "data.seed=5"),
    _trees(
        "extra_feature",
        "features.extra=[{_target_: hydra.utils.get_object, path: clean_parts.CLOSE_IN_RANGE_24}]",
    ),
    _trees("short_symmetric_barriers", "barriers.horizon=6", "barriers.take_profit_atr=1.5", "barriers.stop_atr=1.5"),
    _trees("long_overlapping_labels", "barriers.horizon=48", "barriers.take_profit_atr=4.0", "barriers.stop_atr=2.5"),
    _trees(
        "xgboost_alone", "~learning.members.lightgbm", "learning.ensemble.quorum=1", "learning.ensemble.max_weight=1.0"
    ),
    _trees(
        "tilted_and_monotone",
        "learning.members.lightgbm.class_weights=[1.5,1.0,1.5]",
        "learning.members.xgboost.increasing=[natr_14]",
    ),
    _trees("clipped_to_training_rows", "learning.members.lightgbm._target_=clean_parts.ClippedToTrainingRows"),
    _trees(
        "symbol_scales_of_training_rows", "learning.members.lightgbm._target_=clean_parts.SymbolScalesOfTrainingRows"
    ),
    _clean(
        "gates_walk_forward",
        *MEMBERS,
        *WORLD,
        "learning.tuning.members=null",
        "learning.tuning.thresholds.trials=4",
        "learning.tuning.thresholds.min_trades=1",
    ),
    _trees(
        "late_listings_and_tight_limits",
        "data.n_symbols=6",
        "data.late_listings=2",
        "history.symbols=6",
        "trading.limits.max_positions=2",
        "trading.limits.daily_flatten=true",
    ),
    _trees(
        "moving_stops_and_high_costs",
        "trading/sizer=fixed_fraction",
        "trading.policy.trail_atr=1.5",
        "trading.policy.break_even_atr=1.0",
        "trading.costs.slippage_bps=10.0",
        "trading.costs.participation=0.01",
    ),
    _clean(
        "real_trees",
        *MEMBERS,
        "learning.tuning=null",
        *_REAL,
        "data.symbols=[BTC,ETH,SOL,DOGE]",
        needs_market_data=True,
    ),
    _clean(
        "real_moving_averages",
        "experiment=baseline",
        "debug=tiny",
        "workers=1",
        *_REAL,
        "data.symbols=[BTC,OM,TST,kPEPE,UMA]",
        "data.funding=partial",
        needs_market_data=True,
    ),
)
