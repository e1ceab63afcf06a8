"""The quality gate of a running session: what arrived becomes the next bars of the grid, or is counted.

Bars come late, twice, in another order, corrected, incomplete or malformed. Only one thing is ever done
about it: a bar that continues the grid passes, and everything else is counted and dropped, because a
decision that was taken on a bar cannot be taken back. A symbol whose own numbers are unsound is missing
from its bar, and the gate fills that hole as it fills every other.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.events import RawBar
from quantlab.core.market import Bars, BarState, Funding
from quantlab.data.quality.bar_checks import bar_codes
from quantlab.data.quality.gate import MAX_FILLED, MAX_JUMP, GateState, QualityGate
from quantlab.data.quality.live_suspects import LIVE_KINDS, LiveSuspects
from quantlab.data.quality.suspects import Suspect
from quantlab.execution.feeds.bar_feeds import due_in

#: Why something that arrived was not taken as it came.
FAULTS = (
    "duplicate",  # the same bar again
    "corrected",  # a bar again, with other numbers
    "out_of_order",  # a bar after its successor, when its place had been taken as missing
    "malformed",  # off the grid, of another shape, or implausibly far ahead
    "malformed_cell",  # one symbol's unsound numbers, taken as missing
    "missing",  # places of the grid that nothing arrived for
    "early",  # not closed yet by the feed's clock
    *(f"suspect_{kind}" for kind in LIVE_KINDS),  # taken as it came, and odd
)

#: Raw bars remembered to tell a repetition from a correction.
_REMEMBERED = 64


def gate_state_after(history: Bars) -> GateState:
    """The gate as it stands behind a history that it has made.

    Exact if the history holds more than ``MAX_FILLED`` bars, or begins where its source begins.
    """
    last_close = np.full(history.n_symbols, np.nan)
    missing = np.zeros(history.n_symbols, dtype=np.int64)
    there = history.printed
    for s in range(history.n_symbols):
        states = history.state[:, s]
        printed = np.flatnonzero(np.isfinite(history.ohlcv[:, s, 3]))
        if len(printed) == 0:
            continue
        last_close[s] = history.ohlcv[printed[-1], s, 3]
        real = np.flatnonzero(there[:, s])
        hole = history.n_bars - 1 - (int(real[-1]) if len(real) else -1)
        missing[s] = max(hole, MAX_FILLED + 1) if states[-1] == BarState.ABSENT else hole
    return GateState(last_close, missing, int(history.open_time_ms[-1]))


@dataclass
class Intake:
    """The gate with what it has seen.

    Parameters
    ----------
    gate : QualityGate
    state : GateState
    counts : dict of fault to int
        What arrived since the start and could not be taken as it came, or was odd.
    suspects : tuple of Suspect
        What looks wrong about the last bar that passed: reported, never changed and never refused.
    """

    gate: QualityGate
    state: GateState
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    suspects: tuple[Suspect, ...] = ()
    _seen: OrderedDict[int, bytes | None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._look = LiveSuspects(self.gate.symbols)

    def warm(self, history: Bars) -> None:
        """Stand behind a history that the gate has made."""
        self.state = gate_state_after(history)
        self._look.remember(history)

    def judge(self, raw: RawBar, now_ms: int) -> str | None:
        """The fault that keeps a bar from continuing the grid; None if it may pass."""
        interval, last = self.gate.interval_ms, self.state.open_time_ms
        if raw.ohlcv.shape != (len(self.gate.symbols), 5) or raw.open_time_ms % interval:
            return "malformed"
        if last is not None and raw.open_time_ms - last > MAX_JUMP * interval:
            return "malformed"
        if raw.open_time_ms + interval > now_ms:
            return "early"
        if last is None or raw.open_time_ms > last:
            return None
        before = self._seen.get(raw.open_time_ms, b"")
        if before is None:
            return "out_of_order"
        return "duplicate" if before in (raw.ohlcv.tobytes(), b"") else "corrected"

    def steps(self, raw: RawBar) -> list[RawBar]:
        """The raw bars of the grid up to one that may pass: empty ones for every place that nothing arrived for."""
        interval, last = self.gate.interval_ms, self.state.open_time_ms
        first = raw.open_time_ms if last is None else last + interval
        nothing = np.full(raw.ohlcv.shape, np.nan)

        def due(open_ms: int) -> Funding | None:
            """What was due in a gap is charged in its place: a position pays also while no bar comes."""
            return None if raw.funding is None else due_in(raw.funding, open_ms - interval, open_ms)

        gaps = [RawBar(t, nothing, due(t)) for t in range(first, raw.open_time_ms, interval)]
        self.counts["missing"] += len(gaps)
        last_due = due(raw.open_time_ms)
        return [*gaps, RawBar(raw.open_time_ms, self._sound(raw.ohlcv), last_due, raw.outside)]

    def take(self, raw: RawBar) -> Bars:
        """Pass one bar that continues the grid.

        Raises
        ------
        DataError
            If it does not.
        """
        self.state, bar = self.gate.update(self.state, raw.ohlcv, raw.open_time_ms, raw.funding)
        if raw.outside is not None:
            bar = dataclasses.replace(
                bar, state=np.where(bar.tradable & raw.outside, np.uint8(BarState.OUTSIDE), bar.state)
            )
        self.suspects = self._look.update(bar)
        self._seen[raw.open_time_ms] = None if np.isnan(raw.ohlcv).all() else raw.ohlcv.tobytes()
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return bar

    def _sound(self, ohlcv: Float64Array) -> Float64Array:
        unsound = (bar_codes(ohlcv) != 0) & ~np.isnan(ohlcv).all(axis=1)
        if not unsound.any():
            return ohlcv
        self.counts["malformed_cell"] += int(unsound.sum())
        cleaned = ohlcv.copy()
        cleaned[unsound] = np.nan
        return cleaned
