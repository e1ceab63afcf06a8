"""Bybit, OKX and Hyperliquid through the real ccxt client: other names, pages, directions, ends and units."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from binance_server import DAY_MS, EPOCH_MS, HOUR_MS, STEP_MS, CountingProgress, Fault, Listing, serving
from omegaconf import OmegaConf
from other_exchanges import FakeBybit, FakeHyperliquid, FakeOkx, Other

from quantlab.core.market import Bars, BarState
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store
from quantlab.jobs.config.composition import build, compose

Read = Callable[..., CollectedSource]
NOW_MS = EPOCH_MS + 5 * DAY_MS + 700_000  # a bar is under way
BARS = 6 * 288

SHAPES: dict[str, tuple[type[Other], tuple[str, str, str], dict[str, Any]]] = {
    "bybit": (FakeBybit, ("BTCUSDT", "1000PEPEUSDT", "NEWUSDT"), {"public": ""}),
    "okx": (FakeOkx, ("BTC-USDT-SWAP", "PEPE-USDT-SWAP", "NEW-USDT-SWAP"), {"rest": ""}),
    "hyperliquid": (FakeHyperliquid, ("BTC", "kPEPE", "NEW"), {"public": ""}),
}
composed = functools.cache(lambda *overrides: compose("job=collect", *overrides))


def fake(exchange: str, **settings: Any) -> Other:
    kind, names, _ = SHAPES[exchange]
    lives = (Listing(1, volume=9e9), Listing(2, holes=((100, 103), (400, 900)), volume=5e9), Listing(3, first=1000))
    return kind(dict(zip(names, lives, strict=True)), NOW_MS, bars=BARS, **settings)


def source_of(exchange: str, server: Other, **settings: Any) -> ExchangeSource:
    """What the configuration makes, pointed at the local server and without waits."""
    cfg = copy.deepcopy(composed(f"job/source={exchange}"))
    source = cfg.job.source
    OmegaConf.update(source, "settings.urls", {"api": dict.fromkeys(SHAPES[exchange][2], server.url)}, force_add=True)
    OmegaConf.update(source, "settings.rateLimit", 1, force_add=True)
    OmegaConf.update(source, "days", 5)
    for name in ("first_seconds", "longest_seconds"):
        OmegaConf.update(source, f"retry.{name}", 0.0)
    for name, value in settings.items():
        OmegaConf.update(source, name, value)
    made: ExchangeSource = build(source)
    return made


def collect(root: Path, source: ExchangeSource) -> CollectOutcome:
    with open_store(root, source.exchange, source.interval_ms) as store:
        outcome = source.fill(store, CountingProgress())
        store.finish()
    return outcome


def assert_whole(bars: Bars, server: Other) -> None:
    """Every closed bar and every rate of the server, in its place and to the last bit."""
    assert int(bars.open_time_ms[-1]) == NOW_MS // STEP_MS * STEP_MS - STEP_MS
    assert bars.funding is not None
    for s, symbol in enumerate(bars.symbols):
        times, rows = server.ohlcv(symbol)
        at = (times - int(bars.open_time_ms[0])) // STEP_MS
        np.testing.assert_array_equal(bars.ohlcv[at, s], rows)
        printed = np.zeros(bars.n_bars, dtype=bool)
        printed[at] = True
        np.testing.assert_array_equal(bars.state[:, s] <= BarState.ZERO_VOLUME, printed)
        stamps, rates = server.rates(symbol)
        known = np.isfinite(bars.funding.rate[:, s])
        np.testing.assert_array_equal(bars.funding.time_ms[known], stamps // HOUR_MS * HOUR_MS)
        np.testing.assert_array_equal(bars.funding.rate[known, s], rates)


@pytest.mark.parametrize("exchange", SHAPES)
def test_every_bar_and_rate_arrives_whole(exchange: str, collected_source: Read, tmp_path: Path) -> None:
    with serving(fake(exchange)) as server:
        source = source_of(exchange, server)
        outcome = collect(tmp_path, source)
        assert outcome.refused == {}
        bars = collected_source(tmp_path).history()
        assert set(bars.symbols) == set(SHAPES[exchange][1])
        assert_whole(bars, server)
        calls = len(server.requests)
        assert collect(tmp_path, source).rows == 0  # nothing new, nothing asked for but clock and markets
        asked = [path for path, _ in server.requests[calls:]]
        assert not [path for path in asked if "andle" in path or "kline" in path or "unding" in path]


@pytest.mark.parametrize("exchange", SHAPES)
@pytest.mark.parametrize("asked", [7, 5_000])
def test_pages_of_any_length_give_the_same_dataset(
    exchange: str, asked: int, collected_source: Read, tmp_path: Path
) -> None:
    """Also where an exchange gives fewer rows than it was asked for, from whichever end."""
    symbols = [SHAPES[exchange][1][1]]
    with serving(fake(exchange, rate_ms=HOUR_MS)) as server:
        pages = {"bars_per_request": max(asked, 50), "rates_per_request": asked}
        collect(tmp_path, source_of(exchange, server, **pages, **{"choice.symbols": symbols}))
        assert_whole(collected_source(tmp_path).history(), server)


@pytest.mark.parametrize("exchange", SHAPES)
def test_a_ranking_is_by_dollars_on_every_exchange(exchange: str, tmp_path: Path) -> None:
    """Bybit counts coins, OKX contracts; a hundredfold contract must not lead the list."""
    with serving(fake(exchange)) as server:
        names = list(server.listings)
        for name, volume in zip(names, (2e6, 9e6, 1e6), strict=True):
            server.listings[name] = Listing(1, volume=volume)
        collect(tmp_path, source_of(exchange, server, **{"choice.largest": 2, "days": 1}))
    assert set(read_manifest(tmp_path).symbols) == {names[0], names[1]}


def test_rules_are_in_coins_and_dollars(collected_source: Read, tmp_path: Path) -> None:
    """Of OKX a lot is a tenth of a contract of a tenth of a coin; margins are those of a 10,000 USD position."""
    found = {}
    for exchange in SHAPES:
        with serving(fake(exchange)) as server:
            outcome = collect(tmp_path / exchange, source_of(exchange, server, days=1))
            found[exchange] = collected_source(tmp_path / exchange).history().instruments[0]
            notes = [note for note in outcome.notes if "maintenance margin" in note]
            assert bool(notes) == (exchange == "hyperliquid")
    assert (found["bybit"].tick, found["bybit"].lot, found["bybit"].maintenance_margin_rate) == (0.01, 0.001, 0.005)
    assert (found["okx"].tick, found["okx"].lot, found["okx"].maintenance_margin_rate) == (0.1, 0.01, 0.005)
    assert (found["hyperliquid"].lot, found["hyperliquid"].maintenance_margin_rate) == (0.001, 0.03)
    assert (found["hyperliquid"].min_notional, found["bybit"].min_notional) == (10.0, 5.0)


@pytest.mark.parametrize(("exchange", "notional", "rate"), [
    ("bybit", 200_000.0, 0.01), ("bybit", 199_000.0, 0.005), ("okx", 49_000.0, 0.005), ("okx", 51_000.0, 0.01),
])  # fmt: skip
def test_the_margin_is_that_of_the_positions_tier(exchange: str, notional: float, rate: float, tmp_path: Path) -> None:
    """OKX's bounds are contracts, here of ten dollars each."""
    with serving(fake(exchange)) as server:
        collect(tmp_path, source_of(exchange, server, margin_notional_usd=notional, days=1))
    rules = [facts.rules["maintenance_margin_rate"] for facts in read_manifest(tmp_path).symbols.values()]
    assert rules == [rate] * 3


