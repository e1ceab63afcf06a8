"""Who belongs and why not: names, prices, kinds, limits, duplicates, ranks; without any network."""

from __future__ import annotations

from typing import Any

import pytest

from quantlab.core.errors import ConfigError
from quantlab.data.exchange.quirks import Quirks, quirks_of
from quantlab.data.universe.coingecko import Coin
from quantlab.data.universe.exclusions import CoinList, ExclusionRule, Lookalike, Peg
from quantlab.data.universe.markets import Contract, contracts_of
from quantlab.data.universe.names import Reading, readings
from quantlab.data.universe.rules import UniverseRules
from quantlab.data.universe.snapshot import Row

DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS


def contract(base: str, price: float | None = 10.0, **facts: Any) -> Contract:
    values: dict[str, Any] = {
        "symbol": f"{base}USDT",
        "market": f"{base}/USDT:USDT",
        "quote": "USDT",
        "unfit_reason": "",
        "created_ms": 0,
        "volume_usd": 1e6,
        "spread_bps": 1.0,
    }
    return Contract(base=base, price=price, **{**values, **facts})


def kind(categories: Any = (), symbols: Any = (), **more: Any) -> ExclusionRule:
    return ExclusionRule(categories, symbols, **{"patterns": [], "names": [], "peg": None, "lookalike": None, **more})


def rules(**settings: Any) -> UniverseRules:
    values: dict[str, Any] = {
        "quotes": ["USDT"],
        "excluded": {
            "stablecoin": kind(["stable"], ["DAI"]),
            "leveraged token": kind(patterns=["[A-Z]{2,}[2-5][LS]", "(BTC|ETH)(UP|DOWN)"]),
        },
        "rank_by": "volume",
        "largest": 10,
        "coins_shown": 0,
        "least_volume_usd": 1e5,
        "widest_spread_bps": 10.0,
        "least_age_days": 30.0,
        "price_tolerance": 0.1,
    }
    return UniverseRules(**{**values, **settings})


def coins(*listed: tuple[str, str, float | None], stable: tuple[str, ...] = ()) -> CoinList:
    """Coins (id, ticker, price), the largest first."""
    found = tuple(Coin(name, ticker, name, 1e9 / (k + 1), price) for k, (name, ticker, price) in enumerate(listed))
    return CoinList(found, {"stable": frozenset(stable)})


def reasons(rows: tuple[Row, ...]) -> dict[str, str]:
    return {row.symbol or row.coin: row.reason for row in rows}


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("BTC", [("BTC", 1)]),
        ("1000SHIB", [("1000SHIB", 1), ("SHIB", 1_000)]),
        ("10000LADYS", [("10000LADYS", 1), ("LADYS", 10_000)]),
        ("1000000MOG", [("1000000MOG", 1), ("MOG", 1_000_000)]),
        ("1MBABYDOGE", [("1MBABYDOGE", 1), ("BABYDOGE", 1_000_000)]),
        ("SHIB1000", [("SHIB1000", 1), ("SHIB", 1_000)]),
        ("kPEPE", [("KPEPE", 1), ("PEPE", 1_000)]),
        ("KAVA", [("KAVA", 1), ("AVA", 1_000)]),
        ("1INCH", [("1INCH", 1)]),
        ("1000X", [("1000X", 1), ("X", 1_000)]),
        ("AI16Z", [("AI16Z", 1)]),
    ],
)
def test_a_base_is_read_in_every_way_that_it_can_be(base: str, found: list[tuple[str, int]]) -> None:
    assert readings(base) == tuple(Reading(*one) for one in found)


@pytest.mark.parametrize(
    ("base", "price", "expected"),
    [
        ("1000SHIB", 0.012, ("shiba", "SHIB", 1_000)),
        ("kPEPE", 0.0101, ("pepe", "PEPE", 1_000)),
        ("KAVA", 0.4, ("kava", "KAVA", 1)),
        ("KAVA", 500.0, ("ava", "AVA", 1_000)),  # a thousand of another coin, by its price
        ("1000SATS", 3e-5, ("sats", "1000SATS", 1)),
        ("SUN", 0.02, ("sun-small", "SUN", 1)),  # the larger coin of that ticker costs 5
        ("SUN", 0.9, (None, "SUN", 1)),  # no coin of that price: nothing is guessed
        ("SUN", None, ("sun-large", "SUN", 1)),  # without a price the largest
    ],
)
def test_the_price_decides_which_coin_is_meant(
    base: str, price: float | None, expected: tuple[str | None, str, int]
) -> None:
    known = coins(
        ("shiba", "SHIB", 1.25e-5),
        ("pepe", "PEPE", 1e-5),
        ("kava", "KAVA", 0.41),
        ("ava", "AVA", 0.5),
        ("sats", "1000SATS", 3e-5),
        ("sun-large", "SUN", 5.0),
        ("sun-small", "SUN", 0.02),
    )
    row = rules().judge([contract(base, price)], known, NOW_MS)[0]
    assert (row.coin_id, row.coin, row.multiple) == expected


