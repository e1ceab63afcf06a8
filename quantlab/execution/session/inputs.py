"""Inputs of a bar in the account and in the journal: halts that a session sets, and the stage of a rollout.

They are no function of the bar, so the journalled bar holds them and a restart takes them from there.
"""

from __future__ import annotations

import math
from typing import Any

from quantlab.core.events import BarInputs
from quantlab.trading.lowlevel.layout import (
    FEED_HALT,
    OWNER_HALT,
    STAGE_POSITIONS,
    STAGE_SHARE,
    VENUE_HALT,
    State,
)


def apply_inputs(state: State, inputs: BarInputs) -> None:
    """Write the inputs of the bar about to be worked on to the account's slots."""
    state.account[FEED_HALT] = float(inputs.stale)
    state.account[VENUE_HALT] = float(inputs.venue_halt)
    state.account[OWNER_HALT] = float(inputs.owner_halt)
    state.account[STAGE_SHARE] = inputs.share
    state.account[STAGE_POSITIONS] = inputs.positions


def stage_facts(inputs: BarInputs) -> dict[str, float | None]:
    """Return the stage as strict JSON: ``positions`` is None for any number."""
    return {"share": inputs.share, "positions": None if math.isinf(inputs.positions) else inputs.positions}


def inputs_of(bar: dict[str, Any]) -> BarInputs:
    """Return the inputs with which a journalled bar was worked on."""
    halts, stage = bar["halts"], bar["stage"]
    return BarInputs(
        stale="feed" in halts,
        venue_halt="venue" in halts,
        owner_halt="owner" in halts,
        share=stage["share"],
        positions=math.inf if stage["positions"] is None else stage["positions"],
    )
