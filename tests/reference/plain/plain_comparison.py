"""Are two accounts of the same simulation equal, bit for bit?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from plain_simulator import PlainResult

from quantlab.core.results import CUT_RULES, Simulation

#: Rules that cut at the fill alone; the others cut at the decision, and `suspect` at both.
FILL_RULES = ("no_volume", "participation")


def differences(product: Simulation, reference: PlainResult, limit: int = 6) -> list[str]:
    """The first `limit` places where they differ; empty if they are equal. Cuts at the fill are left out."""
    found = _fills(product, reference)
    for name in ("equity", "gross", "funding", "liquidation_fees"):
        found += _series(name, getattr(product, name), getattr(reference, name))
    events = [tuple(row) for row in product.events.tolist()]
    found += [f"events: {a} against {b}" for a, b in _pairs(events, reference.events) if a != b]
    found += _cuts(product, reference, [rule for rule in CUT_RULES if rule not in FILL_RULES])
    found += _series("units", product.units, reference.units)
    held = [s for s, units in enumerate(reference.units) if units != 0.0]
    found += _series("entry", product.entry_price[held], [reference.entries[s] for s in held])
    for name in ("cash", "missing_funding", "stale_marks"):
        if getattr(product, name) != getattr(reference, name):
            found.append(f"{name}: {getattr(product, name)!r} against {getattr(reference, name)!r}")
    return found[:limit]


def fill_cut_differences(product: Simulation, reference: PlainResult) -> list[str]:
    """Where the counts of the rules that cut at the fill differ."""
    return _cuts(product, reference, FILL_RULES)


def _cuts(product: Simulation, reference: PlainResult, rules: Sequence[str]) -> list[str]:
    pairs = [(rule, product.cuts.get(rule, 0), reference.cuts[rule]) for rule in rules]
    return [f"cuts[{rule}]: {a} against {b}" for rule, a, b in pairs if a != b]


def _pairs(left: list[Any], right: list[Any]) -> list[tuple[Any, Any]]:
    n = max(len(left), len(right))
    return list(zip(left + [None] * (n - len(left)), right + [None] * (n - len(right)), strict=True))


def _series(name: str, left: Any, right: Any) -> list[str]:
    pairs = zip(np.asarray(left).tolist(), list(right), strict=True)
    return [f"{name}[{i}]: {a!r} against {b!r}" for i, (a, b) in enumerate(pairs) if a != b]


def _fills(product: Simulation, reference: PlainResult) -> list[str]:
    records = zip(product.orders, product.reasons, product.over_participation, strict=True)
    left = [
        (
            int(o["idx"]),
            int(o["col"]),
            float(o["size"]),
            int(o["side"]),
            float(o["price"]),
            float(o["fees"]),
            int(r),
            bool(v),
        )
        for o, r, v in records
    ]
    right = [
        (f.bar, f.symbol, abs(f.units), int(f.units < 0.0), f.price, f.fee, int(f.reason), f.over_participation)
        for f in reference.fills
    ]
    return [f"fills: {a} against {b}" for a, b in _pairs(left, right) if a != b]
