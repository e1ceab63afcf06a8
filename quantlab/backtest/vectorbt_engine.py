"""The same strategy inside vectorbt's own simulator: a second account, kept while trading.

1. At every bar vectorbt calls the one bar step (`quantlab.trading.bar.bar`), which says what fills.
2. vectorbt executes these fills by its own rules, in its own cash and positions, and values them.
3. Its cash, positions and value *become* the account before the next bar: the step decides on vectorbt's
   account, never on its own. Two engines that agree to the last bar therefore agreed at every bar.

vectorbt knows no margin: it refuses what its cash cannot pay, where a perpetual's account would go on. So it is
lent a reserve, which is taken off again wherever its cash is read. It also knows neither funding nor a fee apart
from orders: a market with funding and a run that meets a liquidation are refused, never approximated.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt

from quantlab.backtest.vectorbt_callbacks import (
    EVENTS,
    LIQUIDATIONS,
    ORDERS,
    UNFILLED,
    AccountRecords,
    account_buffer,
    callbacks,
)
from quantlab.core.checks import check_flag, check_range
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.results import Simulation
from quantlab.core.rule_spans import rule_spans
from quantlab.core.types import Signal
from quantlab.trading.account.arrays import begin_account, record_buffers, simulation_of
from quantlab.trading.bar.function_table import function_table
from quantlab.trading.interface.rows import history_of
from quantlab.trading.lowlevel.layout import EVENTS_PER_BAR, ORDERS_PER_SYMBOL, Records, State
from quantlab.trading.strategy.strategy import Strategy, rules_of


@dataclass(frozen=True)
class VectorbtEngine:
    """Runs a strategy over a history in vectorbt's flexible simulator; several seconds of compiling per process.

    Parameters
    ----------
    initial_cash : float
        USD, > 0.
    reserve : float
        Multiples of the initial cash that vectorbt is lent, so that its cash never limits an order.
    ignore_funding : bool
        Leave the market's funding rates out, and say so in the result, instead of refusing them.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    initial_cash: float
    reserve: float
    ignore_funding: bool

    def __post_init__(self) -> None:
        check_range("initial_cash", self.initial_cash, low=1e-6)
        # Much more would cost digits: cash is kept to 16 of them.
        check_range("backtest.reserve", self.reserve, low=0.0, high=1e6)
        check_flag("backtest.ignore_funding", self.ignore_funding)

    def run(self, bars: Bars, signal: Signal, strategy: Strategy, *, limits_on: bool = True) -> Simulation:
        """Simulate one account over all of `bars`; see :meth:`quantlab.backtest.scan.Scan.run`.

        Raises
        ------
        ContractError
            If the bars carry funding, the account is liquidated, or vectorbt does not fill an order as asked.
        """
        if bars.funding is not None and not self.ignore_funding:
            raise ContractError(
                "bars without funding rates, which vectorbt does not know",
                found=f"{len(bars.funding.time_ms)} funding stamps",
                fix="use backtest=scan, or set backtest.ignore_funding=true to leave them out",
            )
        bars = dataclasses.replace(bars, funding=None)
        state = begin_account(bars.n_symbols, self.initial_cash, strategy.policy)
        account_records = _account_buffers(bars)
        orders = self._simulate(bars, signal, strategy, state, account_records, limits_on)
        _check(account_records)
        return simulation_of(
            state,
            Records(
                orders,
                account_records.reasons[: len(orders)],
                account_records.over_participation[: len(orders)],
                account_records.events[: account_records.counts[EVENTS]],
            ),
            account_records.curves,
            open_time_ms=bars.open_time_ms,
            interval_ms=bars.interval_ms,
            symbols=bars.symbols,
            initial_cash=self.initial_cash,
            has_funding=False,
        )

    def _simulate(
        self,
        bars: Bars,
        signal: Signal,
        strategy: Strategy,
        state: State,
        account_records: AccountRecords,
        limits_on: bool,
    ) -> Any:
        """Order records of vectorbt's run; `state` and `account_records` are written on the way."""
        records = record_buffers(ORDERS_PER_SYMBOL * bars.n_symbols, EVENTS_PER_BAR)
        history, table, call = history_of(bars, signal), function_table(strategy), callbacks()
        spans = [
            (span.first, rules_of(strategy, span.instruments, bars.interval_ms, limits_on=limits_on))
            for span in rule_spans(bars)
        ]
        buffers = np.stack(
            [account_buffer(state, records, rules, history, account_records, table) for _, rules in spans]
        )
        starts = np.array([first for first, _ in spans], dtype=np.int64)
        reserve = self.reserve * self.initial_cash
        portfolio = vbt.Portfolio.from_order_func(
            pd.DataFrame(bars.close, columns=list(bars.symbols)),
            call.next_order,
            flexible=True,
            init_cash=self.initial_cash + reserve,
            group_by=True,
            cash_sharing=True,
            pre_segment_func_nb=call.before_bar,
            pre_segment_args=(buffers, starts),
            post_order_func_nb=call.after_order,
            post_segment_func_nb=call.after_bar,
            post_segment_args=(buffers, reserve),
            ffill_val_price=True,
            fill_pos_record=False,
            max_orders=len(account_records.reasons),
        )
        return portfolio.order_records


def _account_buffers(bars: Bars) -> AccountRecords:
    """Buffers for the most that can happen; pages that nothing is written to cost no memory."""
    orders = ORDERS_PER_SYMBOL * bars.n_symbols * bars.n_bars
    return AccountRecords(
        reasons=np.empty(orders, np.int8),
        over_participation=np.empty(orders, np.bool_),
        events=record_buffers(0, EVENTS_PER_BAR * bars.n_bars).events,
        curves=np.zeros((4, bars.n_bars)),
        counts=np.zeros(4, np.int64),
    )


def _check(account_records: AccountRecords) -> None:
    if account_records.counts[LIQUIDATIONS]:
        raise ContractError(
            "an account that is never liquidated: vectorbt knows no fee apart from orders",
            found="a liquidation",
            fix="use backtest=scan, or less leverage",
        )
    if account_records.counts[UNFILLED]:
        raise ContractError(
            "vectorbt to fill every order as asked",
            found=f"order {int(account_records.counts[ORDERS])} rejected or changed",
            fix="raise backtest.reserve, or use backtest=scan",
        )
