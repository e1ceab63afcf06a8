"""Ragged markets: leaks that move where a history begins or who is in it, later ones, and clean pipelines beside them.

The first group was a known gap of the audit; the second is what an attack on it found afterwards.
"""

from __future__ import annotations

from planted import TREES, Pipeline

_LEAKS, _HONEST = "true", "false"
#: Two symbols list late, one dies in the tested rows, one has a hole of half a day.
RAGGED = ("+data.listed=[[3,1.2],[2,3.4]]", "+data.died=[[1,13.3]]", "+data.holes=[[0,5.0,5.6]]")
RULE = (
    "experiment=baseline",
    "debug=tiny",
    "data.days=16",
    "data.n_symbols=4",
    "data.late_listings=0",
    "history.bars=null",
    "workers=1",
)
_WRAPPED = (
    "experiment=baseline",
    "debug=tiny",
    "history.bars=null",
    "workers=1",
    "+data.sources=[{_target_: ragged_market.%s, seed: 7, days: 16, n_symbols: 4, interval_ms: 300000, "
    'start: "2025-01-01", edge: 1.0, late_listings: 0, instrument: ${trading.instrument}, '
    "listed: [[3, 1.2], [2, 3.4]]}]",
    "+data.taken=0",
    "data._target_=ragged_market.Wrapped",
    *(f"~data.{name}" for name in ("seed", "days", "n_symbols", "interval_ms")),
    *(f"~data.{name}" for name in ("start", "edge", "late_listings", "instrument")),
)


def _market(name: str, kind: str, mistake: str) -> tuple[str, str, str, tuple[str, ...]]:
    return name, "universe", mistake, (*RULE, *RAGGED, f"data._target_=ragged_market.{kind}", "+data.leaks=")


#: Name, stage, what is wrong, and the overrides without `leaks`; a text that ends in ``leaks=`` takes true or false.
_PARTS = (
    _market("survivors_listed", "SurvivorsListed", "begins when the last of the later survivors is listed"),
    _market("thick_enough", "ThickEnough", "leading bars are trimmed by a quantile of the whole history"),
    _market("first_bars_dropped", "FirstBarsDropped", "a symbol's first bars are dropped by its own later volume"),
    _market("back_filled", "BackFilled", "symbols are filled backwards from their first bar"),
    _market("funding_filled", "FundingFilled", "unknown funding rates are filled with the next known one"),
    (
        "symbols_alike",
        "weights",
        "labels are divided by all bars that their symbol will ever have, and who dies has few",
        (
            *TREES,
            *RAGGED,
            "data._target_=ragged_market.Ragged",
            "learning.labels._target_=ragged_parts.SymbolsAlike",
            "+learning.labels.leaks=",
        ),
    ),
    (
        "leaves_in_time",
        "fill",
        "nothing is opened in the last day before a delisting",
        (
            *RULE,
            *RAGGED,
            "data._target_=ragged_market.Ragged",
            "backtest._target_=ragged_parts.LeavesInTime",
            "+backtest.leaks=",
        ),
    ),
    (
        "smaller_in_doubt",
        "sizing",
        "half the size in the last day before a delisting",
        (
            *TREES,
            *RAGGED,
            "data._target_=ragged_market.Ragged",
            "learning.study._target_=ragged_parts.SmallerInDoubt",
            "+learning.study.leaks=",
        ),
    ),
    (
        "begins_at_its_best",
        "split",
        "the account begins where the tested signals' gain was lowest",
        (
            *TREES,
            *RAGGED,
            "data._target_=ragged_market.Ragged",
            "learning.study._target_=ragged_parts.BeginsAtItsBest",
            "+learning.study.leaks=",
        ),
    ),
)


def _pipeline(leaks: str, name: str, stage: str, mistake: str, overrides: tuple[str, ...]) -> Pipeline:
    said = tuple(text + leaks if text.endswith("leaks=") else text for text in overrides)
    if leaks == _LEAKS:
        return Pipeline(name, stage, said, mistake)
    return Pipeline(f"honest_{name}", "clean", said)


def _wrapped(name: str, stage: str, kind: str, mistake: str = "") -> Pipeline:
    return Pipeline(name, stage, tuple(text % kind if "%s" in text else text for text in _WRAPPED), mistake)


def _clean(name: str, *overrides: str, needs_market_data: bool = False) -> Pipeline:
    return Pipeline(name, "clean", overrides, needs_market_data=needs_market_data)


THIRD_PLANTED = (
    *(_pipeline(_LEAKS, *part) for part in _PARTS),
    Pipeline(
        "remembering",
        "universe",
        (*RULE, *RAGGED, "data._target_=ragged_market.Remembering"),
        "the symbols that gained most volume, kept in a cached property",
    ),
    _wrapped("wrapped_survivors", "universe", "SurvivorsListed", "a leaking source in the list of a plain class"),
)

THIRD_CLEAN = (
    *(_pipeline(_HONEST, *part) for part in _PARTS),
    _wrapped("wrapped_and_ragged", "clean", "Ragged"),
    _clean("ragged_rule", *RULE, *RAGGED, "data._target_=ragged_market.Ragged"),
    _clean("newest_days", *RULE, *RAGGED, "data._target_=ragged_market.Newest"),
    _clean("ragged_trees", *TREES, *RAGGED, "data._target_=ragged_market.Ragged", "trading.limits.daily_flatten=true"),
    _clean(
        "listed_in_the_tests",
        *TREES,
        "data._target_=ragged_market.Ragged",
        "+data.listed=[[3,6.1],[2,4.0]]",
        "+data.died=[[1,12.2],[0,14.9]]",
        "data.seed=23",
    ),
    _clean(
        "real_ragged_rule",
        "experiment=baseline",
        "debug=tiny",
        "workers=1",
        "data=parquet",
        "data.root={market_data}/perps_5m",
        "data.folders=[ragged]",
        "data.funding=partial",
        "data.symbols=[HPOS,AI,RLB,PAXG,AIXBT,BCH,BABY]",
        "history.start=2025-03-27",
        "history.end=2025-04-13",
        "history.bars=null",
        "history.symbols=null",
        needs_market_data=True,
    ),
)
