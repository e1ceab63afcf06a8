"""``job=paper`` and ``job=status`` as a user runs them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError, QuantlabError
from quantlab.core.trust import Trust
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.promotion.bundle import load_bundle
from quantlab.jobs.research import backtest
from quantlab.jobs.session import paper, readiness, status
from quantlab.jobs.session import session_strategy as paper_strategy
from quantlab.jobs.session.session_folder import session_folder

TREES = (
    "experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1",
    "~learning.members.nhits", "~learning.members.patchtst",
    "learning.members.xgboost.max_rounds=10", "learning.members.lightgbm.max_rounds=10",
)  # fmt: skip
SMALL = ("experiment=baseline", "data.days=8", "data.n_symbols=2", "data.late_listings=0", "cash=5000")
FROM_THE_FIRST = "execution.feed.start=2025-01-01"  # without a warm-up


def composed(job: str, folder: Path, *overrides: str):
    return compose(f"job={job}", *SMALL, f"runs_dir={folder}/runs", f"job.folder={folder}/paper", *overrides)


def test_a_session_goes_on_where_it_was_and_ends_as_the_backtest(tmp_path, capsys):
    """The whole path: configuration, warm-up on history, two starts, and the equity of job=backtest's account."""
    first = "2025-01-07T00:00:00"
    feed = f"execution.feed.start={first}"
    paper.run(composed("paper", tmp_path, feed, "job.bars=150", f"job.backup={tmp_path}/safe.db"))
    equity = paper.run(composed("paper", tmp_path, feed))
    output = capsys.readouterr().out
    assert "150 bars, stopped: bars" in output
    assert "the feed ended" in output
    view = read_session(tmp_path / "paper" / "journal.db", check=True)
    assert view.counters["event.bar"] == 2 * 288
    assert view.last_bar["account"]["equity"] == equity
    with SqliteJournal(tmp_path / "safe.db") as journal:
        assert len(list(journal.replay())) == 3

    cfg = compose(*SMALL)
    parts = backtest.setup(cfg)
    bars = parts.cut.load(parts.source)
    row = int(np.searchsorted(bars.open_time_ms, view.tables["equity"][0][0]))
    strategy = parts.make_strategy(signal=parts.signal)
    signals = parts.signal.signal(bars).rows(row, bars.n_bars)
    simulation = parts.engine.run(bars.rows(row, bars.n_bars), signals, strategy)
    assert [line[1] for line in view.tables["equity"]] == simulation.equity.tolist()
    assert len(simulation.orders) > 0


def test_a_replay_begins_after_the_warm_up_and_says_so(tmp_path, capsys):
    """Every replayed bar has a prediction; a second start goes on where the first one was, whatever the default is."""
    paper.run(composed("paper", tmp_path, "job.bars=3"))
    words = "replay from 2025-01-06T08:00:00Z, after the strategy's warm-up of 1,536 bars"
    assert capsys.readouterr().out.count(words) == 1
    paper.run(composed("paper", tmp_path, "job.bars=3"))
    assert "replay from" not in capsys.readouterr().out
    view = read_session(tmp_path / "paper" / "journal.db")
    assert [iso_utc(line[0]) for line in view.tables["equity"]][::5] == ["2025-01-06T08:00:00Z", "2025-01-06T08:25:00Z"]
    assert view.counters["signal.predictions"] == 6 * 2


def test_a_session_that_began_without_a_warm_up_goes_on_so(tmp_path):
    """As sessions did before a replay began after the warm-up: no bar is skipped."""
    paper.run(composed("paper", tmp_path, "job.bars=3", FROM_THE_FIRST))
    paper.run(composed("paper", tmp_path, "job.bars=2"))
    view = read_session(tmp_path / "paper" / "journal.db")
    assert np.diff([line[0] for line in view.tables["equity"]]).tolist() == [300_000] * 4


def test_a_history_of_no_more_than_the_warm_up_is_refused(tmp_path):
    with pytest.raises(HistoryError, match=r"warm-up, which is 1,536 bars; found 1,536 bars"):
        paper.run(composed("paper", tmp_path, "history.bars=1536"))


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ((), "baseline"),
        (("experiment_name=mine",), "mine"),
        (("bundle=models/bundles/NAME", "experiment=ensemble_v2"), "NAME"),
        (("bundle=models/bundles",), "bundles"),
        (("run=runs/OTHER/20250101_000000_ab",), "OTHER"),
    ],
)
@pytest.mark.parametrize("job", ["paper", "status", "readiness"])
def test_a_session_lies_in_a_folder_named_after_what_it_trades(tmp_path, job, named, folder):
    """The three jobs find it by the same words; job.folder goes before all of them."""
    cfg = compose(f"job={job}", f"runs_dir={tmp_path}/runs", *named)
    assert session_folder(cfg) == tmp_path / "runs" / "paper" / folder
    assert session_folder(compose(f"job={job}", "job.folder=here", *named)) == Path("here").resolve()


