"""Verification of stored versions, and the quarantine that follows when it fails.

A version that fails is quarantined by the very call that found it out, so that nobody can load it after that;
what served before serves again. What the caller did wrong quarantines nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, InstallationError, QuantlabError
from quantlab.core.fingerprint import fingerprint
from quantlab.core.ports import Clock, FeatureSource
from quantlab.core.trust import Trust
from quantlab.learning.artifacts.code_versions import library_versions
from quantlab.learning.ensemble.members import member_class
from quantlab.learning.registry.loading import prove
from quantlab.learning.registry.log import History, Record, Release, commit, locked, read_history, was_proven
from quantlab.learning.registry.manifest import Manifest, read_manifest
from quantlab.learning.registry.names import check_version, split_version, version_folder
from quantlab.learning.registry.status import quarantined_versions, registered_versions, release_without


@dataclass(frozen=True)
class Inspector:
    """Reader, prover and recorder of versions; see :class:`~quantlab.learning.registry.store.Registry` for the parameters."""

    folder: Path
    clock: Clock
    load_timeout_s: float
    trust: Trust

    def history(self) -> History:
        """The audit log's records that count."""
        return read_history(self.folder)

    def quarantine(self, version: str, reason: str) -> Release:
        """Take a version out of service for good, and go back to what served before it."""
        self.require_known(version)
        with locked(self.folder):
            history = self.history()
            after = release_without(history, version)
            return commit(self.folder, history, self.new_record("quarantine", (version,), reason, after)).active

    def check(self, version: str, features: FeatureSource) -> tuple[Manifest, str]:
        """Hash, contract, and the first load in a child process."""
        history = self.history()
        self.refuse_quarantined(history, (version,))
        manifest, sha256 = self.read(version)
        manifest.require_contract(features)
        self.require_class(manifest)
        if not was_proven(history.records, version, sha256, _environment()):
            with self.quarantining(version):
                prove(manifest, version_folder(self.folder, version), self.load_timeout_s, self.trust)
        return manifest, sha256

    def read(self, version: str) -> tuple[Manifest, str]:
        """The verified manifest and its sha256, which must be the one that was registered."""
        self.require_known(version)
        history = self.history()
        with self.quarantining(version):
            manifest, sha256 = read_manifest(self.folder, version)
            for record in history.of(version):
                if record.proofs.get(version, sha256) != sha256:
                    raise ArtifactError(
                        f"the manifest of {version} that was registered on {record.time}",
                        found="another, consistent in itself",
                        fix="leave it out of service and register the member again",
                    )
        return manifest, sha256

    def prove(self, version: str) -> str:
        """Load a version in a child process, whatever was proven before; its manifest's sha256."""
        manifest, sha256 = read_manifest(self.folder, version)
        prove(manifest, version_folder(self.folder, version), self.load_timeout_s, self.trust)
        return sha256

    def require_class(self, manifest: Manifest) -> None:
        """Refuse a class that the user does not allow: his option is at fault, or whoever made the files, not the member."""
        member_class(manifest.class_path, version_folder(self.folder, manifest.version), self.trust)

    @contextmanager
    def quarantining(self, version: str) -> Iterator[None]:
        """Whatever is refused inside the block quarantines the version; the error says what serves now."""
        try:
            yield
        except InstallationError:
            raise  # no fault of the version
        except QuantlabError as error:
            raise ArtifactError(error.expected, found=error.found, fix=self._consequence(version, error)) from error

    def _consequence(self, version: str, error: QuantlabError) -> str:
        """Quarantine a version and say what that means for what serves."""
        member = split_version(version)[0]
        try:
            serving = self.history().active.get(member)
            if version not in quarantined_versions(self.history()):
                serving = self.quarantine(version, f"{error.expected}; found {error.found}").get(member)
        except QuantlabError as refused:
            return f"{error.fix}; {version} was refused but not quarantined ({refused.found})"
        return f"{error.fix}; {version} is quarantined, {serving or 'no version'} of {member} serves"

    def require_known(self, version: str) -> None:
        """Raise ConfigError unless there is such a version."""
        if check_version(version) not in registered_versions(self.history()):
            raise ConfigError(f"a version in {self.folder}", found=version, fix="take a name that job=models lists")

    def refuse_quarantined(self, history: History, chosen: Sequence[str]) -> None:
        """Raise ArtifactError if one of them is in quarantine."""
        for version in set(chosen) & quarantined_versions(history):
            last = [record for record in history.of(version) if record.event == "quarantine"][-1]
            raise ArtifactError(
                f"{version} to be fit for service",
                found=f"it in quarantine since {last.time}: {last.reason}",
                fix="use another version, or restore this one once its files are whole again",
            )

    def record(self, event: str, about: tuple[str, ...], reason: str, proofs: dict[str, str]) -> None:
        """Append to the audit log; what serves stays."""
        with locked(self.folder):
            history = self.history()
            commit(self.folder, history, self.new_record(event, about, reason, history.active, proofs))

    def new_record(
        self, event: str, about: tuple[str, ...], reason: str, active: Release, proofs: dict[str, str] | None = None
    ) -> Record:
        """A record of this moment and these libraries."""
        time = iso_utc(self.clock.now_ms())
        return Record(time, event, about, reason, active, proofs or {}, _environment())


def _environment() -> str:
    return fingerprint(library_versions())
