"""Checks of configured values: each names the option, what was expected and what was found."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any

from quantlab.core.clock import parse_utc
from quantlab.core.errors import ConfigError


def check_range(name: str, value: float, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ConfigError unless `value` is a finite number, not a bool, with ``low <= value <= high``."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and low <= value <= high):
        fix = f"set {name} to a value in that range"
        raise ConfigError(f"{name}{_bounds_text(low, high) or ' as a number'}", found=repr(value), fix=fix)


def check_whole(name: str, value: int, *, low: float = -math.inf, high: float = math.inf) -> None:
    """Raise ConfigError unless `value` is an int, not a bool, with ``low <= value <= high``."""
    if not (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        fix = f"set {name} to such a number"
        raise ConfigError(f"{name} as a whole number{_bounds_text(low, high)}", found=repr(value), fix=fix)


def check_flag(name: str, value: bool) -> None:
    """Raise ConfigError unless `value` is true or false: a text such as ``"off"`` would count as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} as true or false", found=repr(value), fix=f"set {name} to one of them")


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raise ConfigError unless `value` is one of `known`."""
    if value not in known:
        raise ConfigError(f"{name} as one of {', '.join(known)}", found=repr(value), fix="choose one of them")


def check_has(name: str, value: Any, *attributes: str) -> None:
    """Raise ConfigError unless `value` has these fields or methods; none of them is called."""
    absent = object()
    missing = [name for name in attributes if inspect.getattr_static(value, name, absent) is absent]
    if missing:
        raise ConfigError(
            f"{name} with {', '.join(attributes)}",
            found=f"{type(value).__name__} without {', '.join(missing)}" if value is not None else "null",
            fix=f"choose another option for {name}",
        )


def parse_time(option: str, text: str | None) -> int | None:
    """Epoch milliseconds of a configured date or time, UTC unless it names a zone; None for None.

    Raises
    ------
    ConfigError
        If `text` is not ISO 8601; `option` is its name in the configuration.

    Examples
    --------
    >>> parse_time("data.start", "2025-03-16")
    1742083200000
    """
    if text is None:
        return None
    try:
        return parse_utc(str(text))
    except ValueError as error:
        fix = f"write it like {option}=2025-03-16"
        raise ConfigError(f"{option} as an ISO 8601 date or time", found=repr(text), fix=fix) from error


def check_period(node: str, start: str | None, end: str | None) -> None:
    """Raise ConfigError unless both bounds are None or ISO 8601, and the first lies before the second.

    Parameters
    ----------
    node : str
        Of the configuration, in which they are called `start` and `end`.
    start, end : str or None
    """
    first, last = parse_time(f"{node}.start", start), parse_time(f"{node}.end", end)
    if first is not None and last is not None and first >= last:
        raise ConfigError(f"{node}.start before {node}.end", found=f"{start} .. {end}", fix="choose a later end")


def _bounds_text(low: float, high: float) -> str:
    if high < math.inf:
        return f" between {low:.12g} and {high:.12g}"
    return f" >= {low:.12g}" if low > -math.inf else ""