@pytest.mark.parametrize("job", [status, readiness])
def test_where_the_session_is_another_one_the_sessions_are_named(tmp_path, job):
    given = (f"job={job.__name__.split('.')[-1]}", f"runs_dir={tmp_path}", "bundle=models/bundles/NAME")
    with pytest.raises(ConfigError, match=r"paper/NAME/journal\.db; found no file, and no session\. Begin one"):
        job.run(compose(*given))
    for name in ("first", "second"):
        with SqliteJournal(tmp_path / "paper" / name / "journal.db"):
            pass
    with pytest.raises(ConfigError, match=r"are first, second\. Name .*job\.folder=.*/paper/first"):
        job.run(compose(*given))


def test_status_shows_a_session_beside_it(tmp_path, capsys):
    with pytest.raises(ConfigError, match="a session's journal"):
        status.run(composed("status", tmp_path))
    paper.run(composed("paper", tmp_path, "job.bars=20", FROM_THE_FIRST))
    capsys.readouterr()
    with SqliteJournal(tmp_path / "paper" / "journal.db"):
        assert status.run(composed("status", tmp_path, "job.verify=true")) == 5_000.0
        output = capsys.readouterr().out
        status.run(composed("status", tmp_path, "job.json=true"))
        facts = json.loads(capsys.readouterr().out)
    for word in ("equity", "halts", "last bar", "lag", "counter", "running"):
        assert word in output
    assert facts["running"] is True
    assert facts["ended"] == "bars"
    assert facts["counters"]["event.bar"] == 20
    assert facts["last_bar"]["account"]["equity"] == 5_000.0
    cfg = compose(*SMALL)
    terms = facts["terms"]
    assert (terms["limits"], terms["costs"]) == tuple(
        dataclasses.asdict(build(cfg.strategy)(signal=None))[name] for name in ("limits", "costs")
    )
    assert terms["stale_after_ms"] == cfg.execution.session.stale_after_ms
    assert terms["gates"]["monitoring_1h"] == list(cfg.execution.gates.stages.monitoring_1h.gates)
    assert set(terms) == {"limits", "costs", "stale_after_ms", "gates", "barriers", "learned"}


def test_a_learned_signal_needs_a_bundle_and_one_source_is_enough(tmp_path):
    with pytest.raises(ConfigError, match="job=promote"):
        paper.run(composed("paper", tmp_path, "experiment=ensemble_v2"))
    with pytest.raises(ConfigError, match="a bundle or a run; found both"):
        paper.run(composed("paper", tmp_path, "bundle=a", "run=b"))


def test_what_is_mistyped_is_refused_before_anything_is_journalled(tmp_path):
    """A wrong name is no failure of a model: the session's gates would remember that for good."""
    (tmp_path / "bundles" / "good").mkdir(parents=True)
    (tmp_path / "bundles" / "good" / "manifest.json").write_text("{}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text("{}")
    for given, message in (
        (f"bundle={tmp_path}/nowhere", "no folder"),
        (f"bundle={tmp_path}/run", "a finished run"),
        (f"bundle={tmp_path}/bundles", "none that is active"),
        ("job.bars=0", r"job\.bars"),
        ("job.stage=bogus", "one of monitoring_1h, paper_24h, production; found 'bogus'"),
    ):
        with pytest.raises(ConfigError, match=message):
            paper.run(composed("paper", tmp_path, given))
    assert not (tmp_path / "paper").exists()


@pytest.mark.parametrize(
    "wrong", ["trading.costs.slippage_bps=-1", "execution.session.bogus=1", "execution.broker.bogus=1"]
)
def test_what_is_refused_late_leaves_no_session(tmp_path, wrong):
    with pytest.raises(QuantlabError):
        paper.run(composed("paper", tmp_path, f"+{wrong}" if "bogus" in wrong else wrong))
    assert not (tmp_path / "paper").exists()


def test_a_bundle_that_cannot_be_loaded_is_a_journalled_fact(tmp_path):
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ArtifactError):
        paper.run(composed("paper", tmp_path, f"bundle={tmp_path}/bundle"))
    view = read_session(tmp_path / "paper" / "journal.db")
    assert view.counters == {"event.model_load_failure": 1}


