"""Making an account's arrays, and turning what they recorded into a Simulation."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.checks import check_range
from quantlab.core.errors import ContractError
from quantlab.core.ports import Policy
from quantlab.core.results import CUT_RULES, EVENT_DTYPE, ORDER_DTYPE, Simulation
from quantlab.trading.lowlevel.layout import (
    BREAK_EVEN_LEVEL,
    CASH,
    DAY,
    DAY_START_EQUITY,
    ENTRY,
    EQUITY,
    HIGH_WATER_MARK,
    MISSING_FUNDING,
    N_ACCOUNT_SLOTS,
    N_COUNTERS,
    N_EVENTS,
    N_INTENT_ROWS,
    N_ORDER_ROWS,
    N_ORDERS,
    N_POSITION_ROWS,
    STAGE_POSITIONS,
    STAGE_SHARE,
    STALE_MARKS,
    STOP_LEVEL,
    STOP_MEMORY,
    TAKE_LEVEL,
    TRAIL,
    UNITS,
    Records,
    State,
)

#: UTC day number before any bar; in milliseconds it still fits an int64.
NEVER = -1_000_000


def begin_account(n_symbols: int, initial_cash: float, policy: Policy) -> State:
    """A flat account before its first bar.

    Raises
    ------
    ConfigError
        If `initial_cash` is not positive.
    ContractError
        If the policy's memory is not a float64 array (K, S).
    """
    check_range("initial_cash", initial_cash, low=1e-6)
    memory = policy.begin(n_symbols)
    fits = isinstance(memory, np.ndarray) and memory.dtype == np.float64 and memory.shape[1:] == (n_symbols,)
    if not fits:
        raise ContractError(
            f"policy memory as float64 (*, {n_symbols})",
            found=f"{memory.dtype.name} {memory.shape}" if isinstance(memory, np.ndarray) else type(memory).__name__,
            fix="return such an array from the policy's begin(); np.zeros((0, n_symbols)) for none",
        )
    positions = np.zeros((N_POSITION_ROWS, n_symbols))
    for level in (STOP_LEVEL, TAKE_LEVEL, BREAK_EVEN_LEVEL):
        positions[level] = np.nan
    positions[TRAIL] = np.inf
    positions_view = positions.view()
    positions_view.flags.writeable = False
    account = np.zeros(N_ACCOUNT_SLOTS)
    for slot in (CASH, EQUITY, DAY_START_EQUITY, HIGH_WATER_MARK):
        account[slot] = initial_cash
    account[STAGE_SHARE], account[STAGE_POSITIONS] = 1.0, np.inf
    counters = np.zeros(N_COUNTERS, np.int64)
    counters[DAY] = NEVER
    return State(
        positions=positions,
        positions_view=positions_view,
        orders=np.zeros((N_ORDER_ROWS, n_symbols)),
        intents=np.zeros((N_INTENT_ROWS, n_symbols)),
        memory=np.array(memory, order="C"),
        account=account,
        counters=counters,
        cuts=np.zeros(len(CUT_RULES), np.int64),
        held=np.zeros(n_symbols, np.uint64),
        active=np.zeros(n_symbols, np.uint64),
        stop_times=np.zeros(STOP_MEMORY, np.int64),
    )


def record_buffers(n_orders: int, n_events: int) -> Records:
    """Buffers of which nothing is written yet."""
    return Records(
        orders=np.empty(n_orders, ORDER_DTYPE),
        reasons=np.empty(n_orders, np.int8),
        over_participation=np.empty(n_orders, np.bool_),
        events=np.empty(n_events, EVENT_DTYPE),
    )


def filled_records(state: State, records: Records) -> Records:
    """The filled parts of the buffers, as views."""
    n = int(state.counters[N_ORDERS])
    return Records(
        records.orders[:n],
        records.reasons[:n],
        records.over_participation[:n],
        records.events[: int(state.counters[N_EVENTS])],
    )


def simulation_of(
    state: State,
    records: Records,
    curves: Float64Array,
    *,
    open_time_ms: Int64Array,
    interval_ms: int,
    symbols: tuple[str, ...],
    initial_cash: float,
    has_funding: bool,
) -> Simulation:
    """Freeze a finished account.

    Parameters
    ----------
    records : Records
        Everything that was recorded, without spare room; arrays that own their memory, or whose memory nobody
        can write, are taken over.
    curves : float64 (4, T)
        Equity, gross, funding paid and liquidation fees paid per bar, USD.
    """
    equity, gross, funding, fees = (_frozen(curve) for curve in curves)
    return Simulation(
        open_time_ms=open_time_ms,
        interval_ms=interval_ms,
        symbols=symbols,
        initial_cash=initial_cash,
        equity=equity,
        gross=gross,
        funding=funding,
        liquidation_fees=fees,
        orders=_frozen(records.orders),
        reasons=_frozen(records.reasons),
        over_participation=_frozen(records.over_participation),
        events=_frozen(records.events),
        cuts={rule: int(count) for rule, count in zip(CUT_RULES, state.cuts, strict=True)},
        units=_frozen(state.positions[UNITS]),
        entry_price=_frozen(state.positions[ENTRY]),
        cash=float(state.account[CASH]),
        has_funding=has_funding,
        missing_funding=int(state.counters[MISSING_FUNDING]),
        stale_marks=int(state.counters[STALE_MARKS]),
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    """Read-only for good: a view is copied, since its buffer may go on being written, unless that is of bytes."""
    base: Any = array.base
    own = array if base is None or isinstance(base, bytes) else array.copy()
    own.flags.writeable = False
    return own
