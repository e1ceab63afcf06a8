"""Drift beside a session: its readings, one alert a crossing, the same after a restart; and nothing depends on it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate

from quantlab.backtest.scan import Scan
from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.fakes import FixedSignal
from quantlab.core.types import Features
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.journal.reader import read_session
from quantlab.execution.readiness.gates import feature_drift
from quantlab.execution.readiness.window import read_windows
from quantlab.execution.session.drift_watch import DriftWatchRules
from quantlab.features.drift import Drift
from quantlab.jobs.config.composition import compose
from quantlab.jobs.session.status import status_facts, status_tables

CASH, BARS, SYMBOLS, EVERY = 10_000.0, 300, 4, 25
NAMES = ("calm", "shifting", "pattern")
RULES = Drift(
    bins=50,
    psi_bins=10,
    edge_rows=10_000,
    block_bars=20,
    blocks=4,
    min_rows=150,
    psi_warn=0.1,
    psi_alert=0.25,
    ks_warn=0.1,
    ks_alert=0.2,
)
WATCH_RULES = DriftWatchRules(RULES, EVERY, 60)


def make_features(seed: int, bars: int, shift: Any = 0.0) -> Features:
    """Independent draws; the second feature is shifted, bar by bar."""
    rng = np.random.default_rng(seed)
    shape = (bars, SYMBOLS)
    moved = rng.normal(0.0, 1.0, shape) + np.broadcast_to(np.asarray(shift, dtype=float), (bars,))[:, None]
    columns = [rng.normal(0.0, 1.0, shape), moved, rng.choice([-1.0, 0.0, 1.0], shape, p=[0.1, 0.8, 0.1])]
    ready = rng.random(shape) < 0.95
    return Features(np.stack(columns, axis=-1).astype(np.float32), ready, NAMES, "made")


@pytest.fixture(scope="module")
def reference():
    training = make_features(1, 4_000)
    return RULES.reference(training, training.ready)


#: Calm, away, back, and away again: two crossings, whatever the window's length.
AWAY = np.r_[np.zeros(90), np.full(75, 1.5), np.zeros(85), np.full(50, 1.5)]


@dataclasses.dataclass(frozen=True)
class Reading(FixedSignal):
    """A signal that is played back, and shows rows of features as it goes."""

    read: Features = dataclasses.field(kw_only=True)

    def stream(self, symbols, interval_ms):
        return ReadingStream(super().stream(symbols, interval_ms), self.read)


@dataclasses.dataclass
class ReadingStream:
    played: Any
    read: Features

    @property
    def newest_features(self):
        return self.read.rows(self.played.row - 1, self.played.row) if self.played.row else None

    def update(self, bar):
        return self.played.update(bar)

    def state(self):
        return self.played.state()

    def restore(self, state):
        self.played.restore(state)


@pytest.fixture
def reading(session_parts, strategy):
    """``reading(features)``: the parts of a session, and a strategy whose signal has read these."""

    def make(features, seed=0, **fields):
        place = session_parts(seed, n_bars=BARS, n_symbols=SYMBOLS, **fields)
        return place, strategy(Reading(place.signal, read=features))

    return make


def run_pieces(place, strategy, watch, pieces=(BARS,), finish=False):
    """Looks and crossings of a session in so many pieces, and all tables at its end."""
    for bars in pieces:
        with place.journal() as journal:
            session = place.session(journal, strategy=strategy, drift=watch())
            session.start()
            session.run(most_bars=bars)
            if finish:
                session.finish("test")
    with place.journal() as journal:
        found = [(event.kind, event.facts) for event in journal.replay() if event.kind in ("drift", "drift_alert")]
        return found, read_tables(journal._database)


def expected_reports(reference, features):
    """Each look's report, from a monitor of its own over all rows until then."""
    found = []
    for stop in range(EVERY, BARS + 1, EVERY):
        monitor = RULES.monitor(reference)
        monitor.update(features.rows(0, stop))
        found.append(monitor.report())
    return found


