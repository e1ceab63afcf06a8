"""Tables for readers, beside the events and rebuilt from them.

A projection is a pure fold over events: :func:`apply_event` is the only function that writes to these tables,
in the same transaction as the event itself.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from quantlab.core.errors import ArtifactError
from quantlab.core.events import Event

#: Every table of this module, in a fixed order.
TABLES = ("equity", "fills", "positions", "orders", "counters", "days")

_COMMON = """
CREATE TABLE IF NOT EXISTS equity (
    open_ms INTEGER PRIMARY KEY, equity REAL, cash REAL, gross REAL, funding REAL, liquidation_fee REAL);
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side INTEGER NOT NULL, units REAL NOT NULL,
    reduce_only INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    day TEXT PRIMARY KEY, start_equity REAL, low REAL, last REAL, drawdown REAL) WITHOUT ROWID;
"""
_SCHEMAS = {
    1: """
CREATE TABLE IF NOT EXISTS fills (
    id INTEGER PRIMARY KEY, open_ms INTEGER NOT NULL, symbol TEXT NOT NULL, side INTEGER NOT NULL,
    units REAL NOT NULL, price REAL NOT NULL, fee REAL NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (
    symbol TEXT PRIMARY KEY, units REAL NOT NULL, entry REAL NOT NULL, mark REAL NOT NULL) WITHOUT ROWID;
""",
    2: """
CREATE TABLE IF NOT EXISTS fills (
    id INTEGER PRIMARY KEY, open_ms INTEGER NOT NULL, symbol TEXT NOT NULL, side INTEGER NOT NULL,
    units REAL NOT NULL, price REAL NOT NULL, fee REAL NOT NULL, reason TEXT NOT NULL, open REAL, decided REAL);
CREATE TABLE IF NOT EXISTS positions (
    symbol TEXT PRIMARY KEY, units REAL NOT NULL, entry REAL NOT NULL, mark REAL NOT NULL,
    stop REAL, take REAL, break_even REAL, trail REAL, bars_held INTEGER NOT NULL) WITHOUT ROWID;
""",
}
_FILLS = {
    1: "INSERT INTO fills VALUES (:id, :open_ms, :symbol, :side, :units, :price, :fee, :reason)",
    2: "INSERT INTO fills VALUES (:id, :open_ms, :symbol, :side, :units, :price, :fee, :reason, :open, :decided)",
}
_POSITIONS = {
    1: "INSERT INTO positions VALUES (?, ?, ?, ?)",
    2: "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
}
_COUNT = "INSERT INTO counters VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value"
_ORDER = "INSERT INTO orders VALUES (:order_id, :symbol, :side, :units, :reduce_only, :reason)"


def schema(layout: int) -> str:
    """Return the script that makes the tables of a layout.

    Raises
    ------
    ArtifactError
        If there is no such layout.
    """
    if layout not in _SCHEMAS:
        known = " or ".join(map(str, _SCHEMAS))
        raise ArtifactError(
            f"a journal of layout {known}",
            found=f"layout {layout}",
            fix="read it with the version of quantlab that wrote it",
        )
    return _COMMON + _SCHEMAS[layout]


def apply_event(database: sqlite3.Connection, event: Event, layout: int) -> None:
    """Fold one event into the tables of a layout."""
    counts = {f"event.{event.kind}": 1}
    if event.kind == "bar":
        _apply_bar(database, event.facts["bar"], layout)
        counts |= event.facts["bar"]["counts"]
        counts |= _faults(event.facts["observed"])
    elif event.kind == "stopped":
        counts |= _faults(event.facts)
    database.executemany(_COUNT, [(name, count) for name, count in sorted(counts.items()) if count])


def _apply_bar(database: sqlite3.Connection, bar: dict[str, Any], layout: int) -> None:
    account = bar["account"]
    names = ("equity", "cash", "gross", "funding", "liquidation_fee")
    database.execute("INSERT INTO equity VALUES (?, ?, ?, ?, ?, ?)", (bar["open_ms"], *(account[n] for n in names)))
    if bar["fills"]:
        database.executemany(_FILLS[layout], [{**fill, "open_ms": bar["open_ms"]} for fill in bar["fills"]])
    database.execute("DELETE FROM positions")
    database.executemany(_POSITIONS[layout], bar["positions"])
    database.execute("DELETE FROM orders")
    if bar["orders"]:
        database.executemany(_ORDER, bar["orders"])
    day = bar["day"]
    database.execute(
        "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?)",
        (day["utc"], day["start_equity"], day["low"], day["last"], day["drawdown"]),
    )


def _faults(facts: dict[str, Any]) -> dict[str, int]:
    return {f"bar_gate.{name}": count for name, count in facts["bar_gate"].items()}


def read_tables(database: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, in the order of their keys."""
    return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}  # noqa: S608
