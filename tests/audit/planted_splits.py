"""Walk-forward splits whose training reaches into what is tested."""

from __future__ import annotations

import dataclasses

from quantlab.core.types import Dataset
from quantlab.learning.samples.splits import Fold, PurgedWalkForward


class PartsOverlapByAHorizon(PurgedWalkForward):
    """Uses the rows before a border whose labels settle after it, by moving the border that purging looks at."""

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        horizon = dataset.forward_returns.shape[2]

        def longer(rows: tuple[int, int]) -> tuple[int, int]:
            return rows[0], rows[1] + horizon

        return tuple(
            dataclasses.replace(
                fold,
                fit=longer(fold.fit),
                early_stopping=longer(fold.early_stopping),
                calibration=longer(fold.calibration),
            )
            for fold in super().split(dataset)
        )


class EarlyStoppingOnTheTest(PurgedWalkForward):
    """Fits on everything before the calibration rows and validates on the hold-out set."""

    def split(self, dataset: Dataset) -> tuple[Fold, ...]:
        return tuple(
            dataclasses.replace(
                fold,
                fit=(fold.fit[0], fold.early_stopping[1]),
                early_stopping=(fold.test[0], fold.test[1] - 1),
            )
            for fold in super().split(dataset)
        )
