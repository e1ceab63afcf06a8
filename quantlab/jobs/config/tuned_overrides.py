"""What tuning chose, spelled as the command line would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from quantlab.core.results import TuningStage


def chosen_keys(stages: Sequence[TuningStage]) -> Iterator[tuple[str, Any]]:
    """Key in the configuration -> chosen value; of the gates, which walk forward, the last test window's."""
    gates: dict[str, Any] = {}
    for stage in stages:
        if stage.window is None:
            yield from ((f"learning.members.{stage.name}.{name}", value) for name, value in stage.chosen.items())
        else:
            gates = stage.chosen
    yield from ((f"learning.{name}", value) for name, value in gates.items())
