"""Ports of a learner's parts, and of the powers that a learner may have beyond :class:`~quantlab.core.ports.Learner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.core.ports.features import FeatureSource
from quantlab.core.ports.models import Model
from quantlab.core.ports.progress import Progress
from quantlab.core.results import Study, TuningStage
from quantlab.core.types import Dataset, Labels


class Labeler(Protocol):
    """Answers, in hindsight, what should have been done at each bar; asked by a learner and by the leak audit."""

    @property
    def horizon(self) -> int:
        """Bars after the decision that a label may look at."""
        ...

    def label(self, bars: Bars, atr: Float64Array) -> Labels:
        """Label every bar (T, S), given the average true range (T, S) in USD at each close."""
        ...


class Splitter(Protocol):
    """Cuts a dataset into folds; asked by a learner."""

    def split(self, dataset: Dataset) -> Sequence[Any]:
        """Folds, oldest first, whose test windows tile the future."""
        ...


class MemberTuner(Protocol):
    """Chooses members' hyper-parameters before the walk forward begins; asked by a learner."""

    def member_searches(self, members: Mapping[str, Model]) -> Mapping[str, Any]:
        """Searches by member; refuses a space that cannot be searched."""
        ...

    def tune_members(
        self,
        members: Mapping[str, Model],
        dataset: Dataset,
        first: Any,
        *,
        context: str,
        cache_dir: Path,
        workers: Any,
        progress: Progress,
    ) -> tuple[dict[str, Model], tuple[TuningStage, ...]]:
        """Copies of the members to walk with, and the searches that chose them: on rows before the test of fold `first`."""
        ...


@runtime_checkable
class ThresholdedLearner(Protocol):
    """Optional: a learner whose study can be put at other thresholds without another fit; asked by their search."""

    ensemble: Any

    def with_thresholds(self, study: Study, thresholds: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Study:
        """The same study at other thresholds: one set for all test windows, or one for each."""
        ...


@runtime_checkable
class WalkForwardLearner(Protocol):
    """Optional: a learner that shows its parts; asked by the leak audit, which checks each of them alone."""

    features: FeatureSource
    labels: Labeler
    splits: Any
    members: Mapping[str, Model]
    cache_dir: str | Path

    def study(self, bars: Bars, progress: Progress) -> Study:
        """See :class:`~quantlab.core.ports.Learner`."""
        ...
