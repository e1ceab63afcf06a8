"""``job=live`` on a simulated exchange in lockstep: begun, stopped, begun again, and everything that it refuses."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError
from quantlab.execution.journal.reader import read_kinds, read_session
from quantlab.execution.live.venue_facts import Fill
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.session import live, paper, status
from quantlab.simulator.engine.rules import VenueRules
from quantlab.simulator.server.opening import ACCOUNT, RunningExchange, Settings, running_exchange
from quantlab.simulator.wire.limits import LimitRules

STRATEGY = (
    "experiment=baseline", "trading/policy=ensemble_threshold", "data.days=7", "data.n_symbols=3", "data.late_listings=0",
    "trading.signal.fast=12", "trading.signal.slow=48", "exits.stop_atr=2", "exits.take_profit_atr=2", "exits.horizon=24",
    "trading.instrument.lot=0.001",
)  # fmt: skip
WIDE = 10**9
BUDGET = [f"execution.venue.adapter.budget.{name}={WIDE}" for name in ("weight_1m", "orders_10s", "orders_1m")]
ROW, BARS = 1_600, 45  # they end between two fundings


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper session that has passed paper_24h with the configured gates."""
    folder = tmp_path_factory.mktemp("evidence") / "paper"
    paper.run(compose("job=paper", *STRATEGY, f"job.folder={folder}", "job.bars=300"))
    return folder


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningExchange]:
    monkeypatch.setenv("QUANTLAB_SIMULATED_KEY", "demo-key")
    monkeypatch.setenv("QUANTLAB_SIMULATED_SECRET", "demo-secret")
    with opened("lockstep") as running:
        yield running


def opened(mode: str) -> Any:
    cfg = compose("job=exchange", *STRATEGY)
    bars = history_cut(cfg).load(build(cfg.data))
    limits = LimitRules(weight_1m=WIDE, orders_10s=WIDE, orders_1m=WIDE)
    return running_exchange(
        bars, build(cfg.trading.costs), Settings(VenueRules(mode), history_bars=ROW, cash=cfg.cash, limits=limits)
    )


def composed(folder: Path, url: str, evidence: Path | None, *overrides: str) -> Any:
    address = [
        f"execution.venue.adapter.rest={url}",
        f"execution.venue.adapter.stream_base={url.replace('http', 'ws')}",
    ]
    named = [] if evidence is None else [f"job.evidence={evidence}"]
    choices = ("execution/venue=simulated", "execution/feed=lockstep", f"job.folder={folder}")
    return compose("job=live", *STRATEGY, *choices, *BUDGET, *address, *named, *overrides)


def trades_of(running: RunningExchange) -> list[tuple[str, int, int, int, Decimal]]:
    """What the exchange itself has written down: symbol, side, lots, ticks, fee."""
    rows = [entry.to_dict() for entry in running.exchange.venue.ledger if entry.kind == "trade"]
    return [
        (
            row["symbol"].removesuffix("USDT"),
            {"BUY": 1, "SELL": -1}[row["side"]],
            row["lots"],
            row["price_ticks"],
            Decimal(row["fee"]),
        )
        for row in rows
    ]


