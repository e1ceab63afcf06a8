"""Prices, signals and policies of one's own, in the experiment's place: the same numbers, or a refusal that names the fix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError, DataError
from quantlab.core.market import Bars
from quantlab.jobs.config.composition import build
from quantlab.research import Experiment, bars_frame, values_of
from quantlab.trading import BuyAndHold, FixedFraction, FromSignals, Strategy, signal_of


@pytest.fixture(scope="module")
def prices(bars: Bars) -> dict[str, pd.DataFrame]:
    table = bars_frame(bars)
    printed = table[table["state"].isin(["traded", "zero_volume"])]
    return {symbol: printed.xs(symbol, level="symbol") for symbol in bars.symbols}


@pytest.fixture(scope="module")
def weights(bars: Bars) -> pd.DataFrame:
    """Long one, short another, a day after the first bar; turned round on the next day, then closed."""
    frame = pd.DataFrame(np.nan, index=pd.to_datetime(bars.open_time_ms, unit="ms", utc=True), columns=bars.symbols)
    for row, (long, short) in {288: (0.05, -0.05), 576: (-0.05, 0.05), 864: (0.0, 0.0)}.items():
        frame.iloc[row, 0], frame.iloc[row, 2] = long, short
    return frame


def test_frames_become_the_bars_that_a_source_would_give(lab: Experiment, bars: Bars, prices: Any) -> None:
    """What the gate filled is taken out, and filled again."""
    own = lab.using(bars=prices).history()
    np.testing.assert_array_equal(own.ohlcv, bars.ohlcv)
    np.testing.assert_array_equal(own.open_time_ms, bars.open_time_ms)
    np.testing.assert_array_equal(own.state, bars.state)
    assert (own.symbols, own.interval_ms, own.funding) == (bars.symbols, bars.interval_ms, None)
    streamed = list(lab.using(bars=prices).parts.source.stream())
    assert len(streamed) == own.n_bars
    np.testing.assert_array_equal(np.concatenate([one.ohlcv for one in streamed]), own.ohlcv)


def test_funding_falls_due_where_its_stamp_says(lab: Experiment, prices: Any, weights: pd.DataFrame) -> None:
    """One stamp while long 5 % of the first symbol: what it costs is computed by hand."""
    stamp = weights.index[288 + 24]
    some = {"SYN00": pd.Series([0.01], index=[stamp])}
    with_rates, without = (lab.using(bars=prices, funding=rates, policy=FromSignals(False)) for rates in (some, None))
    bars = with_rates.history()
    signal = signal_of(target=values_of(bars, weights))
    paid, free = (one.using(signal=signal).backtest(one.history()).run for one in (with_rates, without))
    units = paid.evidence.orders["size"][0]
    row = 288 + 24 - paid.study.first_row
    assert paid.evidence.funding[row] == pytest.approx(units * bars.ohlcv[288 + 24, 0, 0] * 0.01, rel=1e-12)
    assert np.count_nonzero(paid.evidence.funding) == 1
    assert paid.evidence.has_funding
    assert not free.evidence.has_funding
    assert free.evidence.funding.sum() == 0.0


def test_a_brought_signal_and_policy_are_the_scans_own(lab: Experiment, bars: Bars, weights: pd.DataFrame) -> None:
    """Through the notebook's way in: the account that Scan gives, from the first row that says something."""
    signal = signal_of(target=values_of(bars, weights))
    result = lab.using(signal=signal, policy=FromSignals(rebalance=False)).backtest(bars)
    strategy = Strategy(
        build(lab.cfg.trading.signal),
        FromSignals(rebalance=False),
        FixedFraction(0.1),
        build(lab.cfg.trading.limits),
        build(lab.cfg.trading.costs),
    )
    plain = Scan(float(lab.cfg.cash)).run(bars, signal, strategy, limits_on=False)
    assert result.run.study.first_row == 288
    np.testing.assert_array_equal(result.run.evidence.equity, plain.equity[288:])
    assert len(plain.orders) == len(result.orders) == 8  # two openings, two flips of two legs, two closes
    assert len(result.trades) == 4
    assert result.run.strategy.policy == FromSignals(rebalance=False)


def test_parts_are_kept_until_others_come(lab: Experiment, prices: Any, weights: pd.DataFrame) -> None:
    own = lab.using(bars=prices).using(policy=BuyAndHold()).using(sizer=FixedFraction(0.2))
    assert own.parts.source.synthetic is False
    made = own.parts.make_strategy(signal=own.parts.signal)
    assert (made.policy, made.sizer) == (BuyAndHold(), FixedFraction(0.2))
    assert lab.parts.source.synthetic is True
    assert "synthetic" not in repr(own.backtest(own.history()))
    assert own.using(policy=FromSignals(True)).user_parts.sizer == FixedFraction(0.2)


def test_an_own_policy_is_swept(lab: Experiment, bars: Bars) -> None:
    swept = lab.using(policy=FromSignals(rebalance=True)).sweep(
        bars, "sweep.space={sizer.weight:[0.02,0.05]}", "job.min_trades=1"
    )
    assert swept.best.strategy.policy == FromSignals(rebalance=True)
    rows = {row["sizer.weight"]: row["final_equity"] for _, row in swept.table.iterrows()}
    sizer = dataclasses.replace(build(lab.cfg.trading.sizer), weight=0.02)
    result = lab.using(policy=FromSignals(rebalance=True), sizer=sizer).backtest(bars)
    assert rows[0.02] == result.run.evidence.equity[-1]


