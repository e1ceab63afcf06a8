"""The verdict: three possible strings, decided by a rule that was fixed before the result was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.core.types import Float64Array

EDGE = "edge"
NO_EDGE = "no evidence of an edge"
NOT_ENOUGH = "not enough data"


@dataclass(frozen=True)
class Trials:
    """Everything that was tried before this result was chosen.

    Parameters
    ----------
    count : int
        Every trial, pruned and failed ones too; 1 = nothing was chosen.
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
                mend="count every trial, pruned and failed ones too",
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
