"""``job=universe``: a dated snapshot of who can be traded today, who cannot and why; and what changed.

``data=universe`` reads the snapshots: a backtest then opens nothing in a symbol that was no member on that
day. A snapshot cannot be taken later, so take one every day.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from quantlab.core.clock import iso_utc
from quantlab.core.files import require_writable
from quantlab.data.universe.rules import UniverseRules
from quantlab.data.universe.snapshot import Changes, Snapshot, compare_snapshots, snapshots_before
from quantlab.data.universe.survey import Survey
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.output.waits import shown_waits

_SHOWN = 30
_NAMED = 8


def run(cfg: DictConfig) -> float:
    """Take, keep and print a snapshot; the result is the number of members.

    Raises
    ------
    DataError
        If the exchange or the list of coins gives no whole answer; nothing is written then.
    ConfigError
        If there is a snapshot of today, and it is not to be replaced.
    """
    console, progress = stdout_console(), TerminalProgress()
    root = Path(str(cfg.job.root))
    require_writable("job.root", root)
    survey: Survey = build(cfg.job.survey)
    rules: UniverseRules = build(cfg.job.rules)
    with shown_waits(progress.console), progress.stage("asking the exchange and the list of coins", 1) as stage:
        snapshot = survey.take_snapshot(rules)
        stage.advance()
    earlier = snapshots_before(root, snapshot.name)
    path = snapshot.write(root, replace=bool(cfg.job.replace))
    console.print(_table(snapshot))
    lines = [*_reasons(snapshot), *(_changed(compare_snapshots(earlier[-1], snapshot), earlier[-1]) if earlier else ())]
    for line in (*lines, f"{len(snapshot.members)} members; {path} has every row and its reason"):
        console.print(line, highlight=False, soft_wrap=True)
    return float(len(snapshot.members))


def _table(snapshot: Snapshot) -> Table:
    title = f"{snapshot.exchange}, {iso_utc(snapshot.taken_ms)}"
    numbers = ("market cap,\nM USD", "volume a\nday, M USD", "spread,\nbps", "age,\ndays")
    table = terminal_table(
        "rank", "symbol", "coin", *numbers, whole=("symbol",), numbers=("rank", *numbers), title=title
    )
    for row in snapshot.rows[: min(_SHOWN, len(snapshot.members))]:
        coin = row.coin if row.multiple == 1 else f"{row.multiple:,} {row.coin}"
        money = (_number(row.market_cap_usd, 1e-6, ",.0f"), _number(row.volume_usd, 1e-6, ",.1f"))
        table.add_row(
            str(row.rank),
            row.symbol,
            coin,
            *money,
            _number(row.spread_bps, 1.0, ".2f"),
            _number(row.age_days, 1.0, ",.0f"),
        )
    return table


def _number(value: float | None, factor: float, form: str) -> str:
    return "-" if value is None else format(value * factor, form)


def _reasons(snapshot: Snapshot) -> list[str]:
    counts = Counter(row.reason for row in snapshot.rows if row.reason)
    return [f"left out: {count:>4} {reason}" for reason, count in counts.most_common()]


def _changed(found: Changes, before: Snapshot) -> list[str]:
    since = iso_utc(before.taken_ms)[:10]
    removed = [f"{symbol} ({reason})" for symbol, reason in found.removed.items()]
    return [f"added since {since}: {_listed(list(found.added))}", f"removed since {since}: {_listed(removed)}"]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more if names else "none"
