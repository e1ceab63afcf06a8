"""binance-sdk-derivatives-trading-usds-futures trades once around: ``python binance_sdk.py URL SYMBOL``; prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_sdk_derivatives_trading_usds_futures import derivatives_trading_usds_futures as sdk
from binance_sdk_derivatives_trading_usds_futures.rest_api import models


def trade(api, symbol: str, seen: dict) -> None:
    side, kind = models.NewOrderSideEnum, models.NewAlgoOrderSideEnum.SELL.value
    result = models.NewOrderNewOrderRespTypeEnum.RESULT.value
    api.new_order(symbol, side.BUY.value, "MARKET", quantity=2, new_order_resp_type=result)
    stop = api.new_algo_order(
        "CONDITIONAL", symbol, kind, "STOP_MARKET",
        trigger_price=500.0, close_position="true",
    ).data()  # fmt: skip
    seen["books"] = [
        len(api.current_all_open_orders(symbol).data()),
        len(api.current_all_algo_open_orders(symbol=symbol).data()),
    ]
    api.cancel_algo_order(algo_id=stop.algo_id)
    api.new_order(symbol, side.SELL.value, "MARKET", quantity=2, reduce_only="true")
    api.exchange_information().data()
    seen["balance"] = api.account_information_v3().data().total_wallet_balance
    seen["positions"] = [row.position_amt for row in api.position_information_v3(symbol=symbol).data()]
    seen["trades"] = [[t.id, t.price, t.commission] for t in api.account_trade_list(symbol).data()]
    seen["income"] = [row.income_type for row in api.get_income_history().data()]


async def main(url: str, symbol: str) -> None:
    rest = ConfigurationRestAPI("demo-key", "demo-secret", base_path=url, retries=0)
    streams = ConfigurationWebSocketStreams(stream_url=url.replace("http", "ws"))
    client = sdk.DerivativesTradingUsdsFutures(config_rest_api=rest, config_ws_streams=streams)
    seen: dict = {"stream": []}
    connection = await client.websocket_streams.create_connection()
    key = client.rest_api.start_user_data_stream().data().listen_key
    frames = await connection.user_data(key)
    frames.on("message", lambda frame: seen["stream"].append(type(getattr(frame, "actual_instance", frame)).__name__))
    await asyncio.to_thread(trade, client.rest_api, symbol, seen)
    for _ in range(100):
        if len(seen["stream"]) >= 8:
            break
        await asyncio.sleep(0.1)
    await connection.close_connection(close_session=True)
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