def test_every_exclusion_says_why() -> None:
    known = coins(("btc", "BTC", 10.0), ("paypal", "PYUSD", 10.0), ("leo", "LEO", 9.0), stable=("paypal",))
    market = [
        contract("BTC"),
        contract("PYUSD"),
        contract("DAI", None),
        contract("BTC3L"),
        contract("ETHDOWN"),
        contract("JUP"),  # ends like one, and is none
        contract("OLD", unfit_reason="not active"),
        contract("THIN", volume_usd=99_999.0),
        contract("MUTE", volume_usd=None),
        contract("WIDE", spread_bps=10.01),
        contract("BLIND", spread_bps=None),
        contract("YOUNG", created_ms=NOW_MS - 29 * DAY_MS),
        contract("AGELESS", created_ms=None),
    ]
    rows = rules(coins_shown=3).judge(market, known, NOW_MS)
    assert reasons(rows) == {
        "BTCUSDT": "",
        "JUPUSDT": "",
        "PYUSDUSDT": "stablecoin",
        "DAIUSDT": "stablecoin",
        "BTC3LUSDT": "leveraged token",
        "ETHDOWNUSDT": "leveraged token",
        "OLDUSDT": "not active",
        "THINUSDT": "volume below 100,000 USD a day",
        "MUTEUSDT": "no volume",
        "WIDEUSDT": "spread above 10 bps",
        "BLINDUSDT": "spread not known",
        "YOUNGUSDT": "listed less than 30 days ago",
        "AGELESSUSDT": "age not known",
        "LEO": "no perpetual of it",
    }
    relaxed = rules(widest_spread_bps=None, least_age_days=None, least_volume_usd=0.0)
    let_in = {symbol for symbol, reason in reasons(relaxed.judge(market, known, NOW_MS)).items() if not reason}
    assert let_in >= {"THINUSDT", "WIDEUSDT", "BLINDUSDT", "YOUNGUSDT", "AGELESSUSDT"}
    assert "MUTEUSDT" not in let_in


def test_a_thousand_of_an_excluded_coin_is_excluded() -> None:
    for price in (1_000.0, 1_500.0):  # also where no coin of that price is known
        row = rules().judge([contract("1000DAI", price)], coins(("dai", "DAI", 1.0)), NOW_MS)[0]
        assert row.reason == "stablecoin"


def test_one_perpetual_a_coin_and_the_largest_of_the_rest() -> None:
    known = coins(("a", "AAA", 10.0), ("b", "BBB", 10.0), ("c", "CCC", 10.0))
    market = [
        contract("CCC", volume_usd=9e6),
        contract("AAA", symbol="AAAUSDC", volume_usd=3e6),
        contract("AAA", volume_usd=4e6),
        contract("BBB", volume_usd=5e6),
        contract("ZZZ", volume_usd=8e6),
    ]
    rows = rules(largest=3).judge(market, known, NOW_MS)
    assert [(row.symbol, row.rank) for row in rows[:3]] == [("CCCUSDT", 1), ("ZZZUSDT", 2), ("BBBUSDT", 3)]
    assert reasons(rows)["AAAUSDC"] == "another perpetual of its coin is traded more"
    assert reasons(rows)["AAAUSDT"] == "not among the 3 largest by volume"
    by_cap = rules(largest=3, rank_by="market_cap").judge(market, known, NOW_MS)
    assert [row.symbol for row in by_cap[:3]] == ["AAAUSDT", "BBBUSDT", "CCCUSDT"]
    assert reasons(by_cap)["ZZZUSDT"] == "market capitalisation not known"


def test_the_order_of_the_exchange_changes_nothing() -> None:
    known = coins(("a", "AAA", 10.0), ("b", "BBB", 10.0))
    market = [contract("AAA"), contract("BBB"), contract("AAA", symbol="AAAUSDC"), contract("CCC"), contract("DAI")]
    assert rules().judge(market, known, NOW_MS) == rules().judge(market[::-1], known, NOW_MS)


def test_markets_become_contracts() -> None:
    usual = {"contract": True, "swap": True, "linear": True, "active": True, "quote": "USDT", "settle": "USDT"}
    changes: dict[str, dict[str, Any]] = {
        "fine": {},
        "spot": {"contract": False},
        "future": {"swap": False},
        "inverse": {"linear": False},
        "euro": {"quote": "EUR"},
        "coin": {"settle": "BTC"},
        "closed": {"active": False},
        "option": {"option": True},
    }
    markets = {name: {**usual, "id": name, "base": "X", **change} for name, change in changes.items()}
    tickers = {"fine": {"quoteVolume": 5.0, "last": 2.0, "bid": 1.0, "ask": 3.0}, "euro": {"quoteVolume": None}}
    found = {
        one.symbol: one
        for one in contracts_of(markets, tickers, {"euro": {"bid": 3.0, "ask": 1.0}}, ["USDT"], Quirks())
    }
    assert {name: one.unfit_reason for name, one in found.items()} == {
        "fine": "",
        "future": "not a perpetual",
        "inverse": "not linear",
        "euro": "quoted in EUR",
        "coin": "settled in BTC",
        "closed": "not active",
    }
    assert (found["fine"].spread_bps, found["fine"].volume_usd, found["fine"].price) == (1e4, 5.0, 2.0)
    assert (found["euro"].spread_bps, found["euro"].volume_usd) == (None, None)  # a crossed book is no spread


