"""What is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from quantlab.core.errors import ArtifactError, ConfigError, ContractError, DataError
from quantlab.core.ports import FeatureSource
from quantlab.core.types import Features
from quantlab.features import NAMES, WARMUP, FeatureContract, FeaturePipeline, FeatureStream, compute
from quantlab.features.contract import features_fingerprint

INTERVAL = 300_000
PIPELINE = FeaturePipeline(interval_ms=INTERVAL, threads=1)
CONTRACT = FeatureContract(names=NAMES, fingerprint=PIPELINE.fingerprint)


def make_features(names=NAMES, fingerprint=PIPELINE.fingerprint, spoil=None, ready=True) -> Features:
    values = np.zeros((3, 2, len(names)), dtype=np.float32)
    if spoil is not None:
        values[1, 1, 5] = spoil
    return Features(values=values, ready=np.full((3, 2), ready), names=tuple(names), fingerprint=fingerprint)


class TestFeatureContract:
    def test_accepts_the_agreed_features(self):
        CONTRACT.check(make_features())

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (NAMES[:22], "49 features with 'linreg_r2_20' in column 22; found 22 features with nothing there"),
            ((*NAMES, "extra"), "49 features with nothing in column 49; found 50 features with 'extra' there"),
            ((NAMES[1], NAMES[0], *NAMES[2:]), "with 'ret_1' in column 0; found 49 features with 'hl_range' there"),
            ((*NAMES[:48], "bvc"), "with 'bvc_imbalance_48' in column 48; found 49 features with 'bvc' there"),
        ],
        ids=["22", "50", "reordered", "renamed"],
    )
    def test_refuses_other_names(self, names, message):
        with pytest.raises(ContractError) as error:
            CONTRACT.check(make_features(names))
        assert message in str(error.value)

    def test_refuses_another_fingerprint(self):
        other = features_fingerprint(60_000, np.float32)
        with pytest.raises(ContractError) as error:
            CONTRACT.check(make_features(fingerprint=other))
        assert other in str(error.value)
        assert PIPELINE.fingerprint in str(error.value)

    @pytest.mark.parametrize("spoil", [np.nan, np.inf, -np.inf])
    def test_refuses_what_is_not_finite_in_a_ready_row(self, spoil):
        with pytest.raises(ContractError, match=r"'vwap_dist_288' at row 1, symbol 1"):
            CONTRACT.check(make_features(spoil=spoil))
        CONTRACT.check(make_features(spoil=spoil, ready=False))


def test_fingerprint_is_of_everything_that_matters(monkeypatch):
    mine = features_fingerprint(INTERVAL, np.float32)
    assert mine == PIPELINE.fingerprint == FeaturePipeline(INTERVAL, threads=2).fingerprint
    assert mine != features_fingerprint(60_000, np.float32)
    assert mine != features_fingerprint(INTERVAL, np.float64)
    # Stored models refuse every other value: change it only together with a definition's version.
    assert mine == "ec9eeba90aeab7e523efa3b36624adf9a8bffc03f068a55923bd6cfb5c20b5d3"
    monkeypatch.setattr("quantlab.features.contract.WARMUP", 1_024)
    assert mine != features_fingerprint(INTERVAL, np.float32)


GOOD = np.tile([2.0, 3.0, 1.0, 2.5, 4.0], (5, 2, 1))
TIMES = INTERVAL * np.arange(5, dtype=np.int64)


@pytest.mark.parametrize(
    ("ohlcv", "time", "interval", "options", "error", "message"),
    [
        (GOOD.astype(np.float32), TIMES, INTERVAL, {}, ContractError, "float32"),
        (GOOD[:, 0], TIMES, INTERVAL, {}, ContractError, r"\(5, 5\)"),
        (GOOD[:, :, :4].copy(), TIMES, INTERVAL, {}, ContractError, r"\(5, 2, 4\)"),
        (GOOD[:, ::2], TIMES, INTERVAL, {}, None, ""),
        (np.asfortranarray(GOOD), TIMES, INTERVAL, {}, ContractError, "C-contiguous"),
        (GOOD.tolist(), TIMES, INTERVAL, {}, ContractError, "list"),
        (GOOD, TIMES[:4], INTERVAL, {}, ContractError, r"\(5\)"),
        (GOOD, TIMES.astype(float), INTERVAL, {}, ContractError, "float64"),
        (GOOD, TIMES * 2, INTERVAL, {}, ContractError, "600000 ms between rows 0 and 1"),
        (GOOD, TIMES - INTERVAL, INTERVAL, {}, ContractError, "1970"),
        (GOOD, TIMES, 0, {}, ConfigError, "interval"),
        (GOOD, TIMES, 3e5, {}, ConfigError, "interval"),
        (GOOD, TIMES, INTERVAL, {"dtype": np.float16}, ConfigError, "float16"),
        (GOOD, TIMES, INTERVAL, {"threads": 0}, ConfigError, "threads"),
        (GOOD, TIMES, INTERVAL, {"threads": True}, ConfigError, "threads"),
    ],
)
def test_compute_refuses_what_it_was_not_promised(ohlcv, time, interval, options, error, message):
    if error is None:
        ohlcv = np.ascontiguousarray(ohlcv)
        assert compute(ohlcv, time, interval, **options).shape == (5, ohlcv.shape[1], 49)
        return
    with pytest.raises(error, match=message):
        compute(ohlcv, time, interval, **options)


BAD_CELLS = [
    (0, np.nan),
    (4, np.nan),
    (1, np.inf),
    (4, np.inf),
    (3, 0.0),
    (2, -1.0),
    (4, -1e-9),
    (2, 1e-300),
    (4, 1e-300),
    (4, 1e300),
    (1, 2.4),  # high below close
    (2, 2.1),  # low above open
]


@pytest.mark.parametrize(("column", "value"), BAD_CELLS)
def test_malformed_bars_are_refused_by_history_and_stream_alike(column, value):
    bars = GOOD.copy()
    bars[3, 1, column] = value
    for threads in (1, 2):
        with pytest.raises(DataError, match="1970-01-01T00:15:00Z, symbol 1"):
            compute(bars, TIMES, INTERVAL, threads=threads)
    stream = FeatureStream(("A", "B"), INTERVAL)
    stream.update(0, GOOD[0])
    before = stream.state()
    with pytest.raises(DataError, match="symbol B"):
        stream.update(INTERVAL, bars[3])
    assert stream.state() == before


def test_no_bars_and_no_symbols_give_no_rows():
    assert compute(GOOD[:0], TIMES[:0], INTERVAL).shape == (0, 2, 49)
    assert compute(GOOD[:, :0].copy(), TIMES, INTERVAL).shape == (5, 0, 49)


class TestFeatureStreamRefuses:
    @pytest.mark.parametrize("time", [0, 2 * INTERVAL, INTERVAL + 1, -INTERVAL])
    def test_bars_out_of_step(self, time):
        stream = FeatureStream(("A", "B"), INTERVAL)
        stream.update(0, GOOD[0])
        with pytest.raises(ContractError, match=f"opens at {INTERVAL} ms"):
            stream.update(time, GOOD[1])
        stream.update(INTERVAL, GOOD[1])  # the refused bar left no trace

    def test_another_shape(self):
        with pytest.raises(ContractError, match=r"\(3, 5\)"):
            FeatureStream(("A", "B"), INTERVAL).update(0, np.ones((3, 5)))

    @pytest.mark.parametrize("symbols", [(), ("A", "A")])
    def test_symbols_that_are_none_or_repeat(self, symbols):
        with pytest.raises(ContractError, match="unique symbols"):
            FeatureStream(symbols, INTERVAL)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            (FeatureStream(("A", "C"), INTERVAL), "symbols"),
            (FeatureStream(("A", "B", "C"), INTERVAL), "symbols"),
            (FeatureStream(("A", "B"), 60_000), "interval"),
            (FeatureStream(("A", "B"), INTERVAL, dtype=np.float64), "dtype"),
        ],
    )
    def test_the_state_of_another_stream(self, other, message):
        with pytest.raises(ContractError, match=message):
            FeatureStream(("A", "B"), INTERVAL).restore(other.state())

    def test_the_state_of_other_definitions(self, monkeypatch):
        state = FeatureStream(("A", "B"), INTERVAL).state()
        monkeypatch.setattr("quantlab.features.contract.WARMUP", 1_024)
        with pytest.raises(ContractError, match="fingerprint"):
            FeatureStream(("A", "B"), INTERVAL).restore(state)

    @pytest.mark.parametrize("where", [0, 30, 500, -1])
    def test_a_damaged_state(self, where):
        state = bytearray(FeatureStream(("A", "B"), INTERVAL).state())
        state[where] ^= 1
        with pytest.raises(ArtifactError, match="undamaged"):
            FeatureStream(("A", "B"), INTERVAL).restore(bytes(state))

    @pytest.mark.parametrize("cut", [0, 10, 40, 1_000])
    def test_a_cut_state(self, cut):
        state = FeatureStream(("A", "B"), INTERVAL).state()[:cut]
        with pytest.raises(ArtifactError, match="undamaged"):
            FeatureStream(("A", "B"), INTERVAL).restore(state)


@pytest.fixture(scope="module")
def bars(random_bars):
    return random_bars(3, WARMUP + 20, 3)


class TestFeaturePipeline:
    def test_is_a_feature_source(self):
        members = [name for name in vars(FeatureSource) if not name.startswith("_")]
        assert members
        assert all(hasattr(PIPELINE, name) for name in members)
        assert PIPELINE.names == NAMES
        assert PIPELINE.warmup == WARMUP

    def test_is_what_its_yaml_says(self, repository: Path):
        config = OmegaConf.load(repository / "conf" / "features" / "unified49.yaml")
        assert instantiate(config).fingerprint == PIPELINE.fingerprint

    def test_stream_equals_transform(self, bars):
        history = PIPELINE.transform(bars)
        CONTRACT.check(history)
        assert history.ready.sum() == 3 * 21
        stream = PIPELINE.stream(bars.symbols, bars.interval_ms)
        for row in range(bars.n_bars):
            if row == 700:
                saved = stream.state()
                stream = PIPELINE.stream(bars.symbols, bars.interval_ms)
                stream.restore(saved)
            got = stream.update(bars.rows(row, row + 1))
            assert got.values.tobytes() == history.rows(row, row + 1).values.tobytes()
            assert (got.ready == history.ready[row]).all()
        assert got.names == history.names
        assert got.fingerprint == history.fingerprint

    def test_refuses_another_interval(self, random_bars):
        bars = random_bars(0, 5, 1, interval_ms=60_000)
        with pytest.raises(ContractError, match="60000 ms"):
            PIPELINE.transform(bars)
        with pytest.raises(ContractError, match="60000 ms"):
            PIPELINE.stream(bars.symbols, 60_000)
        with pytest.raises(ConfigError, match="interval"):
            FeaturePipeline(interval_ms=0, threads=None)

    def test_stream_refuses_other_symbols_and_longer_bars(self, bars):
        stream = PIPELINE.stream(bars.symbols[::-1], bars.interval_ms)
        with pytest.raises(ContractError, match="S00"):
            stream.update(bars.rows(0, 1))
        with pytest.raises(ContractError, match="found 2"):
            PIPELINE.stream(bars.symbols, bars.interval_ms).update(bars.rows(0, 2))
