"""Kill a paper session without warning, again and again, until it has lived through its market.

``python tests/execution/torture.py --kills 200 --seed 1``

One process imports and compiles everything once; every life is a fork of it that opens the journal,
recovers, trades, and is killed with SIGKILL at a random moment: in the recovery, in a bar, inside a
commit. At ``--switches`` places another release takes over, in turn the second and the first. What is left is then held, number for number, against the backtest of the same bars. ``--models``
puts a small ensemble with its own features into the loop, whose drift is watched. Prints one JSON object; exit
code 1 if a number differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from quantlab.backtest.scan import Scan
from quantlab.core.fakes import MemoryAlerts
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.checkpoint import checkpoint_path, read_checkpoint
from quantlab.execution.journal.connection import read_entries
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.drift_watch import DriftWatchRules
from quantlab.execution.session.engine import Market
from quantlab.execution.session.handover import Release, release_of
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.features.drift import Drift
from quantlab.jobs.parity.recorded_signal import concatenate_signals

CASH = 10_000.0


def beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"torture_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclasses.dataclass(frozen=True)
class World:
    """What is traded, by what, and the session's start."""

    bars: Any
    strategy: Any
    signal: Any
    first: int
    drift: Any = None
    switches: tuple[tuple[int, Any], ...] = ()  # row from which another strategy decides
    make_releases: Any = None

    def running(self, journal: SqliteJournal) -> tuple[Any, Any]:
        """The strategy that the journal ends with, and what says which is next."""
        if not self.switches:
            return self.strategy, None
        name = release_of(journal) or "0"
        moves = {int(self.bars.open_time_ms[row - 1]): _release(row, chosen) for row, chosen in self.switches}
        named = {"0": self.strategy, **{str(row): chosen for row, chosen in self.switches}}
        return named[name], self.make_releases(journal, name, {-1: None, **moves})

    def session(self, journal: SqliteJournal) -> Session:
        strategy, releases = self.running(journal)
        rows = ReplayFeed(self.bars, start=None, pace=None)
        rows = rows if self.first == 0 else _from(self.bars, self.first)
        return Session(
            strategy,
            Market.of(self.bars),
            feed=rows,
            journal=journal,
            make_broker=PaperBroker,
            alerts=MemoryAlerts(),
            rules=SessionRules(
                snapshot_every=40,
                stale_after_ms=None,
                largest_funding_rate=0.05,
                repeat_alert_ms=86_400_000,
                clock_every_ms=3_600_000,
                clock_limit_ms=1_500.0,
            ),
            initial_cash=CASH,
            history=self.bars.rows(0, self.first) if self.first else None,
            drift=None if self.drift is None else self.drift(),
            releases=releases,
        )

    def scanned(self) -> Any:
        rows = slice(self.first, self.bars.n_bars)
        return Scan(CASH).run(
            self.bars.rows(rows.start, rows.stop), self.signal.rows(rows.start, rows.stop), self.strategy
        )


def _release(row: int, strategy: Any) -> Release:
    return Release(str(row), strategy, {}, "torture")


def _from(bars: Any, first: int) -> ReplayFeed:
    feed = ReplayFeed(bars, start=None, pace=None)
    feed._first = first
    return feed


