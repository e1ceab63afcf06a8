"""Compilation of a user's function, and one sentence where it fails: the reason, the file, the line."""

from __future__ import annotations

import inspect
import linecache
import re
from typing import Any

from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numba.extending import register_jitable

from quantlab.core.compiled import compiled
from quantlab.core.errors import ContractError
from quantlab.core.user_code_hash import user_code_hash

#: What to look for in pages of compiler talk, the most telling first.
_REASONS = (
    r"Cannot modify readonly array",
    r"Unknown attribute '\w+' of type \w+",
    r"NameError: [^\n]+",
    r"Untyped global name [^\n]+",
    r"Use of unsupported opcode \(\w+\)",
    r"(?:Cannot|Can't) unify [^\n]+",
    r"No conversion from [^\n]+",
    r"No implementation of function Function\(<built-in function [^\n]+",
    r"Unsupported [^\n]+",
)
_LONGEST = 160


def require_arguments(function: Any, names: tuple[str, ...]) -> None:
    """Raise ContractError unless `function` takes as many arguments as there are `names`."""
    found = list(inspect.signature(function).parameters)
    if len(found) != len(names):
        raise ContractError(
            f"{function.__name__}({', '.join(names)})",
            found=f"{function.__name__}({', '.join(found)})",
            fix="take these arguments; docs/write-a-strategy.md says what they hold",
        )


def inline(function: Any, names: tuple[str, ...], **options: Any) -> Any:
    """`function`, to be compiled into what calls it; with bounds checked if it is none of the package's.

    Raises
    ------
    ContractError
        If it does not take as many arguments as there are `names`.
    """
    require_arguments(function, names)
    checked = bool(user_code_hash(function))
    return register_jitable(error_model="numpy", forceinline=True, boundscheck=checked, **options)(function)


def compile_around(function: Any, caller: Any, signature: Any, **options: Any) -> Any:
    """Compile `caller`, into which `function` is inlined.

    Raises
    ------
    ContractError
        If numba cannot compile it.
    """
    try:
        return compiled(signature=signature, **options)(caller)
    except (NumbaError, UnsupportedBytecodeError) as error:
        raise not_compilable(function, error) from error


def not_compilable(function: Any, error: Exception) -> ContractError:
    """Return the refusal that `error` means; it follows in a traceback."""
    message = str(error)
    reason = next(filter(None, (re.search(pattern, message) for pattern in _REASONS)), None)
    what = "what it does not know" if reason is None else reason.group()[:_LONGEST]
    return ContractError(
        f"a function {function.__name__} that numba can compile",
        found=f"{what}{_place(function, message)}",
        fix="use numbers, loops, numpy and functions that numba compiled; write to memory and intents alone "
        "(docs/write-a-strategy.md; QUANTLAB_TRACEBACK=1 shows all that numba says)",
    )


def _place(function: Any, message: str) -> str:
    path = function.__code__.co_filename
    name = re.escape(path.replace("\\", "/").rsplit("/", 1)[-1])
    line = re.search(rf"{name}\"?(?:, line | \()(\d+)", message)
    if line is None:
        return ""
    text = linecache.getline(path, int(line.group(1))).strip()
    return f" in {path}, line {line.group(1)}" + (f": {text}" if text else "")
