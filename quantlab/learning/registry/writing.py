"""Fitted members on their way into the registry: each in a folder of its own, and all of them or none."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import remove_abandoned, staged_folder, write_json
from quantlab.core.ports import FittedModel
from quantlab.features.drift_reference import DriftReference
from quantlab.learning.artifacts.code_versions import library_versions
from quantlab.learning.artifacts.golden_rows import Golden
from quantlab.learning.artifacts.sealed_folder import files_digest, seal_folder
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.ensemble.members import class_path
from quantlab.learning.registry.log import unwritable
from quantlab.learning.registry.manifest import DRIFT_FILE, MODEL_FOLDER, Manifest
from quantlab.learning.registry.names import version_name


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted member on its way into the registry; see :class:`~quantlab.learning.registry.manifest.Manifest`.

    `sha256`, if given, is of the native files that were tested: others are refused. `definitions` are the
    features', `drift` is their distribution over the training rows.
    """

    member: str
    model: FittedModel
    golden: Golden
    labels: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    definitions: dict[str, str] = field(default_factory=dict)
    drift: DriftReference | None = None


@dataclass(frozen=True)
class Registration:
    """Facts that members which are stored together have in common."""

    together: tuple[str, ...]
    ensemble: FittedEnsemble | None
    source: dict[str, str]
    created: str


def candidates_by_version(
    candidates: Sequence[Candidate], ensemble: FittedEnsemble | None, stamp_ms: int
) -> dict[str, Candidate]:
    """Candidates by the versions that they become at `stamp_ms`.

    Raises
    ------
    ConfigError
        If names are not fit for versions, or not the ensemble's.
    """
    named = {version_name(candidate.member, stamp_ms): candidate for candidate in candidates}
    members = tuple(candidate.member for candidate in candidates)
    if len(named) != len(members) or not members or (ensemble is not None and ensemble.names != members):
        wanted = "different members" if ensemble is None else f"members {', '.join(ensemble.names)}"
        raise ConfigError(wanted, found=", ".join(members) or "none", fix="register each of them once, in this order")
    return named


@contextmanager
def write_versions(root: Path, named: Mapping[str, Candidate], registration: Registration) -> Iterator[None]:
    """Every version in a folder below `root` inside the block; they stay only if it ends well.

    Raises
    ------
    ArtifactError
        If a version is there already, or a member's files are not the ones that the candidate names.
    InstallationError
        If the disk does not take them.
    """
    folders: list[Path] = []
    remove_abandoned(root)
    try:
        for version, candidate in named.items():
            folders.append(write_version(root, version, candidate, registration))
        yield
    except BaseException as error:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, FileExistsError):
            raise ArtifactError("new versions", found=str(error), fix="register again in a second") from error
        if isinstance(error, OSError):
            raise unwritable(root, error) from error
        raise


def write_version(root: Path, version: str, candidate: Candidate, registration: Registration) -> Path:
    """Write one version, whole or not at all, and return its folder.

    Raises
    ------
    FileExistsError
        If it is there already.
    OSError
        If the disk does not take it.
    ArtifactError
        If its files are not the ones that the candidate names.
    """
    try:
        with staged_folder(root / version) as folder:
            (folder / MODEL_FOLDER).mkdir()
            candidate.model.save(folder / MODEL_FOLDER)
            candidate.golden.save(folder)
            if candidate.drift is not None:
                write_json(folder / DRIFT_FILE, candidate.drift.to_dict())
            found = files_digest(folder, MODEL_FOLDER)
            if candidate.sha256 not in (None, found):
                raise ArtifactError(
                    f"the very files of {candidate.member} that were tested, {candidate.sha256}",
                    found=found,
                    fix="make its save write the same bytes for the same member",
                )
            seal_folder(folder, _manifest(version, candidate, registration, found).facts())
    except OSError as error:
        # The last step of all, syncing the parent, can fail when the folder has its name already.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) and not isinstance(error, FileExistsError):
            shutil.rmtree(root / version, ignore_errors=True)
        raise
    return root / version


def _manifest(version: str, candidate: Candidate, registration: Registration, model_sha256: str) -> Manifest:
    features = candidate.golden.features
    return Manifest(
        version=version,
        member=candidate.member,
        class_path=class_path(candidate.model),
        model_sha256=model_sha256,
        feature_names=features.names,
        feature_fingerprint=features.fingerprint,
        feature_definitions=candidate.definitions,
        labels=candidate.labels,
        splits=candidate.splits,
        settings=candidate.settings,
        parts=candidate.parts,
        metrics=candidate.metrics,
        packages=library_versions(),
        together=registration.together,
        ensemble=None if registration.ensemble is None else asdict(registration.ensemble),
        source=registration.source,
        created=registration.created,
    )
