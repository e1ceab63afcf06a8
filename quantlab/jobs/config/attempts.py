"""What became of the jobs of one command, told in files: a sweep may run its jobs in other processes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Outcome = Literal["began", "succeeded", "refused"]


@dataclass(frozen=True)
class Attempts:
    """A tally that every process of a command can add to.

    Parameters
    ----------
    folder : Path
        Its own, and there as long as the command runs.
    """

    folder: Path

    def note(self, outcome: Outcome) -> None:
        """Count one more."""
        tempfile.NamedTemporaryFile(dir=self.folder, prefix=f"{outcome}-", delete=False).close()

    def count(self, outcome: Outcome) -> int:
        """How many there were."""
        return len(list(self.folder.glob(f"{outcome}-*")))
