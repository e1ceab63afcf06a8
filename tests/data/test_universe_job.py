"""``job=universe`` from the command line, and a backtest on the universe that it wrote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from binance_server import DAY_MS, EPOCH_MS, Fault, Listing, serving
from coin_server import FakeMarkets, coin

from quantlab.core.errors import ConfigError
from quantlab.core.market import BarState
from quantlab.data.universe.snapshot import read_snapshots
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.data import collect, universe

LISTINGS = {
    "BTCUSDT": Listing(1, volume=9e9),
    "ETHUSDT": Listing(2, volume=5e9),
    "SOLUSDT": Listing(3, volume=4e9),
    "USDCUSDT": Listing(4, volume=3e9),
}
COINS = [coin(symbol, rank) for rank, symbol in enumerate(("BTC", "ETH", "USDT", "SOL", "WBTC", "USDC", "STETH"))]


@pytest.fixture
def server() -> Iterator[FakeMarkets]:
    with ExitStack() as stack:
        market = FakeMarkets(dict(LISTINGS), EPOCH_MS + 8 * DAY_MS, bars=17 * 288, coins=COINS)
        yield stack.enter_context(serving(market))


def quantlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quantlab", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


def settings(server: FakeMarkets) -> str:
    return f"settings={{urls:{{api:{{fapiPublic:'{server.url}/fapi/v1'}}}},rateLimit:1}}"


def asking(server: FakeMarkets, *more: str) -> list[str]:
    return [
        "job=universe",
        f"+job.survey.{settings(server)}",
        f"job.survey.coins.url={server.url}/api/v3",
        "job.survey.coins.seconds_between=0",
        "job.survey.retry.attempts=2",
        "job.survey.retry.first_seconds=0",
        "job.rules.least_age_days=3",
        *more,
    ]


def two_snapshots_and_the_bars_of_their_members(server: FakeMarkets) -> None:
    """In the folder that one stands in: three members on the ninth day, two from the thirteenth on."""
    universe.run(compose(*asking(server)))
    server.now_ms = EPOCH_MS + 12 * DAY_MS
    server.listings["ETHUSDT"] = replace(LISTINGS["ETHUSDT"], status="SETTLING")
    universe.run(compose(*asking(server)))
    server.now_ms = EPOCH_MS + 16 * DAY_MS  # it still prints, but who belongs was decided
    source = ["job.source.days=16", "job.source.choice.universe=universe", f"+job.source.{settings(server)}"]
    collect.run(compose("job=collect", "job.root=market", *source))


def test_snapshots_from_day_to_day(
    server: FakeMarkets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert universe.run(compose(*asking(server))) == 3.0
    output = capsys.readouterr().out
    assert "left out:    2 stablecoin" in output
    assert "left out:    2 wrapped or staked coin" in output
    assert "3 members; universe/2025-05-09.json" in output
    assert "added since" not in output
    with pytest.raises(ConfigError, match="no snapshot of 2025-05-09 in universe"):
        universe.run(compose(*asking(server)))

    server.now_ms = EPOCH_MS + 12 * DAY_MS
    server.listings["ETHUSDT"] = replace(LISTINGS["ETHUSDT"], status="SETTLING")
    server.listings["XRPUSDT"] = Listing(5, volume=1e9)
    assert universe.run(compose(*asking(server))) == 3.0
    output = capsys.readouterr().out
    assert "added since 2025-05-09: XRPUSDT" in output
    assert "removed since 2025-05-09: ETHUSDT (not active)" in output


def test_whoever_was_a_member_is_collected_and_traded_only_while_it_was_one(
    server: FakeMarkets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two_snapshots_and_the_bars_of_their_members(server)
    bars = build(compose("data=universe", "data.source.root=market").data).history()
    assert bars.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    day = (bars.open_time_ms - EPOCH_MS) // DAY_MS
    assert not bars.tradable[day < 8].any()
    assert bars.tradable[(day >= 8) & (day < 12)].all()
    assert (bars.state[day >= 12, 1] == BarState.OUTSIDE).all()
    assert bars.tradable[day >= 12][:, [0, 2]].all()


def test_members_that_cannot_be_collected_are_said(
    server: FakeMarkets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    universe.run(compose(*asking(server)))
    source = ["job=collect", "job.root=market", "job.source.days=1", "job.source.choice.universe=universe"]
    del server.listings["ETHUSDT"]
    capsys.readouterr()
    collect.run(compose(*source, f"+job.source.{settings(server)}"))
    assert (
        "note: 1 members of the universe are no longer listed: ETHUSDT; their bars can only" in capsys.readouterr().out
    )
    for symbol in ("BTCUSDT", "SOLUSDT"):
        del server.listings[symbol]
    with pytest.raises(ConfigError, match="among the members in universe; found members like BTCUSDT, ETHUSDT, SOL"):
        collect.run(compose(*source, "job.root=other", f"+job.source.{settings(server)}"))
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_report_says_how_its_symbols_were_chosen(
    server: FakeMarkets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two_snapshots_and_the_bars_of_their_members(server)
    ran = quantlab(tmp_path, "experiment=baseline", "data=universe", "data.source.root=market")
    assert ran.returncode == 0, ran.stderr
    page = next(tmp_path.glob("runs/baseline/*/report.html")).read_text()
    assert "The universe is point in time: 2 snapshots from 2025-05-09" in page
    plain = quantlab(tmp_path, "experiment=baseline", "data=collected", "data.root=market", "experiment_name=plain")
    assert plain.returncode == 0, plain.stderr
    assert "(survivorship)" in next(tmp_path.glob("runs/plain/*/report.html")).read_text()


def test_a_survey_that_fails_writes_nothing(server: FakeMarkets, tmp_path: Path) -> None:
    server.faults.extend([Fault("status", "coins/markets", 503)] * 2)
    done = quantlab(tmp_path, *asking(server))
    assert done.returncode == 2
    assert "within 2 attempts; found HTTP status 503" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "universe").exists()


def test_a_snapshot_of_today_takes_the_place_of_an_earlier_one(
    server: FakeMarkets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    universe.run(compose(*asking(server)))
    server.now_ms += 3_600_000
    universe.run(compose(*asking(server, "job.replace=true", "job.rules.largest=1")))
    (kept,) = read_snapshots(tmp_path / "universe")
    assert (kept.taken_ms, kept.members) == (server.now_ms, ("BTCUSDT",))
