"""One dated universe: who could be traded from a moment on, who could not, and why.

``<root>/2025-05-01.json``, one small file a date, whole or not there, with its own sha256. A snapshot holds
from the moment at which it was taken until the next one, and for no bar before it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ArtifactError, ConfigError, DataError
from quantlab.core.files import to_json, write_json
from quantlab.core.fingerprint import fingerprint

_FORMAT = 1
_NAME = re.compile(r"\d{4}-\d{2}-\d{2}\.json")


@dataclass(frozen=True)
class Row:
    """One perpetual, or a large coin without one.

    Parameters
    ----------
    symbol : str
        The name under which its bars are stored; empty if there is no perpetual.
    market : str or None
        ccxt's unified name.
    coin : str
        Ticker of the coin behind it.
    coin_id : str or None
        CoinGecko's id; None = no coin of that ticker and price is known.
    multiple : int
        Coins in one unit of the perpetual.
    rank : int or None
        From 1 among the members; None for the others.
    market_cap_usd, volume_usd, spread_bps, age_days : float or None
        As they were then.
    reason : str
        Why it is no member; empty if it is one.
    """

    symbol: str
    market: str | None
    coin: str
    coin_id: str | None
    multiple: int
    rank: int | None
    market_cap_usd: float | None
    volume_usd: float | None
    spread_bps: float | None
    age_days: float | None
    reason: str


@dataclass(frozen=True)
class Snapshot:
    """A universe as it was known at one moment.

    Parameters
    ----------
    taken_ms : int
        Epoch milliseconds by the exchange's clock, whole seconds.
    exchange : str
    rules : str
        Fingerprint of the rules.
    rows : tuple of Row
        Members first.
    """

    taken_ms: int
    exchange: str
    rules: str
    rows: tuple[Row, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """Symbols, the first rank first."""
        return tuple(row.symbol for row in self.rows if not row.reason)

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{iso_utc(self.taken_ms)[:10]}.json"

    def write(self, root: Path, *, replace: bool) -> Path:
        """Write it to its file.

        Raises
        ------
        ConfigError
            If there is one of that date and it is not to be replaced: backtests may have used it.
        """
        path = root / self.name
        if path.exists() and not replace:
            fix = "keep it, or take another one with job.replace=true"
            raise ConfigError(f"no snapshot of {path.stem} in {root}", found=str(path), fix=fix)
        body = _body(self)
        write_json(path, {**body, "sha256": _digest(body)})
        return path


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot whose checksum holds.

    Raises
    ------
    ArtifactError
        If it is damaged, or not named by its date.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sha256 = document.pop("sha256")
        if sha256 != _digest(document) or document["format"] != _FORMAT:
            raise ValueError("another checksum or format")
        rows = tuple(Row(**row) for row in document["rows"])
        snapshot = Snapshot(parse_utc(document["taken"]), document["exchange"], document["rules"], rows)
        if snapshot.name != path.name:
            raise ValueError(f"a snapshot of {snapshot.name}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"a universe snapshot of format {_FORMAT} in {path}",
            found=f"one that cannot be trusted ({type(error).__name__}: {error})",
            fix="restore it from a copy, or remove it: the snapshot before it then holds longer",
        ) from error
    return snapshot


def read_snapshots(root: Path) -> tuple[Snapshot, ...]:
    """Every snapshot in `root`, the oldest first.

    Raises
    ------
    DataError
        If there is none.
    ArtifactError
        If one is damaged.
    """
    found = snapshots_before(root, None)
    if not found:
        fix = "take one with job=universe, or set the folder's name right"
        raise DataError(f"universe snapshots in {root}", found="none", fix=fix)
    return found


def snapshots_before(root: Path, name: str | None) -> tuple[Snapshot, ...]:
    """The snapshots of earlier dates than the file `name` (None: all), the oldest first; there may be none."""
    names = sorted(path.name for path in root.glob("*.json") if _NAME.fullmatch(path.name))
    return tuple(read_snapshot(root / one) for one in names if name is None or one < name)


@dataclass(frozen=True)
class Changes:
    """Members that came and left between two snapshots; ``removed`` gives the reason, if the later one knows it."""

    added: tuple[str, ...]
    removed: dict[str, str]


def compare_snapshots(before: Snapshot, after: Snapshot) -> Changes:
    """Compare a snapshot with a later one."""
    reasons = {row.symbol: row.reason for row in after.rows if row.symbol}
    added = tuple(symbol for symbol in after.members if symbol not in before.members)
    removed = [symbol for symbol in before.members if symbol not in after.members]
    return Changes(added, {symbol: reasons.get(symbol, "no longer listed") for symbol in removed})


def ever_members(snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """Whoever was a member once, sorted: what to collect, so that those who left are in a backtest too."""
    return tuple(sorted({symbol for snapshot in snapshots for symbol in snapshot.members}))


def _body(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "taken": iso_utc(snapshot.taken_ms),
        "exchange": snapshot.exchange,
        "rules": snapshot.rules,
        "rows": [dataclasses.asdict(row) for row in snapshot.rows],
    }


def _digest(body: dict[str, Any]) -> str:
    return fingerprint(to_json(body))
