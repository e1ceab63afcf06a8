from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from learning_fakes import Centroids

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars
from quantlab.core.ports import SignalSource
from quantlab.core.progress import SilentProgress
from quantlab.core.types import Signal
from quantlab.learning.ensemble.signal_source import EnsembleSignal
from quantlab.learning.study.walk_forward import WalkForward


@pytest.fixture(scope="module")
def bars(trending_bars: Callable[..., Bars]) -> Bars:
    return trending_bars(3, 600)


@pytest.fixture(scope="module")
def source(
    walk_forward: Callable[..., WalkForward], bars: Bars, tmp_path_factory: pytest.TempPathFactory
) -> EnsembleSignal:
    return walk_forward(tmp_path_factory.mktemp("cache")).study(bars, SilentProgress()).source


def _rows(stream_of: list[Signal], name: str) -> np.ndarray:
    return np.concatenate([getattr(signal, name) for signal in stream_of])


def _compare(streamed: list[Signal], batch: Signal) -> None:
    np.testing.assert_array_equal(_rows(streamed, "side"), batch.side)
    np.testing.assert_array_equal(_rows(streamed, "live_members"), batch.live_members)
    np.testing.assert_array_equal(_rows(streamed, "atr"), batch.atr)
    for name in ("proba", "confidence", "consensus"):
        np.testing.assert_allclose(_rows(streamed, name), getattr(batch, name), rtol=0, atol=1e-6)


def test_stream_equals_history(source: EnsembleSignal, bars: Bars) -> None:
    assert isinstance(source, SignalSource)
    features = source.features.stream(bars.symbols, bars.interval_ms)
    made = [features.update(bars.rows(t, t + 1)).values for t in range(bars.n_bars)]
    np.testing.assert_array_equal(np.concatenate(made), source.features.transform(bars).values)
    stream = source.stream(bars.symbols, bars.interval_ms)
    streamed = [stream.update(bars.rows(t, t + 1)) for t in range(bars.n_bars)]
    batch = source.signal(bars)
    assert batch.side.any()
    _compare(streamed, batch)


def test_a_stream_started_late_agrees_after_the_warmup(source: EnsembleSignal, bars: Bars) -> None:
    start, batch = 300, source.signal(bars)
    stream = source.stream(bars.symbols, bars.interval_ms)
    streamed = [stream.update(bars.rows(t, t + 1)) for t in range(start, bars.n_bars)]
    assert source.warmup == 8 + 4 + 48
    assert source.lookback == 4
    _compare(streamed[source.warmup :], batch.rows(start + source.warmup, bars.n_bars))


def test_a_prefix_of_history_is_the_history_of_the_prefix(source: EnsembleSignal, bars: Bars) -> None:
    whole, prefix = source.signal(bars), source.signal(bars.rows(0, 350))
    for field in dataclasses.fields(Signal):
        value = getattr(prefix, field.name)
        if value is not None:
            np.testing.assert_array_equal(value, getattr(whole, field.name)[:350])


def test_the_fingerprint_knows_every_part(source: EnsembleSignal) -> None:
    ensemble, members = source.ensemble, source.members
    others = [
        dataclasses.replace(source, ensemble=dataclasses.replace(ensemble, temperature=1.5)),
        dataclasses.replace(
            source,
            ensemble=dataclasses.replace(ensemble, rules=dataclasses.replace(ensemble.rules, min_confidence=0.5)),
        ),
        dataclasses.replace(source, members=(dataclasses.replace(members[0], digest="0"), *members[1:])),
    ]
    assert len({source.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_a_missing_member_is_refused(source: EnsembleSignal) -> None:
    with pytest.raises(ConfigError, match="plain, sharp"):
        dataclasses.replace(source, members=source.members[:1])


def test_a_bar_of_other_symbols_is_refused(
    source: EnsembleSignal, bars: Bars, random_bars: Callable[..., Bars]
) -> None:
    stream = source.stream(bars.symbols, bars.interval_ms)
    with pytest.raises(ContractError, match="one bar of 4 symbols"):
        stream.update(random_bars(0, 1, 2))
    with pytest.raises(ContractError, match="one bar of 4 symbols"):
        stream.update(bars.rows(0, 2))


def test_members_of_one_row_need_no_window(
    walk_forward: Callable[..., WalkForward], bars: Bars, tmp_path: Path
) -> None:
    members = {"a": Centroids(), "b": Centroids(name="b", scale=2.0)}
    source = walk_forward(tmp_path, members=members).study(bars, SilentProgress()).source
    assert source.lookback == 1
    stream = source.stream(bars.symbols, bars.interval_ms)
    _compare([stream.update(bars.rows(t, t + 1)) for t in range(120)], source.signal(bars.rows(0, 120)))
