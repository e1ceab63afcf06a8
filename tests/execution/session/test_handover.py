"""Another release between two bars: no bar is lost, the account goes on, and a restart never repeats a switch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ArtifactError, ConfigError, InstallationError
from quantlab.core.fakes import FixedSignal
from quantlab.core.types import Signal
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.reader import read_session
from quantlab.execution.session.handover import Release, release_of
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.trading import Strategy
from quantlab.trading.strategy.policies import EnsembleThreshold

CASH = 10_000.0
#: Rows from which another release speaks: something is held, and something on its way, at both.
FIRST, SECOND = 50, 76
TERMS = {"barriers": {"take_profit_atr": 2.0, "stop_atr": 1.2, "horizon": 12}}


def spliced(*parts: tuple[Signal, int, int]) -> Signal:
    """Rows of several signals, one after another."""
    rows = [signal.rows(first, last) for signal, first, last in parts]
    names = [field.name for field in dataclasses.fields(Signal) if getattr(rows[0], field.name) is not None]
    return Signal(**{name: np.concatenate([getattr(row, name) for row in rows]) for name in names})


def release(name: str, strategy: Strategy) -> Release:
    return Release(name, strategy, TERMS, "a test")


def open_of(bars, row: int) -> int:
    return int(bars.open_time_ms[row])


def ledger(journal) -> dict:
    """The tables that a switch or a restart must not change."""
    found = read_tables(journal._database)
    found["counters"] = [row for row in found["counters"] if not row[0].startswith("event.")]
    return found


def kinds(journal) -> list[str]:
    return [event.kind for event in journal.replay() if event.kind not in ("bar", "snapshot")]


@pytest.fixture
def place(session_parts):
    return session_parts(3, n_bars=300)


@pytest.fixture
def other(place, wild_signal):
    """The same rules on another signal."""
    return wild_signal(place.bars, 77)


def started(place, journal, moving_releases, strategies, moves, **given):
    """A session as the job starts it: with the release that its journal ends with."""
    feed = given.pop("feed", None) or ReplayFeed(place.bars, start=None, pace=None)
    name = release_of(journal) or "a"
    releases = moving_releases(journal, name, {-1: None, **moves})
    session = place.session(journal, feed=feed, releases=releases, strategy=strategies[name], **given)
    session.start()
    return session


def test_the_account_goes_on_and_the_next_bar_is_the_other_signals(place, other, strategy, moving_releases):
    """The independent truth: the backtest of one signal that is the first until the switch and the second after it."""
    strategies = {"a": place.strategy, "b": strategy(FixedSignal(other))}
    moves = {open_of(place.bars, FIRST - 1): release("b", strategies["b"])}
    with place.journal() as journal:
        session = started(place, journal, moving_releases, strategies, moves)
        assert session.run() == 300
        found = ledger(journal)
        assert kinds(journal) == ["began", "rollout", "switched", "terms"]
        switched = journal.latest("switched").facts
        bars = [event.facts["bar"] for event in journal.replay() if event.kind == "bar"]
    assert (switched["release"], switched["before"]["release"], switched["reason"]) == ("b", "a", "a test")
    assert switched["after_ms"] == bars[FIRST - 1]["open_ms"]
    assert switched["identity"]["strategy"] == strategies["b"].fingerprint
    assert bars[FIRST - 1]["positions"]  # something was held, and something was on its way
    assert bars[FIRST - 1]["orders"]
    scanned = Scan(CASH).run(place.bars, spliced((place.signal, 0, FIRST), (other, FIRST, 300)), place.strategy)
    assert [row[1] for row in found["equity"]] == scanned.equity.tolist()
    assert [row[5] for row in found["fills"]] == scanned.orders["price"].tolist()
    assert [alert.kind for alert in place.alerts.sent].count("switched") == 1
    view = read_session(place.folder / "journal.db", check=True)
    assert (view.release, view.identity["strategy"]) == ("b", strategies["b"].fingerprint)


@pytest.mark.parametrize("snapshot_every", [1, 50])
def test_killed_anywhere_around_two_switches_it_is_the_uninterrupted_session(
    place, other, strategy, moving_releases, snapshot_every
):
    """To another release and back again; the process dies after every number of bars around both."""
    place = dataclasses.replace(place, snapshot_every=snapshot_every)
    strategies = {"a": place.strategy, "b": strategy(FixedSignal(other))}
    moves = {
        open_of(place.bars, FIRST - 1): release("b", strategies["b"]),
        open_of(place.bars, SECOND - 1): release("a", strategies["a"]),
    }
    scanned = Scan(CASH).run(
        place.bars,
        spliced((place.signal, 0, FIRST), (other, FIRST, SECOND), (place.signal, SECOND, 300)),
        place.strategy,
    )
    for pieces in ((48, 1, 1, 1, 1, 23, 1, 1, 1, 222), (50, 26, 224), (49, 2, 24, 2, 223)):
        place = dataclasses.replace(place, folder=place.folder.with_name(f"pieces-{len(pieces)}"))
        for most in pieces:
            with place.journal() as journal:
                started(place, journal, moving_releases, strategies, moves).run(most_bars=most)
        with place.journal() as journal:
            found = ledger(journal)
            assert [row[1] for row in found["equity"]] == scanned.equity.tolist()
            assert [row[5] for row in found["fills"]] == scanned.orders["price"].tolist()
            assert [kind for kind in kinds(journal) if kind == "switched"] == ["switched"] * 2


def test_a_death_in_the_commit_of_a_switch_leaves_the_old_release(place, other, strategy, moving_releases):
    strategies = {"a": place.strategy, "b": strategy(FixedSignal(other))}
    moves = {open_of(place.bars, FIRST - 1): release("b", strategies["b"])}
    with place.journal() as journal:
        session = started(place, journal, moving_releases, strategies, moves)
        session.run(most_bars=FIRST)
        journal._database.execute("PRAGMA query_only = ON")
        with pytest.raises(InstallationError, match="nothing was lost"):
            session.run()
        journal._database.execute("PRAGMA query_only = OFF")
    with place.journal() as journal:
        assert release_of(journal) == "a"
        started(place, journal, moving_releases, strategies, moves).run()
        found = ledger(journal)
    scanned = Scan(CASH).run(place.bars, spliced((place.signal, 0, FIRST), (other, FIRST, 300)), place.strategy)
    assert [row[1] for row in found["equity"]] == scanned.equity.tolist()


def test_another_release_than_the_journals_is_refused_at_the_start(place, other, strategy, moving_releases):
    strategies = {"a": place.strategy, "b": strategy(FixedSignal(other))}
    moves = {open_of(place.bars, 9): release("b", strategies["b"])}
    with place.journal() as journal:
        started(place, journal, moving_releases, strategies, moves).run(most_bars=20)
    swapped = {"a": strategies["b"], "b": strategies["a"]}
    with place.journal() as journal, pytest.raises(ConfigError, match="the session's strategy"):
        started(place, journal, moving_releases, swapped, moves)


def test_members_warm_up_on_what_the_session_has_seen(session_parts, small_ensemble, strategy, moving_releases):
    """From the switch on the vote is, bit for bit, the one of a history that knew no other release."""
    place = session_parts(1, n_bars=1_760, n_symbols=2, resets=False, snapshot_every=7)
    first = small_ensemble(place.bars)
    weights = dataclasses.replace(first.ensemble, weights=(0.2, 0.6, 0.2), temperature=1.3)
    second = dataclasses.replace(first, ensemble=weights)
    strategies = {"a": strategy(first), "b": strategy(second)}
    history, at = place.bars.rows(0, 1_600), 1_680
    moves = {open_of(place.bars, at - 1): release("b", strategies["b"])}
    signals, then = first.signal(place.bars), second.signal(place.bars)
    assert (signals.side[at:] != then.side[at:]).any()
    start = str(np.datetime_as_string(np.datetime64(int(place.bars.open_time_ms[1_600]), "ms")))
    for most in (79, 1, 5, 75):
        with place.journal() as journal:
            feed = ReplayFeed(place.bars, start=start, pace=None)
            session = started(place, journal, moving_releases, strategies, moves, feed=feed, history=history)
            session.run(most_bars=most)
    with place.journal() as journal:
        found = ledger(journal)
        warmed = journal.latest("switched").facts["warmed_up_on"]
    assert second.warmup <= warmed < 1_680
    scanned = Scan(CASH).run(
        place.bars.rows(1_600, 1_760), spliced((signals, 1_600, at), (then, at, 1_760)), strategies["a"]
    )
    assert [row[1] for row in found["equity"]] == scanned.equity.tolist()
    assert [row[5] for row in found["fills"]] == scanned.orders["price"].tolist()
    assert len(scanned.orders) > 10


def hungry(signal: Signal, warmup: int) -> FixedSignal:
    """A signal that needs more bars than the session has seen."""
    made = FixedSignal(signal)
    object.__setattr__(made, "warmup", warmup)
    return made


def test_what_is_refused_leaves_the_old_release_and_brings_one_alert(place, other, strategy, moving_releases):
    """A bundle that cannot be trusted, one that needs more bars, and one whose policy remembers other things."""
    policy = EnsembleThreshold(stop_atr=1.2, take_profit_atr=2.0, horizon=12, rebalance=False)
    moves = {
        open_of(place.bars, 50): ArtifactError("a bundle", found="a damaged one", fix="restore it"),
        open_of(place.bars, 60): release("b", strategy(hungry(other, 10_000))),
        open_of(place.bars, 70): release("c", dataclasses.replace(strategy(FixedSignal(other)), policy=policy)),
        open_of(place.bars, 80): release("d", place.strategy),  # what runs under another name
    }
    with place.journal() as journal:
        session = started(place, journal, moving_releases, {"a": place.strategy}, moves)
        session.run()
        found = ledger(journal)
        refused = [event.facts for event in journal.replay() if event.kind == "release_refused"]
        counters = dict(read_tables(journal._database)["counters"])
    assert [facts["running"] for facts in refused] == ["a"] * 3
    for facts, words in zip(refused, ("a damaged one", "10000 bars", "FromSignals"), strict=True):
        assert words in facts["error"]
    assert counters["event.release_refused"] == 3
    assert "event.switched" not in counters
    assert [alert.kind for alert in place.alerts.sent].count("release_refused") == 3
    scanned = Scan(CASH).run(place.bars, place.signal, place.strategy)
    assert [row[1] for row in found["equity"]] == scanned.equity.tolist()


def test_every_step_of_the_rollout_is_journalled(place, other, strategy, moving_releases):
    strategies = {
        "a": strategy(FixedSignal(place.signal), rollout=0.1),
        "b": strategy(FixedSignal(other), rollout=0.1),
        "c": strategy(FixedSignal(other), rollout=0.5),
    }
    moves = {open_of(place.bars, row): release(name, strategies[name]) for row, name in ((50, "b"), (99, "c"))}
    with place.journal() as journal:
        started(place, journal, moving_releases, strategies, moves, venue="somewhere").run()
        steps = [event.facts for event in journal.replay() if event.kind == "rollout"]
    assert [(step["before"], step["fraction"], step["venue"]) for step in steps] == [
        (None, 0.1, "somewhere"),
        (0.1, 0.5, "somewhere"),
    ]


def test_a_decision_is_sent_again_although_a_snapshot_follows_it(session_parts):
    """The process may die between a commit that holds a snapshot, or a switch, and the sending."""
    place = session_parts(3, snapshot_every=1)
    with place.journal() as journal:
        session = place.session(journal)
        session.start()
        session.run(most_bars=77)
        wanted = journal.latest("bar").facts["bar"]["orders"]
    heard = []

    class Listening(PaperBroker):
        def submit(self, decision):
            heard.append(decision)
            super().submit(decision)

    with place.journal() as journal:
        assert place.session(journal, make_broker=Listening).start() == 0
    (decision,) = heard
    assert decision.open_time_ms == int(place.bars.open_time_ms[76])
    assert [dataclasses.asdict(leg) for leg in decision.legs] == wanted
    assert wanted
