"""The one store of fitted members: nothing serves that was not verified, nothing half written is seen.

1. *Register*: a member is written beside its manifest under a partial name, renamed when whole, and loaded
   in a child process that must repeat its golden predictions. It is a candidate.
2. *Promote*: verified again, then the one pointer moves (``registry_log``). *Rollback* moves it back.
3. *Load*: hashes of every file, then the feature contract, then - the first time with these libraries - a
   load in a child process, then the load itself and the golden predictions. A version that fails is
   quarantined, and what served before it serves again.

Features that do not fit are refused without a quarantine: they are the caller's, and one wrong command
must not take a sound model from another session.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, InstallationError, QuantlabError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Clock, FeatureSource, FittedModel
from quantlab.core.types import check_range
from quantlab.learning.ensemble import FittedEnsemble
from quantlab.learning.provenance import versions
from quantlab.learning.registry_loading import load_verified, prove
from quantlab.learning.registry_log import (
    History,
    Record,
    Release,
    commit,
    locked,
    proven,
    read_history,
    recover,
    unwritable,
)
from quantlab.learning.registry_manifest import Manifest, read_manifest
from quantlab.learning.registry_names import check_version, split_version, version_folder, version_name
from quantlab.learning.registry_status import Status, earlier, promoted, quarantined, registered, status, without
from quantlab.learning.registry_writing import Candidate, Intake, write_version


@dataclass(frozen=True)
class Registry:
    """A :class:`~quantlab.core.ports.ModelStore` in a folder.

    Parameters
    ----------
    root : str or Path
    clock : Clock
    load_timeout_s : float
        Seconds that a child process has to load a version, > 0.

    Raises
    ------
    ConfigError
        If the timeout is not positive.
    """

    root: str | Path
    clock: Clock
    load_timeout_s: float

    def __post_init__(self) -> None:
        check_range("learning.registry.load_timeout_s", self.load_timeout_s, low=1e-3)

    @property
    def folder(self) -> Path:
        """The root as a path."""
        return Path(self.root)

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
        return tuple(sorted(registered(self.history())))

    def status(self, version: str) -> Status:
        """Derived from pointer and log.

        Raises
        ------
        ConfigError
            If there is no such version.
        ArtifactError
            If pointer or log is damaged.
        """
        self._require_known(version)
        return status(self.history(), version)

    def describe(self, version: str) -> dict[str, Any]:
        """The verified facts of a version; see :class:`Manifest`.

        Raises
        ------
        ArtifactError
            If it is damaged, which quarantines it.
        """
        return self._read(version)[0].facts()

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
        named = {version_name(candidate.member, now): candidate for candidate in candidates}
        members = tuple(candidate.member for candidate in candidates)
        if len(named) != len(members) or not members or (ensemble is not None and ensemble.names != members):
            wanted = "different members" if ensemble is None else f"members {', '.join(ensemble.names)}"
            raise ConfigError(
                wanted, found=", ".join(members) or "none", mend="register each of them once, in this order"
            )
        intake = Intake(tuple(named), ensemble, source, iso_utc(now))
        written: list[Path] = []
        try:
            for version, candidate in named.items():
                written.append(write_version(self.folder, version, candidate, intake))
            proofs = {version: self._prove(version) for version in named}
            self._record("register", tuple(named), f"from {source.get('run', 'code')}", proofs)
        except BaseException as error:
            for folder in written:
                shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, FileExistsError):
                raise ArtifactError("new versions", found=str(error), mend="register again in a second") from error
            if isinstance(error, OSError):
                raise unwritable(self.folder, error) from error
            raise
        return tuple(named)

    def verify(self, version: str) -> Manifest:
        """Hash, load in a child process and compare golden predictions, whatever was proven before.

        Raises
        ------
        ArtifactError
            If it fails, which quarantines it.
        """
        manifest, _ = self._read(version)
        with self._quarantine_on_failure(version):
            sha256 = self._prove(version)
        self._record("verify", (version,), "asked for", {version: sha256})
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
        manifest, _ = self._checked(version, features)
        with self._quarantine_on_failure(version):
            return load_verified(manifest, version_folder(self.folder, version))

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
            raise ConfigError("one version for each member", found=", ".join(chosen) or "none", mend="name them once")
        proofs = {version: self._checked(version, features)[1] for version in chosen}
        with locked(self.folder):
            history = self.history()
            self._refuse_quarantined(history, chosen)
            after = promoted(history, release)
            return commit(self.folder, history, self._now("promote", tuple(chosen), reason, after, proofs)).active

    def rollback(self, features: FeatureSource, reason: str) -> Release:
        """Go back to what served before, as a whole, after verifying it; quarantined versions are passed over.

        Raises
        ------
        ConfigError
            If nothing served before.
        ContractError, ArtifactError
            If what served before is refused; then nothing has moved.
        """
        goal = earlier(self.history())
        if goal is None:
            raise ConfigError(
                "an earlier release to go back to", found="none", mend="promote a version, or quarantine the active one"
            )
        proofs = {version: self._checked(version, features)[1] for version in goal.values()}
        with locked(self.folder):
            history = self.history()
            if earlier(history) != goal:
                raise ConfigError("nobody else to move the pointer", found="another move", mend="roll back again")
            moved = tuple(sorted({*goal.values()} ^ {*history.active.values()}))
            return commit(self.folder, history, self._now("rollback", moved, reason, goal, proofs)).active

    def quarantine(self, version: str, reason: str) -> Release:
        """Take a version out of service for good, and go back to what served before it.

        Raises
        ------
        ConfigError
            If there is no such version.
        InstallationError
            If the registry cannot be written.
        """
        self._require_known(version)
        with locked(self.folder):
            history = self.history()
            after = without(history, version)
            return commit(self.folder, history, self._now("quarantine", (version,), reason, after)).active

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
            raise ConfigError("a quarantined version", found=version, mend="only such can be restored")
        self._record("restore", (version,), reason, {version: self._prove(version)})

    def shadow(self, version: str, reason: str) -> None:
        """Mark a candidate that is watched beside the active version without trading.

        Raises
        ------
        ConfigError
            If it is active, or there is no such version.
        ArtifactError
            If it is quarantined or damaged.
        """
        self._require_known(version)
        self._refuse_quarantined(self.history(), (version,))
        self._read(version)
        if self.status(version) is Status.ACTIVE:
            raise ConfigError("a version that is not in service", found=version, mend="choose a candidate")
        self._record("shadow", (version,), reason, {})

    def recover(self) -> Release:
        """Rebuild a lost or damaged pointer from the audit log's last whole record; see ``registry_log``."""
        with locked(self.folder):
            return recover(self.folder).active

    def _checked(self, version: str, features: FeatureSource) -> tuple[Manifest, str]:
        """Hash, contract, and the first load in a child process."""
        history = self.history()
        self._refuse_quarantined(history, (version,))
        manifest, sha256 = self._read(version)
        manifest.require_contract(tuple(features.names), features.fingerprint)
        if not proven(history.records, version, sha256, _environment()):
            with self._quarantine_on_failure(version):
                prove(manifest, version_folder(self.folder, version), self.load_timeout_s)
        return manifest, sha256

    def _read(self, version: str) -> tuple[Manifest, str]:
        """The verified manifest and its sha256, which must be the one that was registered."""
        self._require_known(version)
        history = self.history()
        with self._quarantine_on_failure(version):
            manifest, sha256 = read_manifest(self.folder, version)
            for record in history.of(version):
                if record.proofs.get(version, sha256) != sha256:
                    raise ArtifactError(
                        f"the manifest of {version} that was registered on {record.time}",
                        found="another, consistent in itself",
                        mend="leave it out of service and register the member again",
                    )
        return manifest, sha256

    def _prove(self, version: str) -> str:
        manifest, sha256 = read_manifest(self.folder, version)
        prove(manifest, version_folder(self.folder, version), self.load_timeout_s)
        return sha256

    @contextmanager
    def _quarantine_on_failure(self, version: str) -> Iterator[None]:
        try:
            yield
        except InstallationError:
            raise  # no fault of the version
        except QuantlabError as error:
            raise ArtifactError(error.expected, found=error.found, mend=self._consequence(version, error)) from error

    def _consequence(self, version: str, error: QuantlabError) -> str:
        """Quarantine a version and say what that means for what serves."""
        member = split_version(version)[0]
        try:
            serving = self.active().get(member)
            if version not in quarantined(self.history()):
                serving = self.quarantine(version, f"{error.expected}; found {error.found}").get(member)
        except QuantlabError as refused:
            return f"{error.mend}; {version} was refused but not quarantined ({refused.found})"
        return f"{error.mend}; {version} is quarantined, {serving or 'no version'} of {member} serves"

    def _require_known(self, version: str) -> None:
        if check_version(version) not in self.versions():
            raise ConfigError(f"a version in {self.root}", found=version, mend="take a name that job=models lists")

    def _refuse_quarantined(self, history: History, chosen: Sequence[str]) -> None:
        for version in set(chosen) & quarantined(history):
            last = [record for record in history.of(version) if record.event == "quarantine"][-1]
            raise ArtifactError(
                f"{version} to be fit for service",
                found=f"it in quarantine since {last.time}: {last.reason}",
                mend="use another version, or restore this one once its files are whole again",
            )

    def _record(self, event: str, about: tuple[str, ...], reason: str, proofs: dict[str, str]) -> None:
        with locked(self.folder):
            history = self.history()
            commit(self.folder, history, self._now(event, about, reason, history.active, proofs))

    def _now(
        self, event: str, about: tuple[str, ...], reason: str, active: Release, proofs: dict[str, str] | None = None
    ) -> Record:
        time = iso_utc(self.clock.now_ms())
        return Record(time, event, about, reason, active, proofs or {}, _environment())


def _environment() -> str:
    return fingerprint(versions())
