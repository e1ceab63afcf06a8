"""Handover to another release between two bars: its strategy, and the bars that it warms up on.

1. Between two bars the session asks its :class:`~quantlab.core.ports.ReleaseSource` whether another one was made active.
2. That one is verified as a whole before the session sees it: a release is a strategy that may run.
3. Its signal warms up on the bars that the session has seen, in a stream of its own: from the switch on it
   reads what it would read in a session that had begun with it.
4. The account goes on: positions, open orders, levels, the guard's latches, the day. See
   :meth:`quantlab.execution.session.engine.Engine.successor`.
5. One commit holds the switch and a snapshot of the state after it, so that a restart never repeats a switch:
   it begins after the last one, with the release that the journal names.

Up to that commit nothing has changed. Whatever is refused before it leaves the running release in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quantlab.core.errors import HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import HasWarmup, Journal
from quantlab.data.quality.gate import MAX_FILLED, QualityGate
from quantlab.execution.session.bar_gate import BarGate, gate_state_after
from quantlab.execution.session.drift_watch import DriftWatch
from quantlab.execution.session.snapshot import unpack_raw
from quantlab.trading.strategy.strategy import Strategy

#: Bars beyond a signal's warm-up that tell the gate about holes which began before it.
_MARGIN = MAX_FILLED + 2

#: The venue of a session whose fills are simulated.
PAPER_VENUE = "paper"


@dataclass(frozen=True, eq=False)
class Release:
    """A strategy under the name by which it was promoted; every file of it was verified.

    Parameters
    ----------
    name : str
    strategy : Strategy
    terms : dict
        Strict JSON, for the journal: what the gates need to know of it.
    reason : str
        Why it was made active.
    drift : DriftWatch, optional
        Of the training of its members.
    """

    name: str
    strategy: Strategy
    terms: dict[str, Any]
    reason: str
    drift: DriftWatch | None = None


def release_of(journal: Journal) -> str | None:
    """Name of the release that a journal ends with; None if it names none."""
    event = journal.latest("switched") or journal.latest("began")
    return None if event is None else event.facts.get("release")


def recent_bars(journal: Journal, history: Bars | None, quality_gate: QualityGate, strategy: Strategy) -> list[Bars]:
    """The newest bars that a session has seen, as many as a strategy's signal needs, oldest first.

    Parameters
    ----------
    journal : Journal
        Of the session.
    history : Bars or None
        Rows before the first journalled bar are taken from it where they lead up to that bar.
    quality_gate : QualityGate
        Of the session's market.
    strategy : Strategy
        Without a ``warmup`` of its signal all bars are taken.

    Returns
    -------
    list of Bars, each of length 1

    Raises
    ------
    HistoryError
        If there are fewer than the signal's warm-up.
    """
    needed = strategy.signal.warmup if isinstance(strategy.signal, HasWarmup) else None
    most = None if needed is None else needed + _MARGIN
    raws = [unpack_raw(event.payload) for event in journal.newest("bar", most)]
    before = _rows_before(history, raws[0].open_time_ms if raws else None)
    if most is not None and before is not None:
        count = min(before.n_bars, most - len(raws))
        before = before.rows(before.n_bars - count, before.n_bars) if count else None
    state = quality_gate.begin() if before is None else gate_state_after(before)
    bar_gate = BarGate(quality_gate, state, math.inf)  # journalled rates were judged when they came
    bars = [*_rows(before), *map(bar_gate.update, raws)]
    if needed is not None and len(bars) < needed:
        raise HistoryError(
            f"{needed} bars that the session has seen, as many as the release's signal warms up on",
            found=str(len(bars)),
            fix="let it run longer, or stop it and start it with a longer history; then make the release active again",
        )
    return bars


def _rows_before(history: Bars | None, open_ms: int | None) -> Bars | None:
    """The rows before a bar; None if the last of them is not its predecessor."""
    if history is None or open_ms is None:
        return history
    stop = int(history.open_time_ms.searchsorted(open_ms))
    if stop == 0 or int(history.open_time_ms[stop - 1]) + history.interval_ms != open_ms:
        return None
    return history.rows(0, stop)


def _rows(bars: Bars | None) -> Iterable[Bars]:
    return () if bars is None else (bars.rows(t, t + 1) for t in range(bars.n_bars))
