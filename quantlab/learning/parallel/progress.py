"""Progress of long pieces of work: the share of each that is done.

A fit of minutes reports its share between its steps. A callback returns nothing, so progress cannot change what
is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from quantlab.core.ports import FittedModel, Model, ProgressCallback, ProgressReportingModel, Stage
from quantlab.core.types import Dataset

#: A piece of work advances its stage in so many parts: a power of two, so that their sum is exactly one.
_PARTS_OF_PIECE = 64


def no_progress(share: float) -> None:
    """Ignore the share: nothing shows it."""


def fit_member(model: Model, train: Dataset, valid: Dataset, on_progress: ProgressCallback) -> FittedModel:
    """Fit any member; one that does not report its steps reports once, when it is done."""
    if isinstance(model, ProgressReportingModel) and _reports_progress(model):
        fitted = model.fit_with_progress(train, valid, on_progress)
    else:
        fitted = model.fit(train, valid)
    on_progress(1.0)
    return fitted


def _reports_progress(model: ProgressReportingModel) -> bool:
    """Tell whether ``fit_with_progress`` is the newest definition: a class that overrides ``fit`` alone means its own."""
    newest = next(kind for kind in type(model).__mro__ if {"fit", "fit_with_progress"} & vars(kind).keys())
    return "fit_with_progress" in vars(newest)


def scaled_progress(on_progress: ProgressCallback, start: float, stop: float) -> ProgressCallback:
    """Callback of a part of the work that leads from share `start` to share `stop` of the whole."""
    return lambda share: on_progress(start + (stop - start) * share)


@dataclass
class StageProgress:
    """Progress of many pieces of work as one stage: each advances it by one in all, in however small steps.

    Parameters
    ----------
    stage : Stage
    advanced : dict of int to int
        By piece of work, how many 64ths of it the stage has seen.
    """

    stage: Stage
    advanced: dict[int, int] = field(default_factory=dict)

    def update(self, piece: int, share: float) -> None:
        """Advance the stage to `share` of a piece."""
        now, before = int(_PARTS_OF_PIECE * share), self.advanced.get(piece, 0)
        if now > before:
            self.advanced[piece] = now
            self.stage.advance((now - before) / _PARTS_OF_PIECE)
