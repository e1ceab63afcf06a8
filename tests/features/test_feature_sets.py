"""Sets of some of the 49: their own warm-up, the same bits, and a range for stops in place of the recursion."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from quantlab.core.errors import ConfigError, ContractError, HistoryError
from quantlab.core.indicators import average_true_range
from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.data import ParquetSource
from quantlab.features import NAMES, WARMUP, ExtraFeature, FeatureContract, FeaturePipeline, compute, window_function
from quantlab.features.certificate import WarmupCertificate, certify
from quantlab.features.definitions import first_difference
from quantlab.features.memory import MEMORY

INTERVAL, DAY = 300_000, 86_400_000
FINITE = tuple(name for name in NAMES if name in MEMORY)
WHOLE = FeaturePipeline(INTERVAL, 1)


def pipeline(columns: tuple[str, ...] | None, interval_ms: int = INTERVAL, **given) -> FeaturePipeline:
    return FeaturePipeline(interval_ms, 1, columns=columns, **given)


def configured(repository: Path, name: str) -> FeaturePipeline:
    with initialize_config_dir(str(repository / "conf"), version_base="1.3"):
        return instantiate(compose("config", [f"features={name}", "experiment_name=x"]).features)


def certified(source: FeaturePipeline, bars: Bars, restarts: int, beyond: int = 120) -> WarmupCertificate:
    with SilentProgress().stage("restarts", 1) as stage:
        return certify(source, bars, restarts=restarts, horizon=source.warmup + beyond, seed=5, stage=stage)


def whole_number_bars(n: int) -> np.ndarray:
    """float64 (n, 2, 5) by a linear congruence in whole numbers: the same on every machine."""
    state, close, rows = 12_345, [4_000, 9_000], []

    def draw(below: int) -> int:
        nonlocal state
        state = (1_103_515_245 * state + 12_345) % 2**31
        return (state >> 8) % below

    for _ in range(n):
        bar = []
        for s in range(2):
            begin = close[s]
            end = max(begin + draw(41) - 20, 500)
            high, low = max(begin, end) + draw(9), min(begin, end) - draw(9)
            close[s] = end
            bar.append([begin, high, low, end, draw(1_000)])
        rows.append(bar)
    return np.array(rows, dtype=np.float64) / 8.0


def test_the_unified_49_keep_every_byte():
    """Values and fingerprints as they were before there was a choice: stored models refuse any other."""
    bars, time = whole_number_bars(1_700), INTERVAL * np.arange(1_700, dtype=np.int64)
    digests = [hashlib.sha256(compute(bars, time, INTERVAL, dtype=d).tobytes()).hexdigest() for d in ("f4", "f8")]
    assert digests == [
        "f6e4dd3ac9ffec51a43c312db8006ee14a0656b4f72fceea55f9c10de34e65a6",
        "8b6d4011fd0fa37d6e385218781ad234bafc8da2454654f42912195b6ae8d2a6",
    ]
    assert {ms: FeaturePipeline(ms, 1).fingerprint for ms in (INTERVAL, 3_600_000, DAY)} == {
        INTERVAL: "ec9eeba90aeab7e523efa3b36624adf9a8bffc03f068a55923bd6cfb5c20b5d3",
        3_600_000: "641538aeacc3829707138b459e63b3372e0620d97007174812824d67704d959e",
        DAY: "3d72fbd189b6846da62ffdab3e1341cf0158f4c7463bc96f28bc49f0aa79c6c5",
    }
    assert (WHOLE.warmup, WHOLE.names) == (WARMUP, NAMES)
    assert pipeline(NAMES[::-1]).fingerprint == WHOLE.fingerprint
    assert pipeline(NAMES[::-1]).columns is None


@pytest.mark.parametrize(("name", "count", "warmup"), [("finite_windows", 38, 336), ("short_windows", 27, 55)])
def test_the_configured_sets(repository, name, count, warmup):
    found = configured(repository, name)
    assert found.columns == tuple(one for one in NAMES if MEMORY.get(one, WARMUP) <= warmup)
    assert len(found.columns) == count
    assert found.names == (*found.columns, "mean_range_14")
    assert found.warmup == warmup


def test_without_the_window_of_a_window_289_bars_are_enough():
    chosen = tuple(name for name in FINITE if name != "bvc_imbalance_48")
    assert (len(chosen), pipeline(chosen).warmup) == (37, 289)
    assert pipeline(("clv",)).warmup == 15  # the range's own
    assert pipeline(("clv", "natr_14")).warmup == WARMUP
    assert pipeline(("clv", "natr_14")).names == ("natr_14", "clv")


@pytest.fixture(scope="module")
def real(perps_5m: Path, random_bars) -> Bars:
    """Forty days of four perpetuals, the fall of OM among them."""
    return ParquetSource(
        root=perps_5m,
        largest_funding_rate=0.05,
        symbols=["BTC", "OM", "kPEPE", "UMA"],
        instrument=random_bars(n_bars=1).instruments[0],
        start="2025-03-20",
        end="2025-04-29",
        funding="off",
        folders=[],
    ).history()


def test_cold_starts_on_real_bars_need_what_is_promised(real):
    """37 of the 49 are exact within 289 bars, the 38th within 336, and no window needs more than its memory."""
    certificate = certified(WHOLE, real, 120)
    most = {need.name: need.most for need in certificate.needs}
    assert sum(bars <= 289 for bars in most.values()) == 37
    assert {name for name, bars in most.items() if 289 < bars <= 336} == {"bvc_imbalance_48"}
    assert {name for name, bars in most.items() if bars <= 336} == set(FINITE)
    finite = certified(pipeline(FINITE), real, 120)
    assert finite.broken == ()
    assert finite.warmup == 336
    for need in finite.needs:
        assert need.most <= max(MEMORY[need.name], 2), need  # a first bar alone is never looked at
    exact = {need.name: need.most for need in finite.needs if MEMORY[need.name] > 2 and need.name != "streak"}
    assert exact == {name: MEMORY[name] for name in exact}


def test_the_certificate_says_the_warm_up_in_time(random_bars):
    bars = random_bars(3, 700, 2, interval_ms=DAY)
    certificate = certified(pipeline(FINITE, DAY), bars, 40, beyond=20)
    assert certificate.broken == ()
    assert certificate.to_dict()["warmup_days"] == {
        "5m": pytest.approx(336 / 288),
        "1h": 14.0,
        "4h": 56.0,
        "1d": 336.0,
        "1w": 2_352.0,
    }
    with pytest.raises(HistoryError, match=r"2385 bars.*job\.horizon=363 at most"):
        certified(pipeline(FINITE, DAY), bars, 40, beyond=2_048 - 336)


def test_columns_have_the_bits_of_the_49_and_begin_sooner(real):
    bars = real.rows(0, 2_500)
    whole, finite = WHOLE.transform(bars), pipeline(FINITE).transform(bars)
    assert np.argmax(finite.ready, axis=0).tolist() == [335] * 4
    for name in FINITE:
        assert finite.column(name)[whole.ready].tobytes() == whole.column(name)[whole.ready].tobytes(), name
    assert np.isfinite(finite.values[finite.ready]).all()
    assert np.isnan(finite.values[~finite.ready]).all()


def test_any_start_gives_the_same_row(real):
    """From the last bar of the warm-up on, mean_range_14 with the others."""
    source = pipeline(FINITE)
    whole = source.transform(real.rows(0, 3_000))
    for start in np.random.default_rng(0).integers(1, 3_000 - 336, 25).tolist():
        cold = source.transform(real.rows(start, start + 336))
        assert cold.values[-1].tobytes() == whole.values[start + 335].tobytes()


@window_function
def over_70(bars):
    return bars[-1, 3] / bars[0, 0] - 1.0


OVER_70 = ExtraFeature("over_70", over_70, 70, -1.0, np.inf, 0.0, "C / O_69 - 1", 1)
STREAMED = {
    "finite": pipeline(FINITE),
    "short with one's own": pipeline(tuple(n for n in FINITE if MEMORY[n] <= 55), extra=(OVER_70,)),
    "a recursion alone": pipeline(("natr_14", "clv")),
}


@pytest.mark.parametrize("case", STREAMED)
def test_the_stream_is_the_history(case, random_bars):
    source = STREAMED[case]
    bars = random_bars(2, source.warmup + 90, 3)
    ohlcv, state = bars.ohlcv.copy(), bars.state.copy()
    ohlcv[30, 1], state[30, 1] = np.nan, 3
    bars = Bars(ohlcv, bars.open_time_ms, bars.interval_ms, state, bars.symbols, bars.instruments)
    batch = source.transform(bars)
    assert batch.ready.any()
    stream = source.stream(bars.symbols, bars.interval_ms)
    for t in range(bars.n_bars):
        if t in (5, source.warmup, source.warmup + 40):
            saved = stream.state()
            stream = source.stream(bars.symbols, bars.interval_ms)
            stream.restore(saved)
        row = stream.update(bars.rows(t, t + 1))
        assert row.values.tobytes() == batch.values[t : t + 1].tobytes(), t
        assert row.ready.tobytes() == batch.ready[t : t + 1].tobytes(), t
    other = pipeline(("clv",)).stream(bars.symbols, bars.interval_ms)
    with pytest.raises(ContractError, match="a feature state with fingerprint"):
        other.restore(stream.state())


def test_the_warm_up_is_the_longest_window_of_ones_own():
    assert STREAMED["short with one's own"].warmup == 70


def test_stops_take_the_mean_true_range(real):
    """Against numpy: the mean over 14 bars of the three distances, in the units of the price."""
    bars = real.rows(0, 900)
    high, low, close = (bars.ohlcv[:, :, k] for k in (1, 2, 3))
    before = close[:-1]
    reach = np.maximum(high[1:] - low[1:], np.maximum(abs(high[1:] - before), abs(low[1:] - before)))
    mean = np.lib.stride_tricks.sliding_window_view(reach, 14, axis=0).mean(axis=2)
    short = pipeline(("ret_1",))
    atr = average_true_range(bars, short.transform(bars))
    np.testing.assert_allclose(atr[14:], mean, rtol=1e-6)
    assert np.isnan(atr[:14]).all()
    wilder = average_true_range(real.rows(0, 2_000), WHOLE.transform(real.rows(0, 2_000)))
    natr = WHOLE.transform(real.rows(0, 2_000)).column("natr_14").astype(np.float64)
    np.testing.assert_array_equal(wilder, natr * real.close[:2_000])


def test_the_fingerprint_is_the_sets_own_and_says_so():
    finite = pipeline(FINITE)
    others = [pipeline(FINITE[1:]), pipeline(FINITE, DAY), pipeline(FINITE, extra=(OVER_70,)), WHOLE]
    assert len({finite.fingerprint, *(one.fingerprint for one in others)}) == 5
    assert pipeline(FINITE[::-1]).fingerprint == finite.fingerprint
    definitions = finite.definitions
    assert tuple(definitions)[:39] == finite.names
    assert definitions["warm-up"] == "336 bars"
    assert first_difference(WHOLE.definitions, definitions).startswith("rsi_14 ")
    assert {name: definitions[name] for name in FINITE} == {name: WHOLE.definitions[name] for name in FINITE}
    with pytest.raises(ContractError, match="as the pipeline makes it"):
        FeatureContract(FINITE, finite.fingerprint).require(FINITE, finite.fingerprint)


@window_function
def range_again(bars):
    return bars[-1, 1] / bars[-1, 2] - 1.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"columns": ("ret_1", "sharpe")}, "found sharpe"),
        ({"columns": ("ret_1", "ret_1")}, "one of them twice"),
        ({"columns": ()}, "found none"),
        (
            {"columns": ("ret_1",), "extra": (ExtraFeature("mean_range_14", range_again, 1, 0.0, 1.0, 0.0, "", 1),)},
            "found mean_range_14",
        ),
    ],
)
def test_impossible_sets_are_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        FeaturePipeline(INTERVAL, 1, **given)