def test_features_that_leave_bring_one_alert_a_crossing(reading, reference):
    features = make_features(2, BARS, AWAY)
    place, strategy = reading(features)
    found, tables = run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference))
    readings = [facts for kind, facts in found if kind == "drift"]
    reports = expected_reports(reference, features)
    assert len(readings) == len(reports) == BARS // EVERY
    for one, report in zip(readings, reports, strict=True):
        figures = [(f["feature"], f["psi"], f["ks"], f["level"]) for f in one["features"]]
        assert figures == [(f.name, f.psi, f.ks, f.level) for f in report.features]
        assert (one["rows"], one["alerts"]) == (report.rows, [f.name for f in report.alerts])
    assert [one["bars"] for one in readings[:5]] == [25, 50, 75, 80, 65]  # whole blocks of 20, the newest one growing
    shifting = [one["alerts"] == ["shifting"] for one in readings]
    assert sum(shifting) > 4  # it stays there, and brings two alerts all the same
    crossings = [facts["open_ms"] for kind, facts in found if kind == "drift_alert"]
    first = [i for i, now in enumerate(shifting) if now and not (i and shifting[i - 1])]
    assert crossings == [readings[i]["open_ms"] for i in first]
    assert len(crossings) == 2
    assert dict(tables["counters"])["event.drift_alert"] == 2
    alerts = [alert for alert in place.alerts.sent if alert.kind == "drift_alert"]
    assert [alert.facts["open_ms"] for alert in alerts] == crossings
    assert alerts[0].message.startswith("shifting (PSI ")


def test_the_training_distribution_raises_nothing(reading, reference):
    place, strategy = reading(make_features(3, BARS))
    found, tables = run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference))
    assert [kind for kind, _ in found] == ["drift"] * (BARS // EVERY)
    assert "event.drift_alert" not in dict(tables["counters"])
    levels = {f["level"] for _, facts in found for f in facts["features"]}
    assert "alert" not in levels
    assert not [alert for alert in place.alerts.sent if alert.kind == "drift_alert"]


def test_a_short_window_shows_its_figures_and_tells_nobody(reading, reference):
    place, strategy = reading(make_features(5, BARS, np.full(BARS, 1.5)))
    found, _ = run_pieces(
        place, strategy, lambda: WATCH_RULES.watch(reference), [60, BARS]
    )  # a restart before the first telling
    readings = [facts for kind, facts in found if kind == "drift"]
    assert [one["alerts"] for one in readings[1:4]] == [["shifting"]] * 3  # 50, 75 and 80 bars
    assert [one["active_alerts"] for one in readings[1:4]] == [[], ["shifting"], ["shifting"]]
    assert [facts["open_ms"] for kind, facts in found if kind == "drift_alert"] == [readings[2]["open_ms"]]


@pytest.mark.parametrize(("snapshot_every", "finish"), [(1, False), (30, True), (1_000, False)])
def test_a_session_in_pieces_gives_the_figures_of_one(reading, reference, tmp_path, snapshot_every, finish):
    features = make_features(2, BARS, AWAY)
    whole, strategy = reading(features)
    wanted, wanted_tables = run_pieces(whole, strategy, lambda: WATCH_RULES.watch(reference))
    place, strategy = reading(features, snapshot_every=snapshot_every)
    place.folder = tmp_path / "pieces"
    rng = np.random.default_rng(snapshot_every)
    pieces = [int(n) for n in rng.integers(1, 90, 5)]
    found, tables = run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference), [*pieces, BARS], finish=finish)
    assert found == wanted
    for name in ("event.bar", "event.drift", "event.drift_alert"):
        assert dict(tables["counters"])[name] == dict(wanted_tables["counters"])[name]
    assert "event.drift_anew" not in dict(tables["counters"])


def test_nothing_that_a_session_does_depends_on_it(reading, reference, tmp_path):
    features = make_features(2, BARS, AWAY)
    place, strategy = reading(features)
    bare, bare_strategy = reading(features)
    bare.folder = tmp_path / "bare"
    _, watched = run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference))
    _, unwatched = run_pieces(bare, bare_strategy, lambda: None)
    for tables in (watched, unwatched):
        tables["counters"] = [row for row in tables["counters"] if not row[0].startswith("event.drift")]
    assert watched == unwatched
    scanned = Scan(CASH).run(place.bars, place.signal, strategy)
    assert [row[1] for row in watched["equity"]] == scanned.equity.tolist()
    assert len(scanned.orders) > 30