def plain_world(seed: int, n_bars: int, switches: int) -> World:
    """Random signals with stops and take-profits on a market with holes; a breaker would soon end the trading."""
    kit = beside("conftest")
    bars = kit.make_market(seed, n_bars, 3)
    played = [kit.make_wild_signal(bars, seed), kit.make_wild_signal(bars, seed + 1)]
    strategies = [kit.make_strategy(kit.FixedSignal(signal), breaker=None) for signal in played]
    rows = [n_bars * k // (switches + 1) for k in range(1, switches + 1)]
    parts = zip([0, *rows], [*rows, n_bars], strict=True)
    heard = concatenate_signals([played[k % 2].rows(first, last) for k, (first, last) in enumerate(parts)])
    moves = tuple((row, strategies[(k + 1) % 2]) for k, row in enumerate(rows))
    return World(bars, strategies[0], heard, 0, switches=moves, make_releases=kit.MovingReleases)


def model_world(seed: int, n_bars: int, _switches: int) -> World:
    """The 49 features, two members and their vote; drift is watched, and crosses its thresholds."""
    kit, models = beside("conftest"), beside("small_ensemble")
    bars = kit.make_market(seed, 1_700 + n_bars, 3, resets=False)
    source = models.small_ensemble(bars)
    rules = Drift(50, 10, 10_000, 20, 4, 100, 0.1, 0.25, 0.1, 0.2)
    history = source.features.transform(bars)
    reference = rules.reference(history, history.ready)
    return World(
        bars,
        kit.make_strategy(source),
        source.signal(bars),
        1_700,
        lambda: DriftWatchRules(rules, 25, 25).watch(reference),
    )


def live(random_market: World, path: Path) -> None:
    """One life, to its natural end."""
    with SqliteJournal(path) as journal:
        session = random_market.session(journal)
        session.start()
        session.run()


def fork(random_market: World, path: Path) -> int:
    """Start a life; returns its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            live(random_market, path)
            code = 0
        finally:
            os._exit(code)
    return child


def resumptions(path: Path) -> list[int]:
    """Bars in the journal at each restart: where the kills fell."""
    with SqliteJournal(path) as journal:
        found, bars = [], 0
        for event in journal.replay():
            bars += event.kind == "bar"
            if event.kind == "resumed":
                found.append(bars)
    return found


def switches(path: Path) -> int:
    """How often another release took over."""
    with SqliteJournal(path) as journal:
        return sum(event.kind == "switched" for event in journal.replay())


def await_moment(rng: random.Random, path: Path, kills: int, n_bars: int) -> None:
    """A random moment: one time in four while starting, else some bars later, anywhere between two of them."""
    if rng.random() < 0.25 or not checkpoint_path(path).is_file():
        time.sleep(rng.uniform(0.0, 0.1))
        return
    wanted = read_checkpoint(checkpoint_path(path))[0] + rng.randint(1, max(2, 2 * n_bars // kills))
    deadline = time.monotonic() + 5.0
    while read_checkpoint(checkpoint_path(path))[0] < wanted and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(rng.uniform(0.0, 0.003))


def torture(random_market: World, path: Path, kills: int, seed: int) -> dict[str, Any]:
    """Kill `kills` times, then let it live to the end; returns what was seen."""
    rng, took = random.Random(seed), time.monotonic()  # noqa: S311 - no secret
    killed, lives, ended = 0, 0, False
    while not ended or killed < kills:
        if ended:  # outlived the killer: begin another session beside it
            path, ended = path.with_name(f"{path.stem}_{lives}.db"), False
        child = fork(random_market, path)
        lives += 1
        if killed < kills:
            await_moment(rng, path, kills, random_market.bars.n_bars - random_market.first)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
        else:
            assert os.WEXITSTATUS(status) == 0, f"life {lives} failed"
            ended = True
    return {"kills": killed, "lives": lives, "journal": path.name, "seconds": round(time.monotonic() - took, 1)}


def ledger(path: Path) -> tuple[dict[str, Any], str]:
    """The tables that a restart must not change, and a digest of every journalled bar and look at drift."""
    with SqliteJournal(path) as journal:
        found = read_tables(journal._database)
        bars = [(e.facts, e.digest) for e in read_entries(journal._database) if e.kind == "bar"]
        looks = [e.facts for e in read_entries(journal._database) if e.kind in ("drift", "drift_alert")]
    found["counters"] = [row for row in found["counters"] if not row[0].startswith("event.")]
    lagless = [(json.loads(facts)["bar"], digest.hex()) for facts, digest in bars]
    return found, hashlib.sha256(json.dumps([lagless, looks]).encode()).hexdigest()


def differences(random_market: World, folder: Path, tortured: list[Path]) -> list[str]:
    """What is not as in the uninterrupted session, and what of that is not the backtest's."""
    whole = folder / "whole.db"
    live(random_market, whole)
    wanted, wanted_bars = ledger(whole)
    wrong = []
    for path in tortured:
        found, found_bars = ledger(path)
        wrong += [f"{path.name}: {table}" for table in wanted if found[table] != wanted[table]]
        wrong += [f"{path.name}: bars"] if found_bars != wanted_bars else []
    scanned = random_market.scanned()
    if [row[1] for row in wanted["equity"]] != scanned.equity.tolist():
        wrong.append("whole.db: equity is not the backtest's")
    if [row[5] for row in wanted["fills"]] != scanned.orders["price"].tolist():
        wrong.append("whole.db: fills are not the backtest's")
    return wrong


def main() -> int:
    """Run, print, and say by the exit code whether everything was equal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--bars", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--switches", type=int, default=4)
    asked = parser.parse_args()
    random_market = (model_world if asked.models else plain_world)(asked.seed, asked.bars, asked.switches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live(random_market, folder / "warm.db")  # everything is compiled before the first fork
        seen = torture(random_market, folder / "tortured.db", asked.kills, asked.seed)
        wrong = differences(random_market, folder, sorted(folder.glob("tortured*.db")))
        fills = len(ledger(folder / "whole.db")[0]["fills"])
        places = sorted({bars for path in folder.glob("tortured*.db") for bars in resumptions(path)})
        switched = {switches(path) for path in (folder / "whole.db", *folder.glob("tortured*.db"))}
        wrong += [] if switched == {len(random_market.switches)} else [f"switches: {sorted(switched)}"]
    sys.stdout.write(
        json.dumps(
            {
                **seen,
                "bars": asked.bars,
                "fills": fills,
                "switches": len(random_market.switches),
                "places": len(places),
                "different": wrong,
            }
        )
        + "\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
