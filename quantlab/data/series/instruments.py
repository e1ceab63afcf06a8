"""Trading rules as an exchange states them, and defaults for those that it does not state."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from quantlab.core.market import LARGEST_RULES, Instrument

#: The rule that most exchanges show to account holders only.
MARGIN = "maintenance_margin_rate"


def rules_of(market: Mapping[str, Any]) -> dict[str, float]:
    """The fields of an :class:`~quantlab.core.market.Instrument` that one of ccxt's markets states.

    Sizes are in base units: ccxt counts contracts, of which one is ``contractSize`` units. Fees are those of
    the lowest tier. Maintenance margins are not part of a market: see :func:`maintenance_margin_rate`.
    """
    precision, limits = market.get("precision") or {}, market.get("limits") or {}
    size = market.get("contractSize") or 1.0
    stated = {
        "tick": precision.get("price"),
        "lot": _times(precision.get("amount"), size),
        "min_notional": (limits.get("cost") or {}).get("min"),
        "maker_fee_bps": _times(market.get("maker"), 1e4),
        "taker_fee_bps": _times(market.get("taker"), 1e4),
    }
    return {
        name: float(value)
        for name, value in stated.items()
        if value is not None and _is_usable(value) and value <= LARGEST_RULES.get(name, math.inf)
    }


def maintenance_margin_rate(tiers: Sequence[Mapping[str, Any]], notional_usd: float, unit_usd: float) -> float | None:
    """The rate of the tier that a position of `notional_usd` falls into; None if the tiers make no sense.

    Parameters
    ----------
    tiers : sequence of dict
        ccxt's leverage tiers of one market.
    notional_usd : float
    unit_usd : float
        What one unit of the tiers' bounds is worth: 1, or the value of a contract.

    Notes
    -----
    A maintenance margin lies below the initial margin, 1 / leverage, by definition. Where one does not, it is
    in another unit (some exchanges write 0.5 for 0.5 %), and nothing is guessed.

    Examples
    --------
    >>> tiers = [{"maintenanceMarginRate": 0.005, "maxLeverage": 100.0, "minNotional": 0.0},
    ...          {"maintenanceMarginRate": 0.01, "maxLeverage": 50.0, "minNotional": 2e6}]
    >>> maintenance_margin_rate(tiers, 10_000.0, 1.0), maintenance_margin_rate(tiers, 3e6, 1.0)
    (0.005, 0.01)
    """
    rates = []
    for tier in tiers:
        rate, leverage = tier.get("maintenanceMarginRate"), tier.get("maxLeverage")
        if rate is None or not _is_usable(rate) or rate == 0.0 or rate > 1.0 / max(leverage or 1.0, 1.0):
            return None
        if (tier.get("minNotional") or 0.0) * unit_usd <= notional_usd:
            rates.append(float(rate))
    return max(rates, default=None)


def instrument_of(rules: Mapping[str, float], default: Instrument) -> Instrument:
    """`default` with the rules that the exchange states in place of its own values."""
    return dataclasses.replace(default, **dict(rules))


def _times(value: float | None, factor: float) -> float | None:
    # Rounded to what a decimal number of this size can mean: 0.0002 x 10,000 is 2, not 2.0000000000000004.
    return None if value is None else float(f"{value * factor:.12g}")


def _is_usable(value: float) -> bool:
    # A maker rebate is a negative fee, which the simulation does not model: its fee is then the default's.
    return math.isfinite(value) and value >= 0.0


def margin_note(unstated: Sequence[str], of: int) -> str:
    """Sentence that the exchange does not state the maintenance margins of `unstated`, of so many symbols."""
    shown = "" if len(unstated) == of else f" ({', '.join(unstated[:5])}{', ...' if len(unstated) > 5 else ''})"
    return (
        f"the exchange tells no maintenance margin of {len(unstated)} of {of} symbols{shown}: "
        "liquidations use trading.instrument.maintenance_margin_rate there"
    )
