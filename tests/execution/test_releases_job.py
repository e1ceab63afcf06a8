"""A running ``job=paper`` and ``job=promote`` beside it: what was made active takes over between two bars."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.clock import FakeClock
from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.trust import Trust
from quantlab.core.types import Signal
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.bar_record import signal_facts
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.promotion import promote
from quantlab.jobs.promotion.active_bundle import POINTER, last_activation, make_active, read_activations
from quantlab.jobs.promotion.bundle import load_bundle
from quantlab.jobs.research import backtest
from quantlab.jobs.session import paper, readiness

SMALL = (
    "experiment=baseline", "data.days=8", "data.n_symbols=2", "data.late_listings=0", "evaluation/stress@stress=none",
    "execution.feed.start=2025-01-06T00:00:00",
)  # fmt: skip
CLOCK = FakeClock(1_742_126_400_000)


def at(folder: Path) -> tuple[str, ...]:
    return (f"runs_dir={folder / 'runs'}", f"cache_dir={folder / '.cache'}", f"registry_root={folder / 'models'}")


def promoted(folder: Path, name: str, *given: str) -> Path:
    """A run that was just made, as a bundle."""
    before = set(folder.glob("runs/*/*"))
    backtest.run(compose("job=backtest", *given, *at(folder)))
    (run,) = set(folder.glob("runs/*/*")) - before
    promote.run(compose("job=promote", f"run={run}", f"job.name={name}", *at(folder)))
    return folder / "models" / "bundles" / name


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles of the same market, neither of them active."""
    folder = tmp_path_factory.mktemp("shop")
    promoted(folder, "whole", *SMALL)
    promoted(folder, "half", *SMALL, "trading.limits.rollout=0.5")
    return folder


@pytest.fixture
def bundles(shop: Path) -> Path:
    """The folder of bundles, with its pointer on the first."""
    root = shop / "models" / "bundles"
    (root / POINTER).unlink(missing_ok=True)
    make_active(root / "whole", CLOCK, "first")
    return root


def activate(shop: Path, name: str, reason: str = "by hand") -> None:
    folder = shop / "models" / "bundles" / name
    promote.run(compose("job=promote", f"bundle={folder}", f"job.reason='{reason}'", *SMALL, *at(shop)))


def session(shop: Path, folder: Path, *given: str, bundle: str = "") -> None:
    named = f"bundle={shop / 'models' / 'bundles' / bundle}"
    paper.run(compose("job=paper", *SMALL, *at(shop), f"job.folder={folder}", named, *given))


def events(folder: Path) -> list:
    with SqliteJournal(folder / "journal.db") as journal:
        return list(journal.replay())


def opens(folder: Path) -> list[int]:
    return [event.facts["bar"]["open_ms"] for event in events(folder) if event.kind == "bar"]


def test_a_promotion_and_a_rollback_reach_the_session(shop, bundles, tmp_path, capsys):
    session(shop, tmp_path, "job.bars=20")
    activate(shop, "half", "it asks for less")
    session(shop, tmp_path, "job.bars=20")
    activate(shop, "whole", "rollback")
    session(shop, tmp_path, "job.bars=20")
    found = events(tmp_path)
    began = next(event.facts for event in found if event.kind == "began")
    switched = [event.facts for event in found if event.kind == "switched"]
    steps = [event.facts for event in found if event.kind == "rollout"]
    assert began["release"] == "whole"
    assert [(one["before"]["release"], one["release"], one["reason"]) for one in switched] == [
        ("whole", "half", "it asks for less"),
        ("half", "whole", "rollback"),
    ]
    assert [(step["before"], step["fraction"], step["venue"]) for step in steps] == [
        (None, 1.0, "paper"),
        (1.0, 0.5, "paper"),
        (0.5, 1.0, "paper"),
    ]
    terms = [event.facts for event in found if event.kind == "terms"]
    assert [one["limits"]["rollout"] for one in terms] == [1.0, 1.0, 0.5, 0.5, 1.0]
    assert all(set(one) == set(terms[0]) >= {"limits", "costs", "stale_after_ms", "gates"} for one in terms)
    assert switched[0]["identity"]["strategy"] == load_bundle(bundles / "half", Trust()).strategy.fingerprint
    assert np.diff(opens(tmp_path)).tolist() == [300_000] * 59  # no bar is lost
    assert switched[0]["after_ms"] == opens(tmp_path)[19]
    assert read_session(tmp_path / "journal.db", check=True).release == "whole"
    assert [move.bundle for move in read_activations(bundles)] == ["whole", "half", "whole"]
    capsys.readouterr()
    readiness.run(compose("job=readiness", *SMALL, f"job.folder={tmp_path}"))
    production = json.loads((tmp_path / "readiness.json").read_text())["production"]
    (fact,) = (result for result in production["results"] if result["gate"] == "rollout")
    assert fact["evidence"].startswith("100% -> 50% -> 100% of every target")


