"""One folder per run: built under a partial name, visible only when it is whole."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers.oc import env

import quantlab
from quantlab.core.clock import SystemClock, iso_utc
from quantlab.core.errors import ConfigError
from quantlab.core.files import remove_abandoned, require_writable, sha256_file, staged_folder, to_json, write_text
from quantlab.core.logs import RedactedJson, attach_handler
from quantlab.core.redaction import hide_named, hide_secret_options
from quantlab.core.sealed_json import write_sealed
from quantlab.core.secrets.texts import HIDDEN
from quantlab.jobs.config.composition import CHECKS, check_experiment_name
from quantlab.jobs.config.secrets import CARRIED
from quantlab.jobs.output.asked_for import asked_for, record_refusal, record_run

#: Packages whose version can change a result.
RESULT_PACKAGES = (
    "numpy",
    "numba",
    "pandas",
    "scipy",
    "scikit-learn",
    "xgboost",
    "lightgbm",
    "torch",
    "neuralforecast",
    "optuna",
    "vectorbt",
    "arch",
)

#: Mode of a file that holds a configuration: whoever typed a secret under another name has it in there.
_PRIVATE = 0o600

#: Of a run's ``manifest.json``: other code reads another one.
MANIFEST_FORMAT = 2


@dataclass(frozen=True)
class RunFolder:
    """A run while it is being written.

    Parameters
    ----------
    path : Path
        Where to write now (the partial folder).
    final : Path
        What it will be called.
    started_ms : int
    """

    path: Path
    final: Path
    started_ms: int

    def write_manifest(self, cfg: DictConfig, facts: Mapping[str, Any]) -> None:
        """``manifest.json``: what made these files, and their hashes."""
        names = {f.relative_to(self.path).as_posix(): f for f in sorted(self.path.rglob("*")) if f.is_file()}
        files = {name: sha256_file(f) for name, f in names.items() if name not in ("log.jsonl", "manifest.json")}
        write_sealed(
            self.path / "manifest.json",
            {
                "run": self.final.name,
                **asked_for(cfg),
                **code_and_packages(),
                "seed": cfg.seed,
                "host": {
                    "python": platform.python_version(),
                    "system": platform.platform(),
                    "machine": platform.machine(),
                    "cpus": os.cpu_count(),
                },
                "started": iso_utc(self.started_ms),
                "finished": iso_utc(SystemClock().now_ms()),
                "files_sha256": files,
                **facts,
            },
            MANIFEST_FORMAT,
        )


@contextmanager
def run_folder(cfg: DictConfig, check: str | None = None) -> Iterator[RunFolder]:
    """Open ``<runs_dir>/<experiment>/<stamp>-<hash>``; nothing is left behind on an error.

    What killed runs left half written in ``runs_dir`` and ``cache_dir`` is removed first.

    Parameters
    ----------
    cfg : DictConfig
    check : str, optional
        Name of a job that checks something and tests no strategy: its folder lies in ``<runs_dir>/checks/<check>``,
        apart from the runs.

    Raises
    ------
    ConfigError
        If the experiment's name is none that a folder can have.
    InstallationError
        If ``runs_dir`` or ``cache_dir`` cannot be written.
    """
    check_experiment_name(cfg.experiment_name)
    require_folders(cfg, "runs_dir", "cache_dir")
    remove_abandoned(Path(cfg.runs_dir) / CHECKS)
    now = SystemClock().now_ms()
    final = _name(cfg, cfg.experiment_name if check is None else f"{CHECKS}/{check}", now)
    with staged_folder(final) as partial, _log_file(partial / "log.jsonl"):
        write_text(partial / "config.yaml", resolved_yaml(cfg), _PRIVATE)
        yield RunFolder(partial, final, now)
    record_run(final)


def require_folders(cfg: DictConfig, *names: str) -> None:
    """Folders of the configuration that can be written, cleared of what killed processes left half written.

    Raises
    ------
    InstallationError
        If one cannot be written.
    """
    for name in names:
        require_writable(name, Path(cfg[name]))
        remove_abandoned(Path(cfg[name]))


def resolved_yaml(cfg: DictConfig) -> str:
    """The configuration as it was run, and no secret in it.

    References are resolved, but for those to the environment; in the sections that runs and bundles keep these are too,
    because they are part of what was tested, and a secret was refused there.
    """
    with _unresolved_environment():
        resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    for name in CARRIED:
        if name in resolved:
            resolved[name] = _plain(cfg, name)
    return OmegaConf.to_yaml(OmegaConf.create(hide_secret_options(resolved)), resolve=False, sort_keys=True)


def _plain(cfg: DictConfig, name: str) -> Any:
    node = cfg[name]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


@contextmanager
def _unresolved_environment() -> Iterator[None]:
    """Let ``${oc.env:NAME}`` stand as it is inside the block, wherever another option refers to it; its default is hidden."""

    def as_written(name: str, *default: str) -> str:
        return f"${{oc.env:{name}" + (f",'{HIDDEN}'}}" if default else "}")

    OmegaConf.register_new_resolver("oc.env", as_written, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", env, replace=True)


def record_failure(cfg: DictConfig, reason: str) -> Path:
    """Keep a refused or failed combination of a sweep beside the runs that succeeded.

    One whose experiment has no usable name is kept in the folder ``unnamed``.
    """
    try:
        check_experiment_name(cfg.experiment_name)
        experiment = cfg.experiment_name
    except (ConfigError, OmegaConfBaseException):
        experiment = "unnamed"
    final = _name(cfg, experiment, SystemClock().now_ms())
    path = final.with_name(final.name + ".failed.json")
    config = hide_secret_options(OmegaConf.to_container(cfg, resolve=False))
    write_text(path, to_json({"reason": hide_named(reason), "config": config}), _PRIVATE)
    record_refusal(path, hide_named(reason))
    return path


def code_and_packages() -> dict[str, dict[str, str]]:
    """Versions that can change a result beside its configuration: of this code, and of the packages that it computes with."""
    return {
        "code": {"version": quantlab.__version__, "sources": sources_fingerprint()},
        "packages": {name: importlib.metadata.version(name) for name in RESULT_PACKAGES},
    }


def sources_fingerprint() -> str:
    """sha256 over every module of the package: which code made a result, with or without git."""
    root = Path(quantlab.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _name(cfg: DictConfig, experiment: object, now_ms: int) -> Path:
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%d_%H%M%S")
    short = hashlib.sha256(OmegaConf.to_yaml(cfg, resolve=False, sort_keys=True).encode()).hexdigest()[:8]
    return Path(cfg.runs_dir).resolve() / str(experiment) / f"{stamp}_{now_ms % 1000:03d}-{short}"


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(RedactedJson())
    with attach_handler(handler):
        yield
