"""The inbox: which fact of a venue belongs to which bar.

A fact belongs to the bar in which its venue time lies (open <= time < close). One that is known only after that bar was committed
goes into the next bar and is counted: what was decided and journalled stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from quantlab.core.venue.grid import Grid
from quantlab.execution.live.venue_facts import CashMoved, Fill, FundingPaid, VenueFact


@dataclass(frozen=True, slots=True)
class DueFacts:
    """Facts that one bar is settled with, each kind in the order of venue time, then of the journal.

    Parameters
    ----------
    fills : tuple of Fill
    funding : tuple of FundingPaid
    moved : tuple of CashMoved
    late : int
        How many of them belong to an earlier bar.
    """

    fills: tuple[Fill, ...]
    funding: tuple[FundingPaid, ...]
    moved: tuple[CashMoved, ...]
    late: int


@dataclass
class Inbox:
    """Journalled facts that no bar was settled with yet."""

    waiting: list[VenueFact] = field(default_factory=list)

    def take(self, fact: VenueFact) -> None:
        """Add a fact that the journal holds."""
        self.waiting.append(fact)

    def due(self, open_ms: int, close_ms: int) -> DueFacts:
        """Hand out what happened until the close of a bar.

        Parameters
        ----------
        open_ms, close_ms : int
        """
        ready = sorted((fact for fact in self.waiting if fact.time_ms < close_ms), key=lambda fact: fact.time_ms)
        self.waiting = [fact for fact in self.waiting if fact.time_ms >= close_ms]
        return DueFacts(
            tuple(fact for fact in ready if isinstance(fact, Fill)),
            tuple(fact for fact in ready if isinstance(fact, FundingPaid)),
            tuple(fact for fact in ready if isinstance(fact, CashMoved)),
            sum(fact.time_ms < open_ms for fact in ready),
        )


def mean_price(fills: Sequence[Fill], grid: Grid) -> float:
    """Mean price of some fills of one symbol, USD: the exact quotient, rounded once."""
    lots = sum(fill.lots for fill in fills)
    return float(grid.tick * sum(fill.lots * fill.price_ticks for fill in fills) / lots)
