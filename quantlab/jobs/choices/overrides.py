"""What tuning chose, spelled as the command line would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from quantlab.core.results import TuningStage

#: The stage that is not a member.
STRATEGY = "strategy"


def chosen_keys(stages: Sequence[TuningStage]) -> Iterator[tuple[str, Any]]:
    """Key in the configuration -> chosen value."""
    for stage in stages:
        for name, value in stage.chosen.items():
            if stage.name != STRATEGY:
                yield f"learning.members.{stage.name}.{name}", value
            elif name.startswith("ensemble."):
                yield f"learning.{name}", value
            else:
                yield f"trading.{name}", value
