"""Hash of everything that a function is made of outside the package: its file, and what it takes from others.

A strategy's parameters are values and easily hashed; its code is not. Who edits a step, or a helper of it in
another file, has another strategy: a cache that cannot see that would go on with the old one.

1. Walk from the function to all that its code names: one stack, each object once.
2. Resolve every name that any of that code uses in every module of the user's that was met, until nothing is new.
3. Refuse what cannot be seen: modules found while code that is in use runs, objects whose state cannot be read.
"""

from __future__ import annotations

import builtins
import ctypes
import hashlib
import importlib
import io
import logging
import operator
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

from quantlab.core.errors import ConfigError
from quantlab.core.user_code.found import ENTRY, NO_STATE, Found
from quantlab.core.user_code.origin import is_outside, is_versioned, known_by_name, library_of
from quantlab.core.user_code.state import (
    BUILT_IN,
    CANNOT_SAY,
    PLAIN,
    all_plain,
    as_pickled,
    as_written,
    own_state,
    text,
)
from quantlab.core.user_code.written import BY_TEXT, bytecode, content, late_finds, names_of, place

#: What a running process holds and no strategy is made of: it counts by its kind alone.
_OF_THE_PROCESS = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.local,
    io.IOBase,
    type(os.environ),
    logging.Handler,
    logging.Logger,
    logging.LoggerAdapter,
)
_FINDERS: tuple[Any, ...] = (importlib.import_module, builtins.__import__, builtins.globals, sys.modules)


def user_code_hash(function: Any) -> str:
    """sha256 (hex) over everything outside the package that `function` is made of; empty if nothing is.

    Followed are the functions (plain, compiled, bound or partial, with their default arguments and attributes), classes
    with their bases and members, modules, arrays, containers, plain values and objects by their state, that its code
    names, and theirs in turn. A file counts with all its text wherever it lies, line endings aside; a function that
    has no file, as in a notebook, with its bytecode; an installed library with its version. Files, locks, loggers and
    the environment count by their kind.

    Parameters
    ----------
    function : callable
        Plain, or compiled by numba.

    Raises
    ------
    ConfigError
        If code of the user's that is in use imports a module of the user's while it runs, or looks names up in a way
        that cannot be followed; if an object that it takes from has a state that cannot be read.
    """
    function = as_written(function)
    return _hash_of_function(function) if type(function) is FunctionType else _hash(function)


@cache
def _hash_of_function(function: FunctionType) -> str:
    return _hash(function)


def _hash(entry: Any) -> str:
    found = Found()
    walk = _Walk(found)
    walk.follow(entry, ENTRY)
    done: set[tuple[str, str]] = set()
    while fresh := sorted(found.names_in_modules() - done):
        done.update(fresh)
        for module, name in fresh:
            walk.note("name", f"{module}.{name}")
            walk.follow(vars(found.modules[module])[name], name)
    for owner, what in found.finds_while_running():
        raise ConfigError(
            f"imports at the top of the file of {owner}",
            found=f"{what} inside the function",
            fix="move it to the top: what a strategy is made of must be seen before it runs",
        )
    return walk.digest.hexdigest() if found.own else ""


