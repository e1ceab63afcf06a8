"""Names of stored versions, and the only way from a name to a folder.

A name comes from a command line or a file, so it is never joined to a path before it was found to be one
plain, short word; and what it leads to must really lie inside the registry.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from quantlab.core.errors import ArtifactError, ConfigError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_VERSION = re.compile(r"(?P<member>[A-Za-z0-9][A-Za-z0-9._-]*)_v(?P<stamp>\d{8}_\d{6})", re.ASCII)


def is_version(name: str) -> bool:
    """Tell whether `name` is of the form ``<member>_vYYYYMMDD_HHMMSS``."""
    return _NAME.fullmatch(name) is not None and _VERSION.fullmatch(name) is not None


def check_version(name: str) -> str:
    """`name` itself, if it is a version's name.

    Raises
    ------
    ConfigError

    Examples
    --------
    >>> check_version("xgboost_v20250316_120000")
    'xgboost_v20250316_120000'
    """
    if not is_version(name):
        raise ConfigError(
            "a version <member>_vYYYYMMDD_HHMMSS of at most 64 letters, digits, dots, dashes and underscores",
            found=repr(name),
            fix="take a name that job=models lists",
        )
    return name


def check_member(name: str) -> str:
    """`name` itself, if a folder can be called so and lies where it is looked for.

    Raises
    ------
    ConfigError

    Examples
    --------
    >>> check_member("xgboost")
    'xgboost'
    """
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ConfigError(
            "a member's name of at most 64 letters, digits, dashes, underscores and inner dots",
            found=repr(name),
            fix="rename it in learning.members",
        )
    return name


def version_name(member: str, time_ms: int) -> str:
    """Name of a member that is stored at `time_ms` (epoch ms, UTC).

    Raises
    ------
    ConfigError
        If no version can have such a member.

    Examples
    --------
    >>> version_name("xgboost", 1_742_126_400_000)
    'xgboost_v20250316_120000'
    """
    return check_version(f"{member}_v{datetime.fromtimestamp(time_ms / 1000, UTC):%Y%m%d_%H%M%S}")


def split_version(name: str) -> tuple[str, str]:
    """Member and stamp of a version.

    Raises
    ------
    ConfigError
        If it is not one.

    Examples
    --------
    >>> split_version("xgboost_v20250316_120000")
    ('xgboost', '20250316_120000')
    """
    member, _, stamp = check_version(name).rpartition("_v")
    return member, stamp


def version_folder(root: Path, version: str) -> Path:
    """The folder of a stored version, free of links that could lead out of the registry.

    Raises
    ------
    ConfigError
        If `version` is not a version's name.
    ArtifactError
        If there is no such folder, or it is or holds a symbolic link.
    """
    folder = root / check_version(version)
    fix = f"take {folder} out of the registry"
    if folder.is_symlink() or folder.resolve().parent != root.resolve():
        raise ArtifactError(f"{version} as a folder inside {root}", found="a symbolic link", fix=fix)
    if not folder.is_dir():
        raise ArtifactError(f"a folder {version} in {root}", found="none", fix="take a name that job=models lists")
    link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if link is not None:
        raise ArtifactError(f"plain files in {folder}", found=f"the symbolic link {link.name}", fix=fix)
    return folder
