"""Origin of code: a version stands for the package's and the libraries', the rest is the user's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np

#: Code that a version stands for: the package's by its version and hashes, the libraries' by their versions.
_VERSIONED = frozenset({"quantlab", "numpy", "numba"})
#: Folders of installed libraries: each counts by its version. One that is installed editable lies elsewhere.
_SITE_PACKAGES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_STANDARD = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(os.__file__).parent)})


def is_outside(module: Any) -> bool:
    """True if a version stands for it: the package's or a library's."""
    # What a notebook or a command line runs is the user's, though the program around it is a library's.
    return type(module) is str and module != "__main__" and (is_versioned(module) or bool(library_of(module)))


def is_versioned(module: str) -> bool:
    top = module.split(".", 1)[0]
    if top not in sys.stdlib_module_names:
        return top in _VERSIONED
    file = _origin(module)
    return file in (None, "built-in", "frozen") or (_lies_in(file, _STANDARD) and not _lies_in(file, _SITE_PACKAGES))


@cache
def library_of(module: str) -> bytes:
    """Name and version of the installed library that a module belongs to; empty for the user's own files."""
    file, top = _origin(module), module.split(".", 1)[0]
    if file is None or not _lies_in(file, _SITE_PACKAGES):
        return b""
    return " ".join([top, *(version(name) for name in sorted(packages_distributions().get(top, ())))]).encode()


def known_by_name(value: Any) -> tuple[str, str] | None:
    """Module and name, if it stands in a library under its own name, as ``math.sin`` and ``random.random`` do."""
    kind = type(value)
    if not callable(value) or not is_outside(kind.__module__):
        return None
    name = getattr(value, "__name__", None)
    holder = type(value.__self__).__module__ if kind in (MethodType, type(len), type([].append)) else None
    for module in (getattr(value, "__module__", None), holder, "numpy" if issubclass(kind, np.ufunc) else None):
        if (
            isinstance(name, str)
            and isinstance(module, str)
            and is_outside(module)
            and vars(sys.modules.get(module, sys)).get(name) is value
        ):
            return module, name
    return None


def _origin(module: str) -> str | None:
    """File of a module, or of its package while it is not imported."""
    top = module.split(".", 1)[0]
    loaded = sys.modules.get(module, sys.modules.get(top))
    spec = find_spec(top) if top and loaded is None else None
    return getattr(loaded, "__file__", None) if spec is None else spec.origin


@cache
def _lies_in(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)
