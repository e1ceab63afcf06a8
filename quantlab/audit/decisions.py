"""Decisions: a policy, a sizer and limits that are made and asked anew in other markets.

A compiled step sees one bar, the account and its parameters; so a policy that knows the future has it in its parameters,
in the memory that it begins with, or in what its step was compiled around. That these hold other numbers in another
market is no leak yet: a table of the last move before every bar does. So under each other future

1. every source of the configured kind brings that future, whoever constructs or keeps it, and what functions of the
   user's modules remember is forgotten;
2. a plain signal is computed on it, so that what it lays aside for a policy is laid aside anew;
3. policy, sizer, limits and costs are built from the configuration again;
4. both strategies decide on the bars before that future, which both markets share: all that was decided must be the
   same. A limit or a cost is one number, and must be the same at once.

The first decision that differs is looked for bar by bar, and named by what differs in it: which side and when
(**fill**), or how much, and at which distances a position ends (**sizing**).
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import Any

from quantlab.audit.counterfactuals import another_future, delisted, shuffled_future
from quantlab.audit.decided import first_difference_of, frozen
from quantlab.audit.differences import cell_label
from quantlab.audit.fills import AuditedAccount
from quantlab.audit.findings import AuditLog, LeakFinding
from quantlab.audit.sources import Change, Future, market_kinds
from quantlab.core.errors import QuantlabError
from quantlab.core.market import Bars
from quantlab.core.ports import DataSource

#: One in so many of the markets is enough where no part is the user's own.
_FEWER = 10
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
    log: AuditLog, decider: Decider, account: AuditedAccount, rows: list[int], drawn: int, seed: int
) -> None:
    """Make every step of the module's docstring.

    Parameters
    ----------
    account : AuditedAccount
    rows : list of int
        Of the whole history, after the account's first: where other futures begin.
    drawn : int
        The number of them that were drawn at random.
    """
    if not _note_own_parts(log, account.strategy):
        # quantlab's own parts read no market: a few markets show that nothing was put into their options meanwhile.
        rows, drawn = rows[::_FEWER], drawn // _FEWER
    as_it_is = frozen(account.strategy, account.bars.n_symbols)
    real = frozen(_strategy(decider, account), account.bars.n_symbols)
    if first_difference_of(account, as_it_is, real, account.bars.n_bars) is not None:
        log.note("sizing: the strategy decides otherwise each time that it is made, so it could not be compared")
        return
    found: list[LeakFinding] = []
    for row, change in zip(rows, cycle(_FUTURES), strict=False):
        future = Future(int(decider.bars.open_time_ms[row]), change, seed)
        try:
            with _market_of(decider, account, future):
                if decider.plain_signal is not None:
                    decider.plain_signal.signal(change(decider.bars, row, seed))
                again = frozen(_strategy(decider, account), account.bars.n_symbols)
        except _REFUSALS as error:
            log.note(f"sizing: the strategy refused another market ({type(error).__name__}: {error})")
            continue
        evidence = f"it changed when the strategy was made where the bars from row {row} on were others"
        one = _other_number(real, again)
        if one is not None:
            found.append(LeakFinding("sizing", one, cell_label(decider.bars, row), evidence))
        elif (other := first_difference_of(account, real, again, row - decider.first_row)) is not None:
            found.append(
                LeakFinding(other.stage, other.column, cell_label(account.bars, other.row, other.symbol), evidence)
            )
        if found:
            break
    compared = sum(row - decider.first_row for row in rows) * account.bars.n_symbols
    log.check("sizing", f"decisions of a strategy made anew in {len(rows)} other markets", compared, found[:1])
    log.power("sizing", "decisions made anew", drawn)


def _note_own_parts(log: AuditLog, strategy: Any) -> bool:
    """Return whether any part is the user's own, and say so of a policy and a sizer."""
    own = [not type(part).__module__.startswith("quantlab.") for part in _parts(strategy)]
    for part, is_own in zip(_parts(strategy)[:2], own, strict=False):
        if is_own:
            log.note(
                f"sizing: {type(part).__name__} was made anew under other futures of the configured source; what it reads from "
                "a file that no DataSource hands over could not be exchanged"
            )
    return any(own)


def _parts(strategy: Any) -> tuple[Any, ...]:
    return strategy.policy, strategy.sizer, strategy.limits, strategy.costs


def _strategy(decider: Decider, account: AuditedAccount) -> Any:
    return decider.rebuild()(signal=account.strategy.signal)


def _other_number(before: Any, after: Any) -> str | None:
    """The first limit or cost that differs."""
    for name in ("limits", "costs"):
        a, b = getattr(before, name), getattr(after, name)
        names = [field.name for field in dataclasses.fields(a)] if dataclasses.is_dataclass(a) else []
        for field in names:
            if repr(getattr(a, field)) != repr(getattr(b, field)):
                return f"{name}.{field}"
    return None


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
