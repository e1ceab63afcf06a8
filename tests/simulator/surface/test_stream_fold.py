"""A client that follows the user stream alone knows what a client that asks knows: both books, trades, wallet, positions."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from quantlab.simulator.wire.limits import LimitRules

WIDE = LimitRules(weight_1m=10**9, orders_10s=10**9, orders_1m=10**9)
SYMBOLS = {"SYN00USDT": ("950.00", "940.00", "960.00"), "SYN01USDT": ("0.0000352", "0.0000340", "0.0000360")}
SIZES = {"SYN00USDT": ("1", "2.5", "6"), "SYN01USDT": ("1000000", "30000000", "2500000")}


class Fold:
    """What the frames of a user stream say, and nothing else."""

    def __init__(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.algos: dict[int, dict[str, Any]] = {}
        self.trades: dict[int, dict[str, Any]] = {}
        self.positions: dict[str, str] = {}
        self.wallet = ""

    def hear(self, frame: dict[str, Any]) -> None:
        order = frame.get("o", {})
        if frame["e"] == "ORDER_TRADE_UPDATE":
            self.orders[order["i"]] = order
            if order["x"] in ("TRADE", "CALCULATED"):
                assert order["t"] not in self.trades
                self.trades[order["t"]] = order
        elif frame["e"] == "ALGO_UPDATE":
            self.algos[order["aid"]] = order
        elif frame["e"] == "ACCOUNT_UPDATE":
            self.wallet = frame["a"]["B"][0]["wb"]
            self.positions |= {row["s"]: row["pa"] for row in frame["a"]["P"]}


def trade_at_random(client: Any, rng: random.Random) -> None:
    symbol, venue = rng.choice(sorted(SYMBOLS)), client.exchange.venue
    asked = {"symbol": symbol, "side": rng.choice(("BUY", "SELL")), "quantity": rng.choice(SIZES[symbol])}
    asked |= {"reduceOnly": "true"} if rng.random() < 0.3 else {}
    level, kind = rng.choice(SYMBOLS[symbol]), rng.random()
    if kind < 0.35:
        client.ask("POST", "/fapi/v1/order", **asked, type="MARKET")
    elif kind < 0.6:
        life = rng.choice(("GTC", "IOC", "FOK", "GTX"))
        client.ask("POST", "/fapi/v1/order", **asked, type="LIMIT", price=level, timeInForce=life)
    elif kind < 0.8:
        stop = rng.choice(("STOP_MARKET", "TAKE_PROFIT_MARKET"))
        client.ask("POST", "/fapi/v1/algoOrder", **asked, algoType="CONDITIONAL", type=stop, triggerPrice=level)
    elif kind < 0.85:
        trail = {"type": "TRAILING_STOP_MARKET", "callbackRate": "0.2"}
        client.ask("POST", "/fapi/v1/algoOrder", **asked, algoType="CONDITIONAL", **trail)
    elif kind < 0.9:
        client.ask("DELETE", f"/fapi/v1/{rng.choice(('allOpenOrders', 'algoOpenOrders'))}", symbol=symbol)
    elif kind < 0.94:
        opened = client.take("GET", "openOrders", symbol=symbol)
        for row in opened[:1]:
            more = {"orderId": row["orderId"], "side": row["side"], "price": level, "quantity": asked["quantity"]}
            client.ask("PUT", "/fapi/v1/order", symbol=symbol, **more)
    elif kind < 0.96:
        venue.transfer("main", Decimal(rng.choice((-5, 20))), venue.now_ms)
    elif kind < 0.98:
        venue.force_adl("main", symbol, 300, venue.now_ms)
    elif kind < 0.985:
        venue.force_liquidation("main", venue.now_ms)


@pytest.mark.parametrize("mode", ["lockstep", "wall"])
def test_the_frames_of_a_stream_add_up_to_what_the_endpoints_say(make_client: Callable, mode: str) -> None:
    client, rng, fold = make_client(mode, limits=WIDE, pace=60.0, slices=2), random.Random(11), Fold()  # noqa: S311
    client.take("POST", "listenKey")
    for k in range(900):
        trade_at_random(client, rng)
        if k % 9 == 0:
            client.pass_time()
        for frame in client.exchange.user_frames():
            fold.hear(frame.document)
    asked = {"limit": 1000}
    rows = [row for symbol in SYMBOLS for row in client.take("GET", "allOrders", symbol=symbol, **asked)]
    assert len(rows) == len(fold.orders) > 200
    for row in rows:
        heard = fold.orders[row["orderId"]]
        shown = [row[name] for name in ("status", "executedQty", "avgPrice", "origQty", "price", "clientOrderId")]
        assert shown == [heard[name] for name in ("X", "z", "ap", "q", "p", "c")], row
    rows = [row for symbol in SYMBOLS for row in client.take("GET", "allAlgoOrders", symbol=symbol, **asked)]
    assert len(rows) == len(fold.algos) > 50
    for row in rows:
        heard = fold.algos[row["algoId"]]
        names = ("algoStatus", "actualOrderId", "actualQty", "actualPrice", "triggerPrice", "quantity")
        assert [row[name] for name in names] == [heard[name] for name in ("X", "ai", "aq", "ap", "tp", "q")], row
    rows = [row for symbol in SYMBOLS for row in client.take("GET", "userTrades", symbol=symbol, **asked)]
    assert len(rows) == len(fold.trades) > 100
    for row in rows:
        heard = fold.trades[row["id"]]
        names = ("orderId", "price", "qty", "commission", "realizedPnl", "maker", "time")
        assert [row[name] for name in names] == [heard[name] for name in ("i", "L", "l", "n", "rp", "m", "T")]
    account = client.take("GET", "/fapi/v2/account")
    assert account["totalWalletBalance"] == fold.wallet
    held = {row["symbol"]: row["positionAmt"] for row in account["positions"]}
    assert all(held[symbol] == size for symbol, size in fold.positions.items())
