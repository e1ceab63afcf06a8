"""In wall mode the path decides, not the calls: however often the venue is looked at, the same orders fill at the same prices."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from scenes import ACCOUNT, BAR_MS, BTC, BUY, SELL, Stage, wall

from quantlab.simulator.engine.market import Cell
from quantlab.simulator.engine.path import path_of
from quantlab.simulator.engine.refusals import Refused
from quantlab.simulator.engine.values import OrderType, TimeInForce

N_BARS = 25
KINDS = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET, OrderType.STOP)


def random_rows(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """Bars around 1000 on the tick of 0.1, each opening off the last close."""
    close = 1000.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, N_BARS)))
    opened = np.concatenate([[1000.0], close[:-1]]) * np.exp(rng.normal(0.0, 0.004, N_BARS))
    high = np.maximum(opened, close) * (1.0 + rng.exponential(0.005, N_BARS))
    low = np.minimum(opened, close) * (1.0 - rng.exponential(0.005, N_BARS))
    return [tuple(row) for row in np.round(np.stack([opened, high, low, close], axis=1), 1).tolist()]


def send_orders(stage: Stage, rng: np.random.Generator) -> int:
    """A few orders of every kind around the price; how many were taken."""
    price, taken = float(stage.venue.price(BTC) or 0.0), 0
    for _ in range(4):
        side, units = (BUY, SELL)[int(rng.integers(2))], str(Decimal(int(rng.integers(10, 3_000))) / 1000)
        level = f"{price * (1.0 + rng.normal(0.0, 0.008)):.1f}"
        kind, reduces, choice = KINDS[int(rng.integers(3))], bool(rng.random() < 0.5), int(rng.integers(5))
        if choice == 0:
            answer: object = stage.market(side, units, reduce_only=reduces)
        elif choice == 1:
            end = stage.venue.now_ms + int(rng.integers(1, 2 * BAR_MS))
            answer = stage.limit(side, units, level, time_in_force=TimeInForce.GTD, good_till_ms=end)
        elif choice == 2:
            answer = stage.trail(side, str(Decimal(int(rng.integers(2, 20))) / 1000), units)
        elif choice == 3:
            answer = stage.conditional(side, kind, level, units, price=level, reduce_only=reduces)
        else:
            answer = stage.limit(side, units, level, reduce_only=reduces)
        taken += not isinstance(answer, Refused)
    return taken


def test_a_path_is_straight_between_its_bends() -> None:
    rng = np.random.default_rng(1)
    for row in range(50):
        low, opened, close, high = np.sort(np.round(rng.uniform(900.0, 1100.0, 4), 1)).tolist()
        path = path_of(3, row, 0, Cell(opened, high, low, close, 1.0))
        shares = [*rng.random(50).tolist(), *path.times, -0.1, 1.1]
        assert [path.price(share) for share in shares] == np.interp(shares, path.times, path.prices).tolist()


@pytest.mark.parametrize("seed", range(6))
def test_the_same_orders_fill_at_the_same_prices_however_often_one_looks(still_bars, seed: int) -> None:
    rows, told = random_rows(np.random.default_rng(seed)), []
    for calls in (1, 2, 61):
        rng = np.random.default_rng(seed + 100)
        stage = wall(still_bars(rows, volume=50.0), participation=0.1, shortest_gtd_ms=0, slippage_bps=1.0)
        taken = 0
        for row in range(N_BARS):
            taken += send_orders(stage, rng)
            for k in range(calls):
                stage.venue.advance(row * BAR_MS + BAR_MS * (k + 1) // calls)
        ends = [(order.status, order.filled_lots) for order in stage.venue.state.accounts[ACCOUNT].orders.values()]
        told.append((stage.fills(), ends, stage.wallet(), taken))
    assert told[0] == told[1] == told[2]
    assert len(told[0][0]) > N_BARS
    assert told[0][3] > 2 * N_BARS
