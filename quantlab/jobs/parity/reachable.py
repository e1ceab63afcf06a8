"""Conditions of a comparison that can never be met, told before a session is run.

Holes and late listings are counted in the bars; stops are looked for in the orders that the backtest of the same bars
gives, and halts among the limits that are on. What is merely short, such as 12 stops of 20, is said and not refused: a
difference may still be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars
from quantlab.jobs.parity.account_record import ORDER_FIELDS, AccountRecord
from quantlab.jobs.parity.validity import count_holes, count_late_listings

#: Limits whose crossing is a halt; None switches one off.
_HALTING = ("daily_loss_limit", "breaker", "loss_streak", "max_stops")


@dataclass(frozen=True)
class Lack:
    """One condition that cannot be met.

    Parameters
    ----------
    need : str
        Its name in ``job.needed``.
    found : str
    fix : str
        An option that brings it about.
    """

    need: str
    found: str
    fix: str


def lacks_of_data(history: Bars, first: int, last: int, needed: Mapping[str, int]) -> list[Lack]:
    """Return which conditions the rows ``first:last`` of `history` cannot meet."""
    where = "in the compared bars" if (first, last) != (0, history.n_bars) else "in the data"
    counts = {
        "holes": (count_holes(history, first, last), "holes", "compare over data with missing bars"),
        "late_listings": (
            count_late_listings(history, first, last),
            "symbols that begin later than the others",
            "compare over a period in which a symbol is listed",
        ),
    }
    return [
        Lack(need, f"{found} {words} {where}", fix)
        for need, (found, words, fix) in counts.items()
        if found < needed[need]
    ]


def lacks_of_limits(limits: Any, needed: Mapping[str, int]) -> list[Lack]:
    """Return whether no limit that halts is on.

    Parameters
    ----------
    limits : Limits
    needed : dict of condition to minimum
    """
    if needed["halts"] < 1 or any(getattr(limits, name) is not None for name in _HALTING):
        return []
    return [Lack("halts", f"{', '.join(_HALTING)} all off", "switch one on: trading.limits.daily_loss_limit=0.02")]


def lacks_of_orders(backtest: AccountRecord, needed: Mapping[str, int]) -> list[Lack]:
    """Return which conditions the orders of a strategy can never meet.

    Parameters
    ----------
    backtest : AccountRecord
        Of the compared bars.
    needed : dict of condition to minimum
    """
    if not backtest.fills:
        lack = Lack("fills", "no fill in the backtest of the compared bars", "choose a period in which it trades")
        return [lack] if needed["fills"] > 0 else []
    entries = [order for order in backtest.orders if not order[4]]
    stop = 1 + ORDER_FIELDS.index("stop_distance")
    if needed["stops"] < 1 or any(order[stop] is not None for order in entries) or _stops(backtest):
        return []
    found = f"no stop on any of its {len(entries):,} entries"
    return [Lack("stops", found, "take a policy that sets one: trading/policy=ensemble_threshold")]


def require_reachable(lacks: list[Lack]) -> None:
    """Return if there is no lack.

    Raises
    ------
    ConfigError
        Naming every one, and what to change.
    """
    if not lacks:
        return
    fixes = "; ".join(f"{lack.fix} (or job.needed.{lack.need}=0: then nothing is proved about it)" for lack in lacks)
    raise ConfigError(
        f"a strategy and bars that can meet job.needed ({', '.join(lack.need for lack in lacks)})",
        found="; ".join(lack.found for lack in lacks),
        fix=fixes,
    )


def shortage_text(counts: Mapping[str, int], needed: Mapping[str, int]) -> str:
    """Return one line on what the backtest already shows to fall short; empty where nothing does."""
    short = [
        f"{counts[name]:,} of {needed[name]:,} {name.replace('_', ' ')}"
        for name in counts
        if counts[name] < needed[name]
    ]
    if not short:
        return ""
    return f"the backtest of these bars meets {', '.join(short)}: the comparison will be UNKNOWN, or FAIL where something differs"


def _stops(backtest: AccountRecord) -> bool:
    return any(fill[-1] == "STOP" for fill in backtest.fills)
