"""The signal of the active release of the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from quantlab.core.errors import ArtifactError
from quantlab.core.ports import FeatureSource, ModelStore
from quantlab.learning.ensemble.signal_source import EnsembleSignal, Member
from quantlab.learning.ensemble.thresholds import Thresholds
from quantlab.learning.registry.manifest import Manifest

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """The active release as a signal.

    Parameters
    ----------
    signal : EnsembleSignal
    release : dict of member to version
        That `signal` was made of.
    refusal : str
        Why a newer release, which the store has quarantined, does not serve; empty if the newest does.
    """

    signal: EnsembleSignal
    release: dict[str, str]
    refusal: str


def serve(store: ModelStore, features: FeatureSource) -> ServedRelease:
    """Load the active release.

    A version that fails is quarantined by the store, which goes back to what served before; that is then
    loaded instead, and `refusal` says so.

    Raises
    ------
    ArtifactError
        If nothing that can be loaded is active.
    ContractError
        If the active members were fitted on other features.
    """
    signal, release, refusal = _newest_trusted(store, lambda release: _assemble(store, features, release))
    return ServedRelease(signal, release, refusal)


def serving_thresholds(store: ModelStore) -> Thresholds | None:
    """The thresholds of what is active, without loading any member; None where nothing is.

    A version that fails is quarantined as in :func:`serve`.

    Raises
    ------
    ArtifactError
        If nothing of what is active can be trusted.
    """
    if not store.active():
        return None
    manifests, _, _ = _newest_trusted(store, lambda release: _manifests(store, release))
    return manifests[0].fitted_ensemble().rules.thresholds


def _newest_trusted(store: ModelStore, make: Callable[[dict[str, str]], Made]) -> tuple[Made, dict[str, str], str]:
    """Result of `make` for the newest release that can be trusted, that release, and the first refusal before it."""
    release, refusal = store.active(), ""
    while True:
        try:
            return make(release), release, refusal
        except ArtifactError as error:
            fallback = store.active()
            if fallback == release:
                raise
            release, refusal = fallback, refusal or str(error)


def _assemble(store: ModelStore, features: FeatureSource, release: dict[str, str]) -> EnsembleSignal:
    """The ensemble of a release's versions, with the weights that were fitted over exactly them."""
    manifests = _manifests(store, release)
    ensemble = manifests[0].fitted_ensemble()
    digests = {manifest.member: manifest.model_sha256 for manifest in manifests}
    members = (
        Member(name, store.load(release[name], features), digests[name], release[name]) for name in ensemble.names
    )
    return EnsembleSignal(features=features, members=tuple(members), ensemble=ensemble)


def _manifests(store: ModelStore, release: dict[str, str]) -> list[Manifest]:
    """Verified, of a whole release.

    Raises
    ------
    ArtifactError
        If nothing is active, or the versions were not tested together.
    """
    manifests = [Manifest.of_facts(store.describe(version)) for version in release.values()]
    if not manifests:
        raise ArtifactError("an active release", found="none", fix="promote one with job=models job.action=promote")
    if any(set(manifest.together) != set(release.values()) for manifest in manifests):
        raise ArtifactError(
            "an active release of versions that were tested together",
            found=", ".join(sorted(release.values())),
            fix="promote the versions of one run",
        )
    return manifests
