"""Checks that every policy, sizer and signal source of the room must pass, discovered, not listed."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.market import Bars
from quantlab.core.ports import SignalSource
from quantlab.trading import Entry, FileSignal, replay
from quantlab.trading.signals import rules
from quantlab.trading.strategy import policies, sizers

EXAMPLES = {
    "stop_atr": 1.2,
    "take_profit_atr": 2.0,
    "horizon": 12,
    "rebalance": True,
    "weight": 0.1,
    "fast": 3,
    "slow": 17,
    "seed": 5,
    "turnover": 0.3,
    "trail_atr": 3.0,
    "break_even_atr": 2.5,
    "risk": 0.01,
    "volatility": 0.001,
    "fraction": 0.5,
    "max_weight": 0.2,
}


def discovered(module, *methods):
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and all(hasattr(kind, m) for m in methods)
    ]


POLICIES = discovered(policies, "step", "params", "begin")
SIZERS = discovered(sizers, "size", "params")
SOURCES = [*discovered(rules, "signal", "stream", "fingerprint"), FileSignal]


@pytest.fixture(scope="module", autouse=True)
def signal_file(random_bars, tmp_path_factory):
    """A file that speaks about a third of the bars of the three symbols of `random_bars`."""
    bars, rng = random_bars(n_bars=240), np.random.default_rng(0)
    row, column = np.nonzero(rng.random((240, 3)) < 1 / 3)
    stamps = pa.array(bars.open_time_ms[row], pa.timestamp("ms", tz="UTC"))
    shuffled = rng.permutation(len(row))
    table = pa.table(
        {
            "timestamp": stamps,
            "symbol": [bars.symbols[s] for s in column],
            "side": pa.array(rng.integers(-1, 2, len(row)), pa.int8()),
            "target": rng.normal(0.0, 0.1, len(row)),
            "trail_distance": rng.uniform(0.1, 2.0, len(row)),
        }
    ).take(shuffled)
    EXAMPLES["path"] = str(tmp_path_factory.mktemp("signals") / "signals.parquet")
    pq.write_table(table, EXAMPLES["path"])


def make(kind, **more):
    wanted = {f.name for f in dataclasses.fields(kind)}
    return kind(**{k: v for k, v in {**EXAMPLES, **more}.items() if k in wanted})


def test_the_discovery_finds_what_ships():
    assert {k.__name__ for k in POLICIES} == {"EnsembleThreshold", "BuyAndHold", "FromSignals"}
    assert {k.__name__ for k in SIZERS} == {
        "FixedFraction",
        "ConfidenceFraction",
        "RiskPerTrade",
        "VolatilityTarget",
        "KellyFraction",
    }
    assert {k.__name__ for k in SOURCES} == {"MovingAverageSignal", "RandomSignal", "FileSignal"}


@pytest.mark.parametrize("kind", POLICIES + SIZERS + SOURCES)
def test_frozen_without_hidden_defaults_and_hashable(kind, range_features):
    one, two = make(kind, features=range_features), make(kind, features=range_features)
    assert one == two
    assert hash(one) == hash(two)
    for field in dataclasses.fields(kind):
        assert field.default in (dataclasses.MISSING, None), "defaults live in conf; None is off"
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, field.name, None)


@pytest.mark.parametrize("kind", POLICIES + SIZERS)
def test_parameters_are_float64_and_fingerprints_stable(kind):
    one = make(kind)
    assert one.params().dtype == np.float64
    assert one.params().ndim == 1
    assert fingerprint(one) == fingerprint(make(kind))


@pytest.mark.parametrize("kind", POLICIES)
def test_a_policy_is_compiled_once_for_the_one_signature(kind):
    step = make(kind).step
    assert step is make(kind).step
    assert list(step.overloads) == [policies.STEP.args]
    memory = make(kind).begin(4)
    assert memory.dtype == np.float64
    assert memory.shape[1] == 4


@pytest.mark.parametrize("kind", SIZERS)
def test_a_sizer_is_odd_in_the_strength(kind):
    sizer = make(kind)
    size = sizer.size
    assert list(size.overloads) == [sizers.SIZE.args]
    params = sizer.params()
    usual = (0.6, 1.0, 100.0, 1e4, 1.2, 2.0)
    assert size(params, Entry(1.0, *usual)) == -size(params, Entry(-1.0, *usual)) > 0.0


@pytest.mark.parametrize("kind", POLICIES)
def test_no_signal_no_orders(kind, market, signal, strategy, random_bars):
    bars = random_bars(seed=3, n_bars=60)
    silent = signal(bars, atr=np.nan)
    result = replay(
        ((bars.rows(t, t + 1), silent.rows(t, t + 1)) for t in range(60)), strategy(policy=make(kind)), 1_000.0
    )
    assert len(result.orders) == 0
    assert np.all(result.equity == 1_000.0)


def test_a_policy_that_edits_the_ledger_does_not_compile():
    def thief(params, memory, market, account, intents):
        account.units[0] = 1.0

    with pytest.raises(ContractError, match=r"Cannot modify readonly array in .*test_trading_contracts.py, line \d+: "):
        policies.compiled_step(thief)


def ragged(bars: Bars) -> Bars:
    """The same bars with a late listing, a hole and a flat stretch."""
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    for rows, symbol in ((slice(0, 40), 0), (slice(90, 105), 1)):
        ohlcv[rows, symbol] = np.nan
        state[rows, symbol] = 3
    ohlcv[150:180, 2, :4] = ohlcv[150, 2, 3]
    return dataclasses.replace(bars, ohlcv=ohlcv, state=state)


def arrays(signal):
    return {f.name: getattr(signal, f.name) for f in dataclasses.fields(signal) if getattr(signal, f.name) is not None}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_streams_what_it_says_in_a_batch(kind, random_bars, range_features):
    bars = ragged(random_bars(seed=4, n_bars=240))
    source = make(kind, features=range_features)
    assert isinstance(source, SignalSource)
    batch, stream = source.signal(bars), source.stream(bars.symbols, bars.interval_ms)
    for t in range(bars.n_bars):
        row = arrays(stream.update(bars.rows(t, t + 1)))
        for name, array in arrays(batch).items():
            assert row[name].tobytes() == array[t : t + 1].tobytes(), (name, t)
    assert set(np.unique(batch.side)) == {-1, 0, 1}
    # What users bring is theirs to answer for; our own sources are silent in warm-up.
    assert kind is FileSignal or not np.any(batch.side[np.isnan(batch.atr)])


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_reads_the_past_only(kind, random_bars, range_features):
    bars = ragged(random_bars(seed=5, n_bars=240))
    source = make(kind, features=range_features)
    changed = bars.ohlcv.copy()
    changed[120:] *= 1.7
    before, after = source.signal(bars), source.signal(dataclasses.replace(bars, ohlcv=changed))
    short = source.signal(bars.rows(0, 120))
    for name, array in arrays(before).items():
        assert array[:120].tobytes() == arrays(after)[name][:120].tobytes() == arrays(short)[name].tobytes()


@pytest.mark.parametrize("kind", SOURCES)
def test_another_parameter_is_another_fingerprint(kind, range_features):
    one = make(kind, features=range_features)
    for name in {f.name for f in dataclasses.fields(kind)} & (set(EXAMPLES) - {"path"}):
        other = dataclasses.replace(one, **{name: EXAMPLES[name] + (1 if name != "turnover" else 0.1)})
        assert other.fingerprint != one.fingerprint
