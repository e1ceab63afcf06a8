"""The verdict: three possible strings, decided by a rule that was fixed before the result was seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from quantlab.core.arrays import Float64Array
from quantlab.core.checks import check_range, check_whole
from quantlab.core.errors import ConfigError

EDGE = "edge"
NO_EDGE = "no evidence of an edge"
NOT_ENOUGH = "not enough data"


@dataclass(frozen=True)
class Trials:
    """Everything that was tried before this result was chosen.

    Parameters
    ----------
    count : int
        Every trial, pruned and failed ones too; 1 = nothing was chosen by the judged returns.
    sharpe : float64 (M,), optional
        *Daily* (not annualised) Sharpe ratios of the trials that have one, M <= `count`.
    returns : float64 (D, N), optional
        Daily returns of N trials over the same days, for PBO.

    Raises
    ------
    ConfigError
        If there are more results than trials, or no trial.
    """

    count: int
    sharpe: Float64Array | None = None
    returns: Float64Array | None = None

    def __post_init__(self) -> None:
        results = 0 if self.sharpe is None else len(self.sharpe)
        if self.returns is not None:
            results = max(results, self.returns.shape[1])
        if self.count < max(1, results):
            raise ConfigError(
                f"a trial count of at least {max(1, results)}",
                found=str(self.count),
                fix="count every trial, pruned and failed ones too",
            )


@dataclass(frozen=True)
class Verdict:
    """A verdict with the numbers that it rests on.

    Parameters
    ----------
    verdict : {"edge", "no evidence of an edge", "not enough data"}
    words : str
        Its numbers, in one or two sentences.
    numbers : dict
        JSON-safe; None = undefined. Sharpe ratios in it are annualised, returns are daily fractions.
    undefined : dict of number name to reason
    """

    verdict: str
    words: str
    numbers: dict[str, float | int | str | None]
    undefined: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The form that is written to ``metrics.json``."""
        return {"verdict": self.verdict, "words": self.words, **self.numbers, "undefined": self.undefined}


@dataclass(frozen=True)
class VerdictRule:
    """Rule by which a backtest may be called an edge.

    Tested in this order: "not enough data" iff trades < `min_trades` or days < `min_days`; "edge" iff
    DSR >= `min_dsr` and the lower bootstrap bound of the mean daily net return > 0 and PBO < `max_pbo`;
    else "no evidence of an edge". With one trial PBO does not exist and is not required, and DSR = PSR.
    With several, a DSR or PBO that cannot be computed counts as not reached.

    Parameters
    ----------
    min_trades : int
        Closed round trips.
    min_days : float
        Simulated days.
    min_dsr, max_pbo : float
        Probabilities.
    confidence : float
        Of the two-sided bootstrap interval.
    bootstrap_samples : int
    block_days : int
        Mean block length of the stationary bootstrap.
    pbo_blocks : int
        Even number of CSCV blocks.
    seed : int

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    min_trades: int
    min_days: float
    min_dsr: float
    max_pbo: float
    confidence: float
    bootstrap_samples: int
    block_days: int
    pbo_blocks: int
    seed: int

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_days", 0, math.inf),
            ("min_dsr", 0.5, 1 - 1e-9),
            ("max_pbo", 0, 1),
            ("confidence", 0.5, 1 - 1e-9),
        ):
            check_range(f"evaluation.{name}", getattr(self, name), low=low, high=high)
        for name, least in (("min_trades", 1), ("bootstrap_samples", 100), ("block_days", 1), ("seed", 0)):
            check_whole(f"evaluation.{name}", getattr(self, name), low=least)
        check_whole("evaluation.pbo_blocks", self.pbo_blocks, low=2, high=24)
        if self.pbo_blocks % 2:
            raise ConfigError("an even evaluation.pbo_blocks", found=str(self.pbo_blocks), fix="set it to 16")
