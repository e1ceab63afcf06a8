"""python-binance trades once around: ``python python_binance.py URL SYMBOL``; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal

from binance import AsyncClient, BinanceSocketManager, Client


async def listen(url: str, symbol: str, trade) -> list[str]:
    client = AsyncClient("demo-key", "demo-secret")
    client.FUTURES_URL = f"{url}/fapi"
    manager = BinanceSocketManager(client)
    manager.FSTREAM_URL = url.replace("http", "ws") + "/"
    kinds: list[str] = []
    async with (
        manager.futures_user_socket() as socket,
        manager.kline_futures_socket(symbol, "5m") as candles,
    ):
        await asyncio.to_thread(trade)
        while kinds.count("ACCOUNT_UPDATE") < 2:
            kinds.append((await asyncio.wait_for(socket.recv(), 20))["e"])
        kinds.append((await asyncio.wait_for(candles.recv(), 20))["e"])
    await client.close_connection()
    return kinds


def main(url: str, symbol: str) -> None:
    client = Client("demo-key", "demo-secret", ping=False)
    client.FUTURES_URL = f"{url}/fapi"
    seen: dict = {}

    def trade() -> None:
        opened = client.futures_create_order(
            symbol=symbol, side="BUY", type="MARKET", quantity="2", newOrderRespType="RESULT"
        )
        level = str((Decimal(opened["avgPrice"]) * Decimal("0.9")).quantize(Decimal("0.01")))
        stop = client.futures_create_order(
            symbol=symbol, side="SELL", type="STOP_MARKET", stopPrice=level, closePosition=True
        )
        seen["books"] = [
            len(client.futures_get_open_orders(symbol=symbol)),
            len(client.futures_get_open_algo_orders(symbol=symbol)),
        ]
        client.futures_cancel_algo_order(symbol=symbol, algoId=stop["algoId"])
        client.futures_create_order(symbol=symbol, side="SELL", type="MARKET", quantity="2", reduceOnly=True)

    seen["stream"] = asyncio.run(listen(url, symbol, trade))
    client.futures_exchange_info()
    client.futures_klines(symbol=symbol, interval="5m", limit=3)
    seen["balance"] = client.futures_account()["totalWalletBalance"]
    seen["positions"] = [p["positionAmt"] for p in client.futures_position_information(symbol=symbol)]
    seen["trades"] = [[t["id"], t["price"], t["commission"]] for t in client.futures_account_trades(symbol=symbol)]
    seen["income"] = [row["incomeType"] for row in client.futures_income_history()]
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
