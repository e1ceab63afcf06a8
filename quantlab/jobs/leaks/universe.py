"""The universe: which symbols may trade, and under which rules, must not depend on what comes later.

Two ways to look: the source is asked for a history that ends earlier; and, where it chooses from what another
source brings (a base class's ``history`` or a source in one of its fields), that source is given another future:
other prices and volumes, or symbols that stop printing. A symbol that only one of the two knows must not have been
tradable before: a listing to come may add an empty column, hindsight may not take a full one away.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from quantlab.core.errors import QuantlabError
from quantlab.core.ports import DataSource
from quantlab.core.types import Bars
from quantlab.jobs.leaks.comparing import differs, place
from quantlab.jobs.leaks.findings import Finding, Log
from quantlab.jobs.leaks.futures import another_future, cuts, delisted
from quantlab.jobs.run.history import HistoryCut

#: Takes bars, the first replaced row and a seed.
Change = Callable[[Bars, int, int], Bars]

#: What makes a field another source.
_SOURCE = ("history", "stream", "synthetic")
_CHANGES: dict[str, Change] = {"were another market's": another_future, "lost every second symbol": delisted}


def hunt_universe(log: Log, source: DataSource, cut: HistoryCut, bars: Bars, count: int, seed: int) -> None:
    """Compare what was chosen under other futures.

    Parameters
    ----------
    source : DataSource
    cut : HistoryCut
        The part of its history that is used.
    bars : Bars, (T, S)
        That part.
    count : int
        Rows at which another future begins.
    seed : int
    """
    rows = cuts(bars, bars.n_bars // 4, bars.n_bars, count)
    found: list[Finding] = []
    compared = 0
    for row in rows:
        begins_ms = int(bars.open_time_ms[row])
        if (early := _until(log, source, cut, begins_ms)) is not None:
            found += differing_past(bars, early, row, "were not there yet")
            compared += bars.ohlcv[:row].size
        for said, change in _CHANGES.items():
            asked = with_future(source, begins_ms, change, seed)
            if asked is not None and (other := _loaded(log, cut, asked, said)) is not None:
                found += differing_past(bars, other, row, said)
                compared += bars.ohlcv[:row].size
    log.check("universe", "symbols, rules and bars under another future", compared, found[:1])


def _until(log: Log, source: DataSource, cut: HistoryCut, end_ms: int) -> Bars | None:
    """The same history, asked for earlier."""
    return _loaded(log, cut, _EndsEarlier(source, end_ms), "were not there yet")


def _loaded(log: Log, cut: HistoryCut, source: DataSource, said: str) -> Bars | None:
    """A source may refuse a market that it was not made for; then it cannot be looked at."""
    try:
        return cut.load(source)
    except QuantlabError as error:
        log.note(f"universe: refused where later bars {said} ({type(error).__name__}: {error})")
        return None


@dataclasses.dataclass(frozen=True)
class _EndsEarlier:
    source: DataSource
    last_ms: int

    @property
    def synthetic(self) -> bool:
        return self.source.synthetic

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        return self.source.history(start_ms, self.last_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        return self.source.stream(start_ms, self.last_ms)


def with_future(source: Any, begins_ms: int, change: Change, seed: int) -> DataSource | None:
    """`source`, choosing from a market that is another one from `begins_ms` on; None if it chooses from none."""
    fields = dataclasses.fields(source) if dataclasses.is_dataclass(source) else ()
    inner = [f.name for f in fields if all(hasattr(getattr(source, f.name), method) for method in _SOURCE)]
    if inner:
        made = copy.copy(source)
        for name in inner:
            object.__setattr__(made, name, Changed(getattr(source, name), begins_ms, change, seed))
        return made  # type: ignore[no-any-return]
    makers = [kind for kind in type(source).__mro__ if "history" in vars(kind)]
    if len(makers) < 2 or not hasattr(source, "__dict__"):
        return None
    base = makers[-1]

    class Market(base):  # type: ignore[misc, valid-type]
        """Stands between the class that chooses and the one that it chooses from."""

        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            return changed_history(super().history, begins_ms, change, seed, start_ms, end_ms)

    placed: DataSource = object.__new__(type(type(source).__name__, (type(source), Market), {}))
    for name, value in vars(source).items():
        object.__setattr__(placed, name, value)
    return placed


@dataclasses.dataclass(frozen=True)
class Changed:
    """A source whose bars are others from some time on."""

    source: DataSource
    begins_ms: int
    change: Change
    seed: int

    @property
    def synthetic(self) -> bool:
        return self.source.synthetic

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """See the port."""
        return changed_history(self.source.history, self.begins_ms, self.change, self.seed, start_ms, end_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        """See the port."""
        bars = self.history(start_ms, end_ms)
        return (bars.rows(t, t + 1) for t in range(bars.n_bars))


def changed_history(
    history: Callable[..., Bars], begins_ms: int, change: Change, seed: int, start_ms: int | None, end_ms: int | None
) -> Bars:
    """The changed market, whole; and then the wanted part: a part of it is the same wherever it is cut."""
    whole = history()
    row = int(np.searchsorted(whole.open_time_ms, begins_ms))
    bars = change(whole, row, seed) if 0 < row < whole.n_bars else whole
    times = bars.open_time_ms
    start = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
    stop = len(times) if end_ms is None else int(np.searchsorted(times, end_ms))
    return bars.rows(start, stop)


def differing_past(bars: Bars, other: Bars, row: int, said: str) -> list[Finding]:
    """What differs before `row`, by symbol and time; `said` tells what happened to the bars from there on."""
    evidence = f"it changed when the bars from row {row} on {said}"
    times, mine, theirs = np.intersect1d(bars.open_time_ms[:row], other.open_time_ms, return_indices=True)
    if not len(times):
        return [Finding("universe", "open_time_ms", f"row {row}", evidence)]
    known, also = _before(bars, bars.open_time_ms[row]), _before(other, bars.open_time_ms[row])
    for symbol in dict.fromkeys((*bars.symbols, *other.symbols)):
        if symbol not in bars.symbols or symbol not in other.symbols:
            had = known if symbol in bars.symbols else also
            if had.tradable[:, had.symbols.index(symbol)].any():
                kept = "is chosen" if had is known else "is not chosen"
                return [Finding("universe", "symbols", symbol, f"{symbol} {kept}; {evidence}")]
            continue
        a, b = known.symbols.index(symbol), also.symbols.index(symbol)
        if known.instruments[a] != also.instruments[b]:
            return [Finding("universe", "instruments", symbol, evidence)]
        for name in ("state", "ohlcv"):
            different = differs(getattr(known, name)[mine, a], getattr(also, name)[theirs, b])
            if different.any():
                row_of_it = int(mine[np.argwhere(different)[0, 0]])
                return [Finding("universe", name, f"{symbol}, {place(bars, row_of_it)}", evidence)]
    return []


def _before(bars: Bars, time_ms: int) -> Bars:
    return bars.rows(0, int(np.searchsorted(bars.open_time_ms, time_ms)))
