"""Trading rules as an exchange tells them, and what stands in for those that it does not tell."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from quantlab.core.types import Instrument


def rules_of(market: Mapping[str, Any]) -> dict[str, float]:
    """The fields of an :class:`~quantlab.core.types.Instrument` that one of ccxt's markets tells.

    Sizes are in base units: ccxt counts contracts, of which one is ``contractSize`` units. Fees are those of
    the lowest tier. Maintenance margins are not part of a market; Binance tells them to account holders only.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    size = market.get("contractSize") or 1.0
    told = {
        "tick": precision.get("price"),
        "lot": _times(precision.get("amount"), size),
        "min_notional": (limits.get("cost") or {}).get("min"),
        "maker_fee_bps": _times(market.get("maker"), 1e4),
        "taker_fee_bps": _times(market.get("taker"), 1e4),
    }
    return {name: float(value) for name, value in told.items() if value is not None and _sound(value)}


def instrument_of(rules: Mapping[str, float], default: Instrument) -> Instrument:
    """`default` with what the exchange told in the place of its own values."""
    return dataclasses.replace(default, **dict(rules))


def _times(value: float | None, factor: float) -> float | None:
    # Rounded to what a decimal number of this size can mean: 0.0002 x 10,000 is 2, not 2.0000000000000004.
    return None if value is None else float(f"{value * factor:.12g}")


def _sound(value: float) -> bool:
    # A maker rebate is a negative fee, which the simulation does not model: its fee is then the default's.
    return math.isfinite(value) and value >= 0.0
