"""Scenarios of a sweep: its assumptions about costs, apart from its choices.

Nobody selects the cheapest fee. A grid over stops *and* slippage is one sweep over stops, looked at under several
assumptions: a scenario. A choice is made among the parameter sets of one scenario, and deflated by these.

1. The fields of a strategy's costs are assumptions, by name; everything else is a choice, wherever it hides.
2. Scenarios are kept apart only where the same choices were tried in each. Otherwise (a random search that draws
   costs too) all parameter sets are one family: a choice among scenarios would be a choice after all.
3. One scenario is judged, and no result has a say in which: the configured one where it was swept, else the dearest.

So an axis of costs neither helps nor hurts: the judgement is, bit for bit, that of the same grid at those costs alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from quantlab.core.arrays import Int64Array

#: Names of the fields of ``conf/trading/costs`` -> whether more (1) or less (-1) of it is dearer.
ASSUMPTIONS = {
    "costs.slippage_bps": 1.0,
    "costs.liquidation_fee_bps": 1.0,
    "costs.participation": -1.0,
    # A step of prices or sizes that counts is rounded to, against the account.
    "costs.coarsest_tick": 1.0,
    "costs.coarsest_order_usd": 1.0,
    "costs.delisted_after_bars": 1.0,  # a slot is kept for longer; a day, which is null, counts as the longest
}

Values = Mapping[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Scenario:
    """Parameter sets that assume the same.

    Parameters
    ----------
    assumed : dict of name to value
        Only what differs between scenarios; empty where nothing does, or where they cannot be kept apart.
    rows : int64 (M,)
        Of those that were simulated, ascending.
    tried : int
        >= M: impossible ones too; a choice that was tried in any scenario counts in each.
    """

    assumed: dict[str, Any]
    rows: Int64Array
    tried: int


def scenarios_of(simulated: Sequence[Values], impossible: Sequence[Values] = ()) -> tuple[Scenario, ...]:
    """Scenarios with at least one simulated parameter set, the dearest last.

    Parameters
    ----------
    simulated, impossible : sequence of dict of name to value
        Every parameter set that was tried, each with the same names.
    """
    everything = [*simulated, *impossible]
    names = [name for name in ASSUMPTIONS if len({_plain(values.get(name)) for values in everything}) > 1]
    rows: dict[Key, list[int]] = {}
    tried: dict[Key, Counter[Key]] = {}
    for i, values in enumerate(everything):
        key = tuple(_plain(values[name]) for name in names)
        tried.setdefault(key, Counter())[choice(values, names)] += 1
        if i < len(simulated):
            rows.setdefault(key, []).append(i)
    choices = list(tried.values())
    if any(one.keys() != choices[0].keys() for one in choices):
        return (Scenario({}, np.arange(len(simulated)), len(everything)),)
    # Draws may repeat a choice: it counts as often as where it was tried most.
    count = reduce(or_, choices).total()
    made = (Scenario(dict(zip(names, key, strict=True)), np.array(rows[key], np.int64), count) for key in rows)
    return tuple(sorted(made, key=lambda one: _cost_rank(one.assumed)))


def choice(values: Values, assumed: Collection[str]) -> Key:
    """Values of a parameter set without its assumptions."""
    return tuple(value for name, value in values.items() if name not in assumed)


def configured_scenario(scenarios: Sequence[Scenario], configured: Values) -> int | None:
    """Number of the scenario that is the configuration's own; None where that was not swept.

    Parameters
    ----------
    configured : dict of name to value
        What the configuration assumes; a limit that is off is None.
    """
    for i, one in enumerate(scenarios):
        if all(value == configured[name] for name, value in one.assumed.items()):
            return i
    return None


def _cost_rank(assumed: Values) -> tuple[float, ...]:
    # No cap on participation is more of it than any share.
    values = {name: math.inf if value is None else float(value) for name, value in assumed.items()}
    return tuple(sign * values[name] for name, sign in ASSUMPTIONS.items() if name in values)


def _plain(value: Any) -> Any:
    """A limit that is off in any of its spellings is None."""
    return None if value is None or value is False or value == "off" else value
