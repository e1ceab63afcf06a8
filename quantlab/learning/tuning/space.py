"""Search space: named ranges and choices around a configured value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from quantlab.core.checks import check_flag, check_range
from quantlab.core.errors import ConfigError

_RANGE, _CHOICES = {"low", "high"}, {"choices"}


@dataclass(frozen=True)
class Parameter:
    """One dimension of a search.

    A range of whole numbers where low, high and the configured value are whole, else of real ones. The
    configured value always belongs to the space: a range is widened to hold it, a list is extended by it.
    So a search can only improve on what was configured, by its own objective.

    Parameters
    ----------
    name : str
    configured : bool, int, float, str, None or list of these
    low, high : int or float, optional
        Of a range.
    log : bool
        Search a range by its logarithm.
    choices : tuple, optional
        Of a list of values.
    """

    name: str
    configured: Any
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def distribution(self) -> BaseDistribution:
        """Distribution for optuna; choices are spelled as JSON, because lists are no values to it."""
        if self.low is None or self.high is None:
            return CategoricalDistribution([json.dumps(choice) for choice in self.choices])
        low, high = min(self.low, self.configured), max(self.high, self.configured)
        whole = all(isinstance(value, int) for value in (self.low, self.high, self.configured))
        kind = IntDistribution if whole else FloatDistribution
        return kind(low, high, log=self.log)

    def value(self, raw: Any) -> Any:
        """Value that optuna's own value stands for."""
        return json.loads(raw) if self.low is None else raw

    def raw(self, value: Any) -> Any:
        """The inverse of :meth:`value`."""
        return json.dumps(value) if self.low is None else value


Space = tuple[Parameter, ...]


def parse_space(where: str, spec: Mapping[str, Any], configured: Mapping[str, Any]) -> Space:
    """The parameters that `spec` names, in the order of their names.

    Parameters
    ----------
    where : str
        The node in the configuration, for messages.
    spec : mapping of name to ``{low, high, log}`` or ``{choices}``
    configured : mapping of name to value
        Everything that could be varied, as it is configured now.

    Raises
    ------
    ConfigError
        If a name is unknown or a description is not one of the two.
    """
    return tuple(_parameter(f"{where}.{name}", name, spec[name], configured) for name in sorted(spec))


def _parameter(where: str, name: str, spec: Any, configured: Mapping[str, Any]) -> Parameter:
    if name not in configured:
        known = ", ".join(sorted(configured))
        raise ConfigError(f"the name of a parameter at {where}", found=name, fix=f"choose among {known}")
    keys = set(spec) if isinstance(spec, Mapping) else set()
    now = _plain(configured[name])
    if keys == _CHOICES and isinstance(spec["choices"], list | tuple) and spec["choices"]:
        listed = [_plain(choice) for choice in spec["choices"]]
        return Parameter(name, now, choices=tuple(listed if now in listed else [now, *listed]))
    if _RANGE <= keys <= _RANGE | {"log"}:
        return _range(where, name, spec, now)
    raise ConfigError(f"{where} with low and high (and log), or with choices", found=repr(spec), fix="write it so")


def _range(where: str, name: str, spec: Mapping[str, Any], now: Any) -> Parameter:
    log = spec.get("log", False)
    check_flag(f"{where}.log", log)
    check_range(f"{where}.low", spec["low"])
    check_range(f"{where}.high", spec["high"], low=spec["low"])
    check_range(f"the configured value of {where}", now)
    if log and min(spec["low"], now) <= 0:
        raise ConfigError(f"{where} above 0, as log asks for", found=repr(min(spec["low"], now)), fix="set log: false")
    return Parameter(name, now, low=spec["low"], high=spec["high"], log=log)


def _plain(value: Any) -> Any:
    """Lists for tuples, because values are compared with what JSON gives back."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