def test_a_run_becomes_the_sessions_bundle_and_another_market_is_refused(tmp_path):
    cfg = compose("job=backtest", *SMALL, f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache")
    backtest.run(cfg)
    (run,) = [path for path in (tmp_path / "runs" / "baseline").iterdir() if path.is_dir()]
    given = (f"run={run}", f"registry_root={tmp_path}/models", "job.bars=30")
    paper.run(composed("paper", tmp_path, *given))
    assert (tmp_path / "paper" / "bundle").is_dir()
    paper.run(composed("paper", tmp_path, *given))
    assert read_session(tmp_path / "paper" / "journal.db").counters["event.bar"] == 60
    shutil.copytree(run, other := run.with_name("another_run"))
    with pytest.raises(ConfigError, match=f"run={run.name}, with which the session .* began; found another_run"):
        paper.run(composed("paper", tmp_path, f"run={other}", *given[1:]))
    chosen = paper_strategy.paper_strategy(composed("paper", tmp_path, *given), tmp_path / "paper")
    history = backtest.setup(cfg).source.history()
    chosen.require_market(history)
    for other in ({"interval_ms": 60_000, "open_time_ms": history.open_time_ms // 5}, {"symbols": ("SYN00", "NEW")}):
        with pytest.raises(ContractError, match="in the bundle"):
            chosen.require_market(dataclasses.replace(history, **other))
    with pytest.raises(ContractError, match=r"SYN00 at the costs .*taker_fee_bps 4\.5.*found .*taker_fee_bps 0"):
        paper.run(composed("paper", tmp_path, *given, "trading.instrument.taker_fee_bps=0"))
    paper.run(composed("paper", tmp_path, *given, "trading.instrument.min_notional=5", f"job.folder={tmp_path}/other"))


@pytest.mark.slow
def test_a_session_of_learned_members_watches_their_drift(tmp_path, capsys):
    """From a finished run to figures in status and gates: the training distribution travels in the bundle."""
    folders = (f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/.cache", f"registry_root={tmp_path}/models")
    cfg = compose("job=backtest", *TREES, *folders)
    backtest.run(cfg)
    (run,) = (tmp_path / "runs" / "ensemble_v2").iterdir()
    bars = backtest.setup(cfg).cut.load(backtest.setup(cfg).source)
    start = f"execution.feed.start={iso_utc(int(bars.open_time_ms[-700]))}"
    given = (*TREES[:2], *folders, f"job.folder={tmp_path}/whole", f"run={run}", "job.bars=1")
    paper.run(compose("job=paper", *given))
    warmup = load_bundle(tmp_path / "whole" / "bundle", Trust()).strategy.signal.warmup
    assert read_session(tmp_path / "whole" / "journal.db").last_bar["open_ms"] == bars.open_time_ms[warmup]
    assert "; its members were fitted on bars up to 2025-0" in capsys.readouterr().out
    watched = (
        "drift.block_bars=72",
        "drift.min_rows=500",
        "execution.drift.every=96",
        "execution.drift.alert_after=288",
    )
    given = (*TREES[:2], *folders, f"job.folder={tmp_path}/paper", f"run={run}", start, *watched)
    paper.run(compose("job=paper", *given, "job.bars=400"))
    paper.run(compose("job=paper", *given))
    view = read_session(tmp_path / "paper" / "journal.db", check=True)
    assert view.counters["event.drift"] == 700 // 96
    assert "event.drift_anew" not in view.counters
    assert len(view.drift["features"]) == 49
    assert view.drift["bars"] == 672  # the whole session at that look: less than 14 blocks
    assert "feature drift" in capsys.readouterr().out
    status.run(compose("job=status", *given))
    assert "drift over" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_that_is_asked_to_stop_ends_cleanly(tmp_path, number):
    command = [sys.executable, "-m", "quantlab", "job=paper", *SMALL, "execution.feed.pace=20000"]
    process = subprocess.Popen(
        [*command, f"job.folder={tmp_path}/paper"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    path = tmp_path / "paper" / "journal.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if path.is_file() and path.with_name("journal.db.head").is_file() and bars_so_far(path) >= 5:
            break
        time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"stopped: {number.name}" in out
    view = read_session(path, check=True)
    assert view.ended == number.name
    assert not view.running
    assert 5 <= view.counters["event.bar"] < 8 * 288


def bars_so_far(path: Path) -> int:
    try:
        return read_session(path).counters.get("event.bar", 0)
    except (ConfigError, ArtifactError):  # not born yet
        return 0
