"""A strategy's orders through the port of a venue: the backtest's fills, lot for lot and tick for tick, in decimal text."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lockstep import MARKETS, LockstepTrader, ReplayedMarket, fills_of
from lockstep import by_price as lots_by_price

from quantlab.backtest.scan import Scan
from quantlab.core.market import Bars
from quantlab.core.ports import Venue
from quantlab.core.venue.answers import Answer, PaymentKind
from quantlab.core.venue.requests import Book, OrderKind, OrderRef, OrderRequest, OrderType
from quantlab.simulator.engine.matching import quote_at
from quantlab.simulator.engine.path import running_price
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import RunningExchange, Settings, running_exchange
from quantlab.simulator.wire.limits import LimitRules

CASH, ACCOUNT = 10_000.0, "main"
WIDE = LimitRules(weight_1m=10**9, orders_10s=10**9, orders_1m=10**9)
KEYS = {"QUANTLAB_SIMULATED_KEY": "demo-key", "QUANTLAB_SIMULATED_SECRET": "demo-secret"}


def open_port(repository: Path, url: str, symbols: tuple[str, ...]) -> Venue:
    """The configured adapter, at an address, with as many requests as one likes."""
    budget = [
        f"execution.venue.adapter.budget.{name}=1_000_000_000" for name in ("weight_1m", "orders_10s", "orders_1m")
    ]
    address = [f"execution.venue.adapter.rest={url}", "+execution.venue.adapter.settings.timeout_on_exit=0"]
    with initialize_config_dir(str(repository / "conf"), version_base=None):
        node = compose("config", overrides=["execution/venue=simulated", *budget, *address]).execution.venue.adapter
    venue: Venue = instantiate(node, _convert_="all")(symbols, within={"environment": KEYS})
    return venue


class PortClient:
    """The harness's client, each call of it one of the port; the market's own time and volume are asked of the exchange."""

    def __init__(self, venue: Venue, running: RunningExchange, bars: Bars, runner: asyncio.Runner) -> None:
        self.venue, self.exchange, self.bars, self.run = venue, running.exchange, bars, runner.run
        self.seen = ["0"] * bars.n_symbols
        self.sent = 0
        self.held: dict[str, Any] | None = None

    def market(self, column: int, lots: int, *, reduce_only: bool) -> tuple[int, int]:
        kind = OrderKind.REDUCE if reduce_only else OrderKind.ENTRY
        side, symbol = (1 if lots > 0 else -1), self.bars.symbols[column]
        order = OrderRequest(self.new_id(), kind, symbol, side, OrderType.MARKET, abs(lots), reduce_only=reduce_only)
        self.held, got = None, self.run(self.venue.send(order))
        if not self.is_taken(got, -2022, -4164, -2019):
            return 0, 0
        assert got.order is not None
        trades = self.run(self.venue.trades(symbol, self.seen[column], 0))
        own = [trade for trade in trades if trade.venue_id == got.order.venue_id]
        assert sum(trade.lots for trade in own) == got.order.filled_lots
        return side * got.order.filled_lots, own[-1].price_ticks if own else 0

    def take(self, column: int, lots: int, ticks: int) -> bool:
        rules: dict[str, Any] = {"price_ticks": ticks, "reduce_only": True}
        return self.rest(column, "take", OrderKind.TAKE, OrderType.POST_ONLY, lots, rules, -5022)

    def stop(self, column: int, side: int, ticks: int) -> bool:
        rules: dict[str, Any] = {"trigger_ticks": ticks, "close_position": True}
        return self.rest(column, "stop", OrderKind.STOP, OrderType.STOP_MARKET, side, rules, -2021)

    def rest(
        self, column: int, name: str, kind: OrderKind, form: OrderType, signed: int, rules: dict[str, Any], code: int
    ) -> bool:
        lots = None if form is OrderType.STOP_MARKET else abs(signed)
        side = 1 if signed > 0 else -1
        order = OrderRequest(f"{name}-{column}", kind, self.bars.symbols[column], side, form, lots, **rules)
        return self.is_taken(self.run(self.venue.send(order)), code)

    @staticmethod
    def is_taken(got: Answer, *codes: int) -> bool:
        """Let a refusal pass that the harness knows."""
        assert got.order is not None or got.code in codes, got
        return got.order is not None

    def new_id(self) -> str:
        self.sent += 1
        return f"order-{self.sent}"

    def cancel_take(self, column: int) -> None:
        self.cancel(OrderRef(self.bars.symbols[column], f"take-{column}", Book.PLAIN))

    def cancel_stop(self, column: int) -> None:
        self.cancel(OrderRef(self.bars.symbols[column], f"stop-{column}", Book.CONDITIONAL))

    def cancel(self, ref: OrderRef) -> None:
        assert self.is_taken(self.run(self.venue.cancel(ref)), -2011) in (True, False)

    def quote(self, column: int) -> tuple[int, int]:
        state = self.exchange.venue.state
        listing = self.exchange.venue.listings[f"{self.bars.symbols[column]}USDT"]
        price = running_price(state, listing)
        assert price is not None
        best = quote_at(state, listing, price)
        return best.bid, best.ask

    def set_liquidity(self, column: int, share: float) -> None:
        self.exchange.venue.set_liquidity(f"{self.bars.symbols[column]}USDT", share, self.exchange.venue.now_ms)

    def advance(self) -> None:
        self.held = None
        self.exchange.venue.advance(self.exchange.venue.close_ms)

    def books(self) -> dict[str, Any]:
        if self.held is None:
            self.held = {one.symbol: one for one in self.run(self.venue.books()).positions}
        return self.held

    def lots(self) -> list[int]:
        return [self.books()[symbol].lots if symbol in self.books() else 0 for symbol in self.bars.symbols]

    def entry_price(self, column: int) -> float:
        return float(self.books()[self.bars.symbols[column]].entry_price)

    def equity(self) -> float:
        now = self.exchange.venue.now_ms
        paid = [one.amount for one in self.run(self.venue.payments(now)) if one.kind is PaymentKind.FUNDING]
        return float(self.exchange.venue.wallet(ACCOUNT, now).margin_balance - sum(paid, Decimal(0)))

    def new_fills(self, row: int) -> list[tuple[int, int, int, int]]:
        found = []
        for column, symbol in enumerate(self.bars.symbols):
            for trade in self.run(self.venue.trades(symbol, self.seen[column], 0)):
                found.append((int(trade.trade_id), (row, column, trade.side * trade.lots, trade.price_ticks)))
                self.seen[column] = trade.trade_id
        return [fill for _, fill in sorted(found)]


def check(market: ReplayedMarket, bars: Bars, signal: Any, strategy: Any, repository: Path) -> int:
    """Trade through the port, and hold fills and equity against the backtest's; the number of fills."""
    backtest = Scan(CASH).run(bars, signal, strategy)
    settings = Settings(VenueRules("lockstep"), cash=CASH, limits=WIDE)
    with running_exchange(bars, strategy.costs, settings) as running, asyncio.Runner() as runner:
        venue = open_port(repository, running.url, bars.symbols)
        client: Any = PortClient(venue, running, bars, runner)
        outcome = LockstepTrader(client, bars, signal, strategy, CASH).run()
        runner.run(venue.close())
    assert lots_by_price(outcome.fills) == lots_by_price(fills_of(backtest, bars))
    np.testing.assert_allclose(outcome.equity, backtest.equity, rtol=1e-9, atol=0.0)
    return len(outcome.fills)


@pytest.mark.slow
@pytest.mark.parametrize("market", MARKETS, ids=lambda market: f"seed{market.seed}")
def test_fills_and_equity_are_the_backtest_s(
    market: ReplayedMarket, grid_bars, grid_signal, grid_strategy, repository: Path
) -> None:
    bars = grid_bars(market.seed)
    signal = grid_signal(bars, market.seed, trailing=market.trailing)
    assert check(market, bars, signal, grid_strategy(participation=market.participation), repository) > 500
