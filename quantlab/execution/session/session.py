"""The session: the strategy that was tested, running bar by bar, whatever happens to its process.

For every closed bar that continues the grid:

1. the broker gathers what a venue says of the time up to its close; the journal keeps it, then the broker takes it;
2. the quality gate makes it a :class:`~quantlab.core.market.Bars` of length 1;
3. the signal stream (features, members, ensemble) says one row;
4. the broker settles what happened until this close;
5. the strategy decides: latches, policy, sizing, the guard's rules;
6. the journal keeps the raw bar, what happened, what was decided and, when one is due, a reading of
   the features' drift, in one commit;
7. the broker is sent the decision, and works on it while the session waits for the next bar.

Starting is recovering. A new session warms up on a history and journals a snapshot; one that ended,
cleanly or not, goes on from the last snapshot and repeats the bars journalled after it, with what the broker took
between them, and every one must give the facts that were journalled, bit for bit. The bar that was in work when the process died was
either committed, then its decision is sent again (an order that the venue knows is ignored), or it was
not, then the feed brings it again.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from quantlab.core.errors import QuantlabError
from quantlab.core.events import BarInputs, Event, RawBar
from quantlab.core.market import Bars
from quantlab.core.ports import AlertSink, BarFeed, Broker, Journal, Progress, ReleaseSource
from quantlab.core.progress import SilentProgress
from quantlab.execution.journal.layout import require_layout
from quantlab.execution.session.bar_alerts import bar_alerts, suspect_alert
from quantlab.execution.session.bar_gate import ALERTED_FAULTS
from quantlab.execution.session.clock_watch import ClockWatch
from quantlab.execution.session.drift_watch import RESTART, DriftWatch
from quantlab.execution.session.engine import Engine, Market
from quantlab.execution.session.events import (
    bar_events,
    begin_events,
    handover_events,
    observed_facts,
    snapshot_event,
)
from quantlab.execution.session.gathering import gather_facts
from quantlab.execution.session.handover import PAPER_VENUE, Release, recent_bars
from quantlab.execution.session.recovery import recover, require_history, require_identity
from quantlab.execution.session.refused_cells import RefusalAlerts
from quantlab.execution.session.reports import FeedAge, Reports, alerted_event
from quantlab.execution.session.rules import SessionRules
from quantlab.trading.bar.stepper import Stepper
from quantlab.trading.strategy.strategy import Strategy

_log = logging.getLogger(__name__)


class Session:
    """One strategy on one account, one bar after another.

    Parameters
    ----------
    strategy, market, make_broker, initial_cash, limits_on
        See :class:`~quantlab.execution.session.engine.Engine`.
    feed : BarFeed
    journal : Journal
    alerts : AlertSink
    rules : SessionRules
    history : Bars, optional
        What a new session warms up on, and what another release sees of the time before the first bar.
    drift : DriftWatch, optional
        Compares the features with the training's; None where nothing was learned.
    releases : ReleaseSource, optional
        Asked between two bars for another strategy to go on with; None = the session keeps its own.
    venue : str
        Where orders go, for the journal: ``paper`` is the simulated one.
    counter_seconds : callable, optional
        A counter of seconds that no setting of the clock changes.
    inputs : callable, optional
        Gives the halts and the stage of the bar about to be worked on; ``stale`` is the session's own.

    Raises
    ------
    ConfigError
        If the signal's stream cannot be saved and restored, or shows no features to watch.
    """

    def __init__(
        self,
        strategy: Strategy,
        market: Market,
        *,
        feed: BarFeed,
        journal: Journal,
        make_broker: Callable[[Stepper], Broker],
        alerts: AlertSink,
        rules: SessionRules,
        initial_cash: float,
        history: Bars | None = None,
        limits_on: bool = True,
        drift: DriftWatch | None = None,
        releases: ReleaseSource[Release] | None = None,
        venue: str = PAPER_VENUE,
        counter_seconds: Callable[[], float] = time.monotonic,
        inputs: Callable[[], BarInputs] = BarInputs,
    ) -> None:
        largest = rules.largest_funding_rate
        self._engine = Engine(
            strategy, market, make_broker, initial_cash, limits_on=limits_on, largest_funding_rate=largest, drift=drift
        )
        self.rules = rules
        self._clock = ClockWatch(feed, rules.clock_every_ms, rules.clock_limit_ms, counter_seconds)
        self._refusals = RefusalAlerts(rules.repeat_alert_ms)
        self._feed, self._journal, self._history = feed, journal, history
        self._reports = Reports(journal, alerts, feed, counter_seconds)
        self._age = FeedAge(rules.stale_after_ms, market.interval_ms)
        self._releases, self._venue, self._inputs = releases, venue, inputs
        self._release = None if releases is None else releases.name
        self._counter = counter_seconds
        self._since_snapshot = 0

    @property
    def account(self) -> Stepper:
        """The account's arrays and what happened in the last bar."""
        return self._engine.account

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that the gate passed, warm-up included; None before any."""
        return self._engine.last_ms

    def start(self, progress: Progress = SilentProgress()) -> int:  # noqa: B008 - frozen, without a state
        """Begin, or go on where the journal ends; returns how many journalled bars were repeated.

        Warm-up and recovery are stages of `progress`, with one step for each bar.

        Raises
        ------
        ConfigError
            If the journal belongs to another strategy, market, history or account, or is of another layout.
        ArtifactError
            If a repeated bar does not give what was journalled.
        """
        began = self._journal.latest("began")
        if began is None:
            self._begin(progress)
            return 0
        require_layout(began.facts.get("layout", 1))
        require_identity(self._engine, self._journal, began)
        require_history(self._history, began)
        return self._recover(progress)

    def run(self, stop: threading.Event | None = None, *, most_bars: int | None = None) -> int:
        """Trade until the feed ends, `stop` is set or `most_bars` bars were taken; returns how many were.

        Raises
        ------
        InstallationError
            If the journal cannot be written; nothing is sent after that.
        ContractError
            If features or a member break their promises (``feature_mismatch``), or what a broker reports does not fit
            the account (``bar_failed``); it is journalled, and nothing is sent after that.
        DataError
            If the feed goes on too far after the session's last bar to go on with it.
        """
        taken = 0
        self._check_release()
        self._check_clock()  # before the feed decides what has closed
        for raw in self._feed.bars(self.last_ms):
            self._check_clock()
            if raw is None:
                self._age.report_silence(self.last_ms, self._reports.now_ms(), self._reports)
            else:
                taken += self._receive(raw)
            if (stop is not None and stop.is_set()) or taken == most_bars:
                break
            self._check_release()
        return taken

    def attend(self, seconds: float) -> None:
        """Let the broker work while the feed waits; hand it to the feed as its sleep."""
        self._engine.broker.attend(seconds)

    def finish(self, reason: str) -> None:
        """Journal a last snapshot and why the session ended; it can go on from there."""
        facts = {"reason": reason, "at_ms": self._now(), "bar_gate": self._engine.gate.pending_faults()}
        self._journal.append([Event("stopped", facts), self._snapshot()])

    def reset_breaker(self) -> None:
        """Release the circuit breaker by hand; journalled, so that a restart repeats it in its place."""
        self._journal.append([Event("reset_breaker", {"at_ms": self._now()})])
        self._engine.reset_breaker()

    def note(self, kind: str, facts: dict[str, Any], message: str) -> None:
        """Journal something that is no bar and send an alert, e.g. ``model_load_failure``."""
        self._reports.note(kind, facts, message)

    def _begin(self, progress: Progress) -> None:
        seen = 0 if self._history is None else self._engine.warm_up(self._history, progress)
        events = begin_events(self._engine, self._release, self._history, seen, self._venue, self._now())
        self._journal.append(events)

    def _recover(self, progress: Progress) -> int:
        repeated, counted = recover(self._engine, self._journal, progress)
        self._since_snapshot = repeated
        self._journal.append([Event("resumed", {"repeated": repeated, "at_ms": self._now()})])
        if not counted:
            self._journal.append([self._snapshot()])  # so that the next start does not begin anew once more
            self.note(RESTART, {}, "drift is counted anew: another training or window than the journal's")
        return repeated

    def _receive(self, raw: RawBar) -> int:
        """Take what arrived; returns how many bars of the grid it brought."""
        fault = self._engine.gate.find_fault(raw, self._now())
        if fault is not None:
            self._engine.gate.counts[fault] += 1
            if fault in ALERTED_FAULTS:
                self._reports.note_dropped(fault, raw.open_time_ms)
            self._require_reachable(raw)
            return 0
        bars = self._engine.gate.bars_of_grid(raw)
        for bar in bars:
            self._advance(bar)
        return len(bars)

    def _advance(self, raw: RawBar) -> None:
        """Gather what happened, process one bar of the grid, commit, send."""
        close_ms = raw.open_time_ms + self._engine.market.interval_ms
        gather_facts(self._engine.broker, self._journal, close_ms)
        lag_ms = self._now() - close_ms
        inputs, began = dataclasses.replace(self._inputs(), stale=self._age.is_stale(lag_ms)), self._counter()
        with self._reports.noted_failure("feature_mismatch", raw.open_time_ms):
            reading = self._engine.read(raw)
        with self._reports.noted_failure("bar_failed", raw.open_time_ms):
            facts, decision = self._engine.decide(reading, inputs)
        self._engine.gate.count_suspects()
        seconds = {"decide": self._counter() - began, "commit": self._reports.commit_seconds}
        observed = observed_facts(self._engine, raw, lag_ms, seconds)
        drift, refusals = self._engine.drift_reading(), self._refusals.events(self._engine.gate.refused)
        suspects = [suspect_alert(suspect, self._now()) for suspect in self._engine.gate.suspects]
        events = bar_events(raw, facts, observed, self._engine.votes, drift)
        events += [*refusals, *map(alerted_event, suspects)]
        self._since_snapshot += 1
        if self._since_snapshot >= self.rules.snapshot_every:
            events.append(self._snapshot())
        self._reports.commit(events)
        self._engine.broker.submit(decision)
        self._engine.gate.clear_counts()
        self._age.report(lag_ms, self._reports)
        self._reports.send(bar_alerts(facts, refusals, suspects, drift, self._now()))
        _log.info("bar", extra={"facts": {"open_ms": facts["open_ms"], **facts["account"], "lag_ms": lag_ms}})

    def _require_reachable(self, raw: RawBar) -> None:
        """Stop with an alert where the feed goes on so far ahead that every further bar would be dropped."""
        if (error := self._engine.gate.gap_error(raw, self._now())) is not None:
            self.note("gap_too_long", {"open_ms": raw.open_time_ms, "error": str(error)}, str(error))
            raise error

    def _check_clock(self) -> None:
        """Measure the venue's clock where that is due; journalled."""
        if (reading := self._clock.reading()) is not None:
            self._journal.append([reading.event])
            if reading.message is not None:
                self._reports.alert(reading.event.kind, reading.message, reading.event.facts)

    def _check_release(self) -> None:
        """Go on with another release, or keep this one and say why."""
        if self._releases is None:
            return
        try:
            release = self._releases.newer()
            if release is None or release.strategy.fingerprint == self._engine.strategy.fingerprint:
                return
            seen = recent_bars(self._journal, self._history, self._engine.gate.quality_gate, release.strategy)
            successor = self._engine.successor(release.strategy, seen, release.drift)
        except QuantlabError as error:
            self.note("release_refused", {"running": self._release, "error": str(error)}, str(error))
            return
        self._hand_over(release, successor, len(seen))

    def _hand_over(self, release: Release, successor: Engine, warmed_up_on: int) -> None:
        """Commit what changed, then go on with the successor."""
        events = handover_events(
            self._engine, self._release, successor, release, warmed_up_on, self._venue, self._now()
        )
        self._journal.append(events)
        self._engine, self._since_snapshot = successor, 0
        message = f"{self._release} handed over to {release.name}: {release.reason}"
        self._release = release.name
        self._reports.alert("switched", message, events[0].facts)

    def _snapshot(self) -> Event:
        self._since_snapshot = 0
        return snapshot_event(self._engine)

    def _now(self) -> int:
        return self._reports.now_ms()
