"""The work of a sweep in chunks that are kept, so that a killed one goes on where it stopped."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.backtest.sweep import SweepResult
from quantlab.core.errors import ArtifactError
from quantlab.core.files import write_bytes
from quantlab.core.ports import Progress

_FIELDS = [field.name for field in dataclasses.fields(SweepResult)]


@dataclass(frozen=True)
class Chunks:
    """Results on disk, whole or not there, under a key of everything that they depend on.

    Parameters
    ----------
    folder : Path
        Named by that key.
    """

    folder: Path

    def load(self, number: int, count: int) -> SweepResult | None:
        """A finished chunk of `count` rows, None where it is not there.

        Raises
        ------
        ArtifactError
            If it is there and damaged.
        """
        path = self._path(number)
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                result = SweepResult(**{name: stored[name] for name in _FIELDS})
            whole = {len(getattr(result, name)) for name in _FIELDS} == {count}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            whole = False
        if not whole:
            raise ArtifactError(
                f"{count} finished combinations in {path}", found="a damaged file", fix="remove it and start again"
            )
        return result

    def save(self, number: int, result: SweepResult) -> None:
        """Keep a finished chunk."""
        buffer = io.BytesIO()
        np.savez(buffer, **{name: getattr(result, name) for name in _FIELDS})
        write_bytes(self._path(number), buffer.getvalue())

    def _path(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.npz"


def run_chunks(
    count: int,
    size: int,
    work: Callable[[Sequence[int]], SweepResult],
    chunks: Chunks,
    progress: Progress,
) -> list[SweepResult]:
    """Simulate the rows ``0 .. count`` in chunks of `size`, in order; finished chunks are read.

    Parameters
    ----------
    work : callable
        Simulates the rows it is given.

    Raises
    ------
    ArtifactError
        If a finished chunk is damaged.
    """
    done = []
    with progress.stage("combinations", count) as stage:
        for number, start in enumerate(range(0, count, size)):
            rows = range(start, min(start + size, count))
            result = chunks.load(number, len(rows))
            if result is None:
                result = work(rows)
                chunks.save(number, result)
            done.append(result)
            stage.advance(len(rows))
    return done
