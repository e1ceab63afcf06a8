"""A long paper session with four members in the loop: how fast it decides, and whether its memory stays flat.

``python tests/bench/long_replay.py [--root FOLDER] [--bars N]``

Bars come from a folder of parquet files, or from a random walk of 100 symbols. Prints one JSON object: seconds
from a bar's arrival to its decision (p50, p99) with and without the journal's commit, processor time of the same,
and the resident memory along the way. `growth` compares the medians of the first and the last tenth of the
session's second half with its middle: what is allocated once is not growth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from decision import _source
from measure import market

from quantlab.core.events import Event, RawBar
from quantlab.core.fakes import MemoryAlerts
from quantlab.core.market import Bars
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.jobs.config.composition import build, compose

SYMBOLS = 100
#: Enough that every feature and window is ready before the first bar that counts.
WARM_BARS = 1_700
#: Bars between two looks at the memory.
LOOK_EVERY = 100


class TimedFeed(ReplayFeed):
    """A replay that notes how long the session took over each bar, and its memory now and then."""

    def __init__(self, bars: Bars) -> None:
        super().__init__(bars, start=None, pace=None)
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.memory: list[int] = []
        self._process = psutil.Process()

    def bars(self, after_ms: int | None) -> Iterator[RawBar | None]:
        """The rows, timed from their arrival to the next question."""
        for raw in super().bars(after_ms):
            if len(self.wall) % LOOK_EVERY == 0:
                self.memory.append(self._process.memory_info().rss)
            wall, cpu = time.perf_counter(), time.process_time()
            yield raw
            self.wall.append(time.perf_counter() - wall)
            self.cpu.append(time.process_time() - cpu)


class TimedJournal(SqliteJournal):
    """A journal that notes how long its commits took."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.wall: list[float] = []

    def append(self, events: Sequence[Event]) -> None:
        """Commit, timed where it is a bar's."""
        before = time.perf_counter()
        super().append(events)
        if events[0].kind == "bar":
            self.wall.append(time.perf_counter() - before)


def bars_of(root: str | None, n_bars: int | None) -> Bars:
    """The market: warm-up and the bars that are measured."""
    if root is None:
        return market(WARM_BARS + (n_bars or 2_000), SYMBOLS)
    cfg = compose("data=parquet", f"data.root={root}")
    history: Bars = build(cfg.data).history()
    return history if n_bars is None else history.rows(0, WARM_BARS + n_bars)


def replayed(bars: Bars, folder: Path) -> tuple[TimedFeed, TimedJournal]:
    """One session from its warm-up to its end."""
    strategy = build(compose("trading/sizer=confidence_fraction", "trading.limits.breaker=off").strategy)
    feed = TimedFeed(bars)
    with TimedJournal(folder / "journal.db") as journal:
        session = Session(
            strategy(signal=_source()),
            Market.of(bars),
            feed=feed,
            journal=journal,
            make_broker=PaperBroker,
            alerts=MemoryAlerts(),
            rules=SessionRules(
                snapshot_every=288,
                stale_after_ms=None,
                largest_funding_rate=0.05,
                repeat_alert_ms=86_400_000,
                clock_every_ms=3_600_000,
                clock_limit_ms=1_500.0,
            ),
            initial_cash=10_000.0,
            history=bars.rows(0, WARM_BARS),
        )
        session.start()
        session.run()
        session.finish("the feed ended")
    return feed, journal


def milliseconds(seconds: Any) -> dict[str, float]:
    """p50, p99 and the largest."""
    p50, p99, most = np.percentile(np.array(seconds) * 1e3, [50, 99, 100])
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2), "max_ms": round(float(most), 2)}


def summary(bars: Bars, feed: TimedFeed, journal: TimedJournal) -> dict[str, Any]:
    """What was measured."""
    taken = len(feed.wall)
    memory = np.array(feed.memory, dtype=np.float64)
    half = memory[len(memory) // 2 :]
    tenth = max(1, len(memory) // 10)
    start = float(np.median(memory[tenth : 2 * tenth])) if len(memory) >= 20 else float(memory[0])
    return {
        "bars": taken,
        "symbols": bars.n_symbols,
        "market_days": round(taken * bars.interval_ms / 86_400_000, 2),
        "minutes": round(sum(feed.wall) / 60, 2),
        "bar": milliseconds(feed.wall),
        "commit": milliseconds(journal.wall),
        "decision": milliseconds(np.array(feed.wall) - np.array(journal.wall)),
        "decision_and_commit_cpu": milliseconds(feed.cpu),
        "rss_mib": [round(x / 2**20, 1) for x in memory[:: max(1, len(memory) // 20)]],
        "rss_growth": round(float(np.median(memory[-tenth:])) / start - 1.0, 4),
        "rss_growth_second_half": round(float(np.median(half[-tenth:])) / float(np.median(half[:tenth])) - 1.0, 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=None)
    parser.add_argument("--bars", type=int, default=None)
    asked = parser.parse_args()
    bars = bars_of(asked.root, asked.bars)
    with tempfile.TemporaryDirectory() as name:
        feed, journal = replayed(bars, Path(name))
        sys.stdout.write(json.dumps(summary(bars, feed, journal), indent=2) + "\n")


if __name__ == "__main__":
    main()
