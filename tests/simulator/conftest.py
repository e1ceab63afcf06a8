"""Markets on a grid, with holes, silence, thin volume and funding; a venue over them, called directly."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.fakes import FixedSignal
from quantlab.core.market import Bars, BarState, Funding, Instrument
from quantlab.core.types import Signal
from quantlab.simulator.engine.market import Market
from quantlab.simulator.engine.queries import OrderRef, Page
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.requests import ConditionalRequest, OrderRequest
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.engine.values import IncomeType, OrderType, Side, TimeInForce
from quantlab.simulator.engine.venue import Venue
from quantlab.trading import Costs, FixedFraction, FromSignals, Limits, Strategy

ENGINE = str(Path(__file__).parent / "engine")
if ENGINE not in sys.path:
    sys.path.insert(0, ENGINE)

START_MS, INTERVAL_MS, HOUR_MS = 1_742_083_200_000, 300_000, 3_600_000
CASH = 10_000
ACCOUNT = "main"
GRIDS = ((60_000.0, 0.1, 0.001), (2_500.0, 0.01, 0.001), (0.8, 0.0001, 1.0), (30.0, 0.01, 0.1))


def make_grid_bars(seed: int, n_bars: int = 1_500, *, volatility: float = 0.004) -> Bars:
    """Four symbols of different prices, every price on its tick, every volume in whole lots."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, len(GRIDS))
    levels, ticks, lots = (np.array(column) for column in zip(*GRIDS, strict=True))
    close = levels * np.exp(np.cumsum(rng.normal(0.0, volatility, shape), axis=0))
    open_ = np.vstack([levels, close[:-1]]) * np.exp(rng.normal(0.0, volatility / 4, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, volatility / 2, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, volatility / 2, shape)))
    prices = np.stack([open_, high, low, close], axis=-1)
    prices = np.rint(prices / ticks[:, None]) * ticks[:, None]
    volume = np.rint(rng.lognormal(11.5, 1.5, shape) / levels / lots) * lots
    ohlcv = np.concatenate([prices, volume[:, :, None]], axis=-1)
    state = np.full(shape, BarState.TRADED, np.uint8)
    silent = rng.random(shape) < 0.03
    ohlcv[silent, 4], state[silent] = 0.0, BarState.ZERO_VOLUME
    for s in range(len(GRIDS)):
        for start in rng.integers(1, n_bars, n_bars // 300):
            stop = start + int(rng.integers(1, 25))
            ohlcv[start : start + 3, s, :4] = ohlcv[start - 1, s, 3]
            ohlcv[start : start + 3, s, 4] = 0.0
            state[start : start + 3, s] = BarState.FILLED
            ohlcv[start + 3 : stop, s] = np.nan
            state[start + 3 : stop, s] = BarState.ABSENT
    late = int(rng.integers(0, n_bars // 4))
    ohlcv[:late, -1], state[:late, -1] = np.nan, BarState.ABSENT
    stamps = np.arange(START_MS - HOUR_MS, START_MS + n_bars * INTERVAL_MS + HOUR_MS, HOUR_MS, dtype=np.int64)
    rates = np.round(rng.normal(0.0, 1e-3, (len(stamps), len(GRIDS))), 8)
    rates[rng.random(rates.shape) < 0.02] = np.nan
    return Bars(
        ohlcv=np.ascontiguousarray(ohlcv),
        open_time_ms=START_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64),
        interval_ms=INTERVAL_MS,
        state=state,
        symbols=("BTC", "ETH", "XRP", "SOL"),
        instruments=tuple(Instrument(tick, lot, 5.0, 0.03, 1.5, 4.5) for _, tick, lot in GRIDS),
        funding=Funding(stamps, rates),
    )


def make_grid_signal(bars: Bars, seed: int, *, trailing: bool = False, activity: float = 0.15) -> Signal:
    """Random targets, closes and flips among them, with stops and takes at a few bars' range."""
    rng = np.random.default_rng(seed + 1_000)
    shape = (bars.n_bars, bars.n_symbols)
    weight = rng.choice([0.0, 0.1, 0.25, -0.1, -0.3, 0.6], shape)
    reach = 0.004 * np.nan_to_num(bars.close, nan=1.0)
    brought: dict[str, Any] = {
        "target": np.where(rng.random(shape) < activity, weight, np.nan),
        "stop_distance": reach * rng.uniform(1.0, 4.0, shape),
        "take_distance": np.where(rng.random(shape) < 0.1, np.inf, reach * rng.uniform(1.0, 5.0, shape)),
    }
    if trailing:
        brought["trail_distance"] = reach * rng.uniform(2.0, 5.0, shape)
        brought["break_even_distance"] = reach * rng.uniform(1.0, 3.0, shape)
    unknown = np.full(shape, np.nan)
    return Signal(
        side=np.zeros(shape, np.int8),
        proba=np.full((*shape, 3), np.nan),
        confidence=unknown,
        consensus=unknown.copy(),
        live_members=np.ones(shape, np.int8),
        atr=unknown.copy(),
        **brought,
    )


def make_grid_strategy(**costs: Any) -> Strategy:
    """Follows the signal, with a halt a day and a slot less than there are symbols."""
    limits = Limits(
        daily_loss_limit=0.05,
        daily_flatten=True,
        breaker=None,
        max_positions=3,
        max_weight=None,
        max_gross_leverage=1.5,
        rollout=1.0,
    )
    usual = {"slippage_bps": 2.0, "participation": 0.05, "liquidation_fee_bps": 125.0, "delisted_after_bars": 6}
    return Strategy(
        signal=FixedSignal(None),  # type: ignore[arg-type]
        policy=FromSignals(rebalance=False),
        sizer=FixedFraction(0.2),
        limits=limits,
        costs=Costs(**{**usual, **costs}),
    )


class DirectClient:
    """A client of the venue without a wire; columns are the bars'."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.symbols = {listing.column: symbol for symbol, listing in venue.listings.items()}
        self.columns = {symbol: column for column, symbol in self.symbols.items()}
        self.refused: list[Refused] = []
        self._next_trade = 1

    def market(self, column: int, lots: int, *, reduce_only: bool) -> tuple[int, int]:
        side = Side.BUY if lots > 0 else Side.SELL
        request = OrderRequest(self.symbols[column], side, OrderType.MARKET, abs(lots), reduce_only=reduce_only)
        answer = self.venue.place(ACCOUNT, request, self.venue.now_ms)
        if isinstance(answer, Refused):
            self.refused.append(answer)
            return 0, 0
        ticks = answer.trades[-1].price_ticks if answer.trades else 0
        return int(side) * answer.order.filled_lots, ticks

    def take(self, column: int, lots: int, ticks: int) -> bool:
        side = Side.BUY if lots > 0 else Side.SELL
        request = OrderRequest(
            self.symbols[column], side, OrderType.LIMIT, abs(lots), ticks, TimeInForce.GTX, True, f"take-{column}"
        )
        return self._is_taken(self.venue.place(ACCOUNT, request, self.venue.now_ms), -5022)

    def stop(self, column: int, side: int, ticks: int) -> bool:
        request = ConditionalRequest(
            self.symbols[column],
            Side(side),
            OrderType.STOP_MARKET,
            ticks,
            close_position=True,
            client_id=f"stop-{column}",
        )
        return self._is_taken(self.venue.place_conditional(ACCOUNT, request, self.venue.now_ms), -2021)

    def _is_taken(self, answer: object, expected: int) -> bool:
        if not isinstance(answer, Refused):
            return True
        assert answer.code == expected, answer
        return False

    def quote(self, column: int) -> tuple[int, int]:
        quote = self.venue.quote(self.symbols[column])
        assert quote is not None, "a symbol that is held has printed"
        return quote.bid, quote.ask

    def set_liquidity(self, column: int, share: float) -> None:
        self.venue.set_liquidity(self.symbols[column], share, self.venue.now_ms)

    def cancel_take(self, column: int) -> None:
        self.venue.cancel(ACCOUNT, self.symbols[column], OrderRef(client_id=f"take-{column}"), self.venue.now_ms)

    def cancel_stop(self, column: int) -> None:
        self.venue.cancel_conditional(ACCOUNT, OrderRef(client_id=f"stop-{column}"), self.venue.now_ms)

    def advance(self) -> None:
        self.venue.advance(self.venue.close_ms)

    def lots(self) -> list[int]:
        account = self.venue.state.accounts[ACCOUNT]
        return [account.lots(self.symbols[column]) for column in range(len(self.symbols))]

    def entry_price(self, column: int) -> float:
        return float(self.venue.position(ACCOUNT, self.symbols[column], self.venue.now_ms).entry_price)

    def equity(self) -> float:
        """At the last close: funding that was paid at that time belongs to the bar that has begun."""
        paid = sum(
            income.amount
            for income in self.venue.state.accounts[ACCOUNT].incomes
            if income.type is IncomeType.FUNDING_FEE and income.time_ms == self.venue.now_ms
        )
        return float(self.venue.wallet(ACCOUNT, self.venue.now_ms).margin_balance - paid)

    def new_fills(self, row: int) -> list[tuple[int, int, int, int]]:
        page = Page(from_id=self._next_trade, limit=1_000_000)
        trades = self.venue.trades(ACCOUNT, None, page, self.venue.now_ms)
        if trades:
            self._next_trade = trades[-1].trade_id + 1
        return [(row, self.columns[t.symbol], int(t.side) * t.lots, t.price_ticks) for t in trades]


def make_venue(bars: Bars, costs: Costs, **rules: Any) -> Venue:
    """A venue over `bars` with one account; lockstep unless said otherwise."""
    market = {name: rules.pop(name) for name in ("first_row", "begin_ms", "bar_ms", "seed") if name in rules}
    return Venue(Market(bars, costs, **market), VenueRules(**{"mode": "lockstep", **rules}), {ACCOUNT: Decimal(CASH)})


@pytest.fixture(scope="session")
def grid_bars() -> Callable[..., Bars]:
    return make_grid_bars


@pytest.fixture(scope="session")
def grid_signal() -> Callable[..., Signal]:
    return make_grid_signal


@pytest.fixture(scope="session")
def grid_strategy() -> Callable[..., Strategy]:
    return make_grid_strategy


@pytest.fixture(scope="session")
def open_venue() -> Callable[..., Venue]:
    return make_venue


@pytest.fixture(scope="session")
def direct_client() -> type[DirectClient]:
    return DirectClient


@pytest.fixture(scope="session")
def plain_costs() -> Costs:
    """2 bps of slippage, no cap."""
    return Costs(slippage_bps=2.0, participation=None, liquidation_fee_bps=125.0)


@pytest.fixture(scope="session")
def still_bars() -> Callable[..., Bars]:
    """``still_bars(rows)``: one symbol, tick 0.1, lot 0.001, from rows of (open, high, low, close), each with volume 1,000."""

    def make(rows: list[tuple[float, float, float, float]], *, volume: float = 1_000.0, **changes: Any) -> Bars:
        n_bars = len(rows)
        ohlcv = np.concatenate([np.array(rows, float), np.full((n_bars, 1), volume)], axis=1)[:, None, :]
        bars = Bars(
            ohlcv=np.ascontiguousarray(ohlcv),
            open_time_ms=START_MS + INTERVAL_MS * np.arange(n_bars, dtype=np.int64),
            interval_ms=INTERVAL_MS,
            state=np.full((n_bars, 1), BarState.TRADED, np.uint8),
            symbols=("BTC",),
            instruments=(Instrument(0.1, 0.001, 5.0, 0.03, 1.5, 4.5),),
        )
        return dataclasses.replace(bars, **changes)

    return make
