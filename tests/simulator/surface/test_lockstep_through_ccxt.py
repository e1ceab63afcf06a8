"""A strategy's orders through ccxt and HTTP in lockstep: the backtest's fills, lot for lot and tick for tick."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from decimal import Decimal
from typing import Any

import ccxt
import numpy as np
import pytest
from lockstep import MARKETS, LockstepTrader, ReplayedMarket, by_price, fills_of

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, running_exchange
from quantlab.simulator.wire.limits import LimitRules

CASH = 10_000.0
WIDE = LimitRules(weight_1m=10**9, orders_10s=10**9, orders_1m=10**9)


class CcxtClient:
    """The harness's client, each call of it one or two requests of the locked ccxt; sizes and prices go as decimal text."""

    def __init__(self, url: str, bars: Bars) -> None:
        self.url, self.bars = url, bars
        self.ccxt = ccxt.binanceusdm({"apiKey": "demo-key", "secret": "demo-secret", "enableRateLimit": False})
        self.ccxt.options["fetchCurrencies"] = False
        for name, text in self.ccxt.urls["api"].items():
            if isinstance(text, str):
                self.ccxt.urls["api"][name] = text.replace("https://fapi.binance.com", url)
        self.ccxt.load_markets()
        self.names = [f"{symbol}/USDT:USDT" for symbol in bars.symbols]
        self.steps = [(Decimal(repr(i.lot)), Decimal(repr(i.tick))) for i in bars.instruments]
        self.seen = [0] * bars.n_symbols
        self.held: list[dict[str, Any]] | None = None
        self.opened_ms = 0

    def text(self, column: int, lots: int, ticks: int = 0) -> tuple[str, str]:
        lot, tick = self.steps[column]
        return format(abs(lots) * lot, "f"), format(ticks * tick, "f")

    def market(self, column: int, lots: int, *, reduce_only: bool) -> tuple[int, int]:
        self.held = None
        side, (size, _) = "buy" if lots > 0 else "sell", self.text(column, lots)
        try:
            order = self.ccxt.create_order(self.names[column], "market", side, size, None, {"reduceOnly": reduce_only})
        except ccxt.ExchangeError as error:
            self.refused(error, "-2022", "-4164", "-2019")
            return 0, 0
        lot, tick = self.steps[column]
        filled = int(Decimal(order["info"]["executedQty"]) / lot)
        return (filled if lots > 0 else -filled), int(Decimal(order["info"]["avgPrice"]) / tick)

    def take(self, column: int, lots: int, ticks: int) -> bool:
        side, (size, price) = "buy" if lots > 0 else "sell", self.text(column, lots, ticks)
        rules = {"reduceOnly": True, "timeInForce": "GTX", "clientOrderId": f"take-{column}"}
        return self.is_taken(
            lambda: self.ccxt.create_order(self.names[column], "limit", side, size, price, rules), "-5022"
        )

    def stop(self, column: int, side: int, ticks: int) -> bool:
        rules = {
            "stopLossPrice": self.text(column, 0, ticks)[1],
            "closePosition": True,
            "clientOrderId": f"stop-{column}",
        }
        name, word = self.names[column], "buy" if side > 0 else "sell"
        return self.is_taken(lambda: self.ccxt.create_order(name, "market", word, None, None, rules), "-2021")

    def is_taken(self, send: Any, expected: str) -> bool:
        try:
            send()
        except ccxt.ExchangeError as error:
            self.refused(error, expected)
            return False
        return True

    @staticmethod
    def refused(error: Exception, *codes: str) -> None:
        """Let a refusal pass that the harness knows."""
        if not any(code in str(error) for code in codes):
            raise error

    def quote(self, column: int) -> tuple[int, int]:
        name, tick = self.names[column], self.steps[column][1]
        best = self.ccxt.fetch_bids_asks([name])[name]["info"]
        return int(Decimal(best["bidPrice"]) / tick), int(Decimal(best["askPrice"]) / tick)

    def set_liquidity(self, column: int, share: float) -> None:
        symbol = f"{self.bars.symbols[column]}USDT"
        self.control("market", {"kind": "liquidity", "symbol": symbol, "share": str(share)})

    def control(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask the exchange itself, which a venue has nothing of."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data, method="POST")  # noqa: S310
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            answer: dict[str, Any] = json.load(reply)
        return answer

    def cancel_take(self, column: int) -> None:
        self.cancel(column, {"origClientOrderId": f"take-{column}"})

    def cancel_stop(self, column: int) -> None:
        self.cancel(column, {"clientAlgoId": f"stop-{column}", "trigger": True})

    def cancel(self, column: int, which: dict[str, Any]) -> None:
        with contextlib.suppress(ccxt.OrderNotFound):  # it filled or fired
            self.ccxt.cancel_order("", self.names[column], which)

    def advance(self) -> None:
        self.held = None
        state = self.control("advance")
        assert state["ended_bars"] == 1
        self.opened_ms = state["market_ms"]

    def positions(self) -> dict[str, dict[str, Any]]:
        if self.held is None:
            self.held = self.ccxt.fapiPrivateV2GetPositionRisk()
        return {row["symbol"]: row for row in self.held}

    def lots(self) -> list[int]:
        rows = self.positions()
        found = [rows[f"{symbol}USDT"]["positionAmt"] for symbol in self.bars.symbols]
        return [int(Decimal(size) / lot) for size, (lot, _) in zip(found, self.steps, strict=True)]

    def entry_price(self, column: int) -> float:
        return float(self.positions()[f"{self.bars.symbols[column]}USDT"]["entryPrice"])

    def equity(self) -> float:
        worth = Decimal(self.ccxt.fapiPrivateV3GetAccount()["totalMarginBalance"])
        funding = self.ccxt.fapiPrivateGetIncome(
            {"incomeType": "FUNDING_FEE", "startTime": self.opened_ms, "limit": 1_000}
        )
        return float(worth - sum(Decimal(row["income"]) for row in funding))

    def new_fills(self, row: int) -> list[tuple[int, int, int, int]]:
        found = []
        for column, name in enumerate(self.names):
            trades = self.ccxt.fetch_my_trades(name, params={"fromId": self.seen[column] + 1}, limit=1_000)
            for trade in sorted(trades, key=lambda t: int(t["id"])):  # ccxt sorts ids of one time as text
                info, (lot, tick) = trade["info"], self.steps[column]
                lots = int(Decimal(info["qty"]) / lot) * (1 if info["side"] == "BUY" else -1)
                found.append((int(info["id"]), (row, column, lots, int(Decimal(info["price"]) / tick))))
                self.seen[column] = int(info["id"])
        return [fill for _, fill in sorted(found)]


@pytest.mark.slow
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: f"seed{market.seed}")
def test_fills_and_equity_are_the_backtest_s(market: ReplayedMarket, grid_bars, grid_signal, grid_strategy) -> None:
    bars, strategy = grid_bars(market.seed), grid_strategy(participation=market.participation)
    signal = grid_signal(bars, market.seed, trailing=market.trailing)
    backtest = Scan(CASH).run(bars, signal, strategy)
    with running_exchange(bars, strategy.costs, Settings(VenueRules("lockstep"), cash=CASH, limits=WIDE)) as running:
        outcome = LockstepTrader(CcxtClient(running.url, bars), bars, signal, strategy, CASH).run()
    assert by_price(outcome.fills) == by_price(fills_of(backtest, bars))
    np.testing.assert_allclose(outcome.equity, backtest.equity, rtol=1e-9, atol=0.0)
    assert len(outcome.fills) > 500
