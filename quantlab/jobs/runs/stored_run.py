"""A run's files, each held against its hash before it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quantlab.core.arrays import Int64Array
from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.sealed_json import read_sealed
from quantlab.core.shape import ANYTHING, FLAG, TEXT, MapOf, require_shape
from quantlab.jobs.output.run_folder import MANIFEST_FORMAT
from quantlab.jobs.promotion.finished_run import RUN_AGAIN, read_plain_config, sha256_inside

_METRICS_SHAPE = {
    "experiment": TEXT,
    "verdict": TEXT,
    "synthetic": FLAG,
    **dict.fromkeys(("evidence", "lived", "judgement", "period"), MapOf(ANYTHING)),
}


@dataclass(frozen=True)
class StoredRun:
    """A run on the disk, none of whose files was altered since it was written.

    Parameters
    ----------
    folder : Path
    manifest, metrics, config : dict
        Plain values.
    """

    folder: Path
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Experiment and id."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Every bar by its open: ``evidence_equity``, ``evidence_gross``, ..., USD."""
        return self.table("equity.parquet").set_index("time")

    @cached_property
    def open_time_ms(self) -> Int64Array:
        """int64 (T,): opens of the simulated bars."""
        times: Int64Array = (
            pd.DatetimeIndex(self.equity.index).tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
        )
        return times

    @property
    def interval_ms(self) -> int:
        """Length of a bar; of a single bar in an older run it is not known, and 0."""
        market = self.manifest.get("market")
        if market is not None:
            return int(market["interval_ms"])
        times = self.open_time_ms
        return int(times[1] - times[0]) if len(times) > 1 else 0

    def has(self, name: str) -> bool:
        """Tell whether the run has stored this file."""
        return name in self.manifest["files_sha256"]

    def table(self, name: str) -> pd.DataFrame:
        """Read one of the run's parquet files.

        Raises
        ------
        ContractError
            If the run has stored none of this name.
        ArtifactError
            If it cannot be read.
        """
        if not self.has(name):
            raise ContractError(
                f"{name} in {self.folder}",
                found="a run that was made before runs kept it, or by a job that has none",
                fix=RUN_AGAIN,
            )
        try:
            frame: pd.DataFrame = pq.read_table(self.folder / name).to_pandas()
        except (OSError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{self.folder / name} as it was written", found=type(error).__name__, fix=RUN_AGAIN
            ) from error
        return frame


def open_stored(folder: Path) -> StoredRun:
    """Verify and open a run.

    Raises
    ------
    ConfigError
        If there is no run in the folder.
    ArtifactError
        If a file is missing, altered or of another format.
    """
    if not (folder / "manifest.json").is_file():
        raise ConfigError(
            f"a finished run in {folder}",
            found="no manifest.json",
            fix="give its folder, its id, or latest; job=runs lists them",
        )
    manifest = read_sealed(folder / "manifest.json", MANIFEST_FORMAT, RUN_AGAIN)
    files: dict[str, str] = manifest.get("files_sha256", {})
    require_shape(files, MapOf(TEXT), f"files_sha256 in {folder / 'manifest.json'}", RUN_AGAIN)
    if "metrics.json" not in files:
        raise ConfigError(
            f"a strategy's run in {folder}", found="one without metrics.json, a check", fix="give a run's folder"
        )
    wrong = [name for name, digest in sorted(files.items()) if sha256_inside(folder, name) != digest]
    if wrong:
        found = "an altered file" if (folder / wrong[0]).exists() else "no such file"
        raise ArtifactError(f"{folder / wrong[0]} as it was written", found=found, fix=RUN_AGAIN)
    metrics = json.loads((folder / "metrics.json").read_bytes())
    require_shape(metrics, _METRICS_SHAPE, str(folder / "metrics.json"), RUN_AGAIN)
    return StoredRun(folder, manifest, metrics, read_plain_config(folder / "config.yaml"))
