"""A universe asked for over HTTP: the exchange through ccxt, the coins page by page, with everything that goes wrong."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from binance_server import DAY_MS, EPOCH_MS, Fault, Listing, serving
from coin_server import STABLE, TOP_100, UNTRADEABLE, WRAPPED, FakeMarkets, coin, usual_coins, usual_listings
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError, DataError
from quantlab.data.universe.coingecko import CoinGecko
from quantlab.data.universe.rules import UniverseRules
from quantlab.data.universe.snapshot import Row, Snapshot
from quantlab.data.universe.survey import Survey
from quantlab.jobs.config.composition import build, compose

Markets = Callable[..., FakeMarkets]
NOW_MS = EPOCH_MS + 2 * DAY_MS + 1_234


@pytest.fixture
def markets() -> Iterator[Markets]:
    """Start an exchange and its list of coins."""
    with ExitStack() as stack:

        def start(listings: dict[str, Listing] | None = None, **settings: Any) -> FakeMarkets:
            values = {"now_ms": NOW_MS, "bars": 1, **settings}
            return stack.enter_context(serving(FakeMarkets(listings or usual_listings(), **values)))

        yield start


composed = functools.cache(lambda *overrides: compose("job=universe", *overrides))


def parts(server: FakeMarkets, *overrides: str, **coins: Any) -> tuple[Survey, UniverseRules]:
    """What the configuration makes, pointed at the local server and without waits."""
    cfg = copy.deepcopy(composed(*overrides))
    OmegaConf.update(cfg.job.survey.coins, "url", f"{server.url}/api/v3")
    OmegaConf.update(cfg.job.survey.coins, "seconds_between", 0.0)
    OmegaConf.update(cfg.job.survey.retry, "first_seconds", 0.0)
    OmegaConf.update(cfg.job.survey.retry, "longest_seconds", 0.0)
    OmegaConf.update(cfg.job.survey.retry, "attempts", 3)
    for name, value in coins.items():
        OmegaConf.update(cfg.job.survey.coins, name, value, force_add=True)
    with_urls = {"urls": {"api": {"fapiPublic": f"{server.url}/fapi/v1"}}, "rateLimit": 1}
    OmegaConf.update(cfg.job.survey, "settings", with_urls, force_add=True)
    return build(cfg.job.survey), build(cfg.job.rules)


def take(server: FakeMarkets, *overrides: str, **coins: Any) -> Snapshot:
    survey, rules = parts(server, *overrides, **coins)
    return survey.take_snapshot(rules)


@functools.cache
def undisturbed() -> tuple[Row, ...]:
    with serving(FakeMarkets(usual_listings(), NOW_MS, bars=1)) as server:
        return take(server).rows


def asked_pages(server: FakeMarkets) -> list[str]:
    return [
        query["page"] for path, query in server.requests if path.endswith("coins/markets") and "category" not in query
    ]


def test_a_plain_list_of_the_100_largest_coins_comes_out_clean(markets: Markets) -> None:
    """25 of them cannot be traded; every one is named with its reason, and nothing else is lost."""
    snapshot = take(markets(), "job.rules.least_volume_usd=0")
    rows = {row.coin: row for row in snapshot.rows if not row.reason}
    assert len(TOP_100) == 100
    assert set(rows) == set(TOP_100) - UNTRADEABLE
    assert len(snapshot.members) == 75 == len(set(snapshot.members))
    why = {row.coin: row.reason for row in snapshot.rows if row.reason and row.symbol != "BTCUSDC"}
    assert set(why) == UNTRADEABLE
    assert {coin for coin, reason in why.items() if reason == "stablecoin"} == STABLE
    assert {coin for coin, reason in why.items() if reason == "wrapped or staked coin"} == WRAPPED
    assert why["LEO"] == "no perpetual of it"
    assert next(row for row in snapshot.rows if row.symbol == "USDCUSDT").reason == "stablecoin"
    assert (rows["SHIB"].symbol, rows["SHIB"].multiple) == ("1000SHIBUSDT", 1000)
    assert rows["BTC"].symbol == "BTCUSDT"
    assert snapshot.rows[0].rank == 1
    assert snapshot.rows[0].symbol == "BTCUSDT"


def test_the_snapshot_holds_what_the_exchange_and_the_list_say(markets: Markets) -> None:
    server = markets(spreads_bps={"BTCUSDT": 4.0})
    snapshot = take(server)
    first = snapshot.rows[0]
    assert (snapshot.exchange, snapshot.taken_ms) == ("binanceusdm", NOW_MS // 1000 * 1000)
    assert (first.symbol, first.market, first.coin_id) == ("BTCUSDT", "BTC/USDT:USDT", "btc-coin")
    assert first.market_cap_usd == 1e12
    assert first.volume_usd == pytest.approx(1e9)
    assert first.spread_bps == pytest.approx(4.0)
    assert first.age_days == pytest.approx(402.0, abs=0.01)


def test_markets_that_cannot_be_traded_are_kept_out(markets: Markets) -> None:
    listings = {
        "BTCUSDT": Listing(1, -400 * 288, volume=1e9),
        "ETHUSDT": Listing(2, -400 * 288, status="SETTLING", volume=1e9),
        "XRPUSDT": Listing(3, 0, volume=1e9),  # two days old
        "BNBUSDT": Listing(4, -400 * 288, volume=4.9e6),
        "SOLUSDT": Listing(5, -400 * 288, volume=1e9),
        "DOGEUSDT": Listing(6, -400 * 288, volume=1e9),
        "BTCUSDT_250926": Listing(7, -400 * 288, contract="CURRENT_QUARTER", volume=1e9),
        "TRXBUSD": Listing(8, -400 * 288, quote="BUSD", volume=1e9),
    }
    snapshot = take(markets(listings, spreads_bps={"SOLUSDT": 10.1, "DOGEUSDT": None}), "job.rules.coins_shown=0")
    assert {row.symbol: row.reason for row in snapshot.rows} == {
        "BTCUSDT": "",
        "ETHUSDT": "not active",
        "XRPUSDT": "listed less than 14 days ago",
        "BNBUSDT": "volume below 5,000,000 USD a day",
        "SOLUSDT": "spread above 10 bps",
        "DOGEUSDT": "spread not known",
        "BTCUSDT_250926": "not a perpetual",
        "TRXBUSD": "quoted in BUSD",
    }


def test_pages_are_read_until_there_are_enough(markets: Markets) -> None:
    for largest, page, pages in ((100, 30, 4), (60, 30, 2), (1000, 30, 4), (1000, 100, 2), (10, 250, 1)):
        server = markets()
        take(server, largest=largest, page=page)
        assert asked_pages(server) == [str(n + 1) for n in range(pages)], (largest, page)


def test_a_coin_that_moves_between_two_pages_counts_once(markets: Markets) -> None:
    shifted = usual_coins()
    shifted.insert(30, shifted[29])
    assert take(markets(coins=shifted), page=30).rows == take(markets(), page=30).rows


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "coins/markets", 429, (("Retry-After", "0"),)),
        Fault("status", "coins/markets", 503),
        Fault("truncated", "coins/markets"),
        Fault("cut", "coins/markets"),
        Fault("dropped", "coins/markets"),
        Fault("html", "coins/markets"),
        Fault("object", "coins/markets"),
        Fault("shape", "coins/markets"),
        Fault("slow", "coins/markets", seconds=0.6),
        Fault("truncated", "bookTicker"),
        Fault("status", "bookTicker", 418, (("Retry-After", "0"),)),
    ],
)
def test_a_broken_answer_is_asked_for_again(markets: Markets, fault: Fault) -> None:
    server = markets()
    server.faults.append(fault)
    assert take(server, timeout_seconds=0.3).rows == undisturbed()
    assert not server.faults


def test_no_list_of_coins_no_universe(markets: Markets) -> None:
    for fault, words in (
        (Fault("status", "coins/markets", 503), "within 3 attempts; found HTTP status 503"),
        (Fault("status", "coins/markets", 429, (("Retry-After", "3600"),)), "found HTTP status 429"),
        (Fault("status", "coins/markets", 401), "correct the address|Correct the address"),
    ):
        server = markets()
        server.faults.extend([fault] * 3)
        with pytest.raises(DataError, match=words):
            take(server)
    server = markets()
    server.categories["stablecoins"] = set()
    with pytest.raises(DataError, match=r"coins of the category 'stablecoins' .* found none"):
        take(server)


def test_an_unknown_category_is_an_error_and_never_an_empty_exclusion(markets: Markets) -> None:
    """The nearest ids are named, and the way on without categories."""
    server = markets()
    server.categories["stablecoin-all"] = server.categories.pop("stablecoins")
    with pytest.raises(DataError, match=r"'stablecoins'; the nearest are stablecoin-all.*go on being judged"):
        take(server)


def test_without_any_category_the_universe_is_as_clean(markets: Markets) -> None:
    """Lists of tickers, names and prices keep out what the categories would have."""
    none = [f"job.rules.excluded.{kind}.categories=[]" for kind in ("stablecoin", "wrapped_or_staked_coin")]
    server = markets(categories={})
    coins = server.coins
    coins.append(coin("ZUSX", 110, current_price=1.001, high_24h=1.002, low_24h=0.9995))
    coins.append(coin("VBTC", 111, current_price=coins[0]["current_price"] * 1.001))
    for name in ("ZUSX", "VBTC"):
        server.listings[f"{name}USDT"] = Listing(9, -400 * 288, volume=9e8)
        server._paths[f"{name}USDT"] = server._paths["BTCUSDT"]
    snapshot = take(server, "job.rules.least_volume_usd=0", *none)
    rows = {row.symbol: row.reason for row in snapshot.rows}
    assert set(snapshot.members) == set(take(markets(), "job.rules.least_volume_usd=0").members)
    assert (rows["ZUSXUSDT"], rows["VBTCUSDT"]) == ("stablecoin", "wrapped or staked coin")
    assert not [path for path, query in server.requests if "categor" in path or "category" in query]


def test_a_dead_address_is_one_sentence(markets: Markets) -> None:
    survey, rules = parts(markets(), url="http://127.0.0.1:9/api/v3")
    with pytest.raises(DataError, match=r"coins from http://127\.0\.0\.1:9"):
        survey.take_snapshot(rules)


def test_impossible_settings_are_refused(markets: Markets) -> None:
    server = markets()
    for settings in ({"page": 251}, {"largest": 0}, {"timeout_seconds": 0.0}, {"url": "api.coingecko.com"}):
        with pytest.raises(ConfigError, match=r"coins\."):
            parts(server, **settings)


def test_a_key_is_never_shown(markets: Markets) -> None:
    survey, _ = parts(markets(), headers={"x-cg-demo-api-key": "0a1b2c"})
    assert survey.coins.headers == {"x-cg-demo-api-key": "0a1b2c"}
    assert "0a1b2c" not in repr(survey)
    assert isinstance(survey.coins, CoinGecko)


def test_coins_that_share_a_ticker_are_told_apart_by_price(markets: Markets) -> None:
    """A larger namesake of another price does not lend a perpetual its category or its size."""
    coins = [coin("SUI", 0, id="sui-stable", current_price=1.0), *usual_coins()]
    server = markets(coins=coins, categories={**FakeMarkets({}, 0).categories, "stablecoins": {"sui-stable"}})
    server.prices["SUIUSDT"] = coins[TOP_100.index("SUI") + 1]["current_price"]
    row = next(row for row in take(server).rows if row.symbol == "SUIUSDT")
    assert (row.coin_id, row.reason) == ("sui-coin", "")
