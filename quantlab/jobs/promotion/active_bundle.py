"""Active bundle of a folder: one pointer, moved in one rename, that keeps every move it ever made.

``promoted.json`` lies beside the bundles and holds the moves, oldest first; the last one counts. A session that
was started with that folder goes on with the bundle that it names, between two bars; a move back to an older
bundle is a rollback. The file carries its own sha256, and each move the sha256 of its bundle's manifest.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, InstallationError
from quantlab.core.files import sha256_file
from quantlab.core.ports import Clock
from quantlab.core.sealed_json import read_sealed, write_sealed
from quantlab.core.shape import TEXT, ListOf, require_shape
from quantlab.learning.artifacts.sealed_folder import MANIFEST

POINTER, _LOCK = "promoted.json", ".promoted.lock"
_FORMAT = 2
_RESTORE = "restore it from a backup, or remove it and make a bundle active"
_FIELDS = ("time", "bundle", "manifest_sha256", "reason")


@dataclass(frozen=True)
class Activation:
    """One move of the pointer to the active bundle.

    Parameters
    ----------
    time : str
        ISO 8601, UTC.
    bundle : str
        Name of its folder, beside the pointer.
    manifest_sha256 : str
        Of the bundle's sealed manifest, and with it of every file.
    reason : str
    """

    time: str
    bundle: str
    manifest_sha256: str
    reason: str


def has_pointer(folder: Path) -> bool:
    """Tell whether `folder` holds bundles under a pointer, and is no bundle itself."""
    return (folder / POINTER).is_file() and not (folder / MANIFEST).is_file()


def read_activations(root: Path) -> tuple[Activation, ...]:
    """Read every activation, oldest first; none where nothing was ever made active.

    Raises
    ------
    ArtifactError
        If the pointer is damaged.
    """
    path = root / POINTER
    if not path.exists():
        return ()
    content = read_sealed(path, _FORMAT, _RESTORE)
    require_shape(content, {"moves": ListOf(dict.fromkeys(_FIELDS, TEXT))}, str(path), _RESTORE)
    if not content["moves"]:
        raise _damaged(path, "no move")
    return tuple(Activation(**{name: move[name] for name in _FIELDS}) for move in content["moves"])


def last_activation(root: Path) -> Activation:
    """Return the activation that counts: the last.

    Raises
    ------
    ArtifactError
        If the pointer is damaged.
    ConfigError
        If there is none.
    """
    found = read_activations(root)
    if not found:
        raise ConfigError(f"an active bundle in {root}", found="none", fix="job=promote bundle=FOLDER makes one active")
    return found[-1]


def bundle_folder(root: Path, name: str) -> Path:
    """Folder of a bundle that the pointer names.

    Raises
    ------
    ArtifactError
        If the name leads out of the folder.
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise _damaged(root / POINTER, f"the bundle {name!r}")
    return root / name


def require_manifest(folder: Path, activation: Activation) -> None:
    """Return if the bundle in `folder` is still the one that was made active.

    Raises
    ------
    ArtifactError
        If its manifest is another one or gone.
    """
    try:
        found = sha256_file(folder / MANIFEST)
    except OSError as error:
        raise ArtifactError(
            f"the active bundle {folder}",
            found=error.strerror or str(error),
            fix="restore the folder, or make another bundle active",
        ) from error
    if found != activation.manifest_sha256:
        raise ArtifactError(
            f"{folder} with the manifest {activation.manifest_sha256}",
            found=found,
            fix="make it active again if you trust it",
        )


def make_active(folder: Path, clock: Clock, reason: str) -> Activation:
    """Point at a bundle that was verified.

    Raises
    ------
    ArtifactError
        If the pointer, or the bundle's manifest, cannot be read.
    InstallationError
        If the pointer cannot be written; then nothing has changed.
    """
    root = folder.parent
    with _locked(root):
        done = read_activations(root)
        try:
            activation = Activation(iso_utc(clock.now_ms()), folder.name, sha256_file(folder / MANIFEST), reason)
            write_sealed(root / POINTER, {"moves": [asdict(one) for one in (*done, activation)]}, _FORMAT)
        except OSError as error:
            raise _unwritable(root, error) from error
    return activation


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One writer at a time, over all processes of this machine."""
    try:
        handle = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _unwritable(root: Path, error: OSError) -> InstallationError:
    return InstallationError(
        f"a pointer in {root} that can be written",
        found=error.strerror or str(error),
        fix="free some space or fix its permissions; nothing was changed",
    )


def _damaged(path: Path, found: str) -> ArtifactError:
    return ArtifactError(f"{path} as it was written", found=found, fix=_RESTORE)
