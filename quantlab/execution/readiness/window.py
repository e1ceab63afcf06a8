"""Windows: a session's journal over a stretch of market time, the only evidence that a gate may use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import VOLUME, Bars, BarState, Instrument
from quantlab.execution.journal.connection import connect
from quantlab.execution.journal.reader import SessionView, read_session
from quantlab.execution.session.snapshot import unpack_raw

#: Rules of trading play no part in what a journal's bars are asked for.
_ANY = Instrument(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Window:
    """The newest bars of a session.

    Parameters
    ----------
    required_bars : int
        As many were asked for.
    has_begun : bool
        Whether the session ever began to trade.
    counters : dict of name to int
        Of the whole session: what went wrong in it does not expire.
    barriers : dict or None
        ``take_profit_atr``, ``stop_atr`` and ``horizon`` of the strategy.
    facts : tuple of dict
        Of each bar, oldest first; see :mod:`quantlab.execution.session.bar_record`.
    observed : tuple of dict
        ``lag_ms`` and ``bar_gate`` of each bar.
    bars : Bars or None
        As they arrived; None if there is none.
    atr : float64 (T, S)
        USD, NaN where unknown.
    rollouts : tuple of dict
        Every step of the share of targets that is asked for: ``fraction``, ``before``, ``venue``, ``at_ms``.
    learned : bool or None
        Whether the strategy's models were fitted on features, whose drift is then watched; None if not recorded.
    drift : dict or None
        The newest reading of it (see :mod:`quantlab.execution.session.drift_watch`); None before any.
    """

    required_bars: int
    has_begun: bool
    counters: dict[str, int]
    barriers: dict[str, Any] | None
    facts: tuple[dict[str, Any], ...]
    observed: tuple[dict[str, Any], ...]
    bars: Bars | None
    atr: Float64Array
    rollouts: tuple[dict[str, Any], ...] = ()
    learned: bool | None = None
    drift: dict[str, Any] | None = None

    @property
    def complete(self) -> bool:
        """True if as many bars are recorded as were asked for."""
        return len(self.facts) >= self.required_bars > 0


def read_windows(path: Path, stretches: Sequence[tuple[int, str | None]]) -> tuple[Window, ...]:
    """The newest stretches of market time in a journal, of a running session or of one that ended.

    Parameters
    ----------
    path : Path
        The SQLite file; every entry of it is verified, once for all stretches.
    stretches : sequence of (minutes, since)
        Only bars after the first entry of the kind `since` count, where one is named; none does where there is no
        such entry.

    Raises
    ------
    ConfigError
        If there is no journal.
    ArtifactError
        If it is damaged.
    """
    view = read_session(path, check=True)
    database = connect(path, read_only=True)
    try:
        database.execute("BEGIN")  # one moment for all
        return tuple(_window(database, view, minutes, since) for minutes, since in stretches)
    finally:
        database.close()


def _window(database: sqlite3.Connection, view: SessionView, minutes: int, since: str | None) -> Window:
    identity = view.identity
    wanted = 0 if identity is None else -(-minutes * 60_000 // int(identity["interval_ms"]))
    rows = _newest(database, wanted, _first(database, since))
    terms = _latest_terms(database)
    records = [json.loads(text) for text, _ in rows]
    facts = tuple(record["bar"] for record in records)
    return Window(
        required_bars=wanted,
        has_begun=identity is not None,
        counters=view.counters,
        barriers=terms.get("barriers"),
        facts=facts,
        observed=tuple(record["observed"] for record in records),
        bars=_bars(rows, identity),
        atr=np.array([bar["atr"] for bar in facts], dtype=np.float64),
        rollouts=_rollouts(database),
        learned=terms.get("learned"),
        drift=view.drift,
    )


def _newest(database: sqlite3.Connection, count: int, after: int | None) -> list[tuple[str, bytes]]:
    if after is None:
        return []
    query = "SELECT facts, payload FROM events WHERE kind = 'bar' AND seq > ? ORDER BY seq DESC LIMIT ?"
    return database.execute(query, (after, count)).fetchall()[::-1]


def _first(database: sqlite3.Connection, kind: str | None) -> int | None:
    """Number of the first entry of a kind; 0 for no kind, None where there is none."""
    if kind is None:
        return 0
    (seq,) = database.execute("SELECT min(seq) FROM events WHERE kind = ?", (kind,)).fetchone()
    return None if seq is None else int(seq)


def _rollouts(database: sqlite3.Connection) -> tuple[dict[str, Any], ...]:
    rows = database.execute("SELECT facts FROM events WHERE kind = 'rollout' ORDER BY seq")
    return tuple(json.loads(facts) for (facts,) in rows)


def _latest_terms(database: sqlite3.Connection) -> dict[str, Any]:
    query = "SELECT facts FROM events WHERE kind = 'terms' ORDER BY seq DESC LIMIT 1"
    row = database.execute(query).fetchone()
    return {} if row is None else dict(json.loads(row[0]))


def _bars(rows: list[tuple[str, bytes]], identity: dict[str, Any] | None) -> Bars | None:
    if not rows or identity is None:
        return None
    raws = [unpack_raw(payload) for _, payload in rows]
    ohlcv = np.stack([raw.ohlcv for raw in raws])
    state = np.where(ohlcv[:, :, VOLUME] > 0.0, BarState.TRADED, BarState.ZERO_VOLUME)
    state[np.isnan(ohlcv).any(axis=2)] = BarState.ABSENT
    symbols = tuple(identity["symbols"])
    times = np.array([raw.open_time_ms for raw in raws], dtype=np.int64)
    return Bars(ohlcv, times, int(identity["interval_ms"]), state.astype(np.uint8), symbols, (_ANY,) * len(symbols))
