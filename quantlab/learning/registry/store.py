"""The one store of fitted members: nothing serves that was not verified, nothing half written is seen.

1. *Register*: a member is written beside its manifest under a partial name, renamed when whole, and loaded
   in a child process that must repeat its golden predictions. It is a candidate.
2. *Promote*: verified again, then the one pointer moves (``log``). *Rollback* moves it back.
3. *Load*: hashes of every file, then the feature contract, then - the first time with these libraries - a
   load in a child process, then the load itself and the golden predictions. A version that fails is
   quarantined, and what served before it serves again.

Features that do not fit are refused without a quarantine: they are the caller's, and one wrong command
must not take a sound model from another session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.checks import check_range
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError
from quantlab.core.ports import Clock, FeatureSource, FittedModel
from quantlab.core.trust import Trust
from quantlab.features.drift_reference import DriftReference
from quantlab.learning.ensemble.ensemble import FittedEnsemble
from quantlab.learning.registry.inspection import Inspector
from quantlab.learning.registry.loading import load_verified
from quantlab.learning.registry.log import (
    History,
    Release,
    commit,
    locked,
    read_history,
    recover,
    require_log,
)
from quantlab.learning.registry.manifest import Manifest
from quantlab.learning.registry.names import split_version, version_folder
from quantlab.learning.registry.status import Status, earlier_release, registered_versions, release_after, status
from quantlab.learning.registry.writing import Candidate, Registration, candidates_by_version, write_versions


@dataclass(frozen=True)
class Registry:
    """A :class:`~quantlab.core.ports.ModelStore` in a folder.

    Parameters
    ----------
    root : str or Path
    clock : Clock
    load_timeout_s : float
        Seconds that a child process has to load a version, > 0.
    trust : Trust
        Classes that a version may name beside quantlab's own.

    Raises
    ------
    ConfigError
        If the timeout is not positive.
    """

    root: str | Path
    clock: Clock
    load_timeout_s: float
    trust: Trust

    def __post_init__(self) -> None:
        check_range("learning.registry.load_timeout_s", self.load_timeout_s, low=1e-3)

    @property
    def folder(self) -> Path:
        """The root as a path."""
        return Path(self.root)

    @property
    def _inspector(self) -> Inspector:
        return Inspector(self.folder, self.clock, self.load_timeout_s, self.trust)

    def history(self) -> History:
        """The audit log's records that count.

        Raises
        ------
        ArtifactError
            If pointer or log is damaged.
        """
        return read_history(self.folder)

    def active(self) -> Release:
        """Member -> version that serves; see :meth:`history` for errors."""
        return self.history().active

    def versions(self) -> tuple[str, ...]:
        """Every registered version, sorted by member and time; see :meth:`history` for errors."""
        return tuple(sorted(registered_versions(self.history())))

    def status(self, version: str) -> Status:
        """Derived from pointer and log.

        Raises
        ------
        ConfigError
            If there is no such version.
        ArtifactError
            If pointer or log is damaged.
        """
        self._inspector.require_known(version)
        return status(self.history(), version)

    def describe(self, version: str) -> dict[str, Any]:
        """The verified facts of a version; see :class:`Manifest`.

        Raises
        ------
        ArtifactError
            If it is damaged, which quarantines it.
        """
        return self._inspector.read(version)[0].facts()

    def drift(self, version: str) -> DriftReference | None:
        """The features over a version's training rows, None if it was stored without; see :meth:`describe`."""
        return self._inspector.read(version)[0].drift(version_folder(self.folder, version))

    def register(
        self, candidates: Sequence[Candidate], *, ensemble: FittedEnsemble | None, source: dict[str, str]
    ) -> tuple[str, ...]:
        """Store members that were tested together; all of them or none.

        Parameters
        ----------
        candidates : sequence of Candidate
        ensemble : FittedEnsemble or None
            Over exactly these members, in this order.
        source : dict of str
            Where they come from.

        Returns
        -------
        tuple of str
            Their versions, all with one stamp.

        Raises
        ------
        ConfigError
            If names are not fit for versions, or not the ensemble's.
        ArtifactError
            If a member does not survive its own files, or the version exists.
        InstallationError
            If the disk does not take them.
        """
        now = self.clock.now_ms()
        named = candidates_by_version(candidates, ensemble, now)
        versions = tuple(named)
        with write_versions(self.folder, named, Registration(versions, ensemble, source, iso_utc(now))):
            proofs = {version: self._inspector.prove(version) for version in versions}
            self._inspector.record("register", versions, f"from {source.get('run', 'code')}", proofs)
        return versions

    def verify(self, version: str) -> Manifest:
        """Hash, load in a child process and compare golden predictions, whatever was proven before.

        Raises
        ------
        ArtifactError
            If it fails, which quarantines it; or if its class is not allowed, which does not.
        """
        manifest, _ = self._inspector.read(version)
        self._inspector.require_class(manifest)
        with self._inspector.quarantining(version):
            sha256 = self._inspector.prove(version)
        self._inspector.record("verify", (version,), "asked for", {version: sha256})
        return manifest

    def load(self, version: str, features: FeatureSource) -> FittedModel:
        """A member that may be asked about `features`.

        Raises
        ------
        ContractError
            If it was fitted on other features.
        ArtifactError
            If it is quarantined, or fails to verify or to load, which quarantines it.
        """
        manifest, _ = self._inspector.check(version, features)
        with self._inspector.quarantining(version):
            return load_verified(manifest, version_folder(self.folder, version), self.trust)

    def promote(self, chosen: Sequence[str], features: FeatureSource, reason: str) -> Release:
        """Bring versions into service together, in one move, after verifying them.

        Versions of other members stay, but for those that were tested with one that is replaced.

        Returns
        -------
        dict of member to version
            What serves now.

        Raises
        ------
        ConfigError
            If one would serve without those that it was tested with, or two are of one member.
        ContractError, ArtifactError
            See :meth:`load`.
        InstallationError
            If the move cannot be written; then nothing has moved.
        """
        release = {split_version(version)[0]: version for version in chosen}
        if len(release) != len(chosen) or not chosen:
            raise ConfigError("one version for each member", found=", ".join(chosen) or "none", fix="name them once")
        proofs = {version: self._inspector.check(version, features)[1] for version in chosen}
        with locked(self.folder):
            history = self.history()
            self._inspector.refuse_quarantined(history, chosen)
            record = self._inspector.new_record(
                "promote", tuple(chosen), reason, release_after(history, release), proofs
            )
            return commit(self.folder, history, record).active

    def rollback(self, features: FeatureSource, reason: str) -> Release:
        """Go back to what served before, as a whole, after verifying it; quarantined versions are passed over.

        Raises
        ------
        ConfigError
            If nothing served before.
        ContractError, ArtifactError
            If what served before is refused; then nothing has moved.
        """
        goal = earlier_release(self.history())
        if goal is None:
            raise ConfigError(
                "an earlier release to go back to", found="none", fix="promote a version, or quarantine the active one"
            )
        proofs = {version: self._inspector.check(version, features)[1] for version in goal.values()}
        with locked(self.folder):
            history = self.history()
            if earlier_release(history) != goal:
                raise ConfigError("no other process to move the pointer", found="another move", fix="roll back again")
            moved = tuple(sorted({*goal.values()} ^ {*history.active.values()}))
            record = self._inspector.new_record("rollback", moved, reason, goal, proofs)
            return commit(self.folder, history, record).active

    def quarantine(self, version: str, reason: str) -> Release:
        """Take a version out of service for good, and go back to what served before it.

        Raises
        ------
        ConfigError
            If there is no such version.
        InstallationError
            If the registry cannot be written.
        """
        return self._inspector.quarantine(version, reason)

    def restore(self, version: str, reason: str) -> None:
        """Let a quarantined version be a candidate again, after verifying it.

        Raises
        ------
        ConfigError
            If it is not quarantined.
        ArtifactError
            If it fails; then it stays where it is.
        """
        if self.status(version) is not Status.QUARANTINED:
            raise ConfigError("a quarantined version", found=version, fix="only such can be restored")
        self._inspector.record("restore", (version,), reason, {version: self._inspector.prove(version)})

    def shadow(self, version: str, reason: str) -> None:
        """Mark a candidate that is watched beside the active version without trading.

        Raises
        ------
        ConfigError
            If it is active, or there is no such version.
        ArtifactError
            If it is quarantined or damaged.
        """
        self._inspector.require_known(version)
        self._inspector.refuse_quarantined(self.history(), (version,))
        self._inspector.read(version)
        if self.status(version) is Status.ACTIVE:
            raise ConfigError("a version that is not in service", found=version, fix="choose a candidate")
        self._inspector.record("shadow", (version,), reason, {})

    def note(self, event: str, about: tuple[str, ...], reason: str) -> None:
        """Write down what was found out about versions; nothing else happens.

        Raises
        ------
        ConfigError
            If there is no such version.
        InstallationError
            If the registry cannot be written.
        """
        for version in about:
            self._inspector.require_known(version)
        self._inspector.record(event, about, reason, {})

    def recover(self) -> Release:
        """Rebuild a lost or damaged pointer from the audit log's last whole record; see :mod:`quantlab.learning.registry.log`."""
        require_log(self.folder)
        with locked(self.folder):
            return recover(self.folder).active
