"""Parameter sets of a sweep: every combination of a grid, or a seeded draw from a space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from quantlab.core.checks import check_flag, check_range, check_whole
from quantlab.core.errors import ConfigError

#: One parameter set: dotted name relative to the strategy -> value.
Values = dict[str, Any]

#: A space of more combinations than this is refused: nobody meant it.
MOST_COMBINATIONS = 1_000_000

_KEYS = {"low", "high", "n", "log"}


@dataclass(frozen=True)
class Axis:
    """The values that one parameter may take.

    Parameters
    ----------
    name : str
        E.g. ``"policy.stop_atr"``.
    choices : tuple
        Listed values; empty for a range.
    low, high : int or float
        Of a range, both included; whole numbers where both are whole.
    n : int or None
        Points of a range in a grid.
    log : bool
        Evenly spaced (or drawn) in logarithms.
    """

    name: str
    choices: tuple[Any, ...]
    low: float = 0.0
    high: float = 0.0
    n: int | None = None
    log: bool = False

    def points(self) -> tuple[Any, ...]:
        """Values of a grid, ascending for a range, without repeats.

        Raises
        ------
        ConfigError
            If a range does not say how many points it has.
        """
        if self.choices:
            return self.choices
        if self.n is None:
            raise ConfigError(
                f"sweep.space.{self.name} with n, its number of points in a grid",
                found="low and high only",
                fix="add n, list the values, or use sweep=random",
            )
        space = np.geomspace if self.log else np.linspace
        return tuple(dict.fromkeys(self._clip(value) for value in space(self.low, self.high, self.n)))

    def draw(self, rng: np.random.Generator) -> Any:
        """One value, each choice (or each value of the range) as likely as the others."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        # Each whole number gets an interval of its own, the first and the last too.
        half = 0.5 if self._whole else 0.0
        low, high = self.low - half, self.high + half
        if self.log:
            return self._clip(math.exp(rng.uniform(math.log(low), math.log(high))))
        return self._clip(rng.uniform(low, high))

    @property
    def _whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def _clip(self, value: float) -> int | float:
        inside = min(max(float(value), self.low), self.high)
        return round(inside) if self._whole else float(inside)


def axes_of(space: dict[str, Any] | None) -> tuple[Axis, ...]:
    """The axes of a ``sweep.space`` node, in its order; none for None.

    Raises
    ------
    ConfigError
        If an axis is neither a list of values nor ``{low, high}`` with an optional ``n`` and ``log``.
    """
    if not isinstance(space, dict | None):
        raise ConfigError(
            "sweep.space as a mapping of parameters", found=repr(space), fix="write e.g. {policy.stop_atr:[1.0,1.5]}"
        )
    return tuple(_axis(str(name), node) for name, node in (space or {}).items())


def _axis(name: str, node: Any) -> Axis:
    if isinstance(node, list | tuple) and node:
        return Axis(name, tuple(node))
    if not (isinstance(node, dict) and {"low", "high"} <= node.keys() <= _KEYS):
        raise ConfigError(
            f"sweep.space.{name} as a list of values or {{low, high, n, log}}",
            found=repr(node),
            fix=f"write e.g. sweep.space.{name}=[1,2,3]",
        )
    low, high, n, log = node["low"], node["high"], node.get("n"), node.get("log", False)
    where = f"sweep.space.{name}"
    check_flag(f"{where}.log", log)
    check_range(f"{where}.low", low, low=1e-300 if log else -math.inf)
    check_range(f"{where}.high", high, low=low)
    if n is not None:
        check_whole(f"{where}.n", n, low=1, high=MOST_COMBINATIONS)
    return Axis(name, (), low, high, n, log)


def _required(space: dict[str, Any] | None) -> tuple[Axis, ...]:
    axes = axes_of(space)
    if not axes:
        raise ConfigError(
            "sweep.space with at least one parameter",
            found="none",
            fix="choose sweep=moving_average (of experiment=baseline) or sweep=exits (of trading/policy=ensemble_threshold),"
            " or write e.g. 'sweep.space={signal.fast:[12,24,48]}'",
        )
    return axes


@dataclass(frozen=True)
class Grid:
    """Every combination of the axes' values, the last axis changing fastest.

    Parameters
    ----------
    space : dict of name to list of values or {low, high, n, log}, or None
        Names are relative to the strategy: ``policy.*``, ``sizer.*``, ``limits.*``, ``costs.*``, ``signal.*``.

    Raises
    ------
    ConfigError
        If an axis is none.
    """

    space: dict[str, Any] | None

    def __post_init__(self) -> None:
        axes_of(self.space)

    def combinations(self) -> list[Values]:
        """All of them.

        Raises
        ------
        ConfigError
            If there is no axis, a range has no `n`, or there are too many combinations.
        """
        axes = _required(self.space)
        points = [axis.points() for axis in axes]
        count = math.prod(len(values) for values in points)
        if count > MOST_COMBINATIONS:
            raise ConfigError(
                f"a sweep of at most {MOST_COMBINATIONS:,} combinations", found=f"{count:,}", fix="use sweep=random"
            )
        names = [axis.name for axis in axes]
        return [dict(zip(names, values, strict=True)) for values in product(*points)]


@dataclass(frozen=True)
class RandomSearch:
    """Independent draws from the axes; a seeded draw of more is a longer one of the same.

    Parameters
    ----------
    space : dict of name to list of values or {low, high, log}, or None
        See :class:`Grid`; `n` is not looked at.
    n : int
        Combinations, 1 .. 1,000,000.
    seed : int

    Raises
    ------
    ConfigError
        If an axis is none, or a number is out of its range.
    """

    space: dict[str, Any] | None
    n: int
    seed: int

    def __post_init__(self) -> None:
        check_whole("sweep.n", self.n, low=1, high=MOST_COMBINATIONS)
        check_whole("sweep.seed", self.seed, low=0)
        axes_of(self.space)

    def combinations(self) -> list[Values]:
        """`n` draws.

        Raises
        ------
        ConfigError
            If there is no axis.
        """
        axes = _required(self.space)
        rng = np.random.default_rng(self.seed)
        return [{axis.name: axis.draw(rng) for axis in axes} for _ in range(self.n)]
