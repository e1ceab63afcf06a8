"""Finished rounds of a search, one file each, so that a killed one goes on where it was.

A round's file appears whole, with the sha256 of its content, when all its trials have ended. What a killed
process had begun leaves no trace: its round is done again, and because a round is a pure function of the
rounds before it, it comes out the same.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.files import write_json
from quantlab.core.fingerprint import fingerprint
from quantlab.core.results import Trial


@dataclass(frozen=True)
class RoundStore:
    """The rounds of one search.

    Parameters
    ----------
    folder : Path
        Its name is the sha256 of everything that the search's result depends on.
    """

    folder: Path

    def read(self, index: int) -> tuple[Trial, ...] | None:
        """The trials of round `index`, None if it was never finished.

        Raises
        ------
        ArtifactError
            If its file is not as it was written.
        """
        path = self._path(index)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_bytes())
            stated, trials = content["sha256"], content["trials"]
            if fingerprint(index, trials) == stated:
                return tuple(_trial(one) for one in trials)
            found = "altered content"
        except (OSError, ValueError, KeyError, TypeError) as error:
            found = f"a file that cannot be read ({type(error).__name__})"
        raise ArtifactError(f"{path} as it was written", found=found, fix=f"check the disk, then delete {self.folder}")

    def write(self, index: int, trials: tuple[Trial, ...]) -> None:
        """Keep a finished round."""
        plain = [as_json(trial) for trial in trials]
        write_json(self._path(index), {"trials": plain, "sha256": fingerprint(index, plain)})

    def _path(self, index: int) -> Path:
        return self.folder / f"round_{index:04d}.json"


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as strict JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(trial), allow_nan=False))
    return plain


def _trial(plain: dict[str, Any]) -> Trial:
    return Trial(**{**plain, "steps": tuple(plain["steps"]), "returns": tuple(plain["returns"])})
