"""The bars on which the rows of a user's table take effect.

A row without further notice is known at the close of the bar that it is stamped with. ``known_after`` says
otherwise: then a row lands on the bar that *closes* at its stamp plus that time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from quantlab.core.arrays import Int64Array
from quantlab.core.checks import check_flag
from quantlab.core.clock import iso_utc
from quantlab.core.durations import duration_ms, duration_text, usual_step
from quantlab.core.errors import QuantlabError
from quantlab.trading.signals.step_words import Words, filled_before, too_short, undeclared
from quantlab.trading.signals.table_step import CoarseStep, Column, coarse_steps


@dataclass(frozen=True)
class Placement:
    """Times at which the rows of a table are known, and how long they hold.

    Parameters
    ----------
    known_after : str, 0 or None
        Time from a row's stamp until it is known: ``"1h"`` for hourly rows stamped with the open of their hour, 0 where
        the stamp is that time itself. None: at the close of the bar that it is stamped with, and a table whose step is
        longer than the bars' is refused.
    hold : bool
        True repeats a row until the next one, False leaves the bars between without a row.

    Raises
    ------
    ConfigError
        If one of them is something else.
    """

    known_after: str | int | None = None
    hold: bool = False

    def __post_init__(self) -> None:
        check_flag("hold", self.hold)
        _ = self.known_after_ms  # refused here, not at the first bar

    @cached_property
    def known_after_ms(self) -> int | None:
        """`known_after` in milliseconds."""
        if self.known_after is None:
            return None
        stamped_when_known = self.known_after in (0, "0") and not isinstance(self.known_after, bool)
        return 0 if stamped_when_known else duration_ms("known_after", str(self.known_after))

    @property
    def options(self) -> tuple[tuple[str, int | bool], ...]:
        """Options that differ from the default, for fingerprints: a table without options keeps the one it always had."""
        named = (("known_after_ms", self.known_after_ms), ("hold", self.hold or None))
        return tuple((name, value) for name, value in named if value is not None)

    def known_ms(self, time_ms: Int64Array, interval_ms: int) -> Int64Array:
        """int64 (N,): close of the bar on which each row lands."""
        return time_ms + (interval_ms if self.known_after_ms is None else self.known_after_ms)


def check_stamps(
    time_ms: Int64Array, first_ms: int, interval_ms: int, placement: Placement, error: type[QuantlabError], name: str
) -> None:
    """Refuse a table of which a row lands between two bars.

    Parameters
    ----------
    time_ms : int64 (N,)
        Stamps in any order.
    first_ms, interval_ms : int
        Open of a bar, and the length of the bars.
    placement : Placement
    error : type of QuantlabError
    name : str
        Of the table, for the message.

    Raises
    ------
    QuantlabError
        Of that type, with the reason.
    """
    off = (placement.known_ms(time_ms, interval_ms) - first_ms) % interval_ms != 0
    if not off.any():
        return
    bars, step = duration_text(interval_ms), usual_step(time_ms)
    expected = f"every row of {name} on a bar of its own: stamps at the opens of {duration_text(interval_ms)} bars"
    if 0 < step < interval_ms:
        found = f"rows {duration_text(step)} apart, finer than the {bars} bars"
        fix = f"keep one row per bar, made of what is known at its close, or take bars of {duration_text(step)}"
    elif step % interval_ms:
        found = f"rows {duration_text(step)} apart, no multiple of the {bars} bars"
        fix = f"make the table of {bars} bars, or of a multiple of {bars}"
    else:
        found = f"{int(off.sum())} rows between two bars, the first at {iso_utc(int(time_ms[np.argmax(off)]))}"
        fix = "index it by the open of each bar"
        if placement.known_after_ms is not None:
            fix = f"index it by the open of each bar, and set known_after to 0 or a multiple of {bars}"
    raise error(expected, found=found, fix=fix)


def check_step(
    columns: Iterable[Column], interval_ms: int, placement: Placement, error: type[QuantlabError], words: Words
) -> None:
    """Refuse a table with a step that is longer than the bars' unless it says when its rows are known.

    Declared as known at their stamp or at the close of their bar, any rows are taken.

    Parameters
    ----------
    columns : iterable of Column
        Their stamps are opens of bars.
    interval_ms : int
        Length of the bars.
    placement : Placement
    error : type of QuantlabError
    words : Words
        How the message names the arguments.

    Raises
    ------
    QuantlabError
        Of that type, if the table does not say it, says less than its longest step, or looks filled backward;
        :mod:`quantlab.trading.signals.table_step` has the rule.
    """
    known_after_ms = placement.known_after_ms
    if known_after_ms in (0, interval_ms):
        return
    steps = coarse_steps(columns, interval_ms)
    late = [step for step in steps if step.late]
    unknown = [step for step in steps if known_after_ms is None or step.step_ms > known_after_ms]
    if late:
        expected, found, fix = filled_before(_longest(late), interval_ms, words)
    elif unknown and known_after_ms is None:
        expected, found, fix = undeclared(_longest(unknown), interval_ms, words)
    elif unknown:
        expected, found, fix = too_short(_longest(unknown), str(placement.known_after), interval_ms, words)
    else:
        return
    raise error(expected, found=found, fix=fix)


def _longest(steps: list[CoarseStep]) -> CoarseStep:
    return max(steps, key=lambda step: step.step_ms)


def rows_at(close_ms: Int64Array, known_ms: Int64Array, *, hold: bool) -> Int64Array:
    """The row in force at each close, or -1: one pure function for a history and for a single bar.

    Parameters
    ----------
    close_ms : int64 (T,)
    known_ms : int64 (N,)
        Of one column's rows, strictly increasing.
    hold : bool
        False: the row known at exactly that close; True: the latest one known by then.

    Returns
    -------
    int64 (T,)

    Examples
    --------
    >>> rows_at(np.array([10, 20, 30]), np.array([20]), hold=True).tolist()
    [-1, 0, 0]
    """
    rows: Int64Array = np.searchsorted(known_ms, close_ms, side="right").astype(np.int64) - 1
    if not hold and len(known_ms):
        rows[known_ms[rows] != close_ms] = -1
    return rows
