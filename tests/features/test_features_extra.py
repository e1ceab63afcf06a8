"""A user's own feature: the same bits on every path, promises kept or refused, and a fingerprint that knows its text."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, DataError
from quantlab.core.market import Bars, BarState
from quantlab.features import (
    NAMES,
    WARMUP,
    ExtraFeature,
    FeatureContract,
    FeaturePipeline,
    feature_mismatch_total,
    window_function,
)
from quantlab.features.checks import TROUBLES, check_feature, troubled_market

INTERVAL = 300_000


@window_function
def efficiency(bars):
    """Kaufman's ratio over the whole window."""
    way = 0.0
    for row in range(1, len(bars)):
        way += abs(bars[row, 3] - bars[row - 1, 3])
    return min(abs(bars[-1, 3] - bars[0, 3]) / way, 1.0) if way > 0.0 else 0.0


@window_function
def volume_share(bars):
    total = 0.0
    for row in range(len(bars)):
        total += bars[row, 4]
    return bars[-1, 4] / total if total > 0.0 else 0.0


def feature(value=efficiency, **changes) -> ExtraFeature:
    values = {"name": "mine", "window": 30, "low": 0.0, "high": 1.0, "neutral": 0.0, "formula": "f", "version": 1}
    return ExtraFeature(value=value, **{**values, **changes})


EFFICIENCY = feature(name="efficiency_30")
SHARE = feature(volume_share, name="volume_share_7", window=7)
LONG = feature(name="efficiency_all", window=WARMUP)
PIPELINE = FeaturePipeline(interval_ms=INTERVAL, threads=1, extra=(EFFICIENCY, SHARE, LONG))
UNIFIED = FeaturePipeline(interval_ms=INTERVAL, threads=1)


@pytest.fixture(scope="module")
def bars(random_bars) -> Bars:
    """Three symbols: one whole, one with a hole, one listed late."""
    whole = random_bars(8, WARMUP + 400, 3)
    ohlcv, state = whole.ohlcv.copy(), whole.state.copy()
    for rows, column in ((slice(100, 120), 1), (slice(0, 250), 2)):
        ohlcv[rows, column], state[rows, column] = np.nan, BarState.ABSENT
    return dataclasses.replace(whole, ohlcv=ohlcv, state=state)


@pytest.fixture(scope="module")
def history(bars):
    return PIPELINE.transform(bars)


def test_values_are_the_windows_own(bars, history):
    close, volume = bars.close, bars.ohlcv[:, :, 4]
    assert history.names == (*NAMES, "efficiency_30", "volume_share_7", "efficiency_all")
    for t, s in zip(*(index[::17] for index in np.nonzero(history.ready)), strict=True):
        for name, n in (("efficiency_30", 30), ("efficiency_all", WARMUP)):
            window = close[t - n + 1 : t + 1, s]
            want = abs(window[-1] - window[0]) / np.abs(np.diff(window)).sum()
            assert history.column(name)[t, s] == pytest.approx(want, rel=1e-6)
        want = volume[t, s] / volume[t - 6 : t + 1, s].sum()
        assert history.column("volume_share_7")[t, s] == pytest.approx(want, rel=1e-6)
    assert np.isnan(history.values[~history.ready]).all()
    FeatureContract(PIPELINE.names, PIPELINE.fingerprint).check(history)


def test_the_49_are_untouched(bars, history):
    alone = UNIFIED.transform(bars)
    assert np.ascontiguousarray(history.values[:, :, :49]).tobytes() == alone.values.tobytes()
    assert (history.ready == alone.ready).all()
    assert history.ready.sum(axis=0).tolist() == [401, 281, 151]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_stream_in_random_chunks_is_the_history(bars, history, seed):
    rng = np.random.default_rng(seed)
    stream = PIPELINE.stream(bars.symbols, INTERVAL)
    for row in range(bars.n_bars):
        if rng.random() < 0.02:
            saved = stream.state()
            stream = PIPELINE.stream(bars.symbols, INTERVAL)
            stream.restore(saved)
            assert stream.state() == saved
        got = stream.update(bars.rows(row, row + 1))
        assert got.values.tobytes() == history.rows(row, row + 1).values.tobytes()
        assert (got.ready == history.ready[row]).all()
    assert got.names == history.names
    assert got.fingerprint == history.fingerprint


def test_threads_permuted_and_dropped_symbols_and_cold_starts_do_not_show(bars, history):
    threaded = dataclasses.replace(PIPELINE, threads=2).transform(bars)
    assert threaded.values.tobytes() == history.values.tobytes()
    turned = dataclasses.replace(
        bars,
        ohlcv=np.ascontiguousarray(bars.ohlcv[:, [2, 0]]),
        state=np.ascontiguousarray(bars.state[:, [2, 0]]),
        symbols=("S02", "S00"),
        instruments=bars.instruments[:2],
    )
    picked = np.ascontiguousarray(history.values[:, [2, 0]])
    assert PIPELINE.transform(turned).values.tobytes() == picked.tobytes()
    for start in np.random.default_rng(3).integers(251, 400, 20).tolist():
        cold = PIPELINE.transform(bars.rows(start, start + WARMUP))
        assert cold.ready[-1].all()
        assert cold.values[-1].tobytes() == history.values[start + WARMUP - 1].tobytes()