def test_a_margin_in_another_unit_is_not_believed(tmp_path: Path) -> None:
    with serving(fake("bybit", maintenance=0.5)) as server:  # per cent, as some answers have it
        outcome = collect(tmp_path, source_of("bybit", server, days=1))
    assert all("maintenance_margin_rate" not in facts.rules for facts in read_manifest(tmp_path).symbols.values())
    assert outcome.notes[0].startswith("the exchange tells no maintenance margin of 3 of 3 symbols")


def test_hyperliquids_places_are_not_names_and_old_bars_are_gone(collected_source: Read, tmp_path: Path) -> None:
    with serving(fake("hyperliquid", kept=400)) as server:
        collect(tmp_path, source_of("hyperliquid", server))
        bars = collected_source(tmp_path).history()
        assert set(bars.symbols) == {"BTC", "kPEPE", "NEW"}
        assert int(bars.open_time_ms[0]) == -(-(NOW_MS - 400 * STEP_MS) // STEP_MS) * STEP_MS
        assert {name: facts.market for name, facts in read_manifest(tmp_path).symbols.items()}["kPEPE"].startswith(
            "KPEPE/"
        )


@pytest.mark.parametrize("exchange", SHAPES)
@pytest.mark.parametrize("kind", ["status", "truncated", "object"])
def test_a_fault_changes_nothing(exchange: str, kind: str, collected_source: Read, tmp_path: Path) -> None:
    path = {"bybit": "kline", "okx": "candles", "hyperliquid": "candleSnapshot"}[exchange]
    with serving(fake(exchange)) as server:
        server.faults.extend([Fault(kind, path, 429, (("Retry-After", "0"),)), Fault(kind, "unding")])
        collect(tmp_path, source_of(exchange, server))
        assert not server.faults
        assert_whole(collected_source(tmp_path).history(), server)


def test_an_exchange_that_ignores_the_end_is_refused_and_not_taken_for_empty(tmp_path: Path) -> None:
    """The newest rows, all behind the page that was asked for, say nothing about the page."""
    with serving(fake("bybit")) as server:
        answer = server.answer

        def deaf(path: str, query: dict[str, Any]) -> tuple[int, Any]:
            return answer(path, {**query, "end": str(NOW_MS)} if path.endswith("kline") else query)

        server.answer = deaf  # type: ignore[method-assign]
        outcome = collect(tmp_path, source_of("bybit", server, bars_per_request=288))
    assert "rows before" in str(outcome.refused["BTCUSDT"])
    assert "cannot be paged" in str(outcome.refused["BTCUSDT"])
