"""The one decorator for compiled code, with a cache that cannot go stale.

numba stamps a cached function with the time of the *file that defines it*: edit an inner function in
another file and the outer loop keeps running the old code. Here the cache folder itself is named by a
hash of every compiled source of the package and of the versions that made the machine code, for a user's
function also of whatever it is made of, so a change anywhere starts an empty folder.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

import llvmlite
import numba
import numpy as np
from numba.core.bytecode import FunctionIdentity

from quantlab.core.user_code_hash import user_code_hash

F = TypeVar("F", bound=Callable[..., Any])

#: The cache folder is one setting for all threads: without this, one thread's cache lands where another's
#: restoring leaves it, in the folder one happens to work in.
_DECORATING = RLock()
_PACKAGE = Path(__file__).resolve().parent.parent
#: What imports numba counts too: how a type is laid out or handed over is in the machine code of others.
_USES_COMPILED = re.compile(rb"^\s*@compiled\b|\bcompiled\(|^(?:from|import) numba\b", re.MULTILINE)


def _randomize_numba_ids() -> None:
    """Let numba number what this process compiles from a number that no other process begins at.

    numba names machine code by module, name and a number that every process counts from one. So two functions of one
    name that two processes compiled and cached, two policies' steps or two helpers made by one factory, bear one
    number; a third process that loads both gets one for the other.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(47) << 16)


_randomize_numba_ids()
if hasattr(os, "register_at_fork"):  # where processes can be forked at all
    os.register_at_fork(after_in_child=_randomize_numba_ids)


@cache
def cache_root() -> Path:
    """Folder of everything that quantlab keeps between runs of one user.

    ``$QUANTLAB_CACHE_DIR``, else ``$XDG_CACHE_HOME/quantlab``, else ``~/.cache/quantlab``.
    """
    explicit = os.environ.get("QUANTLAB_CACHE_DIR")
    if explicit:
        return Path(explicit).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "quantlab"


@cache
def sources_hash() -> str:
    """First 16 hex digits of sha256 over the package's compiled sources and the compiler's versions."""
    digest = hashlib.sha256()
    for version in (platform.python_version(), numba.__version__, llvmlite.__version__, np.__version__):
        digest.update(version.encode() + b"\0")
    for path in sorted(_PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        if _USES_COMPILED.search(text):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + text)
    return digest.hexdigest()[:16]


@cache
def compiled_cache() -> Path:
    """Folder of this version's machine code."""
    return cache_root() / "numba" / sources_hash()


def compiled(function: F | None = None, *, signature: Any = None, **options: Any) -> Any:
    """Compile with numba: cached, numpy's division rules, never fastmath.

    Parameters
    ----------
    signature : numba signature, optional
        Compile at once for exactly these types. Needed where a compiled function is passed as an
        argument: as a first-class ``numba.types.FunctionType`` the loop around it is compiled once
        and cached; as an ordinary argument it would be recompiled in every process.
    **options
        Further options of :func:`numba.njit`, e.g. ``forceinline=True`` or ``parallel=True``.

    Notes
    -----
    ``error_model="numpy"``: division by zero gives inf or NaN, as in numpy, and costs no branch.
    ``numba.config.CACHE_DIR`` is set only while decorating, because the environment variable is read
    once, when numba is imported, and other packages' caches are not ours to move.
    """
    if function is None:
        return lambda f: compiled(f, signature=signature, **options)
    if "fastmath" in options or "error_model" in options:
        raise TypeError("compiled code uses no fastmath and the numpy error model, everywhere")
    settings: dict[str, Any] = {"cache": True, "error_model": "numpy", **options}
    config: Any = numba.config
    with _DECORATING:
        before = config.CACHE_DIR
        # A user's code has its own folder, named by all that it is made of.
        config.CACHE_DIR = str(compiled_cache() / user_code_hash(function)[:16])
        try:
            decorate = numba.njit(**settings) if signature is None else numba.njit(signature, **settings)
            return cast(F, decorate(function))
        finally:
            config.CACHE_DIR = before
