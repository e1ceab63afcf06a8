"""The guardian: what must be done now so that a position is protected at the venue, and nothing protects what is gone.

There is no memory here. :func:`next_actions` compares what stands at the venue, or is on its way there, with what
should, and is asked again after everything that happens: a fill, an answer, a refusal, a second. So a restart, a lost
answer and an order that somebody else cancelled need no paths of their own.

::

              first fill            stop confirmed           entry ended, take confirmed
    FLAT ───────────────> NAKED ───────────────> STOPPED ───────────────────────> BRACKETED
                            │ 5 s, or refused        │ level moves: MOVING            │
                            └──────> CLOSING <───────┴──── the decision closes ───────┘
                                        └── flat ──> CLEARING ── both books empty ──> FLAT
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quantlab.core.checks import check_choice, check_whole
from quantlab.core.venue.requests import OrderKind
from quantlab.execution.protection.levels import Levels


class Phase(StrEnum):
    """The state of one symbol, for people and for the journal; derived, never stored."""

    FLAT = "flat"
    NAKED = "naked"
    STOPPED = "stopped"
    BRACKETED = "bracketed"
    MOVING = "moving"
    CLOSING = "closing"
    CLEARING = "clearing"


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An order of ours that has not ended, as far as is known.

    Parameters
    ----------
    client_id : str
    kind : OrderKind
    side : int
    lots : int or None
        Not yet filled; None where it closes the whole position.
    ticks : int or None
        The trigger of a stop, the price of a take.
    is_confirmed : bool
        The venue has shown it; False while it is on its way or unknown.
    is_cancelled : bool
        Its cancellation was sent; the end is not known yet.
    """

    client_id: str
    kind: OrderKind
    side: int
    lots: int | None
    ticks: int | None
    is_confirmed: bool
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class SymbolView:
    """One symbol as it stands now.

    Parameters
    ----------
    symbol : str
    lots : int
        The position by the venue's trades, with its sign.
    levels : Levels
        Where it should be closed.
    orders : tuple of OwnOrder
    naked_ms : int or None
        How long it has had no confirmed stop; None while it has one, or is flat.
    refused_stops : int
        Stops that the venue refused since it became naked.
    is_stop_passed : bool
        The venue said that the stop would fire at once (-2021).
    is_post_only_refused : bool
        The venue said that the take would trade at once (-5022); the next one may.
    is_opening : bool
        An order that opens or adds has not ended.
    is_closing : bool
        The whole position is to go: the decision said so, or it stayed naked.
    """

    symbol: str
    lots: int
    levels: Levels
    orders: tuple[OwnOrder, ...] = ()
    naked_ms: int | None = None
    refused_stops: int = 0
    is_stop_passed: bool = False
    is_post_only_refused: bool = False
    is_opening: bool = False
    is_closing: bool = False

    def of_kind(self, kind: OrderKind) -> tuple[OwnOrder, ...]:
        """Orders of a kind."""
        return tuple(order for order in self.orders if order.kind is kind)


@dataclass(frozen=True, slots=True)
class PlaceStop:
    """Send a market stop that closes the whole position."""

    symbol: str
    side: int
    trigger_ticks: int


