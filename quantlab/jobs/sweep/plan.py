"""Plan of a sweep: its parameter sets, checked and made into strategies before any simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from quantlab.backtest.sweep_space import Values
from quantlab.backtest.sweep_strategies import PARTS, replace_fields, split_name, with_values
from quantlab.core.errors import ConfigError
from quantlab.evaluation.sweep.scenarios import ASSUMPTIONS
from quantlab.jobs.sweep.signals import SIGNAL, SignalMaker, signal_values


@dataclass(frozen=True)
class Plan:
    """Possible parameter sets, those with the same signal next to each other.

    Parameters
    ----------
    names : tuple of str
        Parameters that are varied.
    values : tuple of dict, length N
    strategies : tuple of Strategy, length N
    signals : tuple of dict, length N
        What each wants changed of the signal.
    impossible : dict of reason to count
        Parameter sets that a part refused, such as a fast window above the slow one. They are tried too.
    refused : tuple of dict
        Their values.
    configured : dict of dotted name to value
        What the strategy is configured to assume.
    """

    names: tuple[str, ...]
    values: tuple[Values, ...]
    strategies: tuple[Any, ...]
    signals: tuple[Values, ...]
    impossible: dict[str, int]
    refused: tuple[Values, ...]
    configured: Values

    @property
    def tried(self) -> int:
        """Every parameter set, possible or not."""
        return len(self.values) + len(self.refused)


def plan_sweep(strategy: Any, maker: SignalMaker, combinations: list[Values]) -> Plan:
    """Check the names once and every value by the part that will hold it.

    Parameters
    ----------
    strategy : Strategy
        As configured: what is not varied stays.
    combinations : list of dict of dotted name to value

    Raises
    ------
    ConfigError
        If a name is not a parameter of the strategy, or no parameter set at all is possible.
    """
    names = tuple(combinations[0])
    check_names(strategy, maker, names)
    possible: list[tuple[Values, Any, Values]] = []
    refused: list[Values] = []
    impossible: dict[str, int] = {}
    first: ConfigError | None = None
    for values in combinations:
        wanted = signal_values(values)
        try:
            maker.accepts(wanted)
            own = {name: value for name, value in values.items() if not name.startswith(f"{SIGNAL}.")}
            possible.append((values, with_values(strategy, own), wanted))
        except ConfigError as error:
            first = first or error
            refused.append(values)
            impossible[error.expected] = impossible.get(error.expected, 0) + 1
    if first is not None and not possible:
        raise first
    possible.sort(key=lambda case: repr(sorted(case[2].items())))
    values_, strategies, signals = zip(*possible, strict=True)
    return Plan(names, values_, strategies, signals, impossible, tuple(refused), assumed_values(strategy))


def assumed_values(strategy: Any) -> Values:
    """The strategy's own values of what a sweep takes for assumptions."""
    fields = (split_name(name, PARTS) for name in ASSUMPTIONS)
    return {f"{part}.{field}": getattr(getattr(strategy, part), field) for part, field in fields}


def check_names(strategy: Any, maker: SignalMaker, names: tuple[str, ...]) -> None:
    """Raise ConfigError unless every name is a field of a part of the strategy, or of the signal."""
    for name in names:
        part, field = split_name(name, (*PARTS, SIGNAL))
        if part == SIGNAL:
            maker.check([field])
        else:
            owner = getattr(strategy, part)
            replace_fields(owner, part, {field: getattr(owner, field, None)})
