"""Manifest beside a member's native files: its origin, the rows it was fitted on, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from quantlab.core.errors import ArtifactError
from quantlab.core.files import sha256_file
from quantlab.core.shape import ANYTHING, TEXT, ListOf, MapOf, MaybeEmpty, require_shape
from quantlab.features.drift_reference import DriftReference, read_reference
from quantlab.learning.artifacts.member_facts import ENSEMBLE_SHAPE, FACTS_SHAPE, MemberFacts
from quantlab.learning.artifacts.sealed_folder import MANIFEST, files_digest, verify_folder
from quantlab.learning.ensemble.ensemble import Ensemble, FittedEnsemble
from quantlab.learning.registry.names import split_version, version_folder

MODEL_FOLDER = "model"
#: The distribution of the features over the training rows, where it was made.
DRIFT_FILE = "drift.json"

_FIX = "leave it out of service and register the member again"


_SHAPE = {
    **FACTS_SHAPE,
    "member": TEXT,
    "labels": MapOf(ANYTHING),
    "splits": MapOf(ANYTHING),
    "settings": MapOf(ANYTHING),
    "metrics": MapOf(ANYTHING),
    "packages": MapOf(TEXT),
    "together": ListOf(TEXT),
    "ensemble": MaybeEmpty(ENSEMBLE_SHAPE),
    "source": MapOf(TEXT),
    "created": TEXT,
}


@dataclass(frozen=True)
class Manifest(MemberFacts):
    """The facts in ``manifest.json``; sha256 and size of every file stand beside them.

    Parameters
    ----------
    member : str
    labels, splits, settings : dict
        Definitions as they were configured.
    metrics : dict
        Out of sample; undefined ones are null with their reason.
    packages : dict
        Python, machine and library versions.
    together : tuple of str
        All versions that were tested together with this one, itself among them.
    ensemble : dict or None
        The :class:`~quantlab.learning.ensemble.ensemble.FittedEnsemble` over them.
    source : dict of str
        Run and data that it came from.
    created : str
        ISO 8601, UTC.

    Notes
    -----
    All other parameters are those of :class:`quantlab.learning.artifacts.member_facts.MemberFacts`.
    """

    member: str
    labels: dict[str, Any]
    splits: dict[str, Any]
    settings: dict[str, Any]
    metrics: dict[str, Any]
    packages: dict[str, str]
    together: tuple[str, ...]
    ensemble: dict[str, Any] | None
    source: dict[str, str]
    created: str

    def facts(self) -> dict[str, Any]:
        """Strict JSON values."""
        content = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in content.items()}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """The manifest that :meth:`facts` wrote.

        Raises
        ------
        ArtifactError
            If a key is missing or unknown.
        """
        if set(facts) != {field.name for field in fields(cls)}:
            raise ArtifactError(f"a model's {MANIFEST}", found=f"the keys {', '.join(sorted(facts))}", fix=_FIX)
        require_shape(facts, _SHAPE, f"a model's {MANIFEST}", _FIX)
        lists = ("feature_names", "together")
        values: dict[str, Any] = {name: tuple(value) if name in lists else value for name, value in facts.items()}
        return cls(**values)

    def drift(self, folder: Path) -> DriftReference | None:
        """The features over the training rows, from the verified `folder`; None if it was stored without."""
        path = folder / DRIFT_FILE
        return read_reference(path) if path.is_file() else None

    def fitted_ensemble(self) -> FittedEnsemble:
        """The ensemble that was fitted over the versions in `together`.

        Raises
        ------
        ArtifactError
            If it was stored without one.
        """
        if self.ensemble is None:
            raise ArtifactError(
                f"an ensemble in the manifest of {self.version}", found="none", fix="register a whole run instead"
            )
        return ensemble_of(self.ensemble)


def ensemble_of(content: Mapping[str, Any]) -> FittedEnsemble:
    """The ensemble that was written as JSON values.

    Raises
    ------
    ArtifactError
        If it is not one.
    """
    require_shape(content, ENSEMBLE_SHAPE, "a stored ensemble", _FIX)
    try:
        return FittedEnsemble(
            rules=Ensemble(**content["rules"]),
            names=tuple(content["names"]),
            weights=tuple(content["weights"]),
            temperature=content["temperature"],
        )
    except (KeyError, TypeError) as error:
        raise ArtifactError("a stored ensemble", found=f"{type(error).__name__} {error}", fix=_FIX) from error


def read_manifest(root: Path, version: str) -> tuple[Manifest, str]:
    """The manifest of a stored version and its sha256, after every file of the folder was hashed.

    Raises
    ------
    ConfigError
        If `version` is not a version's name.
    ArtifactError
        If the folder is missing, holds links, is damaged, or says that it is another version.
    """
    folder = version_folder(root, version)
    try:
        manifest = Manifest.of_facts(verify_folder(folder, _FIX))
        found, sha256 = files_digest(folder, MODEL_FOLDER), sha256_file(folder / MANIFEST)
    except OSError as error:
        raise ArtifactError(f"readable files in {folder}", found=str(error), fix=_FIX) from error
    if (manifest.version, manifest.member) != (version, split_version(version)[0]):
        raise ArtifactError(f"version {version} in {folder}", found=f"{manifest.version!r}", fix=_FIX)
    if manifest.model_sha256 != found:
        raise ArtifactError(f"native files {manifest.model_sha256} in {folder}", found=found, fix=_FIX)
    return manifest, sha256