@pytest.mark.parametrize(
    "settings",
    [
        {"largest": 0},
        {"rank_by": "alphabet"},
        {"least_volume_usd": -1.0},
        {"widest_spread_bps": -1.0},
        {"least_age_days": float("nan")},
        {"price_tolerance": 1.1},
    ],
)
def test_impossible_rules_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"rules\."):
        rules(**settings)
    with pytest.raises(ConfigError, match="regular expression"):
        kind(patterns=["["])


def test_what_no_list_knows_shows_itself_by_name_and_by_price() -> None:
    """Without categories and tickers: a dollar all day, a bitcoin in a wrapper, a name that says it."""
    stable = kind(names=[r"\busd\b"], peg=Peg(1.0, 0.02, 0.01))
    wrapped = kind(names=[r"\b(wrapped|staked)\b"], lookalike=Lookalike(["BTC", "SOL"], [0.9, 2.0]))
    listed = (
        Coin("bitcoin", "BTC", "Bitcoin", 1e12, 100_000.0, 101_000.0, 99_000.0),
        Coin("solana", "SOL", "Solana", 1e11, 150.0, 155.0, 149.0),
        Coin("new-dollar", "ZUSX", "Zed", 1e10, 1.004, 1.006, 1.001),
        Coin("a-dollar-by-chance", "WILD", "Wild", 1e9, 1.004, 1.09, 0.93),
        Coin("named", "PYX", "Paycorp USD", 1e9, 1.3, None, None),
        Coin("vault-btc", "VBTC", "Vault Bitcoin", 1e8, 99_500.0, None, None),
        Coin("staked-sol", "JSOL", "J Liquid", 1e8, 210.0, None, None),
        Coin("solv", "SOLV", "Solv", 1e8, 0.04, 0.05, 0.03),
        Coin("btc-dog", "DOGBTC", "Dog of Bitcoin", 1e8, 0.01, 0.02, 0.01),
        Coin("w", "WX", "Wrapped X", 1e8, 5.0, 6.0, 4.0),
        Coin("stacks", "STX", "Stacks", 1e8, 1.9, 2.0, 1.8),
        Coin("usual", "USUAL", "Usual", 1e8, 0.5, 0.6, 0.4),
    )
    known = CoinList(listed, {})
    assert [one.symbol for one in listed if stable.matches(one.symbol, one, known)] == ["ZUSX", "PYX"]
    assert [one.symbol for one in listed if wrapped.matches(one.symbol, one, known)] == ["VBTC", "JSOL", "WX"]
    assert not stable.matches("ZUSX", None, known)  # nothing is guessed of a coin that is not known
    with pytest.raises(ConfigError, match=r"lookalike\.multiples around 1"):
        Lookalike(["BTC"], [1.1, 2.0])


def test_the_fingerprint_follows_every_rule() -> None:
    changed: list[dict[str, Any]] = [
        {"largest": 11},
        {"rank_by": "market_cap"},
        {"least_age_days": None},
        {"quotes": []},
    ]
    changed += [{"excluded": {}}, {"excluded": {"stablecoin": kind(["stable"], ["DAI", "USDC"])}}]
    prints = {rules(**one).fingerprint for one in changed}
    assert len(prints | {rules().fingerprint}) == len(changed) + 1


def test_a_contract_is_named_and_measured_as_its_exchange_means_it() -> None:
    """Hyperliquid's id is a place in a list, OKX's volume counts contracts of a hundredth of a coin."""
    every = {"contract": True, "swap": True, "linear": True, "active": True}
    place = {**every, "id": "5", "base": "KPEPE", "baseName": "kPEPE", "quote": "USDC", "settle": "USDC"}
    swap = {**every, "id": "BTC-USDT-SWAP", "base": "BTC", "quote": "USDT", "settle": "USDT", "contractSize": 0.01}
    [one] = contracts_of({"K": place}, {"K": {"quoteVolume": 7e6, "last": 0.01}}, {}, ["USDC"], Quirks())
    assert (one.symbol, one.base, one.volume_usd, one.unfit_reason) == ("kPEPE", "kPEPE", 7e6, "")
    [two] = contracts_of({"B": swap}, {"B": {"baseVolume": 3e4, "last": 1e5}}, {}, ["USDT"], quirks_of("okx"))
    assert (two.symbol, two.volume_usd) == ("BTC-USDT-SWAP", 3e7)
    [three] = contracts_of({"B": swap}, {"B": {"baseVolume": 3e4, "last": 1e5}}, {}, ["USDT"], Quirks())
    assert three.volume_usd is None  # of another exchange it could be coins: nothing is guessed
