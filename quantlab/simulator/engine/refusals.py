"""Refusals with the venue's codes and messages, as far as they depend on the state of account, books or market."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: Codes and messages as the venue documents them.
MESSAGES: Mapping[int, str] = MappingProxyType(
    {
        -1121: "Invalid symbol.",
        -2010: "NEW_ORDER_REJECTED",
        -2011: "Unknown order sent.",
        -2013: "Order does not exist.",
        -2018: "Balance is insufficient.",
        -2019: "Margin is insufficient.",
        -2021: "Order would immediately trigger.",
        -2022: "ReduceOnly Order is rejected.",
        -2025: "Reach max open order limit.",
        -2028: "Leverage is smaller than permitted: insufficient margin balance.",
        -4003: "Quantity less than or equal to zero.",
        -4005: "Quantity greater than max quantity.",
        -4014: "Price not increased by tick size.",
        -4016: "Price is higher than mark price multiplier cap.",
        -4023: "Qty not increased by step size.",
        -4024: "Price is lower than mark price multiplier floor.",
        -4028: "Leverage is not valid.",
        -4045: "Reach max stop order limit.",
        -4108: "Symbol is on delivering or delivered or settling or closed or pre-trading.",
        -4116: "ClientOrderId is duplicated.",
        -4118: "ReduceOnly Order Failed. Please check your existing position and open orders.",
        -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
        -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
        -4164: "Order's notional must be no smaller than the smallest notional (unless you choose reduce only).",
        -5021: "Due to the order could not be filled immediately, the FOK order has been rejected.",
        -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
        -5025: "Only limit order is supported.",
        -5027: "No need to modify the order.",
        -5040: "The goodTillDate timestamp must be greater than the current time plus 600 seconds"
        " and smaller than 253402300799000 (UTC 9999-12-31 23:59:59)",
    }
)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that says no; nothing was changed.

    Parameters
    ----------
    code : int
        The venue's, negative.
    message : str
    """

    code: int
    message: str


def refuse(code: int, message: str | None = None) -> Refused:
    """Make a refusal with the code's own message, or with `message` where the venue fills in numbers.

    Parameters
    ----------
    code : int
    message : str or None

    Raises
    ------
    KeyError
        If the code has no message here and none is given.
    """
    return Refused(code, MESSAGES[code] if message is None else message)
