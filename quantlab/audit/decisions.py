"""Decisions: a policy, a sizer and limits that are made and asked anew in other markets.

A compiled step sees one bar, the account and its parameters; so a policy that knows the future has it in its parameters,
in the memory that it begins with, or in what its step was compiled around. Under each other future

1. every source of the configured kind brings that future, whoever constructs or keeps it, and what functions of the
   user's modules remember is forgotten;
2. a plain signal is computed on it, so that what it lays aside for a policy is laid aside anew;
3. policy, sizer, limits and costs are built from the configuration again, and asked for their numbers: all must be equal;
4. the account is run with them, and its fills, sizes and equity before the future must be the same.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np

from quantlab.audit.counterfactuals import another_future, delisted, shuffled_future
from quantlab.audit.differences import cell_label, differs
from quantlab.audit.fills import AuditedAccount, changed_past
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.sources import Change, Future, market_kinds
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource
from quantlab.core.results import Simulation
from quantlab.core.user_code_hash import user_code_hash

_FUTURES: tuple[Change, ...] = (another_future, shuffled_future, delisted)
#: Errors of a signal or a policy of somebody's own in a market that it was not made for.
_REFUSALS = (QuantlabError, ArithmeticError, LookupError, ValueError)


@dataclasses.dataclass(frozen=True)
class Decider:
    """The parts of a strategy that decide, and the market that they may have read.

    Parameters
    ----------
    source : DataSource
    rebuild : callable
        Constructs everything anew from the configuration: gives a callable that takes ``signal=`` and gives the strategy.
    plain_signal : SignalSource or None
        Asked before the decisions are; None for a learned signal.
    bars : Bars, (T, S)
        The whole history.
    first_row : int
        The account's first.
    """

    source: DataSource
    rebuild: Callable[[], Callable[..., Any]]
    plain_signal: Any
    bars: Bars
    first_row: int


def check_decisions(
    log: AuditLog, decider: Decider, account: AuditedAccount, simulation: Simulation, rows: list[int], seed: int
) -> None:
    """Make every step of the module's docstring.

    Parameters
    ----------
    account : AuditedAccount
    simulation : Simulation
        As it is.
    rows : list of int
        Of the whole history, after the account's first: where other futures begin.
    """
    policy, n_symbols = account.strategy.policy, account.bars.n_symbols
    for part in (policy, account.strategy.sizer):
        if not type(part).__module__.startswith("quantlab."):
            log.note(
                f"sizing: {type(part).__name__} was asked under other futures of the configured source; what it reads from "
                "a file that no DataSource hands over could not be exchanged"
            )
    as_it_is = _numbers(account.strategy, n_symbols)
    before = _numbers(_strategy(decider, account), n_symbols)
    if (unsteady := _other_numbers(as_it_is, before)) is not None:
        log.note(f"sizing: {unsteady} is another each time it is made, so it could not be compared")
    found: list[LeakFinding] = []
    for row, change in zip(rows, cycle(_FUTURES), strict=False):
        future = Future(int(decider.bars.open_time_ms[row]), change, seed)
        try:
            with _market_of(decider, account, future):
                if decider.plain_signal is not None:
                    decider.plain_signal.signal(change(decider.bars, row, seed))
                again = _strategy(decider, account)
                after = _numbers(again, n_symbols)
        except _REFUSALS as error:
            log.note(f"sizing: the strategy refused another market ({type(error).__name__}: {error})")
            continue
        evidence = f"made anew where the bars from row {row} on were others, it is another"
        if unsteady is None and (name := _other_numbers(before, after)) is not None:
            found.append(LeakFinding("sizing", name, cell_label(decider.bars, row), evidence))
            break
        found += _other_account(account, simulation, again, row - decider.first_row, change, seed)
    log.check(
        "sizing", "policy, sizer, limits and costs made anew in other markets", len(rows) * len(before), found[:1]
    )
    log.power("sizing", "decisions made anew", len(rows))


def _strategy(decider: Decider, account: AuditedAccount) -> Any:
    return decider.rebuild()(signal=account.strategy.signal)


def _numbers(strategy: Any, n_symbols: int) -> dict[str, Any]:
    """Everything that compiled code is handed, or was compiled around."""
    policy, sizer = strategy.policy, strategy.sizer
    code = inspect.unwrap(user_code_hash)  # a cached hash would be that of the real market
    values = {
        "policy.params()": np.array(policy.params()),
        "policy.begin()": np.array(policy.begin(n_symbols)),
        "sizer.params()": np.array(sizer.params()),
        "policy.step": code(policy.step),
        "sizer.size": code(sizer.size),
    }
    for name, part in (("limits", strategy.limits), ("costs", strategy.costs)):
        if dataclasses.is_dataclass(part):
            values |= {f"{name}.{field.name}": repr(getattr(part, field.name)) for field in dataclasses.fields(part)}
    return values


def _other_numbers(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Name, and place, of the first value that differs."""
    for name, value in before.items():
        different = differs(value, after[name]) if isinstance(value, np.ndarray) else np.array(value != after[name])
        if different.any():
            same_shape = isinstance(value, np.ndarray) and value.ndim and value.shape == after[name].shape
            place = ", ".join(str(int(i)) for i in np.argwhere(different)[0]) if same_shape else ""
            return f"{name}[{place}]" if place else name
    return None


def _other_account(
    account: AuditedAccount, simulation: Simulation, strategy: Any, row: int, change: Change, seed: int
) -> list[LeakFinding]:
    """The account of a strategy that was made in another market, before that market begins."""
    if not 0 < row < account.bars.n_bars:
        return []
    other = dataclasses.replace(account, strategy=strategy)
    return list(changed_past(other, simulation, row, change, "were others, and the strategy made anew", seed))[:1]


@contextmanager
def _market_of(decider: Decider, account: AuditedAccount, future: Future) -> Iterator[None]:
    """Another future in every source of the configured kind; nothing of either market is remembered in the other."""
    kinds = market_kinds(decider.source)
    originals = [kind.history for kind in kinds]
    parts = (account.strategy.policy, account.strategy.sizer, decider.plain_signal)
    _forget(parts)
    try:
        for kind, original in zip(kinds, originals, strict=True):
            kind.history = _changed(original, future)
        yield
    finally:
        for kind, original in zip(kinds, originals, strict=True):
            kind.history = original
        _forget(parts)


def _changed(original: Any, future: Future) -> Callable[..., Bars]:
    def history(source: Any, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        return future.history(partial(original, source), start_ms, end_ms)

    return history


def _forget(parts: tuple[Any, ...]) -> None:
    """Clear what the functions of the user's modules remember (``functools.cache``)."""
    for part in parts:
        name = type(part).__module__
        if part is None or name.startswith("quantlab.") or name not in sys.modules:
            continue
        for value in list(vars(sys.modules[name]).values()):
            if getattr(value, "__module__", None) == name and hasattr(value, "cache_clear"):
                value.cache_clear()
