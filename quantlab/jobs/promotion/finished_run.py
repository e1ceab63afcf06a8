"""A finished run as later jobs read it: every file that counts was held against its hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import sha256_file
from quantlab.core.sealed_json import read_sealed
from quantlab.core.shape import ANYTHING, FLAG, NUMBER, TEXT, MapOf, require_shape
from quantlab.jobs.output.run_folder import MANIFEST_FORMAT
from quantlab.jobs.promotion.other_folders import refuse_other_folder
from quantlab.jobs.promotion.run_members import MEMBERS
from quantlab.jobs.promotion.shapes import STRATEGY_SHAPE, TESTED_SHAPE

RUN_AGAIN = "run it again: what is still cached is not fitted twice"
_CONFIG, _METRICS = "config.yaml", "metrics.json"
#: What a run's manifest says for those who come after it.
_SHAPE = {**TESTED_SHAPE, "strategy": STRATEGY_SHAPE, "tuned": MapOf(MapOf(ANYTHING)), "data_fingerprint": TEXT}
_METRICS_SHAPE = {"experiment": TEXT, "verdict": TEXT, "synthetic": FLAG, "evidence": MapOf(ANYTHING)}
_CONFIG_SHAPE = {
    "experiment_name": TEXT,
    "seed": NUMBER,
    "cash": NUMBER,
    "barriers": MapOf(NUMBER),
    **dict.fromkeys(("features", "drift", "signal", "trading"), MapOf(ANYTHING)),
    "learning": dict.fromkeys(("labels", "splits", "members", "ensemble"), MapOf(ANYTHING)),
}


@dataclass(frozen=True)
class FinishedRun:
    """A run folder.

    Parameters
    ----------
    folder : Path
    manifest : dict
        With the keys that :func:`quantlab.jobs.promotion.run_members.save_members` writes.
    config : dict
        As it was asked for: plain values, of which none is looked up on this machine.
    metrics : dict
    """

    folder: Path
    manifest: dict[str, Any]
    config: dict[str, Any]
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
    refuse_other_folder(folder, option)
    path = folder / "manifest.json"
    if not path.is_file():
        raise ConfigError(f"a finished run in {folder}", found="no manifest.json", fix=f"set {option} to its folder")
    try:
        manifest = read_sealed(path, MANIFEST_FORMAT, RUN_AGAIN)
        files = dict(manifest["files_sha256"])
        require_shape(files, MapOf(TEXT), f"files_sha256 in {path}", RUN_AGAIN)
        names = {_CONFIG, _METRICS, *(name for name in files if name.startswith(f"{MEMBERS}/")), *_stored_files(folder)}
        wrong = [name for name in sorted(names) if sha256_inside(folder, name) != files.get(name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} as a run writes it, and its files", found=_error_text(error), fix=RUN_AGAIN
        ) from error
    if wrong:
        raise ArtifactError(f"{folder / wrong[0]} as it was written", found="an altered file", fix=RUN_AGAIN)
    missing = [key for key in _SHAPE if key not in manifest]
    if missing:
        raise ArtifactError(f"{missing[0]} in {path}", found="a run of another version or job", fix=RUN_AGAIN)
    require_shape(manifest, _SHAPE, str(path), RUN_AGAIN)
    metrics = json.loads((folder / _METRICS).read_bytes())
    require_shape(metrics, _METRICS_SHAPE, str(folder / _METRICS), RUN_AGAIN)
    return FinishedRun(folder, manifest, _read_config(folder / _CONFIG), metrics)


def _read_config(path: Path) -> dict[str, Any]:
    config = read_plain_config(path)
    require_shape(config, _CONFIG_SHAPE, str(path), RUN_AGAIN)
    return config


def read_plain_config(path: Path) -> dict[str, Any]:
    """Read a run's configuration as it was asked for: plain values, of which none is looked up on this machine.

    Raises
    ------
    ArtifactError
        If it is none.
    """
    try:
        config = yaml.load(path.read_bytes(), _PlainLoader)  # noqa: S506 - derived from the safe one
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArtifactError(f"a configuration in {path}", found=type(error).__name__, fix=RUN_AGAIN) from error
    require_shape(config, MapOf(ANYTHING), str(path), RUN_AGAIN)
    checked: dict[str, Any] = config
    return checked


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """Plain values only: no dates, sets and bytes, and no value that stands in two places, which could have no end."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        node = super().compose_node(parent, index)
        if node is not None and node.tag not in _PLAIN_TAGS:
            raise yaml.YAMLError(f"a value of the kind {node.tag}")
        return node


_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}


def sha256_inside(folder: Path, name: str) -> str:
    """Hash of a plain file of the run; empty for what is none, or lies elsewhere."""
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve())
    return sha256_file(path) if inside and path.is_file() and not path.is_symlink() else ""


def _stored_files(folder: Path) -> list[str]:
    """Files of the members that are there, named or not: one that was added is wrong too."""
    return [p.relative_to(folder).as_posix() for p in (folder / MEMBERS).rglob("*") if p.is_file() or p.is_symlink()]


def _error_text(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else type(error).__name__
