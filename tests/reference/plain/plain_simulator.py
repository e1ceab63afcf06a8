"""The page `SIMULATION`, bar by bar, in plain Python: slow, and meant to be checked line by line.

::

    1 funding   2 orders of the last close   3 protective exits, then delistings   4 mark
    5 liquidation   6 risk guard   7 decide
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from plain_account import Account, Bar, Fill
from plain_endings import settle_delisted
from plain_exits import protective_exits
from plain_fills import Budget, fill_orders
from plain_guard import Want, Wants, apply_rules, close, legs, size_rules
from plain_liquidation import liquidate
from plain_policies import ask
from plain_risk import RiskState
from plain_terms import terms_at

from quantlab.core.market import CLOSE, HIGH, LOW, OPEN, VOLUME, Bars, BarState
from quantlab.core.results import OrderReason
from quantlab.core.types import Signal
from quantlab.trading.strategy.strategy import Strategy

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


@dataclass(frozen=True)
class PlainResult:
    """What the product's ``Simulation`` says too, in lists; and how often each branch was taken."""

    equity: list[float]
    gross: list[float]
    funding: list[float]
    liquidation_fees: list[float]
    fills: list[Fill]
    events: list[tuple[int, int, float, float]]
    cuts: Counter[str]
    branches: Counter[str]
    units: list[float]
    entries: list[float]
    cash: float
    missing_funding: int
    stale_marks: int


def simulate(
    bars: Bars,
    signal: Signal,
    strategy: Strategy,
    initial_cash: float,
    *,
    limits_on: bool = True,
    flags: list[list[int]] | None = None,
) -> PlainResult:
    """Every bar of `bars` through the seven steps; `flags` where they are not those that the bars carry."""
    flags = _carried(bars) if flags is None else flags
    account = Account.empty(bars, initial_cash, strategy.costs)
    risk = RiskState(day=None, day_start_equity=initial_cash, high_water_mark=initial_cash)
    charges = _funding_charges(bars)
    equity, gross, funding, fees = [], [], [], []
    missing = stale = 0
    for t in range(bars.n_bars):
        row = _row(bars, t, flags[t])
        before, account.stopped, account.closes_lost = account.equity, [False] * bars.n_symbols, []
        paid, no_rate = _pay_funding(account, row, charges[t])
        missing += no_rate
        if bars.rule_changes:
            account.terms = terms_at(bars, int(bars.open_time_ms[t]), strategy.costs)
        budgets = [Budget(bar, terms) for bar, terms in zip(row, account.terms, strict=True)]
        fill_orders(account, t, row, budgets, strategy.costs)
        protective_exits(account, t, row, budgets, strategy.costs)
        settle_delisted(account, t, row, strategy.costs)
        stale += _mark(account, row)
        fees.append(liquidate(account, t, row, strategy.costs))
        account.equity = account.value_at(account.marks)
        for s in account.held():
            account.positions[s].bars_held += 1
        risk.update(account, t, before, strategy.limits, limits_on=limits_on)
        decide(account, t, row, signal, strategy, risk)
        equity.append(account.equity)
        gross.append(account.gross())
        funding.append(paid)
    return PlainResult(
        equity=equity,
        gross=gross,
        funding=funding,
        liquidation_fees=fees,
        fills=account.fills,
        events=account.events,
        cuts=account.cuts,
        branches=account.branches,
        units=[position.units for position in account.positions],
        entries=[position.entry for position in account.positions],
        cash=account.cash,
        missing_funding=missing,
        stale_marks=stale,
    )


def decide(account: Account, t: int, row: list[Bar], signal: Signal, strategy: Strategy, risk: RiskState) -> None:
    """Policy, then the guard's rules, then the orders for the next open."""
    wants: Wants = [_want(account, t, s, bar, signal, strategy) for s, bar in enumerate(row)]
    apply_rules(account, wants, row, strategy.limits, risk.halted, risk.flattens(strategy.limits))
    for s, want in enumerate(wants):
        account.orders[s] = None if want is None else size_rules(account, s, legs(want))


