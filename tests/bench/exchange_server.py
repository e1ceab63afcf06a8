"""The exchange or its yardstick in a process of its own, so that neither lives in the other's memory.

``python tests/bench/exchange_server.py exchange SYMBOLS BARS`` or ``... bare``

Prints its port. Each line that it reads is answered with its processor time so far, seconds, and its resident memory, bytes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import psutil
from aiohttp import web
from measure import market

from quantlab.core.market import Bars, Instrument
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import Settings, running_exchange
from quantlab.simulator.wire.limits import LimitRules
from quantlab.trading.strategy.strategy import Costs

MINUTE_MS = 60_000
HISTORY = 500
NO_LIMIT = 10**9
#: An answer of the exchange to a market order.
ANSWER = (
    '{"orderId":1234,"symbol":"S000USDT","pair":"S000USDT","status":"FILLED","clientOrderId":"bench-1233","price":"0.00",'
    '"avgPrice":"101.78","origQty":"1.000","executedQty":"1.000","cumQty":"1.000","cumQuote":"101.78000","activatePrice":"0",'
    '"priceRate":"0","timeInForce":"GTC","type":"MARKET","origType":"MARKET","side":"BUY","positionSide":"BOTH",'
    '"reduceOnly":false,"closePosition":false,"stopPrice":"0","workingType":"CONTRACT_PRICE","priceProtect":false,'
    '"priceMatch":"NONE","selfTradePreventionMode":"EXPIRE_MAKER","goodTillDate":0,"updateTime":1700150100000}'
)


def minute_bars(n_symbols: int, n_bars: int) -> Bars:
    """A random walk of 1-minute bars on a usual tick and lot."""
    bars = market(HISTORY + n_bars, n_symbols)
    return replace(
        bars,
        open_time_ms=bars.open_time_ms[0] + MINUTE_MS * np.arange(bars.n_bars, dtype=np.int64),
        interval_ms=MINUTE_MS,
        instruments=(Instrument(0.01, 0.001, 5.0, 0.01, 2.0, 4.0),) * n_symbols,
    )


@contextmanager
def exchange(n_symbols: int, n_bars: int) -> Iterator[int]:
    """The exchange in lockstep, with limits that nobody reaches; gives its port."""
    limits = LimitRules(weight_1m=NO_LIMIT, orders_10s=NO_LIMIT, orders_1m=NO_LIMIT)
    settings = Settings(VenueRules("lockstep"), cash=1e7, history_bars=HISTORY, limits=limits)
    with running_exchange(minute_bars(n_symbols, n_bars), Costs(2.0, None, 125.0), settings) as running:
        yield int(running.url.rpartition(":")[2])


@contextmanager
def bare_route() -> Iterator[int]:
    """An aiohttp route that reads the request and writes an answer of the same size as JSON, and does nothing else."""
    document = json.loads(ANSWER)

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(document)

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/fapi/v1/order", answer)
        app.router.add_post("/_sim/advance", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.append(int(runner.addresses[0][1]))
        listening.set()
        await asyncio.Event().wait()

    ports: list[int] = []
    listening = threading.Event()
    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    listening.wait(30.0)
    yield ports[0]


def main(kind: str, *sizes: str) -> None:
    """Serve until the input ends."""
    with bare_route() if kind == "bare" else exchange(*map(int, sizes)) as port:
        print(port, flush=True)
        for _ in sys.stdin:
            print(time.process_time(), psutil.Process().memory_info().rss, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
