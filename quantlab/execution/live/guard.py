"""The guard of an account: asks the guardian after everything that happens, sends what it says, and journals naked time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from quantlab.core.events import Event
from quantlab.core.ports import Journal, Venue
from quantlab.core.venue.facts import ListedSymbol
from quantlab.core.venue.requests import OrderKind, OrderRequest, OrderType
from quantlab.execution.live.settings import LiveSettings
from quantlab.execution.orders.intent import Intent
from quantlab.execution.orders.intents import parts_of
from quantlab.execution.orders.sender import Sender
from quantlab.execution.orders.states import IntentState, OrderView
from quantlab.execution.protection.guardian import (
    Action,
    CancelOrder,
    CloseNow,
    OwnOrder,
    PlaceStop,
    PlaceTake,
    SymbolView,
    closing_reason,
    next_actions,
)
from quantlab.execution.protection.levels import Levels

#: Rounds of actions for one symbol before others get their turn; each round waits for its answers.
_MOST_ROUNDS = 8
#: Codes of refusals that say more than no (Binance's; other venues' are translated by their adapter).
WOULD_TRIGGER, WOULD_TRADE = -2021, -5022


@dataclass
class _Span:
    """One position of a symbol, from its first fill until it is flat.

    Parameters
    ----------
    began_ms : int
        Venue time of its first fill, or of the start that found it.
    naked_since_ms : int or None
        Since when it has had no confirmed stop.
    protected_at : int or None
        Level of the stop that was journalled last, ticks.
    """

    began_ms: int
    naked_since_ms: int | None
    protected_at: int | None = None
    refused_stops: int = 0
    is_stop_passed: bool = False
    is_post_only_refused: bool = False
    closing: str | None = None
    not_before_ms: int = 0


class Guard:
    """Protection of every position of one account.

    Parameters
    ----------
    venue : Venue
    journal : Journal
    sender : Sender
    listed : mapping of str to ListedSymbol
    settings : LiveSettings
    lots : callable
        From a symbol to its position by the trades, whole lots.
    levels : callable
        From a symbol to the levels that should hold now.
    is_foreign : callable
        True for a symbol whose position somebody else opened: it is neither protected nor closed.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        sender: Sender,
        listed: Mapping[str, ListedSymbol],
        settings: LiveSettings,
        lots: Callable[[str], int],
        levels: Callable[[str], Levels],
        is_foreign: Callable[[str], bool],
    ) -> None:
        self._venue, self._journal, self._sender, self._listed = venue, journal, sender, listed
        self._settings, self._lots, self._levels, self._is_foreign = settings, lots, levels, is_foreign
        self._spans: dict[str, _Span] = {}
        self._filled: dict[str, str] = {}

    def changed(self, order: OrderView) -> None:
        """Learn from a fill and from a refusal; called by the sender with every order that has changed."""
        if order.filled_lots > order.traded_lots:
            self._filled[order.intent.client_id] = order.intent.symbol
        span = self._spans.get(order.intent.symbol)
        if span is None or order.state is not IntentState.REFUSED:
            return
        code = None if order.refused is None else order.refused.code
        if order.intent.kind is OrderKind.STOP:
            span.refused_stops += 1
        if order.intent.kind is OrderKind.STOP and code == WOULD_TRIGGER:
            span.is_stop_passed = True
        elif order.intent.kind is OrderKind.TAKE and code == WOULD_TRADE:
            span.is_post_only_refused = True
        else:  # the same again, but not at once
            span.not_before_ms = self._venue.now_ms() + self._settings.retry_ms

    @property
    def awaiting_trades(self) -> set[str]:
        """Symbols with an order that filled more than its known trades: their position is not known yet."""
        for client_id in list(self._filled):
            order = self._sender.orders.view(client_id)
            if order is None or order.filled_lots <= order.traded_lots:
                del self._filled[client_id]
        return set(self._filled.values())

    def opened(self, symbol: str, time_ms: int) -> None:
        """Learn of a fill at its venue time: the first one of a position begins its naked time."""
        self._spans.setdefault(symbol, _Span(time_ms, time_ms))

    def due_ms(self) -> int | None:
        """Venue time at which some position must be looked at again, though nothing happens; None for never."""
        times = []
        for symbol, span in self._spans.items():
            if self._lots(symbol) and span.naked_since_ms is not None and span.closing is None:
                times.append(span.naked_since_ms + self._settings.protection.naked_ms)
            if span.not_before_ms:
                times.append(span.not_before_ms)
        return min(times, default=None)

    @property
    def watched(self) -> tuple[str, ...]:
        """Symbols whose position is open, or not yet known to be cleared."""
        return tuple(self._spans)

    def phase_words(self) -> dict[str, str]:
        """Return why positions are being closed, by symbol."""
        return {symbol: span.closing for symbol, span in self._spans.items() if span.closing is not None}

    async def protect(self, symbols: Iterable[str]) -> None:
        """Send what is missing for some symbols, until nothing is, or an answer must be waited for.

        Raises
        ------
        InstallationError
            If the journal cannot be written.
        """
        for symbol in dict.fromkeys(symbols):
            if self._is_foreign(symbol):
                self._spans.pop(symbol, None)
                continue
            for _ in range(_MOST_ROUNDS):
                view = self._view(symbol)
                self._note(view)
                span = self._spans.get(symbol)
                paused = span is not None and self._venue.now_ms() < span.not_before_ms
                if paused or symbol in self.awaiting_trades:
                    break
                if span is not None:
                    span.not_before_ms = 0
                actions = next_actions(view, self._settings.protection)
                if not actions:
                    break
                await self._send(view, actions)
            self._note(self._view(symbol))

    async def cancel_takes(self, symbols: Iterable[str]) -> None:
        """Cancel resting takes before a decision reduces: the venue counts them against the position."""
        for symbol in symbols:
            for order in self._sender.orders.live(symbol):
                if order.intent.kind is OrderKind.TAKE:
                    await self._sender.cancel(order.intent.client_id)

    def has_leftovers(self, symbol: str) -> bool:
        """Tell whether stops or takes of a position that is gone still stand: they would close the next one."""
        kinds = (OrderKind.STOP, OrderKind.TAKE)
        return self._lots(symbol) == 0 and any(o.intent.kind in kinds for o in self._sender.orders.live(symbol))

    async def _send(self, view: SymbolView, actions: tuple[Action, ...]) -> None:
        intents: list[Intent] = []
        for action in actions:
            if isinstance(action, CancelOrder):
                await self._sender.cancel(action.client_id)
            else:
                intents += [
                    self._sender.order(request, self._order_id(view, request)) for request in self._requests(action)
                ]
        if intents:
            await self._sender.send(intents)

    def _requests(self, action: PlaceStop | PlaceTake | CloseNow) -> list[OrderRequest]:
        symbol, side = action.symbol, action.side
        if isinstance(action, PlaceStop):
            return [
                OrderRequest(
                    "",
                    OrderKind.STOP,
                    symbol,
                    side,
                    OrderType.STOP_MARKET,
                    None,
                    trigger_ticks=action.trigger_ticks,
                    close_position=True,
                )
            ]
        if isinstance(action, PlaceTake):
            kind = OrderType.POST_ONLY if action.post_only else OrderType.LIMIT
            return [
                OrderRequest(
                    "",
                    OrderKind.TAKE,
                    symbol,
                    side,
                    kind,
                    action.lots,
                    price_ticks=action.price_ticks,
                    reduce_only=True,
                )
            ]
        parts = parts_of(action.lots, self._listed[symbol].max_market_lots)
        return [
            OrderRequest("", OrderKind.REDUCE, symbol, side, OrderType.MARKET, lots, reduce_only=True) for lots in parts
        ]

    def _order_id(self, view: SymbolView, request: OrderRequest) -> str:
        """An id for one purpose in one position; further orders of that purpose are further attempts."""
        return f"{self._spans[view.symbol].began_ms}-{view.symbol}-{request.kind.name.lower()}-{request.lots or 'all'}"

    def _view(self, symbol: str) -> SymbolView:
        lots, now_ms = self._lots(symbol), self._venue.now_ms()
        live = self._sender.orders.live(symbol)
        orders = tuple(self._own(order) for order in live if order.intent.kind is not OrderKind.ENTRY)
        is_moving = any(order.intent.kind in (OrderKind.ENTRY, OrderKind.REDUCE) for order in live)
        if lots == 0:
            return SymbolView(symbol, 0, Levels(None, None), orders, is_opening=is_moving)
        span = self._spans.setdefault(symbol, _Span(now_ms, now_ms))
        naked_ms = None if span.naked_since_ms is None else now_ms - span.naked_since_ms
        return SymbolView(
            symbol,
            lots,
            self._levels(symbol),
            orders,
            naked_ms=naked_ms,
            refused_stops=span.refused_stops,
            is_stop_passed=span.is_stop_passed,
            is_post_only_refused=span.is_post_only_refused,
            is_opening=is_moving,
            is_closing=span.closing is not None,
        )

    def _own(self, order: OrderView) -> OwnOrder:
        request = order.intent.request
        return OwnOrder(
            request.client_id,
            request.kind,
            request.side,
            order.left_lots,
            request.price_ticks if request.trigger_ticks is None else request.trigger_ticks,
            is_confirmed=order.state.is_shown,
            is_cancelled=self._sender.is_cancelled(request.client_id),
        )

    def _note(self, view: SymbolView) -> None:
        """Journal what became of a position's protection, and keep why it is closed."""
        span, now_ms = self._spans.get(view.symbol), self._venue.now_ms()
        if span is None:
            return
        stops = [order for order in view.of_kind(OrderKind.STOP) if order.is_confirmed]
        if view.lots == 0:
            if not stops and not view.of_kind(OrderKind.TAKE):
                self._journal.append([Event("cleared", {"symbol": view.symbol, "at_ms": now_ms})])
                del self._spans[view.symbol]
            return
        exit_side = -1 if view.lots > 0 else 1
        resting = [stop for stop in stops if stop.side == exit_side and not stop.is_cancelled]
        if not resting:
            span.naked_since_ms = now_ms if span.naked_since_ms is None else span.naked_since_ms
            span.protected_at = None
        elif resting[-1].ticks != span.protected_at:
            self._journal.append([self._protected(view.symbol, span, resting[-1], now_ms)])
            span.naked_since_ms, span.protected_at = None, resting[-1].ticks
            span.refused_stops, span.is_stop_passed = 0, False
        if span.closing is None:
            span.closing = closing_reason(self._view(view.symbol), self._settings.protection)

    def _protected(self, symbol: str, span: _Span, stop: OwnOrder, now_ms: int) -> Event:
        facts = {"symbol": symbol, "cid": stop.client_id, "level_ticks": stop.ticks, "at_ms": now_ms}
        if span.naked_since_ms is not None:
            return Event("protected", {**facts, "naked_ms": now_ms - span.naked_since_ms})
        return Event("moved", {**facts, "from_ticks": span.protected_at})
