"""A source that chooses from another market: its history ends earlier, or what it chooses from has another future.

What a source chooses from is found in two places: in its fields (a source, or a list or dict of them), however deep,
and in its base class. Whatever a source has kept of the real market, as a ``cached_property`` or while it was
constructed, is made anew.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from quantlab.core.market import Bars
from quantlab.core.ports import DataSource

#: Takes bars, the first replaced row and a seed.
Change = Callable[[Bars, int, int], Bars]

#: What makes a value another source.
_SOURCE = ("history", "stream", "synthetic")
#: Protocols bring no market.
_PORTS = ("quantlab.core.ports", "typing")


@dataclasses.dataclass(frozen=True)
class Future:
    """Another future of the market below a source.

    Parameters
    ----------
    begins_ms : int
        Bars that open from here on are replaced.
    change : callable
        How.
    seed : int
    """

    begins_ms: int
    change: Change
    seed: int

    def history(self, history: Callable[[], Bars], start_ms: int | None, end_ms: int | None) -> Bars:
        """The changed market, whole; and then the wanted part: a part of it is the same wherever it is cut."""
        whole = history()
        row = int(np.searchsorted(whole.open_time_ms, self.begins_ms))
        bars = self.change(whole, row, self.seed) if 0 < row < whole.n_bars else whole
        times = bars.open_time_ms
        start = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
        stop = len(times) if end_ms is None else int(np.searchsorted(times, end_ms))
        return bars.rows(start, stop)


@dataclasses.dataclass(frozen=True)
class TruncatedSource:
    """The same source, whoever asks, asked for bars that open before `last_ms`."""

    source: DataSource
    last_ms: int

    @property
    def synthetic(self) -> bool:
        """As the source."""
        return self.source.synthetic

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """See the port."""
        return self.source.history(start_ms, self.last_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        """See the port."""
        return self.source.stream(start_ms, self.last_ms)


@dataclasses.dataclass(frozen=True)
class ChangedSource:
    """A source whose bars are others from some time on."""

    source: DataSource
    future: Future

    @property
    def synthetic(self) -> bool:
        """As the source."""
        return self.source.synthetic

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        """See the port."""
        return self.future.history(self.source.history, start_ms, end_ms)

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Any:
        """See the port."""
        bars = self.history(start_ms, end_ms)
        return (bars.rows(t, t + 1) for t in range(bars.n_bars))


def with_future(source: Any, future: Future) -> DataSource | None:
    """`source`, choosing from a market with another future; None if it chooses from none."""
    inner = {
        name: made
        for name, value in _values(source).items()
        if (made := _with_changed_sources(value, future)) is not None
    }
    if inner:
        return _rebuilt(source, type(source), inner)
    makers = [kind for kind in type(source).__mro__ if "history" in vars(kind)]
    if len(makers) < 2 or not hasattr(source, "__dict__"):
        return None
    base = makers[-1]

    class Market(base):  # type: ignore[misc, valid-type]
        """Stands between the class that chooses and the one that it chooses from."""

        def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
            return future.history(super().history, start_ms, end_ms)

    return _rebuilt(source, type(type(source).__name__, (type(source), Market), {}), {})


def market_kinds(source: Any) -> list[Any]:
    """Classes that bring the market below a source: its own, or those of the sources that it chooses from."""
    inner = [one for value in _values(source).values() for one in _sources_in(value)]
    if inner:
        return list(dict.fromkeys(kind for one in inner for kind in market_kinds(one)))
    makers = [
        kind for kind in type(source).__mro__ if "history" in vars(kind) and not kind.__module__.startswith(_PORTS)
    ]
    return makers[-1:]


def _sources_in(value: Any) -> list[Any]:
    """A source, or those in a list, tuple or dict."""
    if all(hasattr(value, name) for name in _SOURCE):
        return [value]
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [one for member in members for one in _sources_in(member)]


def _values(source: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(source):
        return {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    return dict(vars(source)) if hasattr(source, "__dict__") else {}


def _with_changed_sources(value: Any, future: Future) -> Any:
    """A source, or a list, tuple or dict with sources, with another future; None if there is no source in it."""
    if all(hasattr(value, name) for name in _SOURCE):
        return with_future(value, future) or ChangedSource(value, future)
    if isinstance(value, dict):
        made = {key: _with_changed_sources(one, future) for key, one in value.items()}
        if any(one is not None for one in made.values()):
            return {key: value[key] if one is None else one for key, one in made.items()}
    elif isinstance(value, list | tuple):
        members = [_with_changed_sources(one, future) for one in value]
        if any(one is not None for one in members):
            return type(value)(a if b is None else b for a, b in zip(value, members, strict=True))
    return None


def _rebuilt(source: Any, kind: Any, changes: dict[str, Any]) -> DataSource:
    """`source` as a `kind`, with other values in some fields, and nothing that it remembers of the market it had."""
    if dataclasses.is_dataclass(source):
        given = {field.name: getattr(source, field.name) for field in dataclasses.fields(source) if field.init}
        return kind(**(given | changes))  # type: ignore[no-any-return]
    made = copy.copy(source) if kind is type(source) else object.__new__(kind)
    for name, value in (vars(source) | changes).items():
        object.__setattr__(made, name, value)
    for name in [name for name in vars(made) if isinstance(getattr(kind, name, None), cached_property)]:
        del vars(made)[name]
    return made  # type: ignore[no-any-return]
