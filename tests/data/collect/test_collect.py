"""Collecting from a local server that speaks Binance's endpoints, through the real ccxt client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ccxt
import numpy as np
import pytest
from binance_server import DAY_MS, EPOCH_MS, STEP_MS, CountingProgress, FakeBinance, Fault, Listing, serving

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.market import BarState
from quantlab.core.types import CollectOutcome
from quantlab.data.collect.from_exchange import ExchangeSource
from quantlab.data.collect.market_choice import MarketChoice
from quantlab.data.exchange.client import ExchangeClient, connect
from quantlab.data.exchange.errors import ExchangeLost
from quantlab.data.exchange.retry import Retry
from quantlab.data.store.manifest import read_manifest
from quantlab.data.store.source import CollectedSource
from quantlab.data.store.store import open_store

Start = Callable[..., FakeBinance]
Make = Callable[..., ExchangeSource]
Read = Callable[..., CollectedSource]


def collect(root: Path, source: ExchangeSource, progress: Any) -> CollectOutcome:
    with open_store(root, source.exchange, source.interval_ms) as store:
        outcome = source.fill(store, progress)
        store.finish()
    return outcome


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_every_closed_bar_is_stored_and_nothing_else(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    outcome = collect(tmp_path, exchange_source(server), progress)
    bars = collected_source(tmp_path).history()
    assert bars.symbols == ("BTCUSDT", "ETHUSDT", "NEWUSDT")
    assert progress.done == progress.steps
    # Three whole days before the last one, and the last one up to the bar that still runs.
    assert int(bars.open_time_ms[0]) == EPOCH_MS
    assert int(bars.open_time_ms[-1]) == server.now_ms // STEP_MS * STEP_MS - STEP_MS
    total = 0
    for s, symbol in enumerate(bars.symbols):
        times, rows = server.ohlcv(symbol)
        at = (times - EPOCH_MS) // STEP_MS
        np.testing.assert_array_equal(bars.ohlcv[at, s], rows)
        printed = np.zeros(bars.n_bars, dtype=bool)
        printed[at] = True
        np.testing.assert_array_equal(bars.state[:, s] <= BarState.ZERO_VOLUME, printed)
        total += len(times) + len(server.rates(symbol)[0])
    assert (outcome.rows, outcome.repeated, outcome.refused) == (total, 0, {})


def test_funding_rules_coverage_and_gaps_are_stored(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    collect(tmp_path, exchange_source(server), progress)
    bars = collected_source(tmp_path).history()
    assert bars.funding is not None
    for s, symbol in enumerate(bars.symbols):
        stamps, rates = server.rates(symbol)
        known = np.isfinite(bars.funding.rate[:, s])
        np.testing.assert_array_equal(bars.funding.time_ms[known], stamps // 3_600_000 * 3_600_000)
        np.testing.assert_array_equal(bars.funding.rate[known, s], rates)
    rules = bars.instruments[0]
    assert (rules.tick, rules.lot, rules.min_notional) == (0.01, 0.001, 5.0)
    assert (rules.maker_fee_bps, rules.taker_fee_bps, rules.maintenance_margin_rate) == (2.0, 5.0, 0.03)
    manifest = read_manifest(tmp_path)
    assert manifest.gaps is not None
    assert manifest.gaps["ETHUSDT"]["missing"] == 123
    assert manifest.gaps["ETHUSDT"]["longest"] == [["2025-05-02T09:20:00Z", 120], ["2025-05-01T08:20:00Z", 3]]
    assert manifest.gaps["NEWUSDT"] == {**manifest.gaps["NEWUSDT"], "missing": 0, "first": "2025-05-03T10:20:00Z"}
    end = server.now_ms // STEP_MS * STEP_MS
    assert manifest.symbols["NEWUSDT"].covered["bars"] == ((EPOCH_MS, end),)


def test_a_second_run_fetches_only_what_is_new_and_touches_no_old_day(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance(now_ms=EPOCH_MS + 3 * DAY_MS + 1)
    source = exchange_source(server)
    collect(tmp_path, source, progress)
    before, calls = contents(tmp_path), len(server.requests)
    collect(tmp_path, source, progress)
    assert contents(tmp_path) == before
    assert {path for path, _ in server.requests[calls:]} == {"/fapi/v1/time", "/fapi/v1/exchangeInfo"}

    server.now_ms += DAY_MS - 1
    calls = len(server.requests)
    outcome = collect(tmp_path, source, progress)
    asked = [int(query["startTime"]) for path, query in server.requests[calls:] if path.endswith("klines")]
    assert min(asked) == EPOCH_MS + 3 * DAY_MS - STEP_MS  # the bar within the grace of the first run
    assert outcome.repeated == 0
    after = contents(tmp_path)
    old = {name for name in before if name.startswith("bars/2025-05-0") and "05-03" not in name}
    assert len(old) == 2
    assert all(after[name] == before[name] for name in old)
    whole = tmp_path / "again"
    collect(whole, exchange_source(server, days=4), progress)
    assert collected_source(whole).history().fingerprint() == collected_source(tmp_path).history().fingerprint()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, exchange_source: Make) -> dict[str, bytes]:
    """Two days collected from an exchange without faults."""
    root = tmp_path_factory.mktemp("calm")
    with serving(two_days()) as server:
        collect(root, exchange_source(server, days=1), CountingProgress())
    return contents(root)


def two_days() -> FakeBinance:
    listings = {"BTCUSDT": Listing(1), "ETHUSDT": Listing(2, holes=((100, 103), (300, 420)))}
    return FakeBinance(listings, EPOCH_MS + 2 * DAY_MS, bars=2 * 288)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, headers=(("Retry-After", "0"),)),
        Fault("status", status=418, headers=(("Retry-After", "1"),)),
        Fault("status", status=500),
        Fault("status", status=503, headers=(("Retry-After", "Thu, 01 Jan 2015 00:00:00 GMT"),)),
        Fault("truncated"),
        Fault("cut"),
        Fault("dropped"),
        Fault("html"),
        Fault("object"),
        Fault("shape"),
        Fault("slow", seconds=0.3),
        Fault("truncated", path="fundingRate"),
        Fault("object", path="fundingRate"),
        Fault("shape", path="fundingRate"),
        Fault("truncated", path="exchangeInfo"),
        Fault("object", path="time"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.path}-{fault.status}-{len(fault.headers)}",
)
def test_a_fault_changes_nothing_in_the_end(
    exchange_source: Make, progress: Any, tmp_path: Path, fault: Fault, calm: dict[str, bytes]
) -> None:
    with serving(two_days()) as server:
        settings = {"urls": {"api": {"fapiPublic": f"{server.url}/fapi/v1"}}, "rateLimit": 1}
        timeout = 200 if fault.kind == "slow" else 5000
        server.faults.extend([fault, fault])
        collect(tmp_path, exchange_source(server, days=1, settings={**settings, "timeout": timeout}), progress)
        assert not server.faults
    assert contents(tmp_path) == calm


def test_everybody_waits_while_the_exchange_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused request puts off the next request of anyone, and is not itself what waits."""
    client = ExchangeClient(None, Retry(5, 1.0, 1.0, 0.0, 60.0))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        client._not_before = 0.0  # the time is over

    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(client._pause("bars", "429", 1, 30.0))
    assert waits == []
    asyncio.run(client._wait_until_allowed())
    assert waits == [pytest.approx(30.0, abs=5.0)]
    asyncio.run(client._pause("bars", "no line", 1, 0.0))
    assert waits[1:] == [1.0]