class _Walk:
    """One digest over all that is followed, in order; what comes again counts by when it came first."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.digest = hashlib.sha256()
        self._seen: dict[int, tuple[Any, str, int]] = {}  # with the object itself: an id is used again

    def note(self, *parts: str | bytes) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self.digest.update(f"{len(data)}:".encode() + data)

    def follow(self, entry: Any, label: str) -> None:
        stack = [(entry, label)]
        while stack:
            value, label = stack.pop()
            below = list(self._visit(as_written(value), label))
            self.note(f"holds {len(below)}")
            stack.extend(reversed(below))

    def _visit(self, value: Any, label: str) -> Iterator[tuple[Any, str]]:
        kind = type(value)
        if kind in PLAIN or (kind in (tuple, list, dict) and all_plain(value)):
            self.note(kind.__name__, value if isinstance(value, bytes) else text(value))
            return
        if id(value) in self._seen:
            _, first, number = self._seen[id(value)]
            self.found.lead(label, {first})
            self.note("again", str(number))
            return
        self._seen[id(value)] = (value, label, len(self._seen))
        self.note(kind.__name__)
        if any(value is one for one in _FINDERS):
            self.found.late.append((label, label, "a search among modules"))
        elif issubclass(kind, type):
            yield from self._class(value, label)
        elif issubclass(kind, ModuleType):
            self._module(value)
        elif kind is FunctionType:
            yield from self._function(value, label)
        else:
            yield from ((one, label) for one in self._parts(value, kind, label))

    def _parts(self, value: Any, kind: type, label: str) -> Iterator[Any]:
        """Of one object, in an order that is the same in every process."""
        self.found.by_text |= kind in (operator.attrgetter, operator.methodcaller)
        if kind in BUILT_IN or kind is MappingProxyType:
            yield from self._members(value)
        elif issubclass(kind, _OF_THE_PROCESS):
            yield from ()
        elif kind in (staticmethod, classmethod):
            yield value.__func__
        elif issubclass(kind, property):
            yield from (value.fget, value.fset, value.fdel)
        elif kind is np.ndarray or issubclass(kind, np.generic):
            array = np.asarray(value)
            self.note(repr(array.dtype), repr(array.shape))
            yield array.tobytes() if array.dtype.kind in "biufcmMSUV" and not array.dtype.hasobject else array.tolist()
        elif issubclass(kind, CodeType):
            self.note(bytecode(value))
        elif kind is memoryview:
            yield from (value.format, value.shape, value.tobytes())
        elif issubclass(kind, ctypes.CDLL):
            yield vars(value)["_name"]
        elif (known := known_by_name(value)) is not None:
            self._name(*known)
        elif kind is MethodType:
            yield from (value.__func__, value.__self__)
        else:
            yield from self._state(value, kind, label)

    def _members(self, value: Any) -> Iterator[Any]:
        """Of a container, in order; of a set, which has none, by their digests. Nothing that a subclass overrides runs."""
        kind = type(value)
        if kind is MappingProxyType or issubclass(kind, dict):
            items = dict.items(value) if issubclass(kind, dict) else value.items()
            yield from (part for item in items for part in item)
        elif issubclass(kind, set | frozenset):
            yield sorted(self._alone(one) for one in (set if issubclass(kind, set) else frozenset).__iter__(value))
        elif issubclass(kind, list | tuple):
            yield from (list if issubclass(kind, list) else tuple).__iter__(value)
        else:
            base: Any = next(one for one in BUILT_IN if issubclass(kind, one))
            yield bytes(value) if base is bytearray else base.__getnewargs__(value)

    def _alone(self, member: Any) -> bytes:
        """Digest of a set's member by a walk of its own."""
        found = self.found
        if type(member) in PLAIN:
            return f"{type(member).__name__} {text(member)}".encode("utf-8", "surrogatepass")
        if id(member) in found.open_sets or len(found.open_sets) > 50:
            raise _unreadable("a set whose member leads back to it", "use a list or a dict, which have an order")
        if id(member) not in found.members:
            found.open_sets.add(id(member))
            walk = _Walk(found)
            walk.follow(member, ENTRY)
            found.open_sets.discard(id(member))
            found.members[id(member)] = (member, walk.digest.digest())
        return found.members[id(member)][1]

    def _state(self, value: Any, kind: type, label: str) -> Iterator[Any]:
        """Of an object: its class; values of a user's class as they lie there; what a library's keeps as pickle has it."""
        yield kind
        home, own = next(one for one in kind.__mro__ if is_outside(one.__module__)), dict(own_state(value))
        if issubclass(kind, BUILT_IN):
            yield from self._members(value)
        if home is kind and "__wrapped__" in own:
            yield own["__wrapped__"]
            return
        if home is not kind:
            yield own
        if issubclass(kind, set | frozenset) or (home is not kind and home in (object, *BUILT_IN)):
            return
        try:
            parts = as_pickled(value, kind, home)
        except CANNOT_SAY as error:
            raise _unreadable(
                f"{label}, a {kind.__module__}.{kind.__qualname__} whose state cannot be read",
                "keep what it holds in a constant of plain values or arrays at the top of a file",
            ) from error
        yield from parts

    def _name(self, module: str, name: str) -> None:
        known = b"" if is_versioned(module) else library_of(module)
        self.found.own |= bool(known)
        self.note(known, f"{module}.{name}")

    def _class(self, value: type, label: str) -> Iterator[tuple[Any, str]]:
        module, name = value.__module__, value.__qualname__
        if is_outside(module):
            self._name(module, name)
            held: Any = sys.modules.get(module)
            for part in name.split("."):
                held = getattr(held, part, None)
            if held is value or module == "builtins":
                return
        else:
            self.found.own = True
            self.note(name, *self.found.text(getattr(sys.modules.get(module), "__file__", None)))
        yield from ((one, label) for one in (type(value), *value.__bases__))
        for name, member in sorted(vars(value).items()):
            if name not in NO_STATE and not type(member).__name__.endswith("_descriptor"):
                self.note(name)
                yield member, label if name.startswith("__") else name

    def _module(self, module: ModuleType) -> None:
        name = module.__name__
        if is_outside(name):
            self._name(name, "")
            return
        self.found.own = True
        self.found.modules[name] = module
        self.note(*self.found.text(getattr(module, "__file__", None)))

    def _function(self, function: FunctionType, label: str) -> Iterator[tuple[Any, str]]:
        code, module, names = function.__code__, function.__globals__.get("__name__"), names_of(function.__code__)
        enclosed = [content(cell) for cell in function.__closure__ or ()]
        if is_outside(module):
            self._name(str(module), function.__qualname__)
            # A wrapper of a library's: what it wraps may be the user's.
            for one in (*enclosed, *vars(function).values()):
                if callable(one) or type(one) in PLAIN or type(one) in (*BUILT_IN, MappingProxyType):
                    yield one, label
            return
        self.found.own = True
        self.found.by_text |= bool(names & BY_TEXT)
        self.found.lead(label, names)
        self.found.late.extend((label, function.__qualname__, what) for what in late_finds(code))
        text = self.found.text(code.co_filename)
        self.note(function.__qualname__, *text, place(code) if text else bytecode(code))
        known = function.__globals__
        yield from ((one, label) for one in (enclosed, function.__defaults__, function.__kwdefaults__, vars(function)))
        for name in sorted(names & known.keys()):
            self.note(name)
            yield known[name], name


def _unreadable(found: str, fix: str) -> ConfigError:
    return ConfigError("a strategy whose every part can be seen", found=found, fix=fix)
