"""The doctor's check of the model registry: every version that could serve is what was registered."""

from __future__ import annotations

from omegaconf import DictConfig

from quantlab.core.errors import QuantlabError
from quantlab.jobs.config.composition import build
from quantlab.jobs.doctor.check import Check, Status, checked, shortened
from quantlab.learning.registry.manifest import read_manifest
from quantlab.learning.registry.status import Status as Serving
from quantlab.learning.registry.store import Registry

_NAME = "model registry"


def check_models(cfg: DictConfig) -> Check:
    """Hash every file of every version. Looking moves nothing: a bad version is named, not quarantined."""
    try:
        registry: Registry = build(cfg.learning.registry)
        versions = registry.versions()
        if not versions:
            fix = "python -m quantlab job=models job.action=register job.from_run=runs/EXPERIMENT/RUN"
            return Check(_NAME, Status.NOT_SET_UP, f"no model in {registry.folder}", fix)
        bad = {version: problem for version in versions if (problem := _problem(registry, version))}
        unfit = [version for version in bad if registry.status(version) is not Serving.QUARANTINED]
        served = len(registry.active())
    except QuantlabError as error:
        return Check(_NAME, Status.BROKEN, f"{error.expected}; found {error.found}", error.fix)
    fact = f"{len(versions) - len(bad)} of {len(versions)} versions verified, {served} in service"
    damaged = [
        f"{version} is damaged{'' if version in unfit else ', in quarantine'}: {bad[version]}" for version in bad
    ]
    if unfit:
        fix = f"python -m quantlab job=models job.action=quarantine job.version={unfit[0]}, or restore its files"
        return Check(_NAME, Status.BROKEN, shortened([fact, *damaged]), fix)
    return checked(_NAME, damaged, fact)


def _problem(registry: Registry, version: str) -> str:
    try:
        read_manifest(registry.folder, version)
    except QuantlabError as error:
        return error.found
    return ""
