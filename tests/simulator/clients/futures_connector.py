"""binance-futures-connector trades once around: ``python futures_connector.py URL SYMBOL``; prints what it saw as JSON.

It knows no conditional book: its stop goes to the plain one, and is refused there with -4120.
"""

from __future__ import annotations

import json
import sys
import time

from binance.error import ClientError
from binance.um_futures import UMFutures
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient


def main(url: str, symbol: str) -> None:
    client = UMFutures(key="demo-key", secret="demo-secret", base_url=url)  # noqa: S106
    frames: list[str] = []
    stream = UMFuturesWebsocketClient(
        stream_url=url.replace("http", "ws"), on_message=lambda _, text: frames.append(json.loads(text).get("e", ""))
    )
    stream.user_data(listen_key=client.new_listen_key()["listenKey"])
    time.sleep(0.5)
    seen: dict = {}
    client.new_order(symbol=symbol, side="BUY", type="MARKET", quantity="2", newOrderRespType="RESULT")
    try:
        client.new_order(symbol=symbol, side="SELL", type="STOP_MARKET", stopPrice="1", closePosition="true")
    except ClientError as error:
        seen["stop"] = error.error_code
    resting = client.new_order(symbol=symbol, side="BUY", type="LIMIT", timeInForce="GTC", quantity="2", price="500")
    seen["books"] = [len(client.get_orders(symbol=symbol)), 0]
    client.cancel_order(symbol=symbol, orderId=resting["orderId"])
    client.new_order(symbol=symbol, side="SELL", type="MARKET", quantity="2", reduceOnly="true")
    seen["balance"] = client.account()["totalWalletBalance"]
    seen["positions"] = [p["positionAmt"] for p in client.get_position_risk(symbol=symbol)]
    seen["trades"] = [[t["id"], t["price"], t["commission"]] for t in client.get_account_trades(symbol=symbol)]
    seen["income"] = [row["incomeType"] for row in client.get_income_history()]
    for _ in range(100):
        if frames.count("ACCOUNT_UPDATE") >= 2:
            break
        time.sleep(0.1)
    stream.stop()
    seen["stream"] = frames
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
