"""The account as explicit arrays: which row holds what, and the compiled types they travel in.

Compiled code takes named tuples of arrays. What a simulation may write is in :class:`State` and
:class:`Records`; everything else arrives in arrays whose type is read-only, so that a rule that
would write to the market or a policy that would edit the ledger does not compile.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numba
from numba import types

from quantlab.core.results import EVENT_DTYPE, ORDER_DTYPE

#: Rows of ``State.positions`` (N_POSITION_ROWS, S).
UNITS = 0  # signed
ENTRY = 1  # average entry price, 0 when flat
BARS_HELD = 2  # closes since the opening bar, whose own close is 1
STOPPED = 3  # 1 when a stop filled in this bar
MARK = 4  # last finite close since the position was opened
STOP_LEVEL = 5  # price, NaN when there is none
TAKE_LEVEL = 6
CAPPED = 7  # units filled in this bar under the participation cap
TRAIL = 8  # distance by which the stop follows the price, +inf = it does not
BREAK_EVEN_LEVEL = 9  # price whose touch moves the stop to the entry, NaN when there is none
PROCEEDS = 10  # cash that the position's own fills brought since it was opened, fees taken off
AGREED = 11  # last finite close since the position was opened that no suspicion stood at
ABSENT_BARS = 12  # bars in a row, up to this one, in which the symbol was absent
N_POSITION_ROWS = 13

#: Rows of ``State.orders`` (N_ORDER_ROWS, S): what was decided at the last close. Both legs of a
#: symbol that is not in ``State.active`` are 0.
REDUCE = 0  # units to take off the holding, >= 0
INCREASE = 1  # units to add on SIDE, >= 0
SIDE = 2  # -1 or +1, the sign of the target
WEIGHT = 3  # the target itself
STOP_DISTANCE = 4
TAKE_DISTANCE = 5
REASON = 6  # OrderReason of the reducing leg
CLOSING = 7  # 1 + OrderReason of a close that stays wanted until flat, else 0
SLOT = 8  # scratch of the position limit: 1 when this entry got a free slot
TRAIL_DISTANCE = 9
BREAK_EVEN_DISTANCE = 10
REPEATED = 11  # 1 for a flatten and for a close that is issued again: what cuts it counts nothing
N_ORDER_ROWS = 12

#: Rows of ``State.intents`` (N_INTENT_ROWS, S), the policy's output.
N_INTENT_ROWS = 7

#: Slots of ``State.account``.
CASH = 0
EQUITY = 1
GROSS = 2
FUNDING = 3  # paid in this bar
LIQUIDATION_FEE = 4  # paid in this bar
DAY_START_EQUITY = 5
HIGH_WATER_MARK = 6
DAILY_HALT = 7  # 1 until the next UTC day
BREAKER_HALT = 8  # 1 until reset by hand
LOSS_STREAK_HALT = 9  # 1 until the next UTC day
STOP_RATE_HALT = 10  # 1 until the next UTC day
FEED_HALT = 11  # 1 while market data is too old to enter on; only a session ever sets this slot and those after it
VENUE_HALT = 12  # 1 while the venue's books and the account are not known to agree
OWNER_HALT = 13  # 1 until the owner releases it
STAGE_SHARE = 14  # share of every target that the stage of the rollout allows, beside the strategy's own; 1 = all
STAGE_POSITIONS = 15  # most positions that it allows, +inf = any number
N_ACCOUNT_SLOTS = 16

#: Slots of ``State.counters``.
BAR = 0  # index of the bar being worked on
DAY = 1  # its UTC day number
N_HELD = 2  # entries of State.held
N_ACTIVE = 3  # entries of State.active
NEXT_ORDER_ID = 4
N_ORDERS = 5  # records in the buffer
N_EVENTS = 6
MISSING_FUNDING = 7  # held (bar, symbol) cells whose stamp carried no rate
STALE_MARKS = 8  # held (bar, symbol) cells without a close
LOSS_STREAK = 9  # positions closed at a loss since the last gain or the start of the UTC day
N_STOPS = 10  # stops filled since the start
JOINED_FILLS = 11  # fills that a venue made and that have no record of their own
N_COUNTERS = 12

#: Stops that ``State.stop_times`` remembers: stop number n stands in slot n modulo this.
STOP_MEMORY = 64

#: Most records that one bar can write: a reducing leg, an increasing leg, an exit, and a
#: delisting or a liquidation per symbol; and one event of each kind.
ORDERS_PER_SYMBOL = 4
EVENTS_PER_BAR = 5
#: Fills of one symbol in one bar that a venue's account records one by one; of more, those of one order are joined.
FILLS_PER_SYMBOL = 64


#: How the parts of the bar step are compiled: into their caller, without reference counts (they
#: were most of the loop's cost), and without wrappers for Python, which take longer to compile
#: than the parts themselves.
INLINED: dict[str, Any] = {
    "forceinline": True,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


class State(NamedTuple):
    """Everything that a simulated account remembers from one bar to the next."""

    positions: Any  #: float64 (N_POSITION_ROWS, S)
    positions_view: Any  #: the same memory, read-only, for policies
    orders: Any  #: float64 (N_ORDER_ROWS, S)
    intents: Any  #: float64 (N_INTENT_ROWS, S), scratch
    memory: Any  #: float64 (K, S), the policy's own
    account: Any  #: float64 (N_ACCOUNT_SLOTS,)
    counters: Any  #: int64 (N_COUNTERS,)
    cuts: Any  #: int64 (len(CUT_RULES),)
    held: Any  #: uint64 (S,), symbols that held units after the last fills, ascending
    active: Any  #: uint64 (S,), symbols with a leg to fill, ascending
    stop_times: Any  #: int64 (STOP_MEMORY,), open_time_ms of the bars in which stops filled


class Rules(NamedTuple):
    """Numbers that do not change during a run; ``off`` is NaN for a limit on equity, +inf for the others."""

    tick: Any  #: float64 (S,), USD
    lot: Any  #: float64 (S,), units
    min_notional: Any  #: float64 (S,), USD
    maintenance: Any  #: float64 (S,), fraction of notional
    maker_fee: Any  #: float64 (S,), fraction of notional
    taker_fee: Any  #: float64 (S,)
    slippage: float  #: fraction of price
    participation: float  #: fraction of a bar's volume
    liquidation_fee: float  #: fraction of notional
    coarsest_tick: float  #: fraction of price; a larger tick is unknown there
    coarsest_order_usd: float  #: a lot worth more is unknown, and so is a larger smallest notional
    delisted_after: float  #: absent bars in a row after which a position is settled
    daily_loss_limit: float
    daily_flatten: bool
    breaker: float
    max_positions: float
    max_weight: float
    max_gross_leverage: float
    rollout: float
    loss_streak: float  #: +inf = off
    max_stops: float  #: +inf = off
    stop_window_ms: float
    policy: Any  #: float64 (P,), parameters of the policy's step
    sizer: Any  #: float64 (Q,), parameters of the sizer


class Row(NamedTuple):
    """One bar of the market, and of the signal what a sizer reads; read-only."""

    open_time_ms: int
    ohlcv: Any  #: float64 (S, 5)
    state: Any  #: uint8 (S,)
    suspect: Any  #: uint8 (S,), or (0,) where no print of the history is suspect
    funding: Any  #: float64 (N, S), rates
    funding_first: int  #: those that fall into this bar are rows first:last, mostly none
    funding_last: int
    confidence: Any  #: float64 (S,)
    atr: Any  #: float64 (S,)


class Facts(NamedTuple):
    """Fills and payments of one bar as a venue reports them; read-only, the N fills in the order of the venue's ledger."""

    symbol: Any  #: uint64 (N,), column of the market
    units: Any  #: float64 (N,), signed, not 0
    price: Any  #: float64 (N,), USD
    fee: Any  #: float64 (N,), USD paid; negative for a rebate
    reason: Any  #: int64 (N,), OrderReason
    order: Any  #: int64 (N,), the same number for the fills of one order
    funding: Any  #: float64 (F,), USD received, one for each payment; negative where the account paid
    moved: Any  #: float64 (M,), USD that came into the account (withdrawn: negative) beside its trading
    missing_funding: int  #: payments that were due on a held position and never came
    whole_lots: bool  #: positions are whole lots; else every size is booked as it is


