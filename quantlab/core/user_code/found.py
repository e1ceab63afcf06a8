"""Findings of a walk through a user's code that are resolved or refused at its end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

#: Attributes of classes and modules that are no state of theirs.
NO_STATE = frozenset(
    {"__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__annotations__", "__abstractmethods__"}
    | {"__slotnames__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__orig_bases__", "__parameters__"}
    | {"__builtins__", "__spec__", "__loader__", "__cached__", "__file__", "__path__", "__name__", "__package__"}
)
#: Label of what the walk began with.
ENTRY = "<entry>"


@dataclass(slots=True)
class Found:
    """Findings of all walks of one entry; a label is the name under which something was reached."""

    own: bool = False
    by_text: bool = False
    modules: dict[str, ModuleType] = field(default_factory=dict)
    leads: dict[str, set[str]] = field(default_factory=dict)  # label -> names that its code uses
    late: list[tuple[str, str, str]] = field(default_factory=list)  # label, function, what it does
    members: dict[int, tuple[Any, bytes]] = field(default_factory=dict)  # of sets, with their digests
    open_sets: set[int] = field(default_factory=set)
    texts: dict[str | None, tuple[bytes, ...]] = field(default_factory=dict)  # digests of files

    def text(self, path: str | None) -> tuple[bytes, ...]:
        if path not in self.texts:
            there = path is not None and Path(path).is_file()
            read = [Path(path).read_bytes().replace(b"\r\n", b"\n")] if path is not None and there else []
            self.texts[path] = tuple(hashlib.sha256(one).digest() for one in read)
        return self.texts[path]

    def lead(self, label: str, names: set[str]) -> None:
        self.leads.setdefault(label, set()).update(names)

    def names_in_modules(self) -> set[tuple[str, str]]:
        """(module, name) of all that any code may take from a module of the user's."""
        names = set().union(*self.leads.values())
        of = {key: set(vars(module)) - NO_STATE for key, module in self.modules.items()}
        return {(key, name) for key, known in of.items() for name in (known if self.by_text else known & names)}

    def finds_while_running(self) -> list[tuple[str, str]]:
        """(function, what it does) of code in use; a method that no code names may import what it likes: a plot, say."""
        used, todo = {ENTRY}, [ENTRY]
        while todo:
            fresh = self.leads.get(todo.pop(), set()) - used
            used |= fresh
            todo.extend(fresh)
        return [(owner, what) for label, owner, what in self.late if label in used]
