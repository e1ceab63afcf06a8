"""One function that does by hand what the scan does in general: the limit for these rules, and only for them.

Equal weights, stop and take-profit by ATR, positions, leverage, daily limit, smallest notional, participation,
maintenance margin, order records. Nothing else exists in it: no other policy, sizer or limit, no funding, no tick
or lot, no hole in the data, no liquidation. It must give the scan's equity to the last bit, or the ratio means
nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from quantlab.core.market import Bars
from quantlab.core.results import ORDER_DTYPE
from quantlab.core.types import Signal
from quantlab.trading.strategy.policies import EnsembleThreshold
from quantlab.trading.strategy.strategy import Strategy


def fused_same_rules(bars: Bars, signal: Signal, chosen: Strategy, cash: float) -> tuple[float, int]:
    """Final equity and number of fills."""
    policy, limits, costs, one = chosen.policy, chosen.limits, chosen.costs, bars.instruments[0]
    assert isinstance(policy, EnsembleThreshold)
    orders = np.zeros(4_096 + bars.n_bars * 8, ORDER_DTYPE)
    equity = np.zeros(bars.n_bars)
    fills = _run(
        bars.ohlcv,
        bars.open_time_ms,
        signal.side,
        signal.atr,
        cash,
        float(policy.stop_atr or np.inf),
        float(policy.take_profit_atr or np.inf),
        float(chosen.sizer.params()[0]),
        float(limits.max_positions or np.inf),
        float(limits.max_gross_leverage or np.inf),
        float(limits.daily_loss_limit or np.nan),
        float(costs.participation or np.inf),
        costs.slippage_bps / 1e4,
        one.taker_fee_bps / 1e4,
        one.maker_fee_bps / 1e4,
        one.min_notional,
        one.maintenance_margin_rate,
        orders,
        equity,
    )
    return float(equity[-1]), int(fills)


@njit(cache=True, error_model="numpy")
def _record(orders: Any, k: int, t: int, s: int, units: float, price: float, fee: float) -> int:
    order = orders[k]
    order["id"] = k
    order["col"] = s
    order["idx"] = t
    order["size"] = abs(units)
    order["price"] = price
    order["fees"] = fee
    order["side"] = 0 if units > 0.0 else 1
    return k + 1


@njit(cache=True, error_model="numpy")
def _run(
    ohlcv: Any,
    open_time_ms: Any,
    sides: Any,
    atr: Any,
    cash: float,
    stop_atr: float,
    take_atr: float,
    weight: float,
    max_positions: float,
    max_leverage: float,
    daily_limit: float,
    participation: float,
    slippage: float,
    taker: float,
    maker: float,
    min_notional: float,
    maintenance: float,
    orders: Any,
    curve: Any,
) -> int:
    n_bars, n_symbols = sides.shape
    units, mark = np.zeros(n_symbols), np.zeros(n_symbols)
    stop, take = np.zeros(n_symbols), np.zeros(n_symbols)
    reduce, increase, side = np.zeros(n_symbols), np.zeros(n_symbols), np.zeros(n_symbols)
    distance = np.zeros(n_symbols)
    closing, stopped, capped = np.zeros(n_symbols, np.bool_), np.zeros(n_symbols, np.bool_), np.zeros(n_symbols)
    held, active = np.zeros(n_symbols, np.int64), np.zeros(n_symbols, np.int64)
    n_held, n_active, k = 0, 0, 0
    equity, day, day_start, halted = cash, np.int64(-1), cash, False
    for t in range(n_bars):
        bar = ohlcv[t]
        if open_time_ms[t] // 86_400_000 != day:
            day = open_time_ms[t] // 86_400_000
            day_start, halted = equity, False
        stopped[:] = False
        if n_active > 0:
            capped[:] = 0.0
            for i in range(n_active):
                s = active[i]
                if reduce[s] > 0.0:
                    room = max(participation * bar[s, 4] - capped[s], 0.0)
                    filled = reduce[s] if reduce[s] <= room * (1.0 + 1e-12) else room
                    if filled > 0.0:
                        signed = -filled if units[s] > 0.0 else filled
                        price = bar[s, 0] * (1.0 + slippage if signed > 0.0 else 1.0 - slippage)
                        fee = filled * price * taker
                        cash -= signed * price
                        cash -= fee
                        units[s] += signed
                        capped[s] += filled
                        k = _record(orders, k, t, s, signed, price, fee)
                    reduce[s] -= filled
            for i in range(n_active):
                s = active[i]
                if increase[s] > 0.0 and reduce[s] <= 0.0:
                    room = max(participation * bar[s, 4] - capped[s], 0.0)
                    filled = increase[s] if increase[s] <= room * (1.0 + 1e-12) else room
                    if filled > 0.0:
                        signed = side[s] * filled
                        price = bar[s, 0] * (1.0 + slippage if signed > 0.0 else 1.0 - slippage)
                        fee = filled * price * taker
                        cash -= signed * price
                        cash -= fee
                        units[s] = signed
                        mark[s] = price
                        capped[s] += filled
                        stop[s] = price - side[s] * stop_atr * distance[s]
                        take[s] = price + side[s] * take_atr * distance[s]
                        k = _record(orders, k, t, s, signed, price, fee)
                reduce[s] = 0.0
                increase[s] = 0.0
            n_held = 0
            for s in range(n_symbols):
                if units[s] != 0.0:
                    held[n_held] = s
                    n_held += 1
        else:
            for i in range(n_held):
                capped[held[i]] = 0.0
        n = 0
        for i in range(n_held):
            s = held[i]
            u = units[s]
            out = False
            if u > 0.0:
                hit, passed = stop[s] > 0.0 and bar[s, 2] <= stop[s], bar[s, 1] > take[s]
            else:
                hit, passed = bar[s, 1] >= stop[s], take[s] > 0.0 and bar[s, 2] < take[s]
            if hit:
                price = (
                    min(bar[s, 0], stop[s]) * (1.0 - slippage)
                    if u > 0.0
                    else max(bar[s, 0], stop[s]) * (1.0 + slippage)
                )
                fee = abs(u) * price * taker
                cash -= -u * price
                cash -= fee
                units[s] = 0.0
                stopped[s] = True
                k = _record(orders, k, t, s, -u, price, fee)
                out = True
            elif passed:
                room = max(participation * bar[s, 4] - capped[s], 0.0)
                filled = abs(u) if abs(u) <= room * (1.0 + 1e-12) else room
                if filled > 0.0:
                    signed = -filled if u > 0.0 else filled
                    price = max(bar[s, 0], take[s]) if u > 0.0 else min(bar[s, 0], take[s])
                    fee = filled * price * maker
                    cash -= signed * price
                    cash -= fee
                    units[s] = u + signed
                    k = _record(orders, k, t, s, signed, price, fee)
                    out = units[s] == 0.0
            if not out:
                held[n] = s
                n += 1
        n_held = n
        equity, gross, worst, needed = cash, 0.0, cash, 0.0
        for i in range(n_held):
            s = held[i]
            mark[s] = bar[s, 3]
            value = units[s] * mark[s]
            equity += value
            gross += abs(value)
            extreme = bar[s, 2] if units[s] > 0.0 else bar[s, 1]
            worst += units[s] * extreme
            needed += maintenance * abs(units[s]) * extreme
        if gross > 0.0 and worst < needed:
            raise ValueError("liquidations are not in this function")
        curve[t] = equity
        if not halted and equity <= (1.0 - daily_limit) * day_start:
            halted = True
        n_active, entries, increases, total = 0, 0, 0, 0.0
        for s in range(n_symbols):
            asked = sides[t, s]
            u = units[s]
            again = closing[s]
            closing[s] = False
            if asked != 0 and ((u == 0.0 and not stopped[s]) or asked * u < 0.0):
                reduce[s] = abs(u)
                increase[s] = 0.0 if halted else weight * equity / bar[s, 3]
                side[s] = 1.0 if asked > 0 else -1.0
                distance[s] = atr[t, s]
                if u == 0.0 and increase[s] > 0.0:
                    entries += 1
            elif again and u != 0.0:
                reduce[s] = abs(u)
            else:
                continue
            active[n_active] = s
            n_active += 1
        if n_active == 0:
            continue
        if entries + n_held > max_positions:
            free = max_positions - n_held
            for i in range(n_active):
                s = active[i]
                if units[s] == 0.0 and increase[s] > 0.0:
                    if free <= 0.0:
                        increase[s] = 0.0
                    free -= 1.0
        for i in range(n_active):
            s = active[i]
            if increase[s] > 0.0:
                increases += 1
                total += max(increase[s] - reduce[s], 0.0) * bar[s, 3]
        room = max_leverage * equity - gross
        if increases > 0 and total > room:
            factor = room / total if room > 0.0 else 0.0
            for i in range(n_active):
                s = active[i]
                if increase[s] > 0.0:
                    share = factor * max(increase[s] - reduce[s], 0.0) + min(room, 0.0) / bar[s, 3]
                    increase[s] = max(min(increase[s], reduce[s] + share), 0.0)
        n = 0
        for i in range(n_active):
            s = active[i]
            if increase[s] > 0.0 and increase[s] * bar[s, 3] < min_notional:
                increase[s] = 0.0
            if increase[s] > 0.0 or reduce[s] > 0.0:
                closing[s] = increase[s] == 0.0
                active[n] = s
                n += 1
        n_active = n
    return k
