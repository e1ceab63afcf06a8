"""Folders that a refused job made and left empty, removed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

#: Options that name a folder in which a job writes.
_FOLDERS = ("runs_dir", "cache_dir", "registry_root", "job.folder", "job.root")


@contextmanager
def no_empty_folders(cfg: DictConfig) -> Iterator[None]:
    """Remove the folders of `cfg` that are made inside the block, and everything empty in them, if it ends with an error.

    A folder that holds a file stays, and so does one that was there before.
    """
    missing = [path for path in (_top_missing(Path(name).absolute()) for name in _named(cfg)) if path is not None]
    try:
        yield
    except BaseException:
        for path in missing:
            _remove_empty(path)
        raise


def _named(cfg: DictConfig) -> Sequence[str]:
    """Folders that the configuration names, as far as they are texts."""
    values = (OmegaConf.select(cfg, key, default=None) for key in _FOLDERS)
    return [value for value in values if isinstance(value, str) and value]


def _top_missing(path: Path) -> Path | None:
    """The uppermost folder on the way to `path` that is not there; None if all are."""
    gone = [place for place in (path, *path.parents) if not os.path.lexists(place)]
    return gone[-1] if gone else None


def _remove_empty(path: Path) -> None:
    """Remove a folder and all in it that hold no file."""
    for folder, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):  # it holds something, or somebody was faster
            Path(folder).rmdir()
