"""Fitted members as a run keeps them and a bundle carries them: one sealed folder each.

A folder holds the native files that were tested, golden rows, the distribution of the features in training
(``drift.json``) and a manifest with every hash. It is written from a verified entry of the forecast cache and
does not need it any more; whoever reads it verifies it first.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from quantlab.core.errors import ArtifactError
from quantlab.core.files import write_json
from quantlab.core.ports import FeatureSource, FittedModel
from quantlab.core.shape import require_shape
from quantlab.core.trust import Trust
from quantlab.features.drift_reference import DriftReference, read_reference
from quantlab.learning.artifacts.golden_rows import FILES
from quantlab.learning.artifacts.member_facts import FACTS_SHAPE, MemberFacts
from quantlab.learning.artifacts.sealed_folder import files_digest, seal_folder, verify_folder
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member
from quantlab.learning.registry.loading import load_verified
from quantlab.learning.registry.manifest import DRIFT_FILE, MODEL_FOLDER
from quantlab.learning.registry.names import check_member
from quantlab.learning.study.forecasts import read_forecast

_FIX = "restore it from a backup, or run again what made it"


@dataclass(frozen=True)
class StoredMember(MemberFacts):
    """The facts in a stored member's ``manifest.json``; its version is the member's name in the configuration."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The facts, after every file of `folder` was hashed.

        Raises
        ------
        ArtifactError
            If the folder is missing, holds links or is damaged.
        """
        require_plain(folder)
        facts = verify_folder(folder, _FIX)
        if set(facts) != {field.name for field in fields(cls)}:
            raise ArtifactError(f"a stored member in {folder}", found=f"the keys {', '.join(facts)}", fix=_FIX)
        require_shape(facts, FACTS_SHAPE, f"a stored member in {folder}", _FIX)
        stored = cls(**{**facts, "feature_names": tuple(facts["feature_names"])})
        found = files_digest(folder, MODEL_FOLDER)
        if found != stored.model_sha256:
            raise ArtifactError(f"native files {stored.model_sha256} in {folder}", found=found, fix=_FIX)
        return stored


def keep_member(
    entry: Path, folder: Path, sha256: str, *, drift: DriftReference, definitions: Mapping[str, str]
) -> StoredMember:
    """Copy a fitted member from the forecast cache into a new folder of its own.

    Parameters
    ----------
    entry : Path
        Of the cache.
    folder : Path
        Must not exist; whoever needs it whole or not at all calls this inside a staged folder.
    sha256 : str
        Of the native files that were tested: others are refused.
    drift : DriftReference
        Of the rows that the member was fitted on.
    definitions : dict of str
        Of the features.

    Raises
    ------
    ArtifactError
        If the entry is damaged, or holds another member.
    """
    forecast = read_forecast(entry)
    if forecast.digest != sha256:
        raise ArtifactError(f"{entry.name} with sha256 {sha256}", found=forecast.digest, fix=_FIX)
    shutil.copytree(forecast.folder, folder / MODEL_FOLDER)
    for name in FILES:
        shutil.copyfile(entry / name, folder / name)
    write_json(folder / DRIFT_FILE, drift.to_dict())
    stored = StoredMember(
        version=forecast.facts["member"],
        class_path=forecast.class_path,
        model_sha256=forecast.digest,
        feature_names=tuple(forecast.facts["feature_names"]),
        feature_fingerprint=forecast.facts["feature_fingerprint"],
        feature_definitions=dict(definitions),
        parts=forecast.facts["parts"],
    )
    seal_folder(folder, {**asdict(stored), "feature_names": list(stored.feature_names)})
    return stored


def load_model(folder: Path, stored: StoredMember, trust: Trust) -> FittedModel:
    """The member in a folder that :meth:`StoredMember.read` has verified; it repeats its golden predictions.

    Raises
    ------
    ArtifactError
        If it does not, or its class is gone or not allowed.
    """
    return load_verified(stored, folder, trust)


def load_drift(folder: Path) -> DriftReference:
    """The distribution of the features in training, from a verified folder.

    Raises
    ------
    ArtifactError
        If it is none.
    """
    return read_reference(folder / DRIFT_FILE)


def stored_signal(features: FeatureSource, root: Path, ensemble: FittedEnsemble, trust: Trust) -> EnsembleSignal:
    """The ensemble over the members that are stored in ``root / <name>``.

    Raises
    ------
    ContractError
        If a member was fitted on other features.
    ArtifactError
        If a member is missing, damaged, or does not repeat its golden predictions.
    """
    members = []
    for name in ensemble.names:
        stored = StoredMember.read(root / check_member(name))
        if stored.version != name:
            raise ArtifactError(f"the member {name} in {root / name}", found=stored.version, fix=_FIX)
        stored.require_contract(features)
        model = load_model(root / name, stored, trust)
        members.append(Member(name, model, stored.model_sha256, root.parent.name))
    return EnsembleSignal(features=features, members=tuple(members), ensemble=ensemble)


def require_plain(folder: Path) -> None:
    """Return if `folder` is one and holds no symbolic link that could lead out of it.

    Raises
    ------
    ArtifactError
    """
    if not folder.is_dir() or folder.is_symlink():
        raise ArtifactError(f"a folder {folder}", found="none", fix=_FIX)
    link = next((path for path in sorted(folder.rglob("*")) if path.is_symlink()), None)
    if link is not None:
        raise ArtifactError(f"plain files in {folder}", found=f"the symbolic link {link.name}", fix=_FIX)