def test_a_limit_without_a_time_is_everybodys_and_another_fault_is_not() -> None:
    client = ExchangeClient(SimpleNamespace(last_response_headers={}), Retry(5, 2.0, 8.0, 0.0, 60.0))
    assert client._requested_wait(ccxt.RateLimitExceeded("429")) == 2.0
    assert client._requested_wait(ccxt.DDoSProtection("418")) == 2.0
    assert client._requested_wait(ccxt.ExchangeNotAvailable("503")) == 0.0


def test_requests_are_paced_by_the_weights_that_the_exchange_charges(binance: Start) -> None:
    """ccxt's throttler is told the weight of Binance's own table, and lets fewer pass than 2,400 a minute."""
    server = binance()

    async def paced() -> tuple[list[float], list[int], float]:
        settings = {"urls": {"api": {"fapiPublic": f"{server.url}/fapi/v1"}}}
        client = connect("binanceusdm", settings, Retry(1, 0.0, 0.0, 0.0, 60.0))
        costs: list[float] = []

        async def throttle(cost: float) -> None:
            costs.append(cost)

        await client.markets()
        client.api.throttle, charged = throttle, []
        for limit in (50, 288, 1000):
            before = server.weight
            await client.bars("BTC/USDT:USDT", "5m", EPOCH_MS, EPOCH_MS + limit * STEP_MS, limit)
            charged.append(server.weight - before)
        assert client.api.enableRateLimit
        per_minute = 60_000 / client.api.rateLimit
        await client.close()
        return costs, charged, per_minute

    costs, charged, per_minute = asyncio.run(paced())
    assert costs == charged == [1, 2, 5]
    assert per_minute <= 2_400


