"""Stage 2 of tuning: the ensemble's thresholds, by what the strategy earns at them after costs.

One search for every test window but the first, each on the tested rows *before* its window. Thresholds act row by
row, so every window can have its own; what needs a whole account (policy, sizing, limits) is not varied
here. No member is fitted or asked again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.evaluation.statistics.metrics import DAYS_PER_YEAR, Undefined, moments
from quantlab.learning.tuning.rounds import Candidate, Outcome
from quantlab.learning.tuning.simulated_trial import ENSEMBLE, Simulate, SimulatedTrial
from quantlab.learning.tuning.space import Space, parse_space

_CONFIG_KEY = "learning.tuning.thresholds"


@dataclass(frozen=True)
class ThresholdTuning:
    """Stage 2.

    Parameters
    ----------
    trials : int
        Per test window, >= 1; the first is the configuration itself.
    min_trades : int
        A trial with fewer closed trades is not eligible: its Sharpe ratio means nothing.
    space : dict of dotted name to its range
        Fields of :class:`~quantlab.learning.ensemble.thresholds.Thresholds`, e.g. ``ensemble.min_confidence``.

    Raises
    ------
    ConfigError
        If a value is out of range, or the space names something else than the ensemble.
    """

    trials: int
    min_trades: int
    space: dict[str, dict[str, Any]]

    def __post_init__(self) -> None:
        check_whole(f"{_CONFIG_KEY}.trials", self.trials, low=1)
        check_whole(f"{_CONFIG_KEY}.min_trades", self.min_trades, low=0)
        other = next((name for name in self.space if not name.startswith(ENSEMBLE)), None)
        if other is not None:
            raise ConfigError(
                f"thresholds of the ensemble ({ENSEMBLE}*) in {_CONFIG_KEY}.space: only they can differ between test windows",
                found=other,
                fix="vary it with job=sweep, which counts every combination",
            )

    @property
    def objective(self) -> str:
        """Objective in words."""
        return f"annual Sharpe ratio after costs, with at least {self.min_trades:,} trades"

    def dimensions(self, configured: Mapping[str, Any]) -> Space:
        """Parameters that are searched.

        Parameters
        ----------
        configured : dict of dotted name to value
            Every threshold.

        Raises
        ------
        ConfigError
            If the space names something else, or describes it wrongly.
        """
        return parse_space(f"{_CONFIG_KEY}.space", self.space, configured)

    def evaluate(self, candidates: Sequence[Candidate], *, simulate: Simulate) -> list[Outcome]:
        """Results of all candidates, in order."""
        return [outcome_of(one, self.min_trades) for one in simulate([one.values for one in candidates])]


def outcome_of(simulated: SimulatedTrial, min_trades: int) -> Outcome:
    """The objective of a simulated set of thresholds."""
    if simulated.error:
        return Outcome(None, "failed", note=simulated.error)
    shape = moments(np.array(simulated.returns))
    if simulated.trades < min_trades:
        return Outcome(None, "infeasible", simulated.returns, f"{simulated.trades:,} trades, fewer than {min_trades:,}")
    if isinstance(shape, Undefined):
        return Outcome(None, "infeasible", simulated.returns, shape.reason)
    return Outcome(shape.sharpe * math.sqrt(DAYS_PER_YEAR), returns=simulated.returns)
