"""Rules of the venue that a user may switch: margins, book sizes, and points on which real venues are not documented well."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.checks import check_flag, check_range, check_whole
from quantlab.core.errors import ConfigError

MODES = ("lockstep", "wall")
REDUCE_ONLY = ("shrink", "reject", "count_open")


@dataclass(frozen=True)
class VenueRules:
    """Switches and numbers of the simulated venue.

    Parameters
    ----------
    mode : str
        ``lockstep``: a bar ends when :meth:`~quantlab.simulator.engine.venue.Venue.advance` says so, and orders fill at the open of the
        bar that has begun. ``wall``: bars follow the venue's time, and orders fill at a price on the running bar's path.
    reduce_only : str
        A reduce-only order larger than the position is cut to it (``shrink``), refused with -2022 (``reject``), or refused with -4118
        if the open reduce-only orders and it are together larger (``count_open``).
    second_close_position : bool
        Take a second close-position order of one side; else -4130. Stops and take-profits count apart.
    shortest_gtd_ms : int
        The end of a GTD order must be further away; -5040 else.
    lag_ms : int
        An order is not found (-2013) and not listed for so long after it was placed. It trades, and can be cancelled.
    slices : int
        Trades into which each fill is split, as far as its lots allow.
    percent_price : float or None
        Largest distance of a limit price from the mark, as a share; None for no such filter. Market orders beyond it: -4131.
    max_lots : int or None
        Largest order in grid lots; -4005 beyond.
    max_orders, max_conditional : int
        Open orders of a symbol in the plain book and in the conditional book: -2025 and -4045 beyond.
    leverage : int
        Of every symbol at the start, as far as its largest one allows.
    margin_call_ratio : float
        Share of an account's worth to which its maintenance margin comes when it gets a MARGIN_CALL.
    countdown_takes_conditional : bool
        A countdown that runs out cancels conditional orders of its symbol, too.

    Raises
    ------
    ConfigError
        If a value is not one of these, or out of its range.
    """

    mode: str
    reduce_only: str = "shrink"
    second_close_position: bool = False
    shortest_gtd_ms: int = 600_000
    lag_ms: int = 0
    slices: int = 1
    percent_price: float | None = None
    max_lots: int | None = None
    max_orders: int = 200
    max_conditional: int = 200
    leverage: int = 20
    margin_call_ratio: float = 0.8
    countdown_takes_conditional: bool = False

    def __post_init__(self) -> None:
        for option, allowed in (("job.mode", MODES), ("job.rules.reduce_only", REDUCE_ONLY)):
            value = getattr(self, option.rpartition(".")[2])
            if value not in allowed:
                expected = f"{option} as one of {', '.join(allowed)}"
                raise ConfigError(expected, found=repr(value), fix=f"set {option} to one of them")
        for name in ("second_close_position", "countdown_takes_conditional"):
            check_flag(f"job.rules.{name}", getattr(self, name))
        for name in ("lag_ms", "shortest_gtd_ms"):
            check_whole(f"job.rules.{name}", getattr(self, name), low=0)
        for name in ("slices", "max_orders", "max_conditional", "leverage"):
            check_whole(f"job.rules.{name}", getattr(self, name), low=1)
        check_range("job.rules.margin_call_ratio", self.margin_call_ratio, low=0.01, high=1.0)
        if self.max_lots is not None:
            check_whole("job.rules.max_lots", self.max_lots, low=1)
        if self.percent_price is not None:
            check_range("job.rules.percent_price", self.percent_price, low=1e-6, high=1.0)
