"""``job=status``: positions, equity, halts, last bar, lag, drift and counters of a session, read beside it."""

from __future__ import annotations

import json
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from quantlab.core.clock import ClockOffset, SystemClock, iso_utc
from quantlab.evaluation.report.words import counter_words, halt_words, reason_words
from quantlab.execution.journal.reader import SessionView, read_session
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.session.live_status import live_tables
from quantlab.jobs.session.session_folder import JOURNAL, existing_session

#: Features shown, those that have drifted furthest.
_WORST = 10


def run(cfg: DictConfig) -> float | None:
    """Print the session's state; the result is its equity, None before any bar.

    Raises
    ------
    ConfigError
        If there is no session.
    ArtifactError
        If its journal is damaged.
    """
    console = stdout_console()
    journal = existing_session(cfg) / JOURNAL
    view = read_session(journal, check=cfg.job.verify)
    now_ms = SystemClock().now_ms()
    if cfg.job.json:
        text = json.dumps(status_facts(view, now_ms), sort_keys=True)
        console.print(text, soft_wrap=True)
    else:
        for table in (*status_tables(view, now_ms), *live_tables(journal)):
            console.print(table)
    return None if view.last_bar is None else view.last_bar["account"]["equity"]


def status_facts(view: SessionView, now_ms: int) -> dict[str, Any]:
    """Return everything as strict JSON; `now_ms` is this machine's time."""
    bar = view.last_bar
    return {
        "running": view.running,
        "ended": view.ended,
        "bundle": view.release,
        "entries": view.entries,
        "age_ms": None if bar is None or view.identity is None else _age(view, now_ms),
        "last_bar": bar,
        "observed": view.observed,
        "drift": view.drift,
        "clock": view.clock,
        "terms": view.terms,
        "counters": view.counters,
        "days": [dict(zip(_DAY, row, strict=True)) for row in view.tables["days"]],
    }


_DAY = ("utc", "start_equity", "low", "last", "drawdown")


def status_tables(view: SessionView, now_ms: int | None) -> list[Table]:
    """Return tables for a person; `now_ms` None leaves out how old the newest bar is."""
    if view.last_bar is None:
        table = terminal_table("", "session")
        table.add_row("bars", "none yet")
        table.add_row("running", "yes" if view.running else "no")
        return [table]
    tables = [_summary(view, now_ms)]
    if view.last_bar["positions"]:
        tables += [_positions(view), _protection(view)]
    if view.last_bar["orders"]:
        tables.append(_orders(view))
    if view.drift is not None:
        tables.append(_drift(view.drift))
    return [*tables, _counters(view)]


def _summary(view: SessionView, now_ms: int | None) -> Table:
    bar, observed = view.last_bar or {}, view.observed or {}
    account, day = bar["account"], bar["day"]
    rows = {
        "running": "yes" if view.running else f"no ({view.ended or 'not stopped cleanly'})",
        **({} if view.release is None else {"bundle": view.release}),
        "last bar (open)": iso_utc(bar["open_ms"]),
        "lag when it came, s": f"{observed['lag_ms'] / 1000:,.1f}",
        "equity, USD": _usd(account["equity"]),
        "cash, USD": _usd(account["cash"]),
        "gross, USD": _usd(account["gross"]),
        "highest equity, USD": _usd(account["high_water_mark"]),
        f"drawdown on {day['utc']}, %": "?" if day["drawdown"] is None else f"{100 * day['drawdown']:.2f}",
        "halts": ", ".join(map(halt_words, bar["halts"])) or "none",
        "bars": f"{view.counters.get('event.bar', 0):,}",
        "fills": f"{len(view.tables['fills']):,}",
    }
    if view.clock is not None:
        rows["venue's clock ahead, ms"] = _clock(view.clock)
    if now_ms is not None:
        rows["age of its close, s"] = f"{_age(view, now_ms) / 1000:,.1f}"
    table = terminal_table("", "session")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _clock(clock: dict[str, Any]) -> str:
    """The newest measurement, and whether the session calls it too far, by its own limit."""
    offset = ClockOffset(clock["ahead_ms"], clock["uncertain_ms"])
    far = ", too far: set this machine's clock" if offset.exceeds(clock["limit_ms"]) else ""
    return f"{offset.ahead_ms:+,.0f} (+/- {offset.uncertain_ms:,.0f}) on {iso_utc(clock['at_ms'])}{far}"


def _positions(view: SessionView) -> Table:
    head = ("position", "units", "entry", "mark", "P&L, USD")
    table = terminal_table(*head, numbers=head[1:])
    for symbol, units, entry, mark, *_ in view.tables["positions"]:
        table.add_row(symbol, f"{units:,.6g}", f"{entry:,.6g}", f"{mark:,.6g}", _usd(units * (mark - entry)))
    return table


def _protection(view: SessionView) -> Table:
    """Return the levels of each position; an older journal does not record them."""
    head = ("levels of", "stop", "take-profit", "break-even", "trail", "bars held")
    table = terminal_table(*head, numbers=head[1:])
    for symbol, _, _, _, *recorded in view.tables["positions"]:
        if recorded:
            *levels, bars_held = recorded
            shown = ["none" if level is None else f"{level:,.6g}" for level in levels]
            table.add_row(symbol, *shown, f"{bars_held:,}")
        else:
            table.add_row(symbol, "not recorded", *[""] * (len(head) - 2))
    return table


def _orders(view: SessionView) -> Table:
    table = terminal_table("order for\nthe next bar", "side", "units", "kind", numbers=("units",))
    for _, symbol, side, units, reduce_only, reason in view.tables["orders"]:
        kind = f"{reason_words(reason)}{', reduce only' if reduce_only else ''}"
        table.add_row(symbol, "buy" if side > 0 else "sell", f"{units:,.6g}", kind)
    return table


def _drift(reading: dict[str, Any]) -> Table:
    """Return the features that moved furthest; the levels are the reading's own."""
    over = f"{reading['rows']:,} rows of {reading['bars']:,} bars until {iso_utc(reading['open_ms'])}"
    table = terminal_table("feature", "PSI", "KS", "level", numbers=("PSI", "KS"), title=f"drift over {over}")
    for drift in sorted(reading["features"], key=lambda drift: -drift["psi"])[:_WORST]:
        table.add_row(drift["feature"], f"{drift['psi']:.3f}", f"{drift['ks']:.3f}", drift["level"])
    table.add_row(f"on alert: {len(reading['alerts'])} of {len(reading['features'])}", "", "", "")
    return table


def _counters(view: SessionView) -> Table:
    table = terminal_table("counter", "since the start", numbers=("since the start",))
    for name, count in sorted(view.counters.items()):
        table.add_row(counter_words(name), f"{count:,}")
    return table


def _age(view: SessionView, now_ms: int) -> int:
    """Milliseconds since the newest bar closed, by the venue's clock as the session measured it last."""
    assert view.last_bar is not None  # noqa: S101 - narrows the type: the callers looked
    assert view.identity is not None  # noqa: S101 - likewise: a session begins before its first bar
    ahead_ms = 0 if view.clock is None else round(view.clock["ahead_ms"])
    return now_ms + ahead_ms - int(view.last_bar["open_ms"]) - int(view.identity["interval_ms"])


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"
