"""Facts of code objects: what they name, what they look for while they run, where they stand."""

from __future__ import annotations

import dis
import marshal
from collections.abc import Iterator
from types import CodeType
from typing import Any

from quantlab.core.user_code.origin import is_outside

BY_TEXT = frozenset({"getattr", "vars", "__dict__", "__getattribute__", "attrgetter", "methodcaller"})


def names_of(code: CodeType) -> set[str]:
    """Every global and attribute that the code, or code inside it, names; strings too where it looks names up by text."""
    names = set(code.co_names).union(*(names_of(one) for one in code.co_consts if isinstance(one, CodeType)))
    return names | {one for one in code.co_consts if isinstance(one, str)} if names & BY_TEXT else names


def late_finds(code: CodeType) -> Iterator[str]:
    """Imports inside the code but of the package and of versioned libraries, and searches among modules."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and not is_outside(step.argval or "."):
            yield f"import {step.argval}"
    yield from sorted({"import_module", "__import__", "globals"} & set(code.co_names))
    if {"sys", "modules"} <= set(code.co_names):
        yield "sys.modules"
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from late_finds(inner)


def place(code: CodeType) -> str:
    """Place of the code in its file: two lambdas may have one name."""
    columns = [(one[0] or 0, one[2] or 0) for one in code.co_positions()] if "lambda" in code.co_name else []
    return f"{code.co_firstlineno} {max(columns, default='')}"


def bytecode(code: CodeType) -> bytes:
    """The code without the place where it was written."""
    return marshal.dumps(_without_location(code), 2)


def _without_location(code: CodeType) -> CodeType:
    consts = tuple(_without_location(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename="", co_firstlineno=1, co_consts=consts)


def content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return "an empty cell"
