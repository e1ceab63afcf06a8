"""Flags of the cells whose print is suspect, one cell at a time, from the table of `docs/simulation.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from quantlab.core.market import CLOSE, HIGH, LOW, VOLUME, Bars, BarState

FAR = 0.08
MEDIANS = 25.0
WINDOW_ROWS = 288
FEWEST_MOVES = 20
LONGEST = 3

SOUND, SUSPECT_WITHIN, SUSPECT_CLOSE = 0, 1, 2


@dataclass(frozen=True)
class Print:
    """What a venue said of one symbol in one row; NaN where it said nothing."""

    high: float
    low: float
    close: float
    traded: bool


@dataclass
class Past:
    """One symbol's prints and their flags, up to the row before."""

    prints: list[Print] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)

    def last_traded(self) -> int | None:
        """Row of the last traded cell."""
        return next((t for t in reversed(range(len(self.prints))) if self.prints[t].traded), None)

    def agreed_close(self) -> float | None:
        """Close of the last traded cell whose flag is not 2."""
        for t in reversed(range(len(self.prints))):
            if self.prints[t].traded and self.flags[t] != SUSPECT_CLOSE:
                return self.prints[t].close
        return None

    def suspicion_stands(self) -> bool:
        t = self.last_traded()
        return t is not None and self.flags[t] == SUSPECT_CLOSE

    def length(self) -> int:
        """Traded cells with flag 2 since the agreed close."""
        count = 0
        for t in reversed(range(len(self.prints))):
            if self.prints[t].traded:
                if self.flags[t] != SUSPECT_CLOSE:
                    break
                count += 1
        return count

    def moves(self) -> list[float]:
        """Of each two successive closes that are traded and not suspect, in the last 288 rows of the grid."""
        t = len(self.prints)
        rows = range(max(t - WINDOW_ROWS, 0), t)
        closes = [self.prints[r].close for r in rows if self.prints[r].traded and self.flags[r] != SUSPECT_CLOSE]
        return [abs(after / before - 1.0) for before, after in pairwise(closes)]


def flags_of(bars: Bars, branches: Counter[str] | None = None) -> list[list[int]]:
    """Per row one flag of every symbol."""
    noted: Counter[str] = Counter() if branches is None else branches
    columns = [flags_of_symbol(_prints(bars, s), noted) for s in range(bars.n_symbols)]
    return [list(row) for row in zip(*columns, strict=True)]


def flags_of_symbol(prints: Sequence[Print], branches: Counter[str] | None = None) -> list[int]:
    """One flag per row, each from the rows up to that one alone."""
    noted: Counter[str] = Counter() if branches is None else branches
    past = Past()
    for now in prints:
        flag, case = judge(past, now)
        noted[case] += 1
        past.prints.append(now)
        past.flags.append(flag)
    return past.flags


def judge(past: Past, now: Print) -> tuple[int, str]:
    """Flag of the next cell, and which case of the page's table it was."""
    stands = past.suspicion_stands()
    if not now.traded:
        if not stands:
            return SOUND, "silent"
        return (SUSPECT_CLOSE, "stands in silence") if now.close == now.close else (SOUND, "stands without a close")
    moves, agreed, length = past.moves(), past.agreed_close(), past.length()
    if len(moves) < FEWEST_MOVES or agreed is None:
        return SOUND, "a suspicion forgotten" if stands else "a few moves"
    if not is_far(now.close, agreed, moves):
        within = is_far(now.high, agreed, moves) or is_far(now.low, agreed, moves)
        name = "b came back" if stands else "b"
        return (SUSPECT_WITHIN, f"{name} with a wick") if within else (SOUND, name)
    if stands:
        suspect = past.prints[_row_of_last_traded(past)].close
        if not is_far(now.close, suspect, moves):
            within = is_far(now.high, suspect, moves) or is_far(now.low, suspect, moves)
            return (SUSPECT_WITHIN, "c agrees with a wick") if within else (SOUND, "c agrees")
        if length == LONGEST:
            return SUSPECT_WITHIN, "d ends"
        return SUSPECT_CLOSE, f"e disagrees, length {length}"
    return SUSPECT_CLOSE, "e begins"


def is_far(price: float, reference: float, moves: Sequence[float]) -> bool:
    """More than 8 % and more than 25 medians of the window away."""
    distance = abs(price / reference - 1.0)
    return distance > FAR and distance > MEDIANS * median(moves)


def median(values: Sequence[float]) -> float:
    """Middle value, or the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


def _row_of_last_traded(past: Past) -> int:
    row = past.last_traded()
    assert row is not None
    return row


def _prints(bars: Bars, s: int) -> list[Print]:
    return [_print(cell, int(state)) for cell, state in zip(bars.ohlcv[:, s], bars.state[:, s], strict=True)]


def _print(cell: Any, state: int) -> Print:
    """Traded is a volume, in the universe or not; a filled or an absent cell is no print of the venue."""
    printed = state not in (BarState.FILLED, BarState.ABSENT)
    return Print(float(cell[HIGH]), float(cell[LOW]), float(cell[CLOSE]), printed and float(cell[VOLUME]) > 0.0)
