"""Code and libraries that a forecast depends on."""

from __future__ import annotations

import hashlib
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import quantlab
from quantlab.core.errors import ConfigError
from quantlab.core.fingerprint import fingerprint

#: Libraries whose version can change a feature, a label or a forecast.
LIBRARIES = (
    "lightgbm",
    "llvmlite",
    "neuralforecast",
    "numba",
    "numpy",
    "safetensors",
    "scikit-learn",
    "scipy",
    "torch",
    "xgboost",
)
_PACKAGE = Path(quantlab.__file__).resolve().parent
_ROOMS = ("core", "features", "learning")


@cache
def library_versions() -> dict[str, str]:
    """Python, machine and library versions, without importing a library."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


@cache
def package_code_hash(rooms: tuple[str, ...] = _ROOMS) -> str:
    """sha256 over the sources of some rooms, by default those that a forecast runs through."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def configuration_hash(part: Any) -> str:
    """sha256 over the values of a frozen dataclass and the source file of its class.

    Raises
    ------
    ConfigError
        If it is not built of plain frozen values, or its class lives in no file: then a cache could
        not tell one version of it from another.
    """
    kind = type(part)
    source = getattr(sys.modules[kind.__module__], "__file__", None)
    if source is None:
        raise ConfigError(f"{kind.__qualname__} in a module file", found="an interactive class", fix="move it to one")
    try:
        return fingerprint(part, Path(source).read_bytes())
    except TypeError as error:
        raise ConfigError(
            f"{kind.__qualname__} as a frozen dataclass of plain values", found=str(error), fix="make it one"
        ) from error