class Records(NamedTuple):
    """Buffers for what happened; their owner checks the capacity before every bar."""

    orders: Any  #: ORDER_DTYPE (C,)
    reasons: Any  #: int8 (C,)
    over_participation: Any  #: bool (C,)
    events: Any  #: EVENT_DTYPE (D,)


def read_only_array(dtype: Any, ndim: int, layout: Literal["C", "A"] = "C") -> Any:
    """Compiled type of an array that cannot be written through."""
    return types.Array(dtype, ndim, layout, readonly=True)


def writable_array(dtype: Any, ndim: int) -> Any:
    """Compiled type of a C-contiguous array."""
    return types.Array(dtype, ndim, "C")


def tuple_type(kind: type, *fields: Any) -> Any:
    """Compiled type of a named tuple; numba writes it differently when all fields are of one type."""
    return types.BaseTuple.from_types(fields, kind)  # type: ignore[no-untyped-call]


_F1_IN, _F2_IN = read_only_array(types.float64, 1), read_only_array(types.float64, 2)
#: Symbols are counted without a sign: a negative index would count from the end, which each use had to look at.
_S1 = writable_array(types.uint64, 1)
_F1, _F2, _I1 = writable_array(types.float64, 1), writable_array(types.float64, 2), writable_array(types.int64, 1)

STATE_TYPE = tuple_type(State, _F2, _F2_IN, _F2, _F2, _F2, _F1, _I1, _I1, _S1, _S1, _I1)
RULES_TYPE = tuple_type(Rules, *[_F1_IN] * 6, *[types.float64] * 7, types.boolean, *[types.float64] * 8, *[_F1_IN] * 2)
_I1_IN = read_only_array(types.int64, 1)
FACTS_TYPE = tuple_type(
    Facts,
    read_only_array(types.uint64, 1),
    *[_F1_IN] * 3,
    *[_I1_IN] * 2,
    *[_F1_IN] * 2,
    types.int64,
    types.boolean,
)
RECORDS_TYPE = tuple_type(
    Records,
    writable_array(numba.from_dtype(ORDER_DTYPE), 1),
    writable_array(types.int8, 1),
    writable_array(types.boolean, 1),
    writable_array(numba.from_dtype(EVENT_DTYPE), 1),
)
