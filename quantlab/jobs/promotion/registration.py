"""Registration of a finished run's candidates: the last fold's members, exactly the files that were tested."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import partial_prefix
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource
from quantlab.core.results import Study
from quantlab.core.trust import Trust
from quantlab.jobs.config.known_classes import require_known_classes
from quantlab.jobs.promotion.finished_run import RUN_AGAIN, read_run
from quantlab.jobs.promotion.run_members import MEMBERS, copy_members, plain_section
from quantlab.learning.registry.bundle_members import StoredMember, load_drift, load_model
from quantlab.learning.registry.manifest import ensemble_of
from quantlab.learning.registry.store import Registry
from quantlab.learning.registry.writing import Candidate


def register_run(registry: Registry, folder: Path) -> tuple[str, ...]:
    """Store the members that a run has kept, as candidates.

    Raises
    ------
    ConfigError
        If there is no such run, or its signal was not learned.
    ArtifactError
        If a file of the run is missing or damaged, or is not what the manifest names.
    InstallationError
        If the registry cannot be written.
    """
    run = read_run(folder, "job.from_run")
    used = run.manifest["models"]
    if not used:
        raise ConfigError("a run with learned members", found=folder.name, fix="run e.g. experiment=ensemble_v2")
    source = {
        "run": folder.name,
        "data_fingerprint": run.manifest["data_fingerprint"],
        "experiment": run.metrics["experiment"],
    }
    settings: dict[str, Any] = run.config["learning"]
    kept = {name: settings[name] for name in ("labels", "splits", "members")}
    require_known_classes(kept, registry.trust, folder)
    found = candidates(
        folder / MEMBERS, used, _tuned_settings(settings, run.manifest["tuned"]), run.metrics["members"], registry.trust
    )
    return registry.register(found, ensemble=ensemble_of(used["ensemble"]), source=source)


def candidates(
    root: Path, used: dict[str, Any], learning: dict[str, Any], metrics: dict[str, dict[str, Any]], trust: Trust
) -> list[Candidate]:
    """The members in ``root / <name>``, each loaded and held against its golden predictions.

    Parameters
    ----------
    root : Path
    used : dict
        ``members`` and ``ensemble``, see :meth:`quantlab.learning.ensemble.signal_source.EnsembleSignal.models`.
    learning : dict
        The resolved configuration's section.
    metrics : dict of member to numbers
    trust : Trust

    Raises
    ------
    ArtifactError
        If a member is damaged or another than the one that was tested.
    """
    return [
        _candidate(root / name, used["members"][name]["sha256"], name, learning, metrics.get(name, {}), trust)
        for name in used["ensemble"]["names"]
    ]


def _tuned_settings(learning: dict[str, Any], tuned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The section with the members' settings as tuning chose them."""
    members = {name: {**node, **tuned.get(name, {})} for name, node in learning["members"].items()}
    return {**learning, "members": members}


def _candidate(
    folder: Path, sha256: str, name: str, learning: dict[str, Any], metrics: dict[str, Any], trust: Trust
) -> Candidate:
    stored = StoredMember.read(folder)
    if (stored.version, stored.model_sha256) != (name, sha256):
        found = f"{stored.version} with {stored.model_sha256}"
        raise ArtifactError(f"{name} with sha256 {sha256}", found=found, fix=RUN_AGAIN)
    return Candidate(
        member=name,
        model=load_model(folder, stored, trust),
        golden=stored.golden(folder),
        labels=learning["labels"],
        splits=learning["splits"],
        settings=learning["members"][name],
        parts=stored.parts,
        metrics=metrics,
        sha256=sha256,
        definitions=stored.feature_definitions,
        drift=load_drift(folder),
    )


def register_study(
    registry: Registry, cfg: DictConfig, study: Study, history: Bars, features: FeatureSource
) -> tuple[str, ...]:
    """Store the members of a study that has no run folder, as candidates.

    Raises
    ------
    ArtifactError
        If a cached member is damaged or another than the one that made the forecasts.
    InstallationError
        If the registry cannot be written.
    """
    used = study.source.models()
    members = {} if study.report is None else study.report.members
    metrics = {name: asdict(report) for name, report in members.items()}
    learning = _tuned_settings(plain_section(cfg.learning), {stage.name: stage.chosen for stage in study.tuning})
    source = {"run": "job=retrain", "data_fingerprint": history.fingerprint(), "experiment": str(cfg.experiment_name)}
    with tempfile.TemporaryDirectory(dir=cfg.cache_dir, prefix=partial_prefix(MEMBERS)) as folder:
        copy_members(Path(folder), cfg, used["members"], history, features)
        found = candidates(Path(folder), used, learning, metrics, registry.trust)
        return registry.register(found, ensemble=ensemble_of(used["ensemble"]), source=source)