@pytest.mark.parametrize("one", [EFFICIENCY, SHARE, LONG], ids=lambda one: one.name)
def test_good_features_pass_every_check(one):
    check_feature(one)


def test_the_troubled_market_holds_its_troubles():
    market = troubled_market()
    assert market.symbols == tuple(TROUBLES)
    features = UNIFIED.transform(market)
    assert np.isfinite(features.values[features.ready]).all()
    assert features.ready[-1].all()


@window_function
def price(bars):
    return bars[-1, 3]


@window_function
def raw_volume(bars):
    return bars[-1, 4]


@window_function
def nothing(bars):
    return 0.5


@window_function
def no_neutral(bars):
    return bars[-1, 4] / bars[0, 4]


@window_function
def too_wide(bars):
    return bars[-1, 3] / bars[0, 3]


@window_function
def moody(bars):
    return np.random.random() if bars[-1, 1] > bars[-1, 2] else 0.0  # noqa: NPY002 - what a check must find


BAD = [
    (feature(price, high=np.inf), "mine to give its neutral value 0 in a dead market"),
    (feature(price, high=np.inf, neutral=np.float64(np.float32(7.3))), "in other units of price"),
    (feature(raw_volume, high=np.inf), "in other units of volume"),
    (feature(nothing, neutral=0.5), "other values than one in a usual market"),
    (feature(no_neutral, high=np.inf), "values of mine between 0 and inf in every ready row"),
    (feature(too_wide, high=2.0, neutral=1.0), "values of mine between 0 and 2 in every ready row"),
    (feature(moody), "the same bits in the stream as in the history"),
]


@pytest.mark.parametrize(("one", "words"), BAD, ids=[words for _, words in BAD])
def test_every_broken_promise_is_found(one, words):
    with pytest.raises(ContractError) as refusal:
        check_feature(one)
    assert words in str(refusal.value)


def test_a_value_out_of_its_range_is_refused_by_history_and_stream_and_the_stream_stands_after_the_bar(random_bars):
    bars = random_bars(2, WARMUP + 60, 2)
    ohlcv = bars.ohlcv.copy()
    ohlcv[WARMUP + 20, 1, 4] = 0.0
    ohlcv[WARMUP + 20 - 6 : WARMUP + 20, 1, 4] = 0.0  # a window without volume: 0 / 0
    bars = dataclasses.replace(bars, ohlcv=ohlcv)
    broken = feature(window_function(lambda b: b[-1, 4] / b[:, 4].sum()), name="broken", window=7)
    pipeline = FeaturePipeline(INTERVAL, 1, (broken,))
    with pytest.raises(ContractError, match=r"broken between 0 and 1.*2025-03-21T09:40:00Z, symbol S01"):
        pipeline.transform(bars)
    stream, refused = pipeline.stream(bars.symbols, INTERVAL), []
    for row in range(bars.n_bars):
        try:
            last = stream.update(bars.rows(row, row + 1))
        except ContractError:
            refused.append(row)
    assert refused == [WARMUP + 20]
    healthy = pipeline.transform(bars.rows(WARMUP + 21 - 6, bars.n_bars))  # the same last windows, not ready
    assert healthy.ready.sum() == 0
    assert last.values[0, :, -1] == pytest.approx(ohlcv[-1, :, 4] / ohlcv[-7:, :, 4].sum(axis=0), rel=1e-6)


def test_refused_bars_leave_the_stream_unchanged(bars):
    stream = PIPELINE.stream(bars.symbols, INTERVAL)
    for row in range(40):
        stream.update(bars.rows(row, row + 1))
    before = stream.state()
    spoiled = bars.ohlcv.copy()
    spoiled[40, 0, 3] = -1.0
    with pytest.raises(DataError, match="symbol S00"):
        stream.update(dataclasses.replace(bars, ohlcv=spoiled).rows(40, 41))
    with pytest.raises(ContractError, match="opens at"):
        stream.update(bars.rows(41, 42))
    assert stream.state() == before