def test_a_killed_session_goes_on_with_what_the_journal_names_wherever_the_pointer_is(shop, bundles, tmp_path):
    """The real process: promoted while it runs, killed behind the switch, and the pointer moved while it is dead."""
    command = [sys.executable, "-m", "quantlab", "job=paper", *SMALL, *at(shop), f"bundle={bundles}"]
    process = subprocess.Popen(
        [*command, f"job.folder={tmp_path}/s", "execution.feed.pace=30000"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    journal = tmp_path / "s" / "journal.db"
    await_count(process, journal, "event.bar", 5)
    make_active(bundles / "half", CLOCK, "while it runs")
    await_count(process, journal, "event.switched", 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = len(opens(tmp_path / "s"))
    make_active(bundles / "whole", CLOCK, "while it is dead")
    session(shop, tmp_path / "s", "job.bars=10")
    switched = [event.facts for event in events(tmp_path / "s") if event.kind == "switched"]
    assert [one["release"] for one in switched] == ["half", "whole"]
    found = opens(tmp_path / "s")
    assert len(found) == before + 10
    assert np.diff(found).tolist() == [300_000] * (len(found) - 1)
    assert switched[1]["after_ms"] == found[before - 1]
    read_session(journal, check=True)


def await_count(process: subprocess.Popen, journal: Path, name: str, least: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if read_session(journal).counters.get(name, 0) >= least:
                return
        except (ConfigError, ArtifactError):  # not born yet
            pass
        time.sleep(0.2)
    process.kill()
    pytest.fail(f"{name} did not come: {process.communicate()[1]}")


def test_what_cannot_be_trusted_is_refused_and_the_old_bundle_goes_on(shop, bundles, tmp_path):
    session(shop, tmp_path / "s", "job.bars=20")
    config = bundles / "half" / "config.json"
    whole = config.read_bytes()
    make_active(bundles / "half", CLOCK, "about to be damaged")
    config.write_bytes(whole.replace(b"0.5", b"0.6", 1))
    try:
        session(shop, tmp_path / "s", "job.bars=20")
        with pytest.raises(ArtifactError):
            activate(shop, "half")
    finally:
        config.write_bytes(whole)
    make_active(bundles / "half", CLOCK, "restored")
    pointer = bundles / POINTER
    pointer.write_bytes(pointer.read_bytes().replace(b"restored", b"pestered"))
    session(shop, tmp_path / "s", "job.bars=20")
    found = events(tmp_path / "s")
    refused = [event.facts for event in found if event.kind == "release_refused"]
    assert [facts["running"] for facts in refused] == ["whole", "whole"]
    assert "config.json altered" in refused[0]["error"]
    assert POINTER in refused[1]["error"]
    assert not [event for event in found if event.kind == "switched"]
    assert len(opens(tmp_path / "s")) == 60
    assert "release_refused" in (tmp_path / "s" / "log.jsonl").read_text()
    with pytest.raises(ArtifactError):
        session(shop, tmp_path / "new", "job.bars=1")
    assert read_session(tmp_path / "new" / "journal.db").counters == {"event.model_load_failure": 1}


def test_a_bundle_of_fewer_symbols_never_takes_over(shop, bundles, tmp_path):
    promoted(shop, "three", *SMALL[:2], "data.n_symbols=3", *SMALL[3:], "trading.limits.rollout=0.25")
    session(shop, tmp_path, "job.bars=5")
    make_active(bundles / "three", CLOCK, "more symbols are fine")
    session(shop, tmp_path, "job.bars=5")
    kinds = [event.kind for event in events(tmp_path)]
    assert kinds.count("switched") == 1  # tested on these symbols, and on another one
    narrow = promoted(shop, "one", *SMALL[:2], "data.n_symbols=1", *SMALL[3:])
    make_active(narrow, CLOCK, "fewer are not")
    session(shop, tmp_path, "job.bars=5")
    (refused,) = [event.facts for event in events(tmp_path) if event.kind == "release_refused"]
    assert "SYN01" in refused["error"]


def test_the_pointer_is_moved_by_name_and_keeps_every_move(bundles, tmp_path):
    with pytest.raises(ConfigError, match="an active bundle"):
        last_activation(tmp_path)
    assert (last_activation(bundles).bundle, last_activation(bundles).reason) == ("whole", "first")
    text = (bundles / POINTER).read_text()
    for damaged in (text[:-5], text.replace("whole", "../up"), "[]", ""):
        (bundles / POINTER).write_text(damaged)
        with pytest.raises(ArtifactError, match=POINTER):
            read_activations(bundles)
    with pytest.raises(ConfigError, match="a finished run or a bundle; found neither"):
        promote.run(compose("job=promote", *SMALL))
    with pytest.raises(ConfigError, match="found both"):
        promote.run(compose("job=promote", *SMALL, "run=a", "bundle=b"))


TREES = (
    "experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1",
    "~learning.members.nhits", "~learning.members.patchtst",
    "barriers.horizon=48",  # few bars end as HOLD
    "execution.feed.start=2025-02-28T12:00:00",
)  # fmt: skip


def spliced(*parts: Signal) -> Signal:
    names = [field.name for field in dataclasses.fields(Signal) if getattr(parts[0], field.name) is not None]
    return Signal(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


@pytest.mark.slow
def test_promoted_members_speak_from_the_next_bar_on_as_their_history_does(tmp_path):
    """Two trees take over from two others; the backtest of both votes, one after the other, is the truth."""
    old = promoted(tmp_path, "old", *TREES)
    new = promoted(tmp_path, "new", *TREES, "learning.members.xgboost.max_depth=2", "barriers.horizon=36")
    market = (*TREES[:2], TREES[-1])
    given = ("job=paper", *market, *at(tmp_path), f"bundle={old.parent}", f"job.folder={tmp_path}/s")
    make_active(old, CLOCK, "first")
    paper.run(compose(*given, "job.bars=60"))
    make_active(new, CLOCK, "then")
    cfg = compose(*given, "job.bars=60")
    paper.run(cfg)
    history = build(cfg.data).history()
    history = history.rows(history.n_bars - 4_500, history.n_bars).first_symbols(4)
    times = opens(tmp_path / "s")
    first = int(np.searchsorted(history.open_time_ms, times[0]))
    strategies = [load_bundle(folder, Trust()).strategy for folder in (old, new)]
    signals = [strategy.signal.signal(history) for strategy in strategies]
    heard = spliced(signals[0].rows(first, first + 60), signals[1].rows(first + 60, first + 120))
    assert (signals[0].proba[first + 60 : first + 120] != signals[1].proba[first + 60 : first + 120]).any()
    bars = [event.facts["bar"] for event in events(tmp_path / "s") if event.kind == "bar"]
    for t, bar in enumerate(bars):
        assert bar["signal"] == signal_facts(heard.rows(t, t + 1))
    assert sum(bar["signal"]["decisions"] for bar in bars[60:]) > 0
    until = Scan(10_000.0).run(history.rows(first, first + 61), heard.rows(0, 61), strategies[0])
    assert [bar["account"]["equity"] for bar in bars[:61]] == until.equity.tolist()
