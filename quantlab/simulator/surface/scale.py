"""Decimal text and whole ticks or lots of one symbol, turned into each other exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Scale(NamedTuple):
    """Steps of one symbol.

    Parameters
    ----------
    tick, lot : Decimal
        Worth of one tick in USD and of one lot in units; both > 0.

    Examples
    --------
    >>> scale = Scale(Decimal("0.10"), Decimal("0.001"))
    >>> scale.price(842_551), scale.size(12), scale.ticks(Decimal("84255.1")), scale.lots(Decimal("0.0125"))
    ('84255.10', '0.012', 842551, None)
    """

    tick: Decimal
    lot: Decimal

    def price(self, ticks: int) -> str:
        """A price as text, with the tick's decimals."""
        return plain(ticks * self.tick)

    def size(self, lots: int) -> str:
        """A size as text, with the lot's decimals."""
        return plain(lots * self.lot)

    def ticks(self, price: Decimal) -> int | None:
        """A price in whole ticks; None off the grid."""
        return _whole(price, self.tick)

    def lots(self, size: Decimal) -> int | None:
        """A size in whole lots; None off the grid."""
        return _whole(size, self.lot)

    def mean_price(self, value: int, lots: int) -> str:
        """Mean price of `lots` whose lots x ticks add up to `value`, as text; ``0`` without any."""
        if lots == 0:
            return self.price(0)
        mean = value * self.tick / lots
        return plain(mean if mean == mean.quantize(self.tick) else mean.quantize(self.tick.scaleb(-4)))

    def quote(self, value: int) -> str:
        """Value of a sum of lots x ticks, as text."""
        return plain(value * self.tick * self.lot)


def plain(number: Decimal) -> str:
    """Decimal text without an exponent.

    Examples
    --------
    >>> plain(Decimal("1E-7")), plain(Decimal("-0.00"))
    ('0.0000001', '0.00')
    """
    return format(number or abs(number), "f")


def money(amount: Decimal) -> str:
    """USD with the venue's eight decimals.

    Examples
    --------
    >>> money(Decimal("12.5"))
    '12.50000000'
    """
    return plain(amount.quantize(Decimal("0.00000001")))


def decimals(number: Decimal) -> int:
    """Decimal places without trailing zeros.

    Examples
    --------
    >>> decimals(Decimal("1.500")), decimals(Decimal("100")), decimals(Decimal("1E-7"))
    (1, 0, 7)
    """
    text = format(number, "f")
    return len(text.partition(".")[2].rstrip("0"))


def _whole(number: Decimal, step: Decimal) -> int | None:
    # In whole numbers: Decimal's own division rounds to 28 digits, a request may have 40.
    over, under = number.as_integer_ratio()
    step_over, step_under = step.as_integer_ratio()
    steps, rest = divmod(over * step_under, under * step_over)
    return None if rest else steps