@dataclass(frozen=True, slots=True)
class PlaceTake:
    """Send a reduce-only limit for the whole position."""

    symbol: str
    side: int
    lots: int
    price_ticks: int
    post_only: bool


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel an order of ours."""

    symbol: str
    client_id: str


@dataclass(frozen=True, slots=True)
class CloseNow:
    """Send a reduce-only market order for the whole position."""

    symbol: str
    side: int
    lots: int
    why: str


Action = PlaceStop | PlaceTake | CancelOrder | CloseNow

#: Refused stops after which a position is closed instead.
MOST_REFUSALS = 2
PLACE_THEN_CANCEL, CANCEL_THEN_PLACE = "place_then_cancel", "cancel_then_place"


@dataclass(frozen=True)
class ProtectionRules:
    """Rules of protection at a venue.

    Parameters
    ----------
    naked_ms : int
        Longest time without a confirmed stop, after which a position is closed.
    move : str
        ``place_then_cancel``: the new stop rests before the old one goes. ``cancel_then_place``: for a venue that
        refuses a second stop of one side (-4130).
    """

    naked_ms: int = 5_000
    move: str = PLACE_THEN_CANCEL

    def __post_init__(self) -> None:
        check_whole("execution.broker.protection.naked_ms", self.naked_ms, low=1)
        check_choice("execution.broker.protection.move", self.move, (PLACE_THEN_CANCEL, CANCEL_THEN_PLACE))


def next_actions(view: SymbolView, rules: ProtectionRules) -> tuple[Action, ...]:
    """Return what must be sent now for one symbol; nothing that is already under way.

    Parameters
    ----------
    view : SymbolView
    rules : ProtectionRules
    """
    if view.lots == 0:
        return _cancels(view, (*view.of_kind(OrderKind.STOP), *view.of_kind(OrderKind.TAKE)))
    reason = closing_reason(view, rules)
    if reason is not None:
        return _close(view, reason)
    return (*_stop_actions(view, rules), *_take_actions(view))


def closing_reason(view: SymbolView, rules: ProtectionRules) -> str | None:
    """Return why the whole position must go at once; None if it may stay.

    Whoever asks keeps the answer until the position is flat (:attr:`SymbolView.is_closing`): a stop that is confirmed
    after all does not call a close back.
    """
    if view.lots == 0:
        return None
    if view.is_closing:
        return "decided"
    if view.levels.stop_ticks is None:
        return "no stop level"
    if view.is_stop_passed:  # also while an older, wider stop still rests
        return "the price is beyond the stop"
    if view.naked_ms is None:
        return None
    if view.refused_stops >= MOST_REFUSALS:
        return f"{view.refused_stops} stops were refused"
    return f"no stop after {view.naked_ms} ms" if view.naked_ms >= rules.naked_ms else None


def phase(view: SymbolView, rules: ProtectionRules) -> Phase:
    """Return the state of a symbol."""
    resting = (*view.of_kind(OrderKind.STOP), *view.of_kind(OrderKind.TAKE))
    if view.lots == 0:
        return Phase.CLEARING if resting else Phase.FLAT
    if closing_reason(view, rules) is not None:
        return Phase.CLOSING
    stops = [stop for stop in _exits(view, OrderKind.STOP) if stop.is_confirmed and not stop.is_cancelled]
    if not stops:
        return Phase.NAKED
    if len(stops) > 1 or stops[0].ticks != view.levels.stop_ticks:
        return Phase.MOVING
    takes = [take for take in _exits(view, OrderKind.TAKE) if take.is_confirmed and not take.is_cancelled]
    return Phase.BRACKETED if takes else Phase.STOPPED


def _stop_actions(view: SymbolView, rules: ProtectionRules) -> tuple[Action, ...]:
    """One stop at the level; every other one goes as soon as that one rests."""
    level, side = view.levels.stop_ticks, _exit_side(view)
    if level is None:
        return ()
    stops = view.of_kind(OrderKind.STOP)
    kept = [stop for stop in stops if stop.side == side and stop.ticks == level and not stop.is_cancelled]
    others = tuple(stop for stop in stops if stop not in kept[:1])
    if not kept:
        if rules.move == CANCEL_THEN_PLACE and any(stop.side == side and stop.is_confirmed for stop in others):
            return _cancels(view, others)  # the new one follows when the old one is known to be gone
        # A stop of the wrong side would open the other way: it never waits for the new one.
        wrong = tuple(stop for stop in others if stop.side != side)
        return (PlaceStop(view.symbol, side, level), *_cancels(view, wrong))
    if not kept[0].is_confirmed:
        return _cancels(view, tuple(stop for stop in others if stop.side != side))
    return _cancels(view, others)


def _take_actions(view: SymbolView) -> tuple[Action, ...]:
    """One take of the position's size at the level, once the opening order has ended."""
    level, side, lots = view.levels.take_ticks, _exit_side(view), abs(view.lots)
    takes = view.of_kind(OrderKind.TAKE)
    if level is None or view.is_opening:
        return _cancels(view, tuple(take for take in takes if level is None or take.side != side))
    kept = [
        take for take in takes if (take.side, take.ticks, take.lots) == (side, level, lots) and not take.is_cancelled
    ]
    others = tuple(take for take in takes if take not in kept[:1])
    if kept or others:  # another take's size still counts at the venue until it is gone
        return _cancels(view, others)
    return (PlaceTake(view.symbol, side, lots, level, post_only=not view.is_post_only_refused),)


def _close(view: SymbolView, why: str) -> tuple[Action, ...]:
    """Takes first, because the venue counts them against the position; the stop stays until the position is flat.

    A take that the venue has not shown is not waited for: if it is there, the close is refused, and it is found by then.
    """
    takes = tuple(take for take in view.of_kind(OrderKind.TAKE) if take.is_confirmed)
    if takes:
        return _cancels(view, takes)
    if view.of_kind(OrderKind.REDUCE):
        return ()
    return (CloseNow(view.symbol, _exit_side(view), abs(view.lots), why),)


def _cancels(view: SymbolView, orders: tuple[OwnOrder, ...]) -> tuple[Action, ...]:
    """Cancel what the venue has shown; what is still on its way is looked for first."""
    return tuple(
        CancelOrder(view.symbol, order.client_id) for order in orders if order.is_confirmed and not order.is_cancelled
    )


def _exits(view: SymbolView, kind: OrderKind) -> tuple[OwnOrder, ...]:
    return tuple(order for order in view.of_kind(kind) if order.side == _exit_side(view))


def _exit_side(view: SymbolView) -> int:
    return -1 if view.lots > 0 else 1