def test_open_trades_have_no_exit_time(lab: Experiment, bars: Bars, weights: pd.DataFrame) -> None:
    signal = signal_of(target=values_of(bars, weights.iloc[:700]))
    trades = lab.using(signal=signal, policy=FromSignals(False)).backtest(bars).trades
    assert trades["exit_time"].isna().tolist() == (~trades["closed"]).tolist() == [False, False, True, True]


def test_values_lie_where_name_and_time_say(bars: Bars, weights: pd.DataFrame) -> None:
    shuffled = weights.sample(frac=1.0, random_state=1)[list(bars.symbols)[::-1]]
    np.testing.assert_array_equal(values_of(bars, shuffled), weights.to_numpy())
    later = bars.rows(300, 600)
    np.testing.assert_array_equal(values_of(later, weights[[bars.symbols[2]]])[:, 2], weights.to_numpy()[300:600, 2])
    assert np.isnan(values_of(later, weights[[bars.symbols[2]]])[:, 0]).all()


REFUSED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "not in time order": (lambda lab, one: lab.using(bars={"A": one.iloc[::-1]}), "in time order"),
    "no zone": (lambda lab, one: lab.using(bars={"A": one.tz_localize(None)}), "Say the zone"),
    "no times": (lambda lab, one: lab.using(bars={"A": one.reset_index()}), "an index of int64"),
    "between milliseconds": (lambda lab, one: lab.using(bars={"A": one.shift(1, "us")}), "milliseconds; .* in row 0"),
    "stacked headings": (
        lambda lab, one: lab.using(
            bars={"A": pd.concat({"BTC-USD": one.rename(columns=str.title)}, axis=1).swaplevel(axis=1)}
        ),
        r"get_level_values\(0\)\.str\.lower",
    ),
    "other names": (lambda lab, one: lab.using(bars={"A": one.rename(columns=str.title)}), "Rename the columns"),
    "single precision": (
        lambda lab, one: lab.using(bars={"A": one[["open", "high", "low", "close", "volume"]].astype("f4")}),
        "astype",
    ),
    "impossible": (lambda lab, one: lab.using(bars={"A": one.assign(high=0.5 * one["low"])}), "sound bars"),
    "said twice": (
        lambda lab, one: lab.using(bars={"A": pd.concat([one, one.assign(volume=one["volume"] + 1)]).sort_index()}),
        "once",
    ),
    "one frame": (lambda lab, one: lab.using(bars=one), "symbol: DataFrame"),
    "no frame": (lambda lab, one: lab.using(bars={"A": one["close"]}), "found Series"),
    "nothing": (lambda lab, one: lab.using(bars={}), "symbol: DataFrame"),
    "funding of others": (lambda lab, one: lab.using(bars={"A": one}, funding={"B": one["close"]}), "found B"),
    "unknown rates": (
        lambda lab, one: lab.using(bars={"A": one}, funding={"A": one["close"] * np.nan}),
        "finite rates",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_frames_that_are_not_bars_are_refused(case: str, lab: Experiment, prices: Any) -> None:
    make, said = REFUSED[case]
    with pytest.raises(DataError, match=said):
        make(lab, prices["SYN00"])


def test_tables_and_parts_of_another_kind_are_refused(lab: Experiment, bars: Bars, weights: pd.DataFrame) -> None:
    refused = {
        "found XYZ": lambda: values_of(bars, weights.rename(columns={"SYN00": "XYZ"})),
        "rows between two bars": lambda: values_of(bars, weights.shift(1, "min")),
        "2 rows twice": lambda: values_of(bars, pd.concat([weights, weights.iloc[:2]])),
        "found int64": lambda: values_of(bars, weights.fillna(0).astype("int64")),
        "found Series": lambda: values_of(bars, weights["SYN00"]),
        "found ndarray": lambda: lab.using(signal=weights.to_numpy()),
        r"as the bars; found \(3595, 4\)": lambda: lab.using(
            signal=signal_of(target=weights.to_numpy()[:-5].copy())
        ).backtest(bars),
    }
    for said, make in refused.items():
        with pytest.raises(ContractError, match=said):
            make()
    with pytest.raises(ConfigError, match="int without step"):
        lab.using(policy=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="too"):
        lab.using(funding={})
    with pytest.raises(ContractError, match="bar by bar"):
        lab.using(signal=signal_of(target=weights.to_numpy())).parts.signal.stream(bars.symbols, 1)


def test_what_the_rules_changed_is_said(lab: Experiment, bars: Bars, weights: pd.DataFrame) -> None:
    """Six times what a position may be: two openings and two flips are cut to it."""
    result = lab.using(signal=signal_of(target=values_of(bars, 12.0 * weights)), policy=FromSignals(False)).backtest(
        bars
    )
    assert result.judgement.evidence["cuts"]["max_weight"] == 4
    assert (
        "Rules changed what the strategy asked for: largest weight of a position 4 times (docs/simulation.md)."
        in result._repr_html_()
    )
