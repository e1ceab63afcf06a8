"""Finished runs held against each other: what was asked for, what came out, and whether they saw the same bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.clock import iso_utc
from quantlab.evaluation.statistics.metrics import (
    Undefined,
    daily_returns,
    days_of,
    max_drawdown,
    sharpe_ratio,
    sharpe_standard_error,
)
from quantlab.jobs.runs.record import interval_text
from quantlab.jobs.runs.stored_run import StoredRun

#: Settings that change no result.
_PLACES = ("runs_dir", "cache_dir", "registry_root", "workers", "run", "runs", "bundle", "trust", "job.entry")
#: Sections that only refer to another one, in which their differences are shown already.
_REFERENCES = {"strategy.": "trading.", "signal.": "trading.signal."}
#: Numbers that are compared, by the part of metrics.json in which they stand.
_NUMBERS = {
    "judgement": ("dsr", "trials"),
    "evidence": (
        "sharpe", "sharpe_se", "sortino", "total_return", "cagr", "volatility", "max_drawdown", "max_drawdown_days",
        "trades", "hit_rate", "profit_factor", "average_trade", "stop_hit_share", "turnover", "exposure", "costs",
        "fees", "slippage", "funding", "cost_bps", "break_even_cost_bps", "final_equity",
    ),
    "lived": ("sharpe", "total_return", "max_drawdown", "trades"),
}  # fmt: skip
_FEWEST_DAYS = 3


@dataclass(frozen=True)
class Row:
    """A setting or a number of every run.

    Parameters
    ----------
    name : str
    values : tuple
        One for each run; None = undefined.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def differences(self) -> tuple[float | None, ...]:
        """Of every further run from the first; None where one of the two is undefined."""
        first, *others = self.values
        return tuple(None if first is None or value is None else value - first for value in others)


@dataclass(frozen=True)
class AccountPath:
    """An account's equity by the open times of its bars, with the cash that it began with."""

    open_time_ms: Int64Array
    equity: Float64Array
    initial: float


@dataclass(frozen=True)
class Comparison:
    """Two or more runs, side by side.

    Parameters
    ----------
    runs : tuple of StoredRun
    notes : tuple of str
        Sentences that a reader must see before any number.
    settings : tuple of Row
        Settings that differ, as texts; None = not there.
    numbers : tuple of Row
        ``evidence sharpe`` etc., of each run as a whole.
    common : tuple of Row
        Numbers of the evidence on the bars that all runs cover; empty where all cover the same, or none.
    """

    runs: tuple[StoredRun, ...]
    notes: tuple[str, ...]
    settings: tuple[Row, ...]
    numbers: tuple[Row, ...]
    common: tuple[Row, ...]


def compare_runs(runs: Sequence[StoredRun]) -> Comparison:
    """Compare two or more runs."""
    paths = [evidence_path(run) for run in runs]
    shared = _common_bars(runs, paths)
    same_bars = all(len(path.equity) == len(shared) for path in paths)
    common = () if same_bars or not len(shared) else _common_numbers(paths, shared)
    notes = (*_sameness(runs), *_origins(runs), *_coverage(runs, paths, shared), *_paired(paths, shared))
    return Comparison(tuple(runs), notes, _settings(runs), _numbers(runs), common)


def evidence_path(run: StoredRun) -> AccountPath:
    """Path of the account on which the verdict rests."""
    equity: Float64Array = run.equity["evidence_equity"].to_numpy()
    return AccountPath(run.open_time_ms, equity, float(run.metrics["evidence"]["initial_cash"]))


def _settings(runs: Sequence[StoredRun]) -> tuple[Row, ...]:
    flat = [flattened(run.config) for run in runs]
    keys = sorted({key for one in flat for key in one})
    rows = [Row(key, tuple(one.get(key) for one in flat)) for key in keys]
    differing = {row.name: row for row in rows if len(set(row.values)) > 1 and row.name not in _PLACES}
    return tuple(row for row in differing.values() if not _is_repeated(row, differing))  # one change, one row


