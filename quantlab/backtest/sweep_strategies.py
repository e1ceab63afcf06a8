"""One strategy for every parameter set, made by replacing values of a given one."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.trading.strategy.strategy import Strategy

#: The parts of a strategy whose values a sweep may change without another signal.
PARTS = ("policy", "sizer", "limits", "costs")


def split_name(name: str, parts: Sequence[str]) -> tuple[str, str]:
    """``"policy.stop_atr"`` -> ``("policy", "stop_atr")``.

    Raises
    ------
    ConfigError
        If the name is not a part and a field of it.
    """
    part, _, field = name.partition(".")
    if part not in parts or not field or "." in field:
        raise ConfigError(
            f"a parameter of {', '.join(parts)}, e.g. policy.stop_atr",
            found=repr(name),
            fix="name it relative to the strategy in sweep.space",
        )
    return part, field


def replace_fields(owner: Any, part: str, values: dict[str, Any]) -> Any:
    """Return a frozen dataclass with other values of some of its fields.

    Raises
    ------
    ConfigError
        If it has no such field, or refuses a value.
    """
    known = [field.name for field in dataclasses.fields(owner)]
    for field in values:
        if field not in known:
            close = difflib.get_close_matches(field, known, n=1)
            raise ConfigError(
                f"a parameter of {type(owner).__name__}, {part}.*",
                found=f"{part}.{field}",
                fix=f"write {part}.{close[0]}" if close else f"it has {', '.join(known) or 'none'}",
            )
    return dataclasses.replace(owner, **values)


def with_values(strategy: Strategy, values: dict[str, Any]) -> Strategy:
    """Return `strategy` with other values.

    Parameters
    ----------
    values : dict of dotted name to value
        E.g. ``{"policy.stop_atr": 1.5, "costs.slippage_bps": 4.0}``; see :data:`PARTS`.

    Raises
    ------
    ConfigError
        If a name is not one of the strategy's, or its part refuses the value.
    """
    changes: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        part, field = split_name(name, PARTS)
        changes.setdefault(part, {})[field] = value
    parts = {part: replace_fields(getattr(strategy, part), part, fields) for part, fields in changes.items()}
    return dataclasses.replace(strategy, **parts)