def test_another_window_is_counted_anew_and_other_thresholds_go_on(reading, reference):
    features = make_features(2, BARS, AWAY)
    place, strategy = reading(features)
    wider = DriftWatchRules(dataclasses.replace(RULES, blocks=6), EVERY, 60)
    calmer = DriftWatchRules(dataclasses.replace(RULES, psi_alert=9.0, ks_alert=0.99, blocks=6), EVERY, 60)
    run_pieces(place, strategy, lambda: None, [30])
    run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference), [30])
    run_pieces(place, strategy, lambda: wider.watch(reference), [30])
    found, tables = run_pieces(place, strategy, lambda: calmer.watch(reference), [BARS])
    assert dict(tables["counters"])["event.drift_anew"] == 2  # not watched before; another window
    assert {alert.kind for alert in place.alerts.sent} >= {"drift_anew"}
    assert found[-1][1]["bars"] == 110  # counted from bar 30 on: five whole blocks of 20, and half the running one
    assert not [facts for kind, facts in found if kind == "drift_alert"]


def test_figures_of_a_running_ensemble_are_those_of_its_history(
    session_parts, random_market, small_ensemble, strategy, tmp_path
):
    """The 49 features, live, through warm-up, snapshots and a restart, against one batch over the same bars."""
    bars = random_market(3, 2_000, 3, resets=False)
    source = small_ensemble(bars)
    history = source.features.transform(bars)
    rules = dataclasses.replace(RULES, min_rows=100)
    training = np.arange(2_000)[:, None] < 1_700
    reference = rules.reference(history, history.ready & training)
    place = session_parts(3, n_bars=20)
    place.bars, place.snapshot_every = bars, 40
    feed = ReplayFeed(bars, start=None, pace=None)
    feed._first = 1_700
    watch_rules = DriftWatchRules(rules, 50, 60)
    for pieces in (130, 300):
        with place.journal() as journal:
            given = {
                "strategy": strategy(source),
                "history": bars.rows(0, 1_700),
                "drift": watch_rules.watch(reference),
            }
            session = place.session(journal, feed=feed, **given)
            session.start()
            session.run(most_bars=pieces)
    view = read_session(place.folder / "journal.db", check=True)
    assert view.counters["event.drift"] == 6
    monitor = rules.monitor(reference)
    monitor.update(history.rows(1_700, 2_000))
    figures = [(f["feature"], f["psi"], f["ks"], f["level"]) for f in view.drift["features"]]
    assert figures == [(f.name, f.psi, f.ks, f.level) for f in monitor.report().features]
    assert view.drift["alerts"]  # 300 bars of one regime are no distribution


def test_it_is_shown_beside_the_session_and_judged_by_its_gate(reading, reference):
    place, strategy = reading(make_features(2, BARS, AWAY))
    run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference), [24])
    path = place.folder / "journal.db"
    assert read_session(path).drift is None
    run_pieces(place, strategy, lambda: WATCH_RULES.watch(reference), [BARS])
    view = read_session(path)
    assert status_facts(view, 0)["drift"] == view.drift
    titles = [str(table.title) for table in status_tables(view, None)]
    assert any(title.startswith("drift over ") for title in titles)
    found = feature_drift(read_windows(path, [(60, None)])[0], None)
    assert (found.status, found.value) == ("FAIL", 1.0)
    assert "1 of 3 features" in found.evidence
    assert "shifting" in found.evidence


def test_a_signal_that_reads_no_features_cannot_be_watched(session_parts, reference):
    place = session_parts(0)
    with place.journal() as journal, pytest.raises(ConfigError, match="newest_features"):
        place.session(journal, drift=WATCH_RULES.watch(reference))


def test_other_features_than_the_trainings_stop_the_session(reading, reference):
    other = dataclasses.replace(make_features(4, BARS), names=("calm", "pattern", "shifting"))
    place, strategy = reading(other)
    with place.journal() as journal:
        session = place.session(journal, strategy=strategy, drift=WATCH_RULES.watch(reference))
        session.start()
        with pytest.raises(ContractError, match="shifting"):
            session.run()
        assert journal.latest("feature_mismatch") is not None
        assert journal.latest("bar") is None


def test_the_configuration(reference):
    cfg = compose("experiment=ensemble_v2", "drift.psi_alert=0.4", "execution.drift.every=12")
    watch_rules = instantiate(cfg.execution.drift)
    assert (watch_rules.rules.psi_alert, watch_rules.every) == (0.4, 12)
    assert isinstance(watch_rules, DriftWatchRules)
    with pytest.raises(ConfigError, match=r"execution\.drift\.every"):
        DriftWatchRules(RULES, 0, 60)
    with pytest.raises(ConfigError, match=r"execution\.drift\.alert_after"):
        DriftWatchRules(RULES, EVERY, 62)  # three whole blocks and the first bar of the fourth are 61
