"""The quality gate of a running session: what arrived becomes the next bars of the grid, or is counted.

Bars come late, twice, in another order, corrected, incomplete or malformed. Only one thing is ever done
about it: a bar that continues the grid passes, and everything else is counted and dropped, because a
decision that was taken on a bar cannot be taken back. A symbol whose own numbers are unsound is missing
from its bar, and the gate fills that hole as it fills every other; an unsound funding rate is as good as none.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.clock import iso_utc, past_open
from quantlab.core.errors import DataError
from quantlab.core.events import RawBar
from quantlab.core.market import Bars, BarState, Funding
from quantlab.data.quality.gate import MAX_FILLED, MAX_JUMP, GateState, QualityGate
from quantlab.data.quality.holds import holds_after
from quantlab.data.quality.live_suspects import LIVE_KINDS, LiveSuspects
from quantlab.data.quality.suspects import Suspect
from quantlab.execution.session.refused_cells import (
    UNSOUND_BAR,
    UNSOUND_RATE,
    RefusedCell,
    refused_bars,
    sound_funding,
    without_unsound,
)

#: Why something that arrived was not taken as it came.
FAULTS = (
    "duplicate",  # the same bar again
    "corrected",  # a bar again, with other numbers
    "out_of_order",  # a bar after its successor, when its place had been taken as missing
    "malformed",  # off the grid, of another shape, or implausibly far ahead
    UNSOUND_BAR,  # one symbol's unsound numbers, taken as missing
    UNSOUND_RATE,  # one symbol's unsound funding rate, taken as missing
    "missing",  # places of the grid that nothing arrived for
    "early",  # not closed yet by the feed's clock
    *(f"suspect_{kind}" for kind in LIVE_KINDS),  # taken as it came, and odd
)

#: Those that send an alert each time; a repeated bar is none, and unsound numbers are alerted by
#: :mod:`quantlab.execution.session.refused_cells`.
ALERTED_FAULTS = ("corrected", "out_of_order", "malformed", "early")

#: Raw bars remembered to tell a repetition from a correction.
_REMEMBERED = 64


def gate_state_after(history: Bars) -> GateState:
    """Return the gate's state after a history that it has made.

    Exact if the history holds more than ``MAX_FILLED`` and ``HOLD_WINDOW`` bars, or begins where its source begins.
    """
    last_close = np.full(history.n_symbols, np.nan)
    missing = np.zeros(history.n_symbols, dtype=np.int64)
    printed = history.printed
    for s in range(history.n_symbols):
        states = history.state[:, s]
        finite = np.flatnonzero(np.isfinite(history.ohlcv[:, s, 3]))
        if len(finite) == 0:
            continue
        last_close[s] = history.ohlcv[finite[-1], s, 3]
        real = np.flatnonzero(printed[:, s])
        hole = history.n_bars - 1 - (int(real[-1]) if len(real) else -1)
        missing[s] = max(hole, MAX_FILLED + 1) if states[-1] == BarState.ABSENT else hole
    return GateState(last_close, missing, int(history.open_time_ms[-1]), holds_after(history))


@dataclass
class BarGate:
    """The quality gate with what it has seen of a running session.

    Parameters
    ----------
    quality_gate : QualityGate
    state : GateState
    largest_funding_rate : float
        Largest size of a sound rate, fraction of notional.
    counts : dict of fault to int
        What arrived since the last commit and could not be taken as it came, or was odd.
    refused : list of RefusedCell
        Unsound numbers that were taken as missing since the last commit.
    suspects : tuple of Suspect
        What looks wrong about the last bar that passed: reported, never changed and never refused.
    """

    quality_gate: QualityGate
    state: GateState
    largest_funding_rate: float
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    refused: list[RefusedCell] = field(default_factory=list)
    suspects: tuple[Suspect, ...] = ()
    _recent: OrderedDict[int, bytes | None] = field(default_factory=OrderedDict)
    _far_ms: int | None = None  # open of the newest bar that came far ahead

    def __post_init__(self) -> None:
        self._suspect_check = LiveSuspects(self.quality_gate.symbols)

    def begin_after(self, history: Bars) -> None:
        """Continue after a history that the gate has made."""
        self.state = gate_state_after(history)
        self._suspect_check.remember(history)

    def find_fault(self, raw: RawBar, now_ms: int) -> str | None:
        """Return the fault that keeps a bar from continuing the grid; None if it may pass."""
        interval, last = self.quality_gate.interval_ms, self.state.open_time_ms
        if not self._fits(raw):
            return "malformed"
        if last is not None and raw.open_time_ms - last > MAX_JUMP * interval:
            return "malformed"
        if raw.open_time_ms + interval > now_ms:
            return "early"
        if last is None or raw.open_time_ms > last:
            return None
        before = self._recent.get(raw.open_time_ms, b"")
        if before is None:
            return "out_of_order"
        return "duplicate" if before in (without_unsound(raw.ohlcv).tobytes(), b"") else "corrected"

    def gap_error(self, raw: RawBar, now_ms: int) -> DataError | None:
        """Return the error for a feed that goes on so far ahead of the grid that the session cannot follow any more.

        One bar far ahead has a wrong stamp, so this is None for the first; a closed one that is followed by its
        neighbour is where the market is.
        """
        interval, last = self.quality_gate.interval_ms, self.state.open_time_ms
        closed = self._fits(raw) and raw.open_time_ms + interval <= now_ms
        if last is None or not closed or raw.open_time_ms - last <= MAX_JUMP * interval:
            return None
        before, self._far_ms = self._far_ms, raw.open_time_ms
        if before is None or raw.open_time_ms - before != interval:
            return None
        return DataError(
            f"bars that go on at most {MAX_JUMP:,} after the session's last, {iso_utc(last)}",
            found=f"none before {iso_utc(before)}, {(before - last) // interval:,} bars later",
            fix="begin a session in a new folder (job.folder=DIR): this one has missed too much to go on",
        )

    def bars_of_grid(self, raw: RawBar) -> list[RawBar]:
        """Return the raw bars of the grid up to one that may pass: empty ones for every place that nothing arrived for."""
        interval, last = self.quality_gate.interval_ms, self.state.open_time_ms
        first = raw.open_time_ms if last is None else last + interval
        nothing = np.full(raw.ohlcv.shape, np.nan)
        funding = self._refuse_unsound(raw, first - interval)

        def due(open_ms: int) -> Funding | None:
            """Return what was due in a gap, to be charged in its place: a position pays also while no bar comes."""
            return None if funding is None else funding.between(open_ms - interval, open_ms)

        gaps = [RawBar(t, nothing, due(t)) for t in range(first, raw.open_time_ms, interval)]
        self.counts["missing"] += len(gaps)
        last_due = due(raw.open_time_ms)
        return [*gaps, RawBar(raw.open_time_ms, without_unsound(raw.ohlcv), last_due, raw.outside)]

    def update(self, raw: RawBar) -> Bars:
        """Pass one bar that continues the grid.

        Raises
        ------
        DataError
            If it does not.
        """
        self.state, bar = self.quality_gate.update(self.state, raw.ohlcv, raw.open_time_ms, raw.funding)
        if raw.outside is not None:
            bar = dataclasses.replace(
                bar, state=np.where(bar.tradable & raw.outside, np.uint8(BarState.OUTSIDE), bar.state)
            )
        self.suspects = self._suspect_check.update(bar)
        self._recent[raw.open_time_ms] = None if np.isnan(raw.ohlcv).all() else raw.ohlcv.tobytes()
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return bar

    def newest_closes(self) -> Float64Array:
        """float64 (S,): closes of the last bar that passed, those that filled a hole too; NaN where there is none."""
        return np.where(self.state.missing <= MAX_FILLED, self.state.last_close, np.nan)

    def count_suspects(self) -> None:
        """Count what looks wrong about the last bar."""
        for suspect in self.suspects:
            self.counts[f"suspect_{suspect.kind}"] += 1

    def pending_faults(self) -> dict[str, int]:
        """Return what arrived wrong since :meth:`clear_counts`, without zeros."""
        return {name: count for name, count in self.counts.items() if count}

    def clear_counts(self) -> None:
        """Count anew, after a commit."""
        self.counts = dict.fromkeys(self.counts, 0)
        self.refused.clear()

    def _fits(self, raw: RawBar) -> bool:
        """True for a bar on the grid with as many symbols as the market has."""
        n_symbols = len(self.quality_gate.symbols)
        rates_fit = raw.funding is None or raw.funding.rate.shape[1] == n_symbols
        return (
            raw.ohlcv.shape == (n_symbols, 5)
            and rates_fit
            and past_open(raw.open_time_ms, self.quality_gate.interval_ms) == 0
        )

    def _refuse_unsound(self, raw: RawBar, after_ms: int) -> Funding | None:
        """Count and keep what is unsound about a bar and its rates after `after_ms`; return those rates without it."""
        symbols, refused = (
            self.quality_gate.symbols,
            refused_bars(raw.ohlcv, raw.open_time_ms, self.quality_gate.symbols),
        )
        funding = None if raw.funding is None else raw.funding.between(after_ms, raw.open_time_ms)
        if funding is not None:
            funding, rates = sound_funding(funding, raw.open_time_ms, symbols, self.largest_funding_rate)
            refused += rates
        for cell in refused:
            self.counts[cell.kind] += 1
        self.refused += refused
        return funding
