"""Dated snapshots: whole, checked, point in time; and what membership does to bars."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.clock import parse_utc
from quantlab.core.errors import ArtifactError, ConfigError, DataError
from quantlab.core.market import Bars, BarState
from quantlab.data import ParquetSource, SyntheticSource, coverage
from quantlab.data.universe.membership import Membership
from quantlab.data.universe.snapshot import (
    Changes,
    Row,
    Snapshot,
    compare_snapshots,
    ever_members,
    read_snapshot,
    read_snapshots,
    snapshots_before,
)
from quantlab.data.universe.source import UniverseSource
from quantlab.features import FeaturePipeline
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.research.report_content import SURVIVORS, universe_notes

DAY_MS = 86_400_000


def snapshot(time: str, *members: str, **left_out: str) -> Snapshot:
    rows = [Row(s, f"{s}/USDT", s, s.lower(), 1, k + 1, 1e9, 1e6, 0.5, 99.0, "") for k, s in enumerate(members)]
    rows += [Row(s, f"{s}/USDT", s, None, 1, None, None, 1.0, None, None, why) for s, why in left_out.items()]
    return Snapshot(parse_utc(time), "binanceusdm", "0" * 64, tuple(rows))


def test_a_snapshot_comes_back_as_it_was_written(tmp_path: Path) -> None:
    taken = snapshot("2025-05-01T06:00:00", "BTC", "ETH", DOGE="stablecoin")
    path = taken.write(tmp_path / "new", replace=False)
    assert path.name == "2025-05-01.json"
    assert read_snapshot(path) == taken
    assert taken.members == ("BTC", "ETH")
    before = path.read_bytes()
    assert taken.write(tmp_path / "new", replace=True).read_bytes() == before


def test_a_date_is_not_rewritten_unless_asked_for(tmp_path: Path) -> None:
    snapshot("2025-05-01T06:00:00", "BTC").write(tmp_path, replace=False)
    later = snapshot("2025-05-01T18:00:00", "ETH")
    with pytest.raises(ConfigError, match=r"no snapshot of 2025-05-01 .*job\.replace=true"):
        later.write(tmp_path, replace=False)
    assert read_snapshots(tmp_path)[0].members == ("BTC",)
    later.write(tmp_path, replace=True)
    assert read_snapshots(tmp_path) == (later,)


def test_a_changed_snapshot_is_refused(tmp_path: Path) -> None:
    path = snapshot("2025-05-01", "BTC", "ETH").write(tmp_path, replace=False)
    text = path.read_text()
    document = json.loads(text)
    cases = [
        text.replace('"BTC"', '"XRP"'),
        text[: len(text) // 2],
        "[]",
        text.replace("2025-05-01T00:00:00Z", "2025-05-01T00:00:01Z"),
        json.dumps({name: value for name, value in document.items() if name != "sha256"}),
    ]
    for broken in cases:
        assert broken != text
        path.write_text(broken)
        with pytest.raises(ArtifactError, match=r"2025-05-01\.json"):
            read_snapshots(tmp_path)
    moved = path.with_name("2025-05-02.json")
    path.unlink()
    moved.write_text(text)
    with pytest.raises(ArtifactError, match="a snapshot of 2025-05-01"):
        read_snapshots(tmp_path)


def test_other_files_are_not_read_and_none_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(DataError, match=r"universe snapshots in .*job=universe"):
        read_snapshots(tmp_path)
    for day in ("2025-05-03", "2025-05-01", "2025-05-02"):
        snapshot(day, "BTC").write(tmp_path, replace=False)
    assert [one.name for one in read_snapshots(tmp_path)] == [f"2025-05-0{n}.json" for n in (1, 2, 3)]
    assert [one.name for one in snapshots_before(tmp_path, "2025-05-02.json")] == ["2025-05-01.json"]


def test_who_came_and_who_left() -> None:
    first = snapshot("2025-05-01", "BTC", "ETH", "FTT", "OM")
    second = snapshot("2025-05-02", "SOL", "BTC", "ETH", OM="spread above 10 bps")
    assert compare_snapshots(first, second) == Changes(
        ("SOL",), {"FTT": "no longer listed", "OM": "spread above 10 bps"}
    )
    assert compare_snapshots(first, first) == Changes((), {})
    assert ever_members([first, second]) == ("BTC", "ETH", "FTT", "OM", "SOL")


def test_membership_is_known_from_its_snapshot_on_and_not_before() -> None:
    """Row by row against a plain reading of the rule."""
    taken = [snapshot("2025-05-02T12:03:00", "A"), snapshot("2025-05-03", "B", "A"), snapshot("2025-05-05", "B")]
    symbols = ("A", "B", "C")
    opens = parse_utc("2025-05-01") + 300_000 * np.arange(6 * 288, dtype=np.int64)
    mask = Membership.of(taken, symbols).at(opens)
    for t, open_ms in enumerate(opens.tolist()):
        known = [one for one in taken if one.taken_ms <= open_ms]
        expected = known[-1].members if known else ()
        assert [s for s, there in zip(symbols, mask[t], strict=True) if there] == sorted(expected)
    first = int(np.argmax(mask[:, 0]))
    assert int(opens[first]) == parse_utc("2025-05-02T12:05:00")  # the first bar that opens after it was taken


@pytest.fixture
def universe(tmp_path: Path, synthetic_source: Callable[..., SyntheticSource]) -> Callable[..., UniverseSource]:
    """A made-up market with snapshots: SYN00 leaves on day 8, SYN01 joins then, SYN02 never belongs."""

    def make() -> UniverseSource:
        root = tmp_path / "universe"
        if not root.exists():
            snapshot("2025-01-02", "SYN00", "GONE").write(root, replace=False)
            snapshot("2025-01-09", "SYN01", SYN00="spread above 10 bps").write(root, replace=False)
        return UniverseSource(synthetic_source(n_symbols=4, late_listings=1), root)

    return make


def test_only_traded_cells_outside_are_marked_and_no_number_changes(universe: Callable[..., UniverseSource]) -> None:
    source = universe()
    plain, bars = source.source.history(), source.history()
    assert bars.ohlcv.tobytes() == plain.ohlcv.tobytes()
    assert bars.symbols == plain.symbols
    belongs = np.zeros(bars.state.shape, dtype=bool)
    belongs[288 : 8 * 288, 0] = True
    belongs[8 * 288 :, 1] = True
    np.testing.assert_array_equal(bars.tradable, plain.tradable & belongs)
    outside = bars.state == BarState.OUTSIDE
    np.testing.assert_array_equal(outside, plain.tradable & ~belongs)
    np.testing.assert_array_equal(bars.state[~outside], plain.state[~outside])
    np.testing.assert_array_equal(bars.printed, plain.printed)
    pipeline = FeaturePipeline(interval_ms=300_000, threads=1)
    assert pipeline.transform(bars).values.tobytes() == pipeline.transform(plain).values.tobytes()


def test_the_stream_is_the_history(
    universe: Callable[..., UniverseSource], assert_same_stream: Callable[..., None]
) -> None:
    source = universe()
    assert_same_stream(source.history(), source.stream())
    part = source.history(parse_utc("2025-01-08"), parse_utc("2025-01-10"))
    whole = source.history()
    first = int(np.searchsorted(whole.open_time_ms, part.open_time_ms[0]))
    assert part.state.tobytes() == whole.state[first : first + part.n_bars].tobytes()


def test_later_snapshots_change_nothing_before_them(universe: Callable[..., UniverseSource]) -> None:
    source = universe()
    before = source.history()
    snapshot("2025-01-11", "SYN00", "SYN02", "SYN03").write(Path(source.universe), replace=False)
    after = source.history()
    rows = 10 * 288
    assert after.rows(0, rows).state.tobytes() == before.rows(0, rows).state.tobytes()
    assert after.state[rows:].tobytes() != before.state[rows:].tobytes()


def test_coverage_counts_every_bar_once(universe: Callable[..., UniverseSource]) -> None:
    bars = universe().history()
    report = coverage(bars)
    for quality in report.symbols.values():
        counts = (quality.traded, quality.zero_volume, quality.filled, quality.absent, quality.outside)
        assert sum(counts) == bars.n_bars
    plain = coverage(universe().source.history())
    assert report.venue_stops == plain.venue_stops
    assert {s: q.gaps for s, q in report.symbols.items()} == {s: q.gaps for s, q in plain.symbols.items()}
    assert (report.symbols["SYN02"].traded, report.symbols["SYN02"].outside) == (0, plain.symbols["SYN02"].traded)
    assert any("SYN02: outside the universe in 9" in text for text in report.findings())


def test_a_universe_that_does_not_fit_is_refused(universe: Callable[..., UniverseSource], tmp_path: Path) -> None:
    source = universe()
    with pytest.raises(DataError, match="from before 2025-01-01"):
        source.history(None, parse_utc("2025-01-02"))
    snapshot("2025-01-01", "BTCUSDT").write(tmp_path / "other", replace=False)
    with pytest.raises(DataError, match=r"named as in the snapshots, e\.g\. BTCUSDT; found SYN00"):
        replace(source, universe=tmp_path / "other").history()
    with pytest.raises(DataError, match="universe snapshots in"):
        replace(source, universe=tmp_path / "none").history()
    with pytest.raises(ConfigError, match=r"data\.source"):
        UniverseSource(None, "universe")  # type: ignore[arg-type]


def test_a_report_says_who_chose_the_symbols(
    universe: Callable[..., UniverseSource],
    synthetic_source: Callable[..., SyntheticSource],
    parquet_source: Callable[..., ParquetSource],
    random_bars: Callable[..., Bars],
    write_bars: Callable[..., Path],
    tmp_path: Path,
) -> None:
    bars = random_bars()
    assert universe_notes(synthetic_source(), bars) == ()
    write_bars(tmp_path / "AAA.parquet", range(3))
    assert universe_notes(parquet_source(tmp_path, funding="off"), bars) == (SURVIVORS,)
    source = universe()
    notes = source.universe_notes(source.history())
    assert notes[0].startswith("The universe is point in time: 2 snapshots from 2025-01-02T00:00:00Z")
    assert notes[1].startswith("288 bars lie before the first snapshot")
    assert notes[2].startswith("1 symbols were members and have no bars here (GONE)")
    assert notes[3:] == ("the snapshot of 2025-01-02T00:00:00Z decides for 7 days: none was taken in between",)
    daily = source.universe_notes(source.history(None, parse_utc("2025-01-03")))
    assert len(daily) == 3


@pytest.mark.parametrize("inner", ["collected", "parquet"])
def test_the_configuration_wraps_any_source(inner: str, tmp_path: Path) -> None:
    cfg = compose("data=universe", f"data@data.source={inner}", "data.source.root=somewhere", "data.universe=dated")
    source: Any = build(cfg.data)
    assert isinstance(source, UniverseSource)
    assert (source.universe, source.source.root, source.synthetic) == ("dated", "somewhere", False)