def _want(account: Account, t: int, s: int, bar: Bar, signal: Signal, strategy: Strategy) -> Want | None:
    request, held = ask(strategy, account, signal, t, s), account.positions[s].units
    if math.isnan(request.target):
        return _issue_again(account, s)
    account.wanted[s] = None
    if request.target == 0.0:
        return None if held == 0.0 else close(held, request.reason)
    # else the mark: a reduction is never cut, an increase is `not_finite`
    price_known = math.isfinite(bar.close) and request.sized
    units = request.target * account.equity / account.marks[s] if request.sized else request.target
    flips = held * request.target < 0.0
    change = units if flips else units - held
    _note_mark(account, s, bar, change)
    if change == 0.0:
        return None
    return Want(held, change, request.target, request.distances, request.reason, flips, price_known)


def _note_mark(account: Account, s: int, bar: Bar, change: float) -> None:
    if bar.close_is_suspect and account.marks[s] != bar.close:
        reduces = change * account.positions[s].units < 0.0
        account.branches["suspect reduction sized at the mark" if reduces else "suspect increase by the mark"] += 1


def _issue_again(account: Account, s: int) -> Want | None:
    reason: OrderReason | None = account.wanted[s]
    if reason is None:
        return None
    account.branches["close issued again"] += 1
    return close(account.positions[s].units, reason, counted=False)


def _carried(bars: Bars) -> list[list[int]]:
    """Flags of the bars; bars that nobody judged have no suspect print."""
    suspect = getattr(bars, "suspect", None)
    return [[0] * bars.n_symbols] * bars.n_bars if suspect is None else suspect.tolist()


def _row(bars: Bars, t: int, flags: list[int]) -> list[Bar]:
    return [
        Bar(
            open=float(cell[OPEN]),
            high=float(cell[HIGH]),
            low=float(cell[LOW]),
            close=float(cell[CLOSE]),
            volume=float(cell[VOLUME]),
            traded=int(state) == BarState.TRADED,
            flag=flag,
            absent=int(state) == BarState.ABSENT,
            filled=int(state) == BarState.FILLED,
        )
        for cell, state, flag in zip(bars.ohlcv[t], bars.state[t], flags, strict=True)
    ]


def _mark(account: Account, row: list[Bar]) -> int:
    """The last finite close of every symbol; returns how many held symbols had none in this bar.

    What is held gains nothing by a suspect close: it is worth the worse of that and the agreed price.
    """
    for s, bar in enumerate(row):
        if not math.isfinite(bar.close):
            continue
        position, account.marks[s] = account.positions[s], bar.close
        if position.units == 0.0:
            continue
        if bar.close_is_suspect:
            account.marks[s] = position.worse(position.agreed, bar.close)
            gains = account.marks[s] != bar.close
            account.branches["suspect gain does not count" if gains else "suspect loss counts"] += 1
        else:
            position.agreed = bar.close
    return sum(not math.isfinite(row[s].close) for s in account.held())


def _funding_charges(bars: Bars) -> list[list[float | None]]:
    """Per bar and symbol the sum of the rates in (open before, open]; None where a rate is missing."""
    charges: list[list[float | None]] = [[0.0] * bars.n_symbols for _ in range(bars.n_bars)]
    if bars.funding is None:
        return charges
    opens = [int(ms) for ms in bars.open_time_ms]
    for stamp, rates in zip(bars.funding.time_ms, bars.funding.rate, strict=True):
        hour = (int(stamp) + MINUTE_MS) // HOUR_MS * HOUR_MS  # a stamp up to a minute early belongs to the next hour
        t = bisect_left(opens, hour)  # the first bar that opens then or later
        if 1 <= t < len(opens):
            charges[t] = [_add_rate(so_far, float(rate)) for so_far, rate in zip(charges[t], rates, strict=True)]
    return charges


def _add_rate(so_far: float | None, rate: float) -> float | None:
    return None if so_far is None or math.isnan(rate) else so_far + rate


def _pay_funding(account: Account, row: list[Bar], charges: list[float | None]) -> tuple[float, int]:
    """Longs pay when the rate is positive; returns what was paid and how many held cells had no rate."""
    paid, missing = 0.0, 0
    for s in account.held():
        rate = charges[s]
        if rate is None:
            missing += 1
            continue
        price = row[s].open if math.isfinite(row[s].open) else account.marks[s]
        if row[s].is_suspect:
            price = account.positions[s].agreed
            account.branches["suspect funding"] += rate != 0.0
        charge = account.positions[s].units * price * rate
        account.cash -= charge
        paid += charge
        account.branches["funding"] += rate != 0.0
    return paid, missing
