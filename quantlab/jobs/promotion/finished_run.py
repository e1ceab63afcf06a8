"""A finished run as later jobs read it: every file that counts was held against its hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import sha256_file
from quantlab.jobs.promotion.run_members import MEMBERS

RUN_AGAIN = "run it again: what is still cached is not fitted twice"
_CONFIG, _METRICS = "config.yaml", "metrics.json"
#: What a run's manifest says for those who come after it.
_KEYS = (
    "models",
    "market",
    "costs",
    "features",
    "rooms",
    "strategy",
    "tuned",
    "data_fingerprint",
    "feature_fingerprint",
    "strategy_fingerprint",
)


@dataclass(frozen=True)
class FinishedRun:
    """A run folder.

    Parameters
    ----------
    folder : Path
    manifest : dict
        With the keys that :func:`quantlab.jobs.promotion.run_members.save_members` writes.
    config : DictConfig
        Resolved, as it was asked for.
    metrics : dict
    """

    folder: Path
    manifest: dict[str, Any]
    config: DictConfig
    metrics: dict[str, Any]


def read_run(folder: Path, option: str) -> FinishedRun:
    """The run in `folder`, after configuration, metrics and members were hashed.

    Parameters
    ----------
    folder : Path
    option : str
        Of the command line that named it, for the message.

    Raises
    ------
    ConfigError
        If there is no run in the folder.
    ArtifactError
        If a file is missing or altered, or the run was made before runs could be promoted.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise ConfigError(f"a finished run in {folder}", found="no manifest.json", fix=f"set {option} to its folder")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        files = dict(manifest["files_sha256"])
        names = {_CONFIG, _METRICS, *(name for name in files if name.startswith(f"{MEMBERS}/")), *_stored_files(folder)}
        wrong = [name for name in sorted(names) if sha256_file(folder / name) != files.get(name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} as a run writes it, and its files", found=_error_text(error), fix=RUN_AGAIN
        ) from error
    if wrong:
        raise ArtifactError(f"{folder / wrong[0]} as it was written", found="an altered file", fix=RUN_AGAIN)
    missing = [key for key in _KEYS if key not in manifest]
    if missing:
        raise ArtifactError(f"{missing[0]} in {path}", found="a run of another version or job", fix=RUN_AGAIN)
    config = OmegaConf.load(folder / _CONFIG)
    assert isinstance(config, DictConfig)  # noqa: S101 - its hash was compared
    return FinishedRun(folder, manifest, config, json.loads((folder / _METRICS).read_bytes()))


def _stored_files(folder: Path) -> list[str]:
    """Files of the members that are there, named or not: one that was added is wrong too."""
    return [p.relative_to(folder).as_posix() for p in (folder / MEMBERS).rglob("*") if p.is_file() or p.is_symlink()]


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else type(error).__name__
