"""The session: the strategy that was tested, running bar by bar, whatever happens to its process.

For every closed bar that continues the grid:

1. the quality gate makes it a :class:`~quantlab.core.types.Bars` of length 1;
2. the signal stream (features, members, ensemble) says one row;
3. the broker settles what happened until this close;
4. the strategy decides: latches, policy, sizing, the guard's rules;
5. the journal keeps the raw bar, what happened and what was decided, in one commit;
6. the broker is sent the decision.

Starting is recovering. A new session warms up on a history and journals a snapshot; one that ended,
cleanly or not, goes on from the last snapshot and repeats the bars journalled after it, and every one
must give the facts that were journalled, bit for bit. The bar that was in work when the process died was
either committed, then its decision is sent again (an order that the venue knows is ignored), or it was
not, then the feed brings it again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from quantlab.core.clock import iso_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.events import Alert, Decision, Event, RawBar
from quantlab.core.ports import AlertSink, BarFeed, Broker
from quantlab.core.types import Bars, check_whole
from quantlab.execution.chain import facts_text
from quantlab.execution.engine import Engine, Market
from quantlab.execution.journal import SqliteJournal
from quantlab.execution.snapshot import pack_raw, unpack_raw
from quantlab.trading.stepper import Stepper
from quantlab.trading.strategy import Strategy

_log = logging.getLogger(__name__)

#: Faults of the feed that a person is told of; a repeated bar is none.
_TOLD = ("corrected", "out_of_order", "malformed", "early")


@dataclass(frozen=True)
class SessionRules:
    """How a session looks after itself.

    Parameters
    ----------
    snapshot_every : int
        Bars between two snapshots, >= 1; as many are repeated at most when it starts again.
    stale_after_ms : int or None
        Age of the newest close beyond which nothing is entered; None = any age, for replays.

    Raises
    ------
    ConfigError
        If a value is out of its range.
    """

    snapshot_every: int
    stale_after_ms: int | None

    def __post_init__(self) -> None:
        check_whole("execution.session.snapshot_every", self.snapshot_every, low=1)
        if self.stale_after_ms is not None:
            check_whole("execution.session.stale_after_ms", self.stale_after_ms, low=1)


class Session:
    """One strategy on one account, one bar after another.

    Parameters
    ----------
    strategy, market, make_broker, initial_cash, limits_on
        See :class:`~quantlab.execution.engine.Engine`.
    feed : BarFeed
    journal : SqliteJournal
    alerts : AlertSink
    rules : SessionRules
    history : Bars, optional
        What a new session warms up on; not looked at by one that goes on.

    Raises
    ------
    ConfigError
        If the signal's stream cannot be saved and restored.
    """

    def __init__(
        self,
        strategy: Strategy,
        market: Market,
        *,
        feed: BarFeed,
        journal: SqliteJournal,
        make_broker: Callable[[Stepper], Broker],
        alerts: AlertSink,
        rules: SessionRules,
        initial_cash: float,
        history: Bars | None = None,
        limits_on: bool = True,
    ) -> None:
        self._engine = Engine(strategy, market, make_broker, initial_cash, limits_on=limits_on)
        self.rules = rules
        self._feed, self._journal, self._alerts, self._history = feed, journal, alerts, history
        self._since_snapshot = 0
        self._stale = False

    @property
    def account(self) -> Stepper:
        """The account's arrays and what happened in the last bar."""
        return self._engine.account

    @property
    def last_ms(self) -> int | None:
        """Open of the last bar that the gate passed, warm-up included; None before any."""
        return self._engine.last_ms

    def start(self) -> int:
        """Begin, or go on where the journal ends; returns how many journalled bars were repeated.

        Raises
        ------
        ConfigError
            If the journal belongs to another strategy, market or account.
        ArtifactError
            If a repeated bar does not give what was journalled.
        """
        began = self._journal.latest("began")
        if began is None:
            self._begin()
            return 0
        self._check_identity(began.facts["identity"])
        return self._recover()

    def run(self, stop: threading.Event | None = None, *, most_bars: int | None = None) -> int:
        """Trade until the feed ends, `stop` is set or `most_bars` bars were taken; returns how many were.

        Raises
        ------
        InstallationError
            If the journal cannot be written; nothing is sent after that.
        ContractError
            If features or a member break their promises; it is journalled, and nothing is sent after that.
        """
        taken = 0
        for raw in self._feed.bars(self.last_ms):
            if raw is None:
                self._watch_feed()
            else:
                taken += self._receive(raw)
            if (stop is not None and stop.is_set()) or taken == most_bars:
                break
        return taken

    def finish(self, reason: str) -> None:
        """Journal a last snapshot and why the session ended; it can go on from there."""
        facts = {"reason": reason, "at_ms": self._now(), "intake": self._pending_faults()}
        self._journal.append([Event("stopped", facts), self._snapshot()])

    def reset_breaker(self) -> None:
        """Release the circuit breaker by hand; journalled, so that a restart repeats it in its place."""
        self._journal.append([Event("reset_breaker", {"at_ms": self._now()})])
        self._engine.reset_breaker()

    def note(self, kind: str, facts: dict[str, Any], message: str) -> None:
        """Journal and tell something that is no bar, e.g. ``model_load_failure``."""
        self._journal.append([Event(kind, {**facts, "at_ms": self._now()})])
        self._tell(kind, message, facts)

    def _begin(self) -> None:
        history = self._history
        if history is not None:
            self._engine.warm_up(history)
        facts = {
            "identity": self._engine.identity(),
            "at_ms": self._now(),
            "warmed_up_on": 0 if history is None else history.n_bars,
        }
        self._journal.append([Event("began", facts), self._snapshot()])

    def _recover(self) -> int:
        snapshot = self._journal.latest("snapshot")
        if snapshot is None:
            raise ArtifactError("a snapshot in the journal", found="none", mend="begin a session in a new folder")
        self._engine.restore(snapshot.payload)
        repeated, decision = 0, None
        for event in self._journal.replay(snapshot.seq):
            if event.kind == "bar":
                decision = self._repeat(event)
                repeated += 1
            elif event.kind == "reset_breaker":
                self._engine.reset_breaker()
        self._since_snapshot = repeated
        if decision is not None:
            self._engine.broker.submit(decision)
        self._journal.append([Event("resumed", {"repeated": repeated, "at_ms": self._now()})])
        return repeated

    def _repeat(self, event: Event) -> Decision:
        """Do a journalled bar again and hold the outcome against what was written."""
        written = event.facts["bar"]
        facts, decision = self._engine.work(unpack_raw(event.payload), stale="feed" in written["halts"])
        if facts_text(facts) != facts_text(written):
            wrong = next(key for key in written if facts_text({"": facts.get(key)}) != facts_text({"": written[key]}))
            raise ArtifactError(
                f"the journalled {wrong} of {iso_utc(written['open_ms'])}",
                found="another one from the same bar",
                mend="go on with the version of the code and the models that wrote the journal",
            )
        return decision

    def _receive(self, raw: RawBar) -> int:
        """Take what arrived; returns how many bars of the grid it brought."""
        fault = self._engine.intake.judge(raw, self._now())
        if fault is not None:
            self._engine.intake.counts[fault] += 1
            if fault in _TOLD:
                self._tell(
                    fault, f"the bar of {raw.open_time_ms} ms was dropped: {fault}", {"open_ms": raw.open_time_ms}
                )
            return 0
        steps = self._engine.intake.steps(raw)
        for step in steps:
            self._advance(step)
        return len(steps)

    def _advance(self, raw: RawBar) -> None:
        """One bar of the grid: work, commit, send."""
        lag_ms = self._now() - raw.open_time_ms - self._engine.market.interval_ms
        stale = self.rules.stale_after_ms is not None and lag_ms > self.rules.stale_after_ms
        try:
            facts, decision = self._engine.work(raw, stale=stale)
        except ContractError as error:
            self.note("feature_mismatch", {"open_ms": raw.open_time_ms, "error": str(error)}, str(error))
            raise
        observed = {"intake": self._pending_faults(), "lag_ms": lag_ms}
        events = [Event("bar", {"bar": facts, "observed": observed}, pack_raw(raw))]
        self._since_snapshot += 1
        if self._since_snapshot >= self.rules.snapshot_every:
            events.append(self._snapshot())
        self._journal.append(events)
        self._engine.broker.submit(decision)
        self._engine.intake.counts = dict.fromkeys(self._engine.intake.counts, 0)
        self._set_stale(stale, lag_ms)
        for event in facts["events"]:
            self._tell(event["kind"], f"{event['kind']} at an equity of {event['equity']} USD", event)
        _log.info("bar", extra={"facts": {"open_ms": facts["open_ms"], **facts["account"], "lag_ms": lag_ms}})

    def _watch_feed(self) -> None:
        """Nothing new came: is what there is too old to enter on?"""
        limit, last = self.rules.stale_after_ms, self.last_ms
        if limit is not None and last is not None:
            lag_ms = self._now() - last - 2 * self._engine.market.interval_ms  # since the next bar should have closed
            if lag_ms > limit:
                self._set_stale(True, lag_ms)

    def _set_stale(self, stale: bool, lag_ms: int) -> None:
        if stale != self._stale:
            self._stale = stale
            kind = "stale_feed" if stale else "fresh_feed"
            self.note(
                kind, {"lag_ms": lag_ms}, f"the newest bar is {lag_ms} ms late: entries are {'off' if stale else 'on'}"
            )

    def _snapshot(self) -> Event:
        blob = self._engine.snapshot()
        self._since_snapshot = 0
        return Event("snapshot", {"sha256": hashlib.sha256(blob).hexdigest(), "bytes": len(blob)}, blob)

    def _pending_faults(self) -> dict[str, int]:
        """What arrived wrong since the last commit."""
        return {name: count for name, count in self._engine.intake.counts.items() if count}

    def _check_identity(self, theirs: dict[str, Any]) -> None:
        ours = self._engine.identity()
        for key, value in ours.items():
            if theirs.get(key) != value:
                raise ConfigError(
                    f"the session's {key} as it began, {_short(theirs.get(key))}",
                    found=_short(value),
                    mend="go on with the same strategy and market, or begin a session in a new folder",
                )

    def _tell(self, kind: str, message: str, facts: dict[str, Any]) -> None:
        self._alerts.send(Alert(kind, message, self._now(), dict(facts)))

    def _now(self) -> int:
        return self._feed.clock.now_ms()


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
