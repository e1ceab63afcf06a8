"""Sweeps of Hydra without the file in which Hydra keeps their configuration as it was typed, secrets included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class NoMultirunFile(Callback):
    """A callback that removes ``multirun.yaml``: every run of the sweep keeps its own configuration, without secrets.

    Hydra writes the file after the sweep was announced and before its first job. It finds an empty one that is its owner's
    alone, so that nobody else reads it in between.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the file private."""
        path = _file(config)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remove the file; a single run has none, and maybe no folder that it could lie in."""
        if _file(config).exists():
            _file(config).unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Remove the file of a sweep that had no job."""
        _file(config).unlink(missing_ok=True)


def _file(config: DictConfig) -> Path:
    return Path(config.hydra.sweep.dir) / "multirun.yaml"
