"""Orders that end by time: GTD, and the countdown that cancels a symbol's orders unless it is set again."""

from __future__ import annotations

from quantlab.simulator.engine.conditional_book import end_algo
from quantlab.simulator.engine.fills import end_order
from quantlab.simulator.engine.state import VenueState
from quantlab.simulator.engine.values import AlgoStatus, OrderStatus


def next_due(state: VenueState) -> int | None:
    """Venue time at which the next order ends by time; None for none."""
    due = [
        moment
        for account in state.accounts.values()
        for moment in (
            *account.countdowns.values(),
            *(order.good_till_ms for order in account.resting() if order.good_till_ms),
            *(waiting.good_till_ms for waiting in account.waiting() if waiting.good_till_ms),
        )
    ]
    return min(due, default=None)


def end_overdue(state: VenueState) -> None:
    """End what is due at the venue's time."""
    now = state.now_ms
    for account in state.accounts.values():
        for order in account.resting():
            if 0 < order.good_till_ms <= now:
                end_order(state, order, OrderStatus.EXPIRED)
        for waiting in account.waiting():
            if 0 < waiting.good_till_ms <= now:
                end_algo(state, waiting, AlgoStatus.EXPIRED)
        for symbol in [s for s, due in account.countdowns.items() if due <= now]:
            del account.countdowns[symbol]
            state.note("countdown", account.name, symbol=symbol)
            for order in account.resting(symbol):
                end_order(state, order, OrderStatus.CANCELED)
            if state.rules.countdown_takes_conditional:
                for waiting in account.waiting(symbol):
                    end_algo(state, waiting, AlgoStatus.CANCELED)