def test_states_do_not_cross_pipelines(bars):
    stream = PIPELINE.stream(bars.symbols, INTERVAL)
    state = stream.state()
    with pytest.raises(ContractError, match="fingerprint"):
        FeaturePipeline(INTERVAL, 1, (EFFICIENCY,)).stream(bars.symbols, INTERVAL).restore(state)
    with pytest.raises(ContractError, match="symbols"):
        PIPELINE.stream(bars.symbols[::-1], INTERVAL).restore(state)
    with pytest.raises(ArtifactError, match="undamaged"):
        UNIFIED.stream(bars.symbols, INTERVAL).restore(state)
    with pytest.raises(ArtifactError, match="undamaged"):
        stream.restore(UNIFIED.stream(bars.symbols, INTERVAL).state())
    for where in (0, 40, len(state) // 2, -1):
        damaged = bytearray(state)
        damaged[where] ^= 4
        with pytest.raises(ArtifactError, match="undamaged"):
            stream.restore(bytes(damaged))


def test_the_fingerprint_knows_every_part(tmp_path: Path):
    prints = {FeaturePipeline(INTERVAL, 1, extra).fingerprint for extra in ((), (EFFICIENCY,), (SHARE,))}
    prints |= {FeaturePipeline(INTERVAL, 1, extra).fingerprint for extra in ((EFFICIENCY, SHARE), (SHARE, EFFICIENCY))}
    changes = ({"name": "other"}, {"window": 31}, {"low": -1.0}, {"high": 2.0}, {"neutral": 0.5}, {"version": 2})
    for change in changes:
        prints.add(FeaturePipeline(INTERVAL, 1, (feature(**{"name": "efficiency_30", **change}),)).fingerprint)
    assert len(prints) == 5 + len(changes)
    assert FeaturePipeline(INTERVAL, 2, [EFFICIENCY]).fingerprint in prints  # type: ignore[arg-type]
    assert UNIFIED.fingerprint == "ec9eeba90aeab7e523efa3b36624adf9a8bffc03f068a55923bd6cfb5c20b5d3"

    text = "from quantlab.features import window_function\n@window_function\ndef value(bars):\n    return {}\n"
    sources = {from_file(tmp_path / f"{i}.py", text.format(body)) for i, body in enumerate(("0.5", "0.25", "0.5"))}
    assert len(sources) == 2  # the text counts, its place does not


def test_the_fingerprint_knows_what_other_files_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A helper edited between training and serving is another feature, and runs as it reads now."""
    monkeypatch.syspath_prepend(tmp_path)
    text = (
        "from quantlab.features import window_function\nfrom shared_helper import share\n"
        "@window_function\ndef value(bars):\n    return share(bars[-1, 3])\n"
    )
    found = {}
    for factor in ("0.5", "0.25", "0.5"):
        helper = f"from numba import njit\n@njit\ndef share(x):\n    return {factor} * x\n"
        (tmp_path / "shared_helper.py").write_text(helper)
        sys.modules.pop("shared_helper", None)
        importlib.invalidate_caches()
        module = load(tmp_path / "same.py", text)
        assert module.value(np.ones((3, 5))) == float(factor)
        found.setdefault(factor, set()).add(FeaturePipeline(INTERVAL, 1, (feature(module.value),)).fingerprint)
    assert [len(prints) for prints in found.values()] == [1, 1]
    assert found["0.5"] != found["0.25"]


def from_file(path: Path, text: str) -> str:
    return FeaturePipeline(INTERVAL, 1, (feature(load(path, text).value),)).fingerprint


def load(path: Path, text: str) -> ModuleType:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_model_refuses_the_other_text(bars, history):
    retouched = FeaturePipeline(INTERVAL, 1, (dataclasses.replace(EFFICIENCY, version=2), SHARE, LONG))
    before = feature_mismatch_total()
    with pytest.raises(ContractError, match="of another set, version, extension or interval"):
        FeatureContract(retouched.names, retouched.fingerprint).check(history)
    assert feature_mismatch_total() == before + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "rsi_14"}, "none of the 49; found 'rsi_14'"),
        ({"name": "My feature"}, "lower case"),
        ({"window": 0}, "mine.window between 1 and 1536; found 0"),
        ({"window": WARMUP + 1}, "found 1537"),
        ({"window": 2.5}, "found 2.5"),
        ({"version": 0}, "mine.version >= 1"),
        ({"neutral": 2.0}, "low <= neutral <= high"),
        ({"neutral": np.nan}, "neutral finite"),
        ({"value": lambda bars: 0.0}, "made by quantlab.features.window_function; found function"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_impossible_features_are_refused(change, words):
    with pytest.raises(ConfigError) as refusal:
        feature(**change)
    assert words in str(refusal.value)


def test_a_function_of_the_console_is_refused():
    spoken = {"window_function": window_function}
    exec("value = window_function(lambda bars: 0.5)", spoken)  # noqa: S102 - as typed at a prompt
    with pytest.raises(ConfigError, match="defined in a file"):
        feature(spoken["value"])


def test_equal_names_and_strangers_are_refused():
    with pytest.raises(ConfigError, match="different names"):
        FeaturePipeline(INTERVAL, 1, (EFFICIENCY, EFFICIENCY))
    with pytest.raises(ConfigError, match="ExtraFeature values; found str"):
        FeaturePipeline(INTERVAL, 1, ("my_features.X",))  # type: ignore[arg-type]


def test_a_window_cannot_be_left_or_changed():
    before = window_function(lambda bars: bars[len(bars), 3])
    with pytest.raises(IndexError):
        before(np.ones((5, 5)))
    with pytest.raises(Exception, match="Cannot modify readonly array"):
        window_function(overwrite)


def overwrite(bars):
    bars[0, 0] = 1.0
    return 0.0
