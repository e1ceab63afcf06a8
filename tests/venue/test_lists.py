"""Lists of the past: every row once and in order, from whichever end the venue fills a page."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlab.core.errors import ConfigError, DataError
from quantlab.core.venue.answers import Payment, PaymentKind, VenueTrade
from quantlab.venue.listings import choose_markets
from quantlab.venue.lists import payments_since, trades_after, trades_since

WEEK = 1_000  #: A short one, so that lists have many windows.


def trade(number: int, time_ms: int) -> VenueTrade:
    return VenueTrade("BTC", str(number), "1", 1, 1, 1, Decimal(0), "USDT", False, time_ms)


class Pages:
    """A dialect with lists in memory, whose pages hold so many rows and begin at either end."""

    longest_window_ms = WEEK

    def __init__(self, rows: list[Any], most: int, newest_first: bool) -> None:
        self.rows, self.most, self.newest_first, self.asked = rows, most, newest_first, 0

    def _page(self, rows: list[Any], skipped: int = 0) -> tuple[list[Any], bool]:
        self.asked += 1
        ordered = rows[::-1] if self.newest_first else rows
        page = ordered[skipped : skipped + self.most]
        return page, len(page) >= self.most

    async def trades_from(self, read: Any, listing: Any, from_id: int) -> tuple[list[VenueTrade], bool]:
        page = [one for one in self.rows if int(one.trade_id) >= from_id][: self.most]
        return page, len(page) >= self.most

    async def trades_between(self, read: Any, listing: Any, start: int, end: int) -> tuple[list[VenueTrade], bool]:
        assert end - start < WEEK
        page, full = self._page([one for one in self.rows if start <= one.time_ms <= end])
        return sorted(page, key=lambda one: int(one.trade_id)), full

    async def payments_between(
        self, read: Any, listings: Any, start: int, end: int, page: int
    ) -> tuple[list[Payment], bool]:
        return self._page([one for one in self.rows if start <= one.time_ms <= end], (page - 1) * self.most)


@settings(max_examples=60)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 0, 1, 7, 900, 5_000]), max_size=60),
    most=st.integers(4, 9),
    newest_first=st.booleans(),
    since=st.integers(0, 20_000),
)
def test_trades_are_found_whole_from_a_time_and_from_an_id(
    gaps: list[int], most: int, newest_first: bool, since: int
) -> None:
    rows, time_ms = [], 0
    for number, gap in enumerate(gaps, 95):
        # At most three in one ms: as many as a page holds could not be told from more.
        time_ms += gap or int(len(rows) >= 3 and rows[-3].time_ms == time_ms)
        rows.append(trade(number, time_ms))
    dialect: Any = Pages(rows, most, newest_first)
    found = asyncio.run(trades_since(dialect, None, None, since, 10**6))  # type: ignore[arg-type]
    assert found == [one for one in rows if one.time_ms >= since]
    found = asyncio.run(trades_after(dialect, None, None, 99))  # type: ignore[arg-type]
    assert found == [one for one in rows if int(one.trade_id) > 99]


@settings(max_examples=60)
@given(
    times=st.lists(st.integers(0, 5_000), max_size=60),
    most=st.integers(1, 9),
    newest_first=st.booleans(),
    since=st.integers(0, 6_000),
)
def test_payments_are_found_each_once(times: list[int], most: int, newest_first: bool, since: int) -> None:
    rows = [
        Payment(PaymentKind.FUNDING, "FUNDING_FEE", str(number), "BTC", Decimal(number), "USDT", time_ms)
        for number, time_ms in enumerate(sorted(times), 95)
    ]
    dialect: Any = Pages(rows, most, newest_first)
    found = asyncio.run(payments_since(dialect, None, None, since, 5_500))  # type: ignore[arg-type]
    assert found == [one for one in rows if one.time_ms >= since]


def test_a_list_that_turns_back_is_refused() -> None:
    class Turning(Pages):
        async def trades_from(self, read: Any, listing: Any, from_id: int) -> tuple[list[VenueTrade], bool]:
            return self.rows, True

    class Named:
        symbol = "BTC"

    dialect: Any = Turning([trade(98, 0), trade(99, 0), trade(100, 0)], 3, False)
    with pytest.raises(DataError, match="trades of BTC after 100"):
        asyncio.run(trades_after(dialect, None, Named(), 97))  # type: ignore[arg-type]


def test_names_of_the_session_lead_to_one_market_each() -> None:
    def market(name: str, base: str, quote: str = "USDT", settle: str = "USDT", swap: bool = True) -> dict[str, Any]:
        unified = f"{base}/{quote}:{settle}"
        return {
            "id": name,
            "symbol": unified,
            "base": base,
            "quote": quote,
            "settle": settle,
            "swap": swap,
            "linear": True,
        }

    known = [market("BTCUSDT", "BTC"), market("ETHUSDT", "ETH"), market("BTCUSDC", "BTC", "USDC", "USDC")]
    known += [market("kPEPEUSDT", "kPEPE"), market("BTCUSDT_260327", "BTC", swap=False)]
    markets = {one["id"]: one for one in known}
    chosen = choose_markets(["BTC", "ETHUSDT", "KPEPE", "NONE"], markets, "USDT")
    assert {name: one["id"] for name, one in chosen.items()} == {
        "BTC": "BTCUSDT",
        "ETHUSDT": "ETHUSDT",
        "KPEPE": "kPEPEUSDT",
    }
    with pytest.raises(ConfigError, match="two for BTCUSDT"):
        choose_markets(["BTC", "BTCUSDT"], markets, "USDT")
    markets["BTCUSDT2"] = market("BTCUSDT2", "BTC")
    with pytest.raises(ConfigError, match="one market that BTC means"):
        choose_markets(["BTC"], markets, "USDT")