def test_a_dead_exchange_ends_the_run_with_one_sentence_and_keeps_what_was_had(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    source = exchange_source(server, concurrency=1, retry=Retry(3, 0.0, 0.0, 0.0, 60.0))
    whole = tmp_path / "whole"
    collect(whole, source, progress)

    def after(klines: int) -> None:
        answer = server.answer
        left = [klines]

        def counted(path: str, query: dict[str, str]) -> Any:
            left[0] -= path.endswith("klines")
            return (503, {"msg": "gone"}) if left[0] < 0 else answer(path, query)

        server.answer = counted  # type: ignore[method-assign]

    after(5)
    with pytest.raises(ExchangeLost, match=r"bars of \S+ from binanceusdm within 3 attempts.*503.*goes on where it"):
        collect(tmp_path / "cut", source, progress)
    part = read_manifest(tmp_path / "cut")
    covered = {name: facts.covered["bars"] for name, facts in part.symbols.items()}
    assert covered["BTCUSDT"] == ((EPOCH_MS, EPOCH_MS + 2 * DAY_MS),)
    del server.answer  # type: ignore[method-assign]
    collect(tmp_path / "cut", source, progress)
    assert contents(tmp_path / "cut") == contents(whole)


def test_a_long_ban_is_said_and_not_waited_for(
    binance: Start, exchange_source: Make, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    server.faults.append(Fault("status", status=418, headers=(("Retry-After", "86400"),)))
    with pytest.raises(ExchangeLost, match=r"wait at most 60 s; found Retry-After: 86400 s"):
        collect(tmp_path / "d", exchange_source(server), progress)


def test_unsound_bars_are_refused_by_symbol_and_the_others_go_on(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    server._paths["ETHUSDT"][300, 1] = 1.0  # a high below the low, on the second day
    outcome = collect(tmp_path, exchange_source(server), progress)
    assert list(outcome.refused) == ["ETHUSDT"]
    assert "do not enclose" in str(outcome.refused["ETHUSDT"])
    manifest = read_manifest(tmp_path)
    assert manifest.symbols["ETHUSDT"].covered["bars"] == ((EPOCH_MS, EPOCH_MS + DAY_MS),)
    assert len(server.ohlcv("BTCUSDT")[0]) == (manifest.gaps or {})["BTCUSDT"]["bars"]


def test_a_delisted_symbol_keeps_its_history(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    source = exchange_source(server, end="2025-05-03")
    collect(tmp_path, source, progress)
    before = collected_source(tmp_path, "ETHUSDT").history().ohlcv.tobytes()
    del server.listings["ETHUSDT"]
    outcome = collect(tmp_path, source, progress)
    assert outcome.notes[0] == "ETHUSDT is no longer listed: its history is kept as it is"
    assert outcome.notes[1].startswith("the exchange tells no maintenance margin of 3 of 3 symbols: liquidations use")
    assert collected_source(tmp_path, "ETHUSDT").history().ohlcv.tobytes() == before


def test_rows_that_come_late_are_asked_for_again_and_holes_are_not(
    binance: Start, exchange_source: Make, progress: Any, tmp_path: Path
) -> None:
    """The newest bar and rate are shown late: a run in between must not take them for missing forever."""
    now_ms = EPOCH_MS + 8 * 3_600_000 + 10 * 60_000 + 6_000
    server = binance({"BTCUSDT": Listing(1), "ETHUSDT": Listing(2, holes=((50, 60),))}, now_ms=now_ms)
    source, newest = exchange_source(server, start="2025-05-01"), 8 * 12 + 1
    collect(tmp_path / "calm", source, progress)
    rates, server.listings["BTCUSDT"] = server.rates, Listing(1, holes=((newest, newest + 1),))
    server.rates = lambda symbol: tuple(column[:1] for column in rates(symbol))  # type: ignore[method-assign]
    collect(tmp_path / "late", source, progress)
    covered = {name: facts.covered for name, facts in read_manifest(tmp_path / "late").symbols.items()}
    end = EPOCH_MS + (newest + 1) * STEP_MS
    assert covered["BTCUSDT"]["bars"] == ((EPOCH_MS, end - STEP_MS),)
    assert covered["ETHUSDT"]["bars"] == ((EPOCH_MS, end),)
    assert covered["ETHUSDT"]["funding"] == ((EPOCH_MS, EPOCH_MS + 8 * 3_600_000),)
    del server.rates  # type: ignore[method-assign]
    server.listings["BTCUSDT"] = Listing(1)
    collect(tmp_path / "late", source, progress)
    assert contents(tmp_path / "late") == contents(tmp_path / "calm")


def test_an_earlier_start_and_another_symbol_are_filled_in(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    one = MarketChoice(["BTC/USDT:USDT"], ["USDT"], None)
    collect(tmp_path / "grown", exchange_source(server, choice=one, days=1), progress)
    collect(tmp_path / "grown", exchange_source(server), progress)
    collect(tmp_path / "whole", exchange_source(server), progress)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_markets_are_chosen_by_name_by_quote_and_by_volume(
    binance: Start, exchange_source: Make, progress: Any, tmp_path: Path
) -> None:
    server = binance(
        {
            "AAAUSDT": Listing(1, volume=1.0),
            "BBBUSDT": Listing(2, volume=3.0),
            "CCCUSDT": Listing(3, volume=2.0),
            "DDDUSDC": Listing(4, quote="USDC", volume=9.0),
            "EEEUSDT": Listing(5, status="SETTLING", volume=9.0),
            "BBBUSDT_250926": Listing(6, contract="CURRENT_QUARTER", volume=9.0),
        }
    )

    def chosen(**settings: Any) -> tuple[str, ...]:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        choice = MarketChoice(**{"symbols": "all", "quotes": ["USDT"], "largest": None, **settings})
        collect(root, exchange_source(server, choice=choice, days=1), progress)
        return tuple(sorted(read_manifest(root).symbols))

    assert chosen() == ("AAAUSDT", "BBBUSDT", "CCCUSDT")
    assert chosen(largest=2) == ("BBBUSDT", "CCCUSDT")
    assert chosen(quotes=["USDC"]) == ("DDDUSDC",)
    assert chosen(symbols=["CCCUSDT", "DDD/USDC:USDC"]) == ("CCCUSDT", "DDDUSDC")
    for wrong in (["BTCUSDT"], ["BBBUSDT_250926"]):
        with pytest.raises(ConfigError, match="a linear perpetual of the exchange"):
            chosen(symbols=wrong)
    with pytest.raises(ConfigError, match="active perpetuals quoted in BUSD; found none"):
        chosen(quotes=["BUSD"])


def test_impossible_periods_exchanges_and_datasets_are_refused(
    binance: Start, exchange_source: Make, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    with pytest.raises(ConfigError, match="an exchange that ccxt knows"):
        collect(tmp_path / "a", exchange_source(server, exchange="mtgox"), progress)
    assert not (tmp_path / "a").exists()
    with pytest.raises(ConfigError, match="at least one closed bar"):
        collect(tmp_path / "a", exchange_source(server, start="2025-06-01"), progress)
    for name, value in (("days", 0), ("timeframe", "7m"), ("start", "soon"), ("grace_seconds", -1.0)):
        with pytest.raises(ConfigError):
            exchange_source(server, **{name: value})
    collect(tmp_path / "a", exchange_source(server, days=1), progress)
    with pytest.raises(ConfigError, match="a dataset of binanceusdm every 5m"):
        collect(tmp_path / "a", exchange_source(server, timeframe="1h"), progress)
    with (
        open_store(tmp_path / "a", "binanceusdm", STEP_MS),
        pytest.raises(ConfigError, match="another process that does"),
        open_store(tmp_path / "a", "binanceusdm", STEP_MS),
    ):
        pass


def test_damage_is_refused_before_it_is_decoded_and_can_be_repaired(
    binance: Start, exchange_source: Make, collected_source: Read, progress: Any, tmp_path: Path
) -> None:
    server = binance()
    source = exchange_source(server)
    collect(tmp_path, source, progress)
    before = contents(tmp_path)
    path = sorted((tmp_path / "bars").iterdir())[1]
    path.write_bytes(path.read_bytes()[:-9] + b"corrupted")
    with pytest.raises(ArtifactError, match=r"bars/2025-05-02-\w+\.parquet.*another hash.*job\.repair=true"):
        collected_source(tmp_path).history()
    assert len(collected_source(tmp_path).problems()) == 1
    with open_store(tmp_path, source.exchange, source.interval_ms) as store:
        store.forget(store.damaged_parts())
        source.fill(store, progress)
        store.finish()
    assert contents(tmp_path) == before
    text = (tmp_path / "manifest.json").read_text()
    changed = json.loads(text)
    changed["symbols"]["BTCUSDT"]["rules"]["taker_fee_bps"] = 0.5
    for broken, says in (
        (text[: len(text) // 2], "JSONDecodeError"),
        (json.dumps({**json.loads(text), "format": 9}), "format 9"),
        (json.dumps(changed), "its checksum does not hold"),
    ):
        (tmp_path / "manifest.json").write_text(broken)
        with pytest.raises(ArtifactError, match=f"a manifest of format 2 .*{says}"):
            collected_source(tmp_path).history()
    (tmp_path / "manifest.json").write_text(json.dumps(json.loads(text)))  # the same content in another layout
    assert collected_source(tmp_path).history().n_bars > 0