def _is_repeated(row: Row, differing: Mapping[str, Row]) -> bool:
    whole = differing.get(row.name.rpartition(".")[2]) if "." in row.name else None
    if whole is not None and whole.values == row.values:  # evaluation.seed is the seed
        return True
    for start, origin in _REFERENCES.items():
        named = differing.get(origin + row.name.removeprefix(start)) if row.name.startswith(start) else None
        if named is not None and named.values == row.values:
            return True
    return False


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every plain value of a configuration by its dotted key, as text.

    Examples
    --------
    >>> flattened({"a": {"b": 1, "c": [1, 2]}, "d": None, "e": {}})
    {'a.b': '1', 'a.c': '[1, 2]', 'd': 'null', 'e': '{}'}
    """
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "null" if value is None else str(value)
    return flat


def _numbers(runs: Sequence[StoredRun]) -> tuple[Row, ...]:
    return tuple(
        Row(f"{part} {name}", tuple(run.metrics[part].get(name) for run in runs))
        for part, names in _NUMBERS.items()
        for name in names
    )


def _sameness(runs: Sequence[StoredRun]) -> list[str]:
    """Sentences on runs that are the same."""
    notes = []
    for i, run in enumerate(runs):
        for other in runs[:i]:
            pair = f"{other.name} and {run.name}"
            if run.folder == other.folder:
                notes.append(f"{pair} are one and the same folder")
            elif _equal(run, other, "orders.parquet", "equity.parquet"):
                whole = _equal(run, other, "metrics.json")
                what = "metrics, orders and equity" if whole else "orders and equity"
                notes.append(
                    f"{pair} are the same run: {what} are equal byte by byte" + ("" if whole else _unlike(run, other))
                )
    return notes


def _unlike(run: StoredRun, other: StoredRun) -> str:
    mine, theirs = run.metrics, other.metrics
    keys = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
    return f"; metrics.json differs in {', '.join(keys)}"


def _equal(run: StoredRun, other: StoredRun, *names: str) -> bool:
    mine, theirs = run.manifest["files_sha256"], other.manifest["files_sha256"]
    return all(name in mine and mine[name] == theirs.get(name) for name in names)


def _origins(runs: Sequence[StoredRun]) -> list[str]:
    """Sentences on data, code and libraries that differ: what no setting shows."""
    notes = []
    if len({run.manifest.get("data_fingerprint") for run in runs}) > 1:
        labels = ", ".join(f"{str(run.manifest.get('data_fingerprint'))[:12]} ({run.name})" for run in runs)
        notes.append(f"different data: fingerprints {labels}")
    codes = [run.manifest.get("code") or {} for run in runs]
    if len({code.get("sources") for code in codes}) > 1:
        versions = ", ".join(f"{code.get('version', '?')} {str(code.get('sources'))[:12]}" for code in codes)
        notes.append(f"different code: quantlab {versions}")
    packages = [run.manifest.get("packages") or {} for run in runs]
    names = sorted({name for one in packages for name in one})
    moved = [name for name in names if len({one.get(name) for one in packages}) > 1]
    if moved:
        each = ", ".join(f"{name} {' / '.join(str(one.get(name, 'none')) for one in packages)}" for name in moved)
        notes.append(f"different libraries: {each}")
    return notes


def _common_bars(runs: Sequence[StoredRun], paths: Sequence[AccountPath]) -> Int64Array:
    """Opens of the bars that all runs cover; none where bars are of different length: they close at other times."""
    shared = paths[0].open_time_ms
    if len({run.interval_ms for run in runs}) > 1:
        return shared[:0]
    for path in paths[1:]:
        shared = np.intersect1d(shared, path.open_time_ms)
    return shared


def _coverage(runs: Sequence[StoredRun], paths: Sequence[AccountPath], shared: Int64Array) -> list[str]:
    if all(len(path.equity) == len(shared) for path in paths):
        return []
    spans = "; ".join(
        f"{run.name} {len(path.equity):,} of {interval_text(run.interval_ms)}, {_span(path.open_time_ms)}"
        for run, path in zip(runs, paths, strict=True)
    )
    what = (
        f"{len(shared):,} are common, {_span(shared)}, and compared on their own" if len(shared) else "none is common"
    )
    return [f"different bars: {spans}; {what}"]


def _span(open_time_ms: Int64Array) -> str:
    return f"{iso_utc(int(open_time_ms[0]))[:16]} to {iso_utc(int(open_time_ms[-1]))[:16]}"


def on_bars(path: AccountPath, shared: Int64Array) -> AccountPath:
    """The part of a path on bars that it shares; it begins with the equity before the first of them."""
    rows = np.searchsorted(path.open_time_ms, shared)
    before = path.initial if rows[0] == 0 else float(path.equity[rows[0] - 1])
    return AccountPath(shared, path.equity[rows], before)


def _common_numbers(paths: Sequence[AccountPath], shared: Int64Array) -> tuple[Row, ...]:
    parts = [on_bars(path, shared) for path in paths]
    returns = [daily_returns(part.equity, part.open_time_ms, part.initial) for part in parts]
    rows: dict[str, list[float | None]] = {
        "sharpe": [_or_none(sharpe_ratio(one)) for one in returns],
        "sharpe_se": [_or_none(sharpe_standard_error(one)) for one in returns],
        "total_return": [float(part.equity[-1] / part.initial - 1.0) for part in parts],
        "max_drawdown": [max_drawdown(part.equity, part.initial) for part in parts],
    }
    return tuple(Row(name, tuple(values)) for name, values in rows.items())


def _or_none(value: Any) -> float | None:
    return None if isinstance(value, Undefined) else float(value)


def _paired(paths: Sequence[AccountPath], shared: Int64Array) -> list[str]:
    """A sentence on the difference between two runs, day by day, with its error."""
    if len(paths) != 2 or not len(shared):
        return []
    first, second = (on_bars(path, shared) for path in paths)
    apart = daily_returns(second.equity, shared, second.initial) - daily_returns(first.equity, shared, first.initial)
    days = len(days_of(shared))
    if days < _FEWEST_DAYS or not apart.any():
        return []
    mean, error = float(apart.mean()), float(apart.std(ddof=1)) / np.sqrt(days)
    found = "within two errors: no sign that one is better" if abs(mean) <= 2.0 * error else "beyond two errors"
    return [
        f"second minus first, paired by day over {days:,} days: mean daily return {100 * mean:+.4f} % with a standard error of "
        f"{100 * error:.4f} %, {found}"
    ]
