"""Only the newest step of a walk forward: what a retraining fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from quantlab.core.types import Dataset


class Splitter(Protocol):
    """Cuts a dataset into folds, oldest first."""

    def split(self, dataset: Dataset) -> Sequence[Any]: ...


@dataclass(frozen=True)
class LastFold:
    """The last fold of other splits, in the very shape in which research tested it.

    Parameters
    ----------
    splits : Splitter
    """

    splits: Splitter

    def split(self, dataset: Dataset) -> tuple[Any, ...]:
        """One fold; errors as of the splits."""
        return tuple(self.splits.split(dataset))[-1:]
