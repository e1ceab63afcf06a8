"""Tables of a live session: orders that have not ended, the stop that rests for each position, and what is in doubt."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from quantlab.core.events import Event
from quantlab.execution.journal.reader import read_kinds
from quantlab.execution.live.venue_facts import Fill
from quantlab.execution.orders import facts as order_facts
from quantlab.execution.orders.open_orders import OpenOrders
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.jobs.output.console import terminal_table

_PROTECTION = ("protected", "moved", "cleared")


def live_tables(journal: Path) -> list[Table]:
    """Return what the journal says of orders at a venue; nothing for a session without one.

    Parameters
    ----------
    journal : Path

    Raises
    ------
    ArtifactError
        If the journal is damaged.
    """
    events = read_kinds(journal, (*order_facts.KINDS, Fill.KIND, *_PROTECTION))
    if not events:
        return []
    orders, lots = OpenOrders(), dict[str, int]()
    for event in events:
        if event.kind not in _PROTECTION:
            orders.take(event)
        if event.kind == Fill.KIND:
            fill = Fill.of(event)
            lots[fill.symbol] = lots.get(fill.symbol, 0) + fill.side * fill.lots
    held = {symbol: count for symbol, count in sorted(lots.items()) if count}
    return [_protection(events, held), _orders(orders.live())]


def _protection(events: list[Event], held: dict[str, int]) -> Table:
    """Return the level of the stop that was confirmed last for each position; a stop that has fired is none."""
    levels: dict[str, int] = {}
    for event in events:
        if event.kind == "cleared":
            levels.pop(event.facts["symbol"], None)
        elif event.kind in ("protected", "moved"):
            levels[event.facts["symbol"]] = event.facts["level_ticks"]
    head = ("held at the venue", "lots", "stop rests at, ticks")
    table = terminal_table(*head, numbers=head[1:])
    for symbol, count in held.items():
        table.add_row(symbol, f"{count:,}", f"{levels[symbol]:,}" if symbol in levels else "NAKED")
    return table


def _orders(orders: tuple[OrderView, ...]) -> Table:
    doubtful = sum(order.state is IntentState.UNKNOWN for order in orders)
    title = f"{len(orders)} orders have not ended, the fate of {doubtful} is unknown"
    table = terminal_table(
        "order", "symbol", "side", "lots", "at, ticks", "state", numbers=("lots", "at, ticks"), title=title
    )
    for order in orders:
        request = order.intent.request
        at = request.price_ticks if request.trigger_ticks is None else request.trigger_ticks
        table.add_row(
            request.kind.name.lower(),
            request.symbol,
            "buy" if request.side > 0 else "sell",
            "all" if request.lots is None else f"{request.lots:,}",
            "market" if at is None else f"{at:,}",
            order.state.value,
        )
    return table
