"""Hash of everything that a function is made of outside the package: its file, and what it takes from others.

A strategy's parameters are values and easily hashed; its code is not. Who edits a step, or a helper of it in
another file, has another strategy: a cache that cannot see that would go on with the old one.
"""

from __future__ import annotations

import dis
import hashlib
import marshal
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np

from quantlab.core.errors import ConfigError

#: Code that a version stands for: the package's by its version and hashes, the libraries' by their versions.
_VERSIONED = frozenset({"quantlab", "numpy", "numba", *sys.stdlib_module_names})
#: Folders of installed libraries: each counts by its version. One that is installed editable lies elsewhere.
_SITE_PACKAGES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


@cache
def user_code_hash(function: Any) -> str:
    """sha256 (hex) over everything outside the package that `function` is made of; empty if nothing is.

    Followed are the functions (plain, compiled or partial, with their default arguments), classes and their methods,
    modules, arrays, containers and plain values that its code names, and theirs in turn. A file counts with all its text
    wherever it lies, line endings aside; a function that has no file, as in a notebook, with its bytecode; an installed
    library with its version.

    Parameters
    ----------
    function : callable
        Plain, or compiled by numba.

    Raises
    ------
    ConfigError
        If a function of the user's imports a module of the user's while it runs: what it takes from there cannot be seen.
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
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    elif isinstance(value, ModuleType):
        yield from _of_module(value, names, seen)
    elif isinstance(value, tuple | set | frozenset):  # these cannot hold themselves
        yield from _of_container(value, names, seen)
    elif id(value) not in seen:
        seen.add(id(value))
        if isinstance(code := getattr(value, "__code__", None), CodeType):
            yield from _of_function(value, code, seen)
        elif isinstance(value, partial):
            yield from _of_container((value.func, value.args, value.keywords), names, seen)
        elif isinstance(value, list | Mapping):
            yield from _of_container(value, names, seen)
        else:
            yield from _of_object(value, names, seen)


def _of_container(value: Any, names: frozenset[str], seen: set[Any]) -> Iterator[bytes]:
    """Members in order; of sets and mappings, which have none that counts, by what they are made of."""
    yield f"{type(value).__name__} of {len(value)}".encode()
    if isinstance(value, set | frozenset | Mapping):
        members: Iterable[Any] = value.items() if isinstance(value, Mapping) else value
        yield from sorted(b"".join(_parts(member, names, set(seen))) for member in members)
        return
    for member in value:
        yield from _parts(member, names, seen)


def _of_object(value: Any, names: frozenset[str], seen: set[Any]) -> Iterator[bytes]:
    """A class, with its methods and values, or an object of one, with its own values besides."""
    module = _module_name(value)
    if _is_versioned(module):
        return
    if library := _library(module):
        yield library
        return
    yield from _file_of_module(module)
    kind = value if isinstance(value, type) else type(value)
    for name, member in sorted(vars(kind).items()):
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if isinstance(getattr(function, "__code__", None), CodeType) or not name.startswith("__"):
            yield from _parts(function, names, seen)
    if not isinstance(value, type):
        yield from _of_container(getattr(value, "__dict__", {}), names, seen)


def _of_function(function: Any, code: CodeType, seen: set[Any]) -> Iterator[bytes]:
    enclosed, names = [cell.cell_contents for cell in function.__closure__ or ()], _names(code)
    if _is_versioned(function.__module__):
        # A wrapper of the package's: what it wraps may be the user's.
        for value in enclosed:
            if callable(value):
                yield from _parts(value, names, seen)
        return
    if library := _library(function.__module__):
        yield library
        return
    _refuse_late_imports(function.__qualname__, code)
    yield function.__qualname__.encode()
    yield from _file(code.co_filename) or (marshal.dumps(_without_location(code), 2),)
    known = function.__globals__
    defaults = (function.__defaults__ or (), function.__kwdefaults__ or {})
    for value in (*enclosed, *defaults, *(known[name] for name in sorted(names) if name in known)):
        yield from _parts(value, names, seen)


def _refuse_late_imports(owner: str, code: CodeType) -> None:
    """An import inside a function: of the package and of versioned libraries only."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and not (_is_versioned(step.argval or ".") or _library(step.argval)):
            raise ConfigError(
                f"imports at the top of the file of {owner}",
                found=f"import {step.argval} inside the function",
                fix="move it to the top: what a strategy is made of must be seen before it runs",
            )
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            _refuse_late_imports(owner, inner)


def _of_module(module: ModuleType, names: frozenset[str], seen: set[Any]) -> Iterator[bytes]:
    """Its file, and what the code that names the module may take from it: another file's, if the module imports it."""
    if _is_versioned(module.__name__) or (id(module), names) in seen:
        return
    if library := _library(module.__name__):
        yield library
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


@cache
def _library(module: str | None) -> bytes:
    """Name and version of the installed library that a module belongs to; empty for the user's own files."""
    top = (module or "").split(".", 1)[0]
    spec = find_spec(top) if top and top not in sys.modules else None
    file = getattr(sys.modules.get(top), "__file__", None) if spec is None else spec.origin
    if file is None or not any(Path(file).is_relative_to(folder) for folder in _SITE_PACKAGES):
        return b""
    found = sorted(packages_distributions().get(top, ()))
    return " ".join([top, *(version(name) for name in found)]).encode()


def _names(code: CodeType) -> frozenset[str]:
    """Every global and attribute that the code, or code inside it, names."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return frozenset(code.co_names).union(*map(_names, inner))


def _without_location(code: CodeType) -> CodeType:
    """The code without the place where it was written."""
    consts = tuple(_without_location(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_consts=consts)