def test_a_session_trades_stops_and_goes_on(
    exchange: RunningExchange, evidence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exchange's own ledger is the judge: trades, positions, the stops that rest; a paper session of the same bars says the equity."""
    folder = tmp_path / "live"
    for _ in range(2):
        live.run(composed(folder, exchange.url, evidence, f"job.bars={BARS}"))
        words = capsys.readouterr().out
        assert words.count("orders under way") == BARS
        assert f"{BARS} bars, stopped: bars" in words
    venue = exchange.exchange.venue
    assert venue.row == ROW + 2 * BARS
    fills = [Fill.of(event) for event in read_kinds(folder / "journal.db", [Fill.KIND])]
    assert sorted((f.symbol, f.side, f.lots, f.price_ticks, f.fee) for f in fills) == sorted(trades_of(exchange))
    assert len(fills) > 50
    assert {"SIGNAL", "STOP", "TAKE_PROFIT"} <= {fill.reason for fill in fills}
    view = read_session(folder / "journal.db", check=True)
    assert view.counters["event.bar"] == 2 * BARS
    account = venue.state.accounts[ACCOUNT]
    held = {f"{row[0]}USDT" for row in view.tables["positions"]}
    assert held == set(account.open_algos.values()) != set()  # a stop rests for each position, and for nothing else

    replay = tmp_path / "paper"
    first = iso_utc(view.tables["equity"][0][0])
    paper.run(
        compose(
            "job=paper",
            *STRATEGY,
            f"job.folder={replay}",
            f"execution.feed.start={first}",
            f"job.bars={2 * BARS}",
            "job.stage=null",
        )
    )
    simulated = read_session(replay / "journal.db").tables
    np.testing.assert_allclose(
        [row[1] for row in view.tables["equity"]], [row[1] for row in simulated["equity"]], rtol=1e-9, atol=0.0
    )
    capsys.readouterr()

    status.run(compose("job=status", *STRATEGY, f"job.folder={folder}"))
    shown = capsys.readouterr().out
    assert "the fate of 0 is unknown" in shown
    assert "NAKED" not in shown
    assert "demo-secret" not in (folder / "log.jsonl").read_text() + json.dumps(
        [event.facts for event in read_kinds(folder / "journal.db", ["venue"])]
    )


def test_what_it_refuses(
    exchange: RunningExchange, evidence: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in one sentence, and nothing is left behind."""
    folder = tmp_path / "live"

    def refused(says: str, *overrides: str, url: str = exchange.url, proof: Path | None = evidence) -> None:
        with pytest.raises(ConfigError, match=says):
            live.run(composed(folder, url, proof, *overrides))
        assert not folder.exists()

    refused("job.evidence as the folder of a paper session.*found none", proof=None)
    refused("no journal.db in", proof=tmp_path)
    refused("a session of this strategy.*one of another", "exits.horizon=23")
    refused("the stage paper_24h passed.*held up by.*stop_hits UNKNOWN", "execution.gates.limits.min_exits=100000")
    refused("execution/feed=live, or execution/feed=lockstep", "execution/feed=replay")
    refused("an answer of a simulated exchange at http://127.0.0.1:9.*found none", url="http://127.0.0.1:9")
    refused("SYN03 at the exchange", "data.n_symbols=4")
    refused("capital.*10000", "execution.broker.capital=10001")
    with opened("wall") as wall:
        refused("in lockstep; found mode wall", url=wall.url)
    monkeypatch.delenv("QUANTLAB_SIMULATED_SECRET")
    refused("the variable QUANTLAB_SIMULATED_SECRET; found none")
    monkeypatch.setenv("QUANTLAB_SIMULATED_SECRET", "demo-secret")
    human = json.dumps({"kind": "human", "symbol": "SYN00USDT", "side": "BUY", "quantity": "0.1"}).encode()
    urllib.request.urlopen(f"{exchange.url}/_sim/market", data=human, timeout=10).close()  # noqa: S310
    refused("the positions that the journal knows.*SYN00 100 lots in place of 0")
    with pytest.raises(ConfigError, match="execution/venue=binanceusdm or execution/venue=simulated; found none"):
        live.run(compose("job=live", *STRATEGY, f"job.folder={folder}", f"job.evidence={evidence}"))


def test_an_exchange_that_was_started_anew_is_refused(
    exchange: RunningExchange, evidence: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "live"
    live.run(composed(folder, exchange.url, evidence, "job.bars=2"))
    with opened("lockstep") as another, pytest.raises(ConfigError, match=r"positions|started anew"):
        live.run(composed(folder, another.url, evidence, "job.bars=2"))


def test_what_happened_while_it_was_away_is_booked(exchange: RunningExchange, evidence: Path, tmp_path: Path) -> None:
    """Stops fire and bars end without the session; it takes both, enters on nothing old, and goes on."""
    folder, venue = tmp_path / "live", exchange.exchange.venue
    live.run(composed(folder, exchange.url, evidence, "job.bars=20"))
    before = len(trades_of(exchange))
    for _ in range(6):
        venue.advance(venue.close_ms)
    assert len(trades_of(exchange)) > before  # protection worked alone
    live.run(composed(folder, exchange.url, evidence, "job.bars=25"))
    assert venue.row == ROW + 45
    fills = [Fill.of(event) for event in read_kinds(folder / "journal.db", [Fill.KIND])]
    assert sorted((f.symbol, f.side, f.lots, f.price_ticks, f.fee) for f in fills) == sorted(trades_of(exchange))
    halts = [event.facts["bar"]["halts"] for event in read_kinds(folder / "journal.db", ["bar"])]
    assert [("feed" in one) for one in halts] == [False] * 20 + [True] * 5 + [False] * 20
