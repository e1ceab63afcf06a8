"""Settings of the order protocol, as ``conf/execution/orders`` has them."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.checks import check_choice, check_range, check_whole

BOUNDED_IOC, MARKET = "bounded_ioc", "market"
_NODE = "execution.orders"


@dataclass(frozen=True)
class EntrySettings:
    """Form and life of an order that opens or adds.

    Parameters
    ----------
    style : str
        ``bounded_ioc``: a limit at the close, worse by `bound_bps`, the rest of which is cancelled at once. ``market``.
    bound_bps : float
        Basis points of the close; it keeps an order from a broken book, not from a moving market.
    valid_ms : int
        Age of the close beyond which no entry is sent any more.
    """

    style: str
    bound_bps: float
    valid_ms: int

    def __post_init__(self) -> None:
        check_choice(f"{_NODE}.entry.style", self.style, (BOUNDED_IOC, MARKET))
        check_range(f"{_NODE}.entry.bound_bps", self.bound_bps, low=0.0, high=5_000.0)
        check_whole(f"{_NODE}.entry.valid_ms", self.valid_ms, low=1)


@dataclass(frozen=True)
class UnknownSettings:
    """Times by which an order whose fate is unknown is asked for and given up.

    Parameters
    ----------
    lag_ms : int
        Longest time in which the venue does not show an order that it has taken.
    clock_ms : int
        Largest error of our idea of the venue's time.
    first_ask_ms : int
        Time of the first question after the answer went missing; each further one comes at twice the time.
    longest_ask_ms : int
        Longest time between two questions.
    halt_after_ms : int
        Age of an unknown order beyond which nothing may increase anywhere (``VENUE_HALT``).
    forget_after_ms : int
        Age beyond which the venue may have deleted an order that it had shown.
    """

    lag_ms: int
    clock_ms: int
    first_ask_ms: int
    longest_ask_ms: int
    halt_after_ms: int
    forget_after_ms: int

    def __post_init__(self) -> None:
        for name in ("lag_ms", "clock_ms"):
            check_whole(f"{_NODE}.unknown.{name}", getattr(self, name), low=0)
        for name in ("first_ask_ms", "longest_ask_ms", "halt_after_ms", "forget_after_ms"):
            check_whole(f"{_NODE}.unknown.{name}", getattr(self, name), low=1)


@dataclass(frozen=True)
class OrderSettings:
    """Settings of every order.

    Parameters
    ----------
    entry : EntrySettings
    unknown : UnknownSettings
    valid_for_ms : int
        The venue refuses a request that arrives later than so long after it was sent.
    """

    entry: EntrySettings
    unknown: UnknownSettings
    valid_for_ms: int

    def __post_init__(self) -> None:
        check_whole(f"{_NODE}.valid_for_ms", self.valid_for_ms, low=1)
