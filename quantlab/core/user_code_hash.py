"""Hash of everything that a function is made of outside the package: its file, and what it takes from others.

A strategy's parameters are values and easily hashed; its code is not. Who edits a step, or a helper of it in
another file, has another strategy: a cache that cannot see that would go on with the old one.
"""

from __future__ import annotations

import hashlib
import marshal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

#: Code that a version stands for: the package's by its version and hashes, the libraries' by their versions.
_VERSIONED = frozenset({"quantlab", "numpy", "numba", *sys.stdlib_module_names})
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


@cache
def user_code_hash(function: Any) -> str:
    """sha256 (hex) over everything outside the package that `function` is made of; empty if nothing is.

    Followed are the functions (plain or compiled), modules, arrays and plain values that its code names, and
    theirs in turn. A file counts with all its text wherever it lies, line endings aside; a function that has no
    file, as in a notebook, with its bytecode.

    Parameters
    ----------
    function : callable
        Plain, or compiled by numba.
    """
    parts = list(_parts(function, frozenset(), set()))
    if not parts:
        return ""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()


def _parts(value: Any, names: frozenset[str], seen: set[Any]) -> Iterator[bytes]:
    """Of one thing that code names, beside other `names`; `seen` holds what was followed already."""
    value = getattr(value, "py_func", value)  # what numba compiled
    if isinstance(value, np.ndarray | np.generic):
        yield f"{value.dtype.str} {value.shape}".encode() + value.tobytes()
    elif isinstance(value, tuple):
        yield f"tuple of {len(value)}".encode()
        for member in value:
            yield from _parts(member, names, seen)
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, ModuleType):
        yield from _of_module(value, names, seen)
    elif id(value) not in seen:
        seen.add(id(value))
        if isinstance(code := getattr(value, "__code__", None), CodeType):
            yield from _of_function(value, code, seen)
        else:
            yield from _file_of_module(_module_name(value))


def _of_function(function: Any, code: CodeType, seen: set[Any]) -> Iterator[bytes]:
    enclosed, names = [cell.cell_contents for cell in function.__closure__ or ()], _names(code)
    if _is_versioned(function.__module__):
        # A wrapper of the package's: what it wraps may be the user's.
        for value in enclosed:
            if callable(value):
                yield from _parts(value, names, seen)
        return
    yield function.__qualname__.encode()
    yield from _file(code.co_filename) or (marshal.dumps(_without_location(code), 2),)
    known = function.__globals__
    for value in (*enclosed, *(known[name] for name in sorted(names) if name in known)):
        yield from _parts(value, names, seen)


def _of_module(module: ModuleType, names: frozenset[str], seen: set[Any]) -> Iterator[bytes]:
    """Its file, and what the code that names the module may take from it: another file's, if the module imports it."""
    if _is_versioned(module.__name__) or (id(module), names) in seen:
        return
    seen.add((id(module), names))
    yield from _file_of_module(module.__name__)
    for name in sorted(names & vars(module).keys()):
        yield from _parts(vars(module)[name], names, seen)


def _file_of_module(name: str | None) -> tuple[bytes, ...]:
    return () if name is None or _is_versioned(name) else _file(getattr(sys.modules.get(name), "__file__", None))


def _module_name(value: Any) -> str | None:
    """Name of the module that a class, or an object of one, comes from."""
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else None


def _file(path: str | None) -> tuple[bytes, ...]:
    if path is None or not Path(path).is_file():
        return ()
    return (Path(path).read_bytes().replace(b"\r\n", b"\n"),)


def _is_versioned(module: str | None) -> bool:
    return module is not None and module.split(".", 1)[0] in _VERSIONED


def _names(code: CodeType) -> frozenset[str]:
    """Every global and attribute that the code, or code inside it, names."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return frozenset(code.co_names).union(*map(_names, inner))


def _without_location(code: CodeType) -> CodeType:
    """The code without the place where it was written."""
    consts = tuple(_without_location(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_consts=consts)
