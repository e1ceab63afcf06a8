"""Ports of searches for parameters and thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self

from quantlab.core.market import Bars
from quantlab.core.ports.progress import Progress
from quantlab.core.results import Study, TuningStage


class ThresholdSearch(Protocol):
    """Chooses the thresholds of every test window on the tested bars before that window."""

    def search(self, study: Study, bars: Bars, progress: Progress) -> tuple[TuningStage, ...]:
        """Run one search for each test window but the first, which keeps the configured thresholds."""
        ...

    def choose(self, study: Study, bars: Bars, progress: Progress) -> tuple[Study, Any]:
        """Return the study at the chosen thresholds, and the strategy that trades it."""
        ...

    def with_cache(self, folder: Path) -> Self:
        """Return the same search with another folder for its finished rounds."""
        ...
