"""Whole lots and ticks: the only form in which sizes and prices of a venue exist inside the house.

A venue sends decimal text. Booked as floats, a position that was closed keeps some 1e-17 units, which takes a slot and
changes decisions; whole lots are exact (``docs/live.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from quantlab.core.errors import ContractError, DataError


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps of a symbol's prices and sizes.

    Parameters
    ----------
    tick, lot : Decimal
        USD, and units of the base asset; > 0.

    Raises
    ------
    ContractError
        If a step is no positive number.
    """

    tick: Decimal
    lot: Decimal

    def __post_init__(self) -> None:
        for name, step in (("tick", self.tick), ("lot", self.lot)):
            if not (step.is_finite() and step > 0):
                raise ContractError(f"a {name} above 0", found=str(step), fix="take the venue's own filters")

    def ticks(self, price: str | Decimal) -> int:
        """Whole ticks of a price.

        >>> Grid(Decimal("0.10"), Decimal("0.001")).ticks("84171.3")
        841713

        Raises
        ------
        DataError
            If it is no number, or off the grid.
        """
        return _whole(price, self.tick, "a price on the tick")

    def lots(self, size: str | Decimal) -> int:
        """Whole lots of a size, with its sign.

        Raises
        ------
        DataError
            If it is no number, or off the grid.
        """
        return _whole(size, self.lot, "a size on the lot")

    def price_text(self, ticks: int) -> str:
        """Decimal text of a price, without an exponent, as a request carries it."""
        return format(ticks * self.tick, "f")

    def size_text(self, lots: int) -> str:
        """Decimal text of a size, without an exponent."""
        return format(lots * self.lot, "f")

    def nearest_ticks(self, price: float) -> int:
        """Whole ticks nearest to a price that was computed, e.g. a level; it is not checked to lie on the grid."""
        return round(price / float(self.tick))

    def nearest_lots(self, units: float) -> int:
        """Whole lots nearest to units that were computed, with their sign."""
        return round(units / float(self.lot))


def _whole(value: str | Decimal, step: Decimal, expected: str) -> int:
    try:
        quotient, rest = divmod(Decimal(value), step)
        whole = int(quotient)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise DataError(f"{expected} {step}", found=repr(value)[:80], fix="look at the venue's answer") from error
    if rest != 0:
        raise DataError(
            f"{expected} {step}",
            found=str(value)[:80],
            fix="the venue's filters changed: begin a session with its present rules",
        )
    return whole
