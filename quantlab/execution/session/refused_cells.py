"""Unsound numbers of single symbols: taken as missing, counted, and reported without end only in the counts.

A bar or a funding rate that is not sound (:mod:`quantlab.core.soundness`) must not stop the other symbols, so it becomes
missing before the gate sees it, the journal keeps it or the account is charged. What was there instead is journalled and
sent as an alert, for each symbol and kind once in a while: a venue that is broken for a day would send 288.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array
from quantlab.core.clock import iso_utc
from quantlab.core.events import Event
from quantlab.core.market import Funding
from quantlab.core.soundness import refuse_rates
from quantlab.data.quality.bar_checks import bar_codes, fault_in_bar

#: Faults of a single symbol, as they are counted, journalled and sent.
UNSOUND_BAR, UNSOUND_RATE = "malformed_cell", "malformed_rate"

#: Symbols that a message names.
_NAMED = 3


@dataclass(frozen=True)
class RefusedCell:
    """Unsound numbers of one symbol.

    Parameters
    ----------
    kind : {"malformed_cell", "malformed_rate"}
    symbol : str
    open_ms : int
        Of the bar that they came with.
    found : str
        The fault and the numbers.
    """

    kind: str
    symbol: str
    open_ms: int
    found: str


def unsound_rows(ohlcv: Float64Array) -> BoolArray:
    """bool (S,): rows of a float64 (S, 5) array that hold numbers and are no sound bar."""
    unsound: BoolArray = (bar_codes(ohlcv) != 0) & ~np.isnan(ohlcv).all(axis=1)
    return unsound


def without_unsound(ohlcv: Float64Array) -> Float64Array:
    """A float64 (S, 5) array with NaN in place of every unsound row; the same array if there is none."""
    unsound = unsound_rows(ohlcv)
    return np.where(unsound[:, None], np.nan, ohlcv) if unsound.any() else ohlcv


def refused_bars(ohlcv: Float64Array, open_ms: int, symbols: Sequence[str]) -> list[RefusedCell]:
    """Name what :func:`without_unsound` takes out."""
    rows = np.flatnonzero(unsound_rows(ohlcv)).tolist()
    return [RefusedCell(UNSOUND_BAR, symbols[s], open_ms, fault_in_bar(ohlcv[s])) for s in rows]


def sound_funding(
    funding: Funding, open_ms: int, symbols: Sequence[str], largest: float
) -> tuple[Funding, list[RefusedCell]]:
    """Take the unsound rates out of `funding`, and name them.

    Parameters
    ----------
    funding : Funding
    open_ms : int
        Of the bar that it came with.
    symbols : sequence of str, length S
    largest : float
        Largest size of a sound rate, fraction of notional.

    Returns
    -------
    funding : Funding
        NaN in place of every unsound rate.
    refused : list of RefusedCell
    """
    cleaned, refused = refuse_rates(funding, largest)
    if not refused:
        return funding, []
    places = np.argwhere(np.isnan(cleaned.rate) & ~np.isnan(funding.rate)).tolist()
    texts = [f"a funding rate of {funding.rate[i, s]:g} at {iso_utc(int(funding.time_ms[i]))}" for i, s in places]
    cells = [RefusedCell(UNSOUND_RATE, symbols[s], open_ms, text) for (_, s), text in zip(places, texts, strict=True)]
    return cleaned, cells


@dataclass
class RefusalAlerts:
    """Entries and alerts for unsound numbers, for each symbol and kind at most once in `every_ms` of market time.

    Parameters
    ----------
    every_ms : int
    """

    every_ms: int
    _last_ms: dict[tuple[str, str], int] = field(default_factory=dict)

    def events(self, cells: Iterable[RefusedCell]) -> list[Event]:
        """One entry for each kind with the symbols that are due; see :func:`refusal_message`."""
        due: dict[str, list[RefusedCell]] = {}
        for cell in cells:
            key = (cell.kind, cell.symbol)
            last_ms = self._last_ms.get(key)
            if last_ms is None or cell.open_ms - last_ms >= self.every_ms:
                self._last_ms[key] = cell.open_ms
                due.setdefault(cell.kind, []).append(cell)
        return [
            Event(kind, {"open_ms": found[0].open_ms, "cells": [{"symbol": c.symbol, "found": c.found} for c in found]})
            for kind, found in due.items()
        ]


def refusal_message(event: Event) -> str:
    """The entry as a sentence."""
    cells = event.facts["cells"]
    named = "; ".join(f"{cell['symbol']}: {cell['found']}" for cell in cells[:_NAMED])
    more = f"; and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return f"taken as missing with the bar of {iso_utc(event.facts['open_ms'])}: {named}{more}"
