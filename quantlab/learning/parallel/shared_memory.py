"""One dataset on disk, mapped by many processes: no worker holds a copy of the features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.core.files import write_json
from quantlab.core.types import Dataset, Features

_ARRAYS = ("label", "weight", "known_at_ms", "forward_returns", "open_time_ms", "mask")


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write every array as ``.npy`` into an existing folder."""
    np.save(folder / "values.npy", dataset.features.values)
    np.save(folder / "ready.npy", dataset.features.ready)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(dataset, name))
    write_json(
        folder / "features.json", {"names": list(dataset.features.names), "fingerprint": dataset.features.fingerprint}
    )


def map_dataset(folder: Path) -> Dataset:
    """The same dataset, its arrays mapped read-only: the pages are shared by all processes."""
    meta = json.loads((folder / "features.json").read_text())
    features = Features(
        values=_map(folder, "values"),
        ready=_map(folder, "ready"),
        names=tuple(meta["names"]),
        fingerprint=meta["fingerprint"],
    )
    return Dataset(features=features, **{name: _map(folder, name) for name in _ARRAYS})


def _map(folder: Path, name: str) -> NDArray[Any]:
    mapped: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return mapped.view(np.ndarray)
