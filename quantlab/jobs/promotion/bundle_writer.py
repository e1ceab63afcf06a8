"""Writer of bundles: what a finished run tested, and nothing else, under one seal."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, InstallationError
from quantlab.core.files import remove_abandoned, sha256_file, staged_folder, write_json
from quantlab.core.ports import Clock, Progress
from quantlab.core.progress import SilentProgress
from quantlab.core.trust import Trust
from quantlab.jobs.config.known_classes import require_known_classes
from quantlab.jobs.promotion.bundle import CONFIG, Bundle, load_bundle, require_same_code
from quantlab.jobs.promotion.finished_run import FinishedRun
from quantlab.jobs.promotion.run_members import MEMBERS
from quantlab.learning.artifacts.code_versions import library_versions
from quantlab.learning.artifacts.sealed_folder import seal_folder
from quantlab.learning.registry.bundle_members import StoredMember
from quantlab.learning.registry.loading import prove

#: What a strategy is built from or described by. The signal of a learned run is its stored members.
SECTIONS = ("experiment_name", "seed", "cash", "barriers", "features", "drift", "trading")
_LEARNING = ("labels", "splits", "members", "ensemble")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def write_bundle(
    run: FinishedRun,
    final: Path,
    clock: Clock,
    load_timeout_s: float,
    trust: Trust,
    progress: Progress = SilentProgress(),  # noqa: B008 - frozen, without a state
) -> Bundle:
    """Freeze a run's strategy in a new folder, whole or not at all, and give back what was loaded from it.

    Parameters
    ----------
    run : FinishedRun
    final : Path
        Its last part is the bundle's name.
    clock : Clock
    load_timeout_s : float
        Seconds that a child process has to load a member.
    trust : Trust
        Classes that the run may name beside quantlab's own.
    progress : Progress
        Shows what is copied, proved and loaded.

    Raises
    ------
    ConfigError
        If the name is none, or taken.
    ArtifactError
        If a member is damaged or does not load, the code is not the run's, or the strategy that is built from the
        folder is not the one that was tested.
    ContractError
        If the features are not the ones that the run was made with.
    InstallationError
        If the disk does not take it.
    """
    _require_free(final)
    require_same_code(run.folder.name, run.manifest["rooms"])
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(final.parent)
        with staged_folder(final) as folder:
            with progress.stage("members and configuration copied", 1) as stage:
                _copy_parts(run, folder, trust)
                seal_folder(folder, _facts(run, final.name, clock))
                stage.advance()
            prove_members(folder, run.manifest["models"], load_timeout_s, trust, progress)
            with progress.stage("strategy built from the bundle", 1) as stage:
                load_bundle(folder, trust)
                stage.advance()
    except FileExistsError as error:
        raise _taken(final) from error
    except OSError as error:
        raise InstallationError(
            f"a bundle {final} that can be written",
            found=error.strerror or str(error),
            fix="free some space or fix its permissions; nothing was changed",
        ) from error
    return load_bundle(final, trust)


def prove_members(
    folder: Path,
    models: Mapping[str, Any],
    load_timeout_s: float,
    trust: Trust,
    progress: Progress = SilentProgress(),  # noqa: B008 - frozen, without a state
) -> None:
    """Load every member of a bundle in a process of its own, where it repeats its golden predictions.

    Parameters
    ----------
    folder : Path
        Of the bundle.
    models : mapping
        As the bundle's manifest describes them.
    load_timeout_s : float
    trust : Trust
    progress : Progress
        One step for each member.

    Raises
    ------
    ArtifactError
        If one is damaged, or does not.
    InstallationError
        If no process can be started.
    """
    names = list(models.get("members", {}))
    if not names:
        return
    with progress.stage("members loaded, golden predictions repeated", len(names)) as stage:
        for name in names:
            stage.set_remark(name)
            member = folder / MEMBERS / name
            prove(StoredMember.read(member), member, load_timeout_s, trust)
            stage.advance()
        stage.set_remark("")


def bundle_name(chosen: object, run: FinishedRun) -> str:
    """The name that was asked for, else ``<experiment>-<run id>``.

    Raises
    ------
    ConfigError
        If no folder can have it.
    """
    name = f"{run.config['experiment_name']}-{run.folder.name}"[-64:].lstrip("._-") if chosen is None else str(chosen)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "a bundle's name of at most 64 letters, digits, dots, dashes and underscores",
            found=repr(name),
            fix="set job.name",
        )
    return name


def _copy_parts(run: FinishedRun, folder: Path, trust: Trust) -> None:
    """Members and configuration; hashes were compared when the run was read, and are once more after copying."""
    stored = run.folder / MEMBERS
    models = run.manifest["models"]
    parts = configuration_of(run)
    require_known_classes(parts, trust, run.folder)
    if models:
        shutil.copytree(stored, folder / MEMBERS)
    write_json(folder / CONFIG, parts)
    for path in sorted((folder / MEMBERS).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and sha256_file(path) != run.manifest["files_sha256"].get(name):
            raise ArtifactError(f"{name} of {run.folder} as it was written", found="an altered file", fix="try again")
    for name, member in models.get("members", {}).items():
        found = StoredMember.read(folder / MEMBERS / name).model_sha256
        if found != member["sha256"]:
            raise ArtifactError(f"{name} with sha256 {member['sha256']}", found=found, fix="run it again")


def configuration_of(run: FinishedRun) -> dict[str, Any]:
    """Sections of a run's configuration that a bundle keeps; nothing in them is looked up on this machine."""
    sections = SECTIONS if run.manifest["models"] else (*SECTIONS, "signal")
    parts: dict[str, Any] = {name: run.config[name] for name in sections}
    parts["strategy"] = run.manifest["strategy"]
    parts["learning"] = {name: run.config["learning"][name] for name in _LEARNING}
    return parts


def _facts(run: FinishedRun, name: str, clock: Clock) -> dict[str, Any]:
    manifest, metrics = run.manifest, run.metrics
    return {
        "bundle": name,
        "created": iso_utc(clock.now_ms()),
        "run": run.folder.name,
        "experiment": metrics["experiment"],
        "synthetic": metrics["synthetic"],
        "verdict": metrics["verdict"],
        "judgement": metrics["judgement"],
        "period": metrics["period"],
        "evidence": metrics["evidence"],
        "lived": metrics["lived"],
        "metrics_sha256": manifest["files_sha256"]["metrics.json"],
        "models": manifest["models"],
        "tuned": manifest["tuned"],
        "market": manifest["market"],
        "costs": manifest["costs"],
        "features": manifest["features"],
        "rooms": manifest["rooms"],
        "packages": library_versions(),
        **{key: manifest[key] for key in _FINGERPRINTS},
    }


_FINGERPRINTS = ("data_fingerprint", "feature_fingerprint", "signal_fingerprint", "strategy_fingerprint")


def _require_free(final: Path) -> None:
    if final.exists() or final.is_symlink():
        raise _taken(final)


def _taken(final: Path) -> ConfigError:
    return ConfigError(f"a new bundle {final.name}", found=f"{final}, which is there", fix="choose another job.name")
