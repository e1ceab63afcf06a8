"""A broker with facts of its own: journalled before they are used, and handed back after a death at any moment."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import pytest

from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.events import VENUE_KINDS, BarInputs, Event
from quantlab.core.fakes import MemoryJournal
from quantlab.execution.feeds.replay import ReplayFeed
from quantlab.execution.journal.projections import read_tables
from quantlab.execution.session.inputs import inputs_of, stage_facts
from quantlab.execution.session.paper_broker import PaperBroker
from quantlab.trading.lowlevel.layout import CASH

N_BARS = 24


class Killed(BaseException):
    """The process ends here."""


@dataclasses.dataclass
class DyingJournal:
    """A journal whose process dies at one append: before it, or when it is durable."""

    memory: MemoryJournal
    at: int = -1
    durable: bool = False
    calls: int = 0

    def append(self, events):
        self.calls += 1
        if self.calls == self.at and not self.durable:
            raise Killed
        self.memory.append(events)
        if self.calls == self.at:
            raise Killed

    def __getattr__(self, name):
        return getattr(self.memory, name)


class Venue(PaperBroker):
    """A broker that finds payments when asked and while it attends, and journals an intent for every leg that it sends.

    Payments reach the account with the next bar; those of the future are known to `payments` alone, as to a venue.
    """

    def __init__(self, account, journal, payments):
        super().__init__(account, wait=lambda _: None)
        self.journal, self.payments = journal, payments
        self.intents, self.known, self.pending, self.taken = [], [], [], []

    def gather(self, until_ms):
        due = [entry for entry in self.payments if entry["time_ms"] < until_ms and entry["id"] not in self.known]
        return [Event("cash_moved", entry) for entry in due]

    def attend(self, seconds):
        """Every payment of an odd number is seen as soon as it is made."""
        super().attend(seconds)
        last = self._account.last_ms or 0
        for event in self.gather(last + 2 * self._account.interval_ms):
            if event.facts["id"] % 2:
                self.journal.append([event])
                self.take(event)

    def take(self, event):
        self.taken.append((event.kind, json.dumps(event.facts)))
        if event.kind == "intent":
            self.intents.append(event.facts["order_id"])
        else:
            self.known.append(event.facts["id"])
            self.pending.append(event.facts["amount"])

    def sync(self, bar):
        super().sync(bar)
        for amount in self.pending:
            self._account.state.account[CASH] += amount
        self.pending.clear()

    def submit(self, decision):
        new = [Event("intent", {"order_id": leg.order_id}) for leg in decision.legs if leg.order_id not in self.intents]
        if new:
            self.journal.append(new)
        for event in new:
            self.take(event)

    def state(self):
        return json.dumps([self.intents, self.known, self.pending]).encode()

    def restore(self, state):
        self.intents, self.known, self.pending = json.loads(state)


@dataclasses.dataclass
class AttendedFeed:
    """A replay that lets a session attend before each bar."""

    bars_: object
    inner: ReplayFeed
    session: object = None
    begins_ms: int | None = None

    @property
    def clock(self):
        return self.inner.clock

    def bars(self, after_ms):
        for raw in self.inner.bars(after_ms):
            self.session.attend(1.0)
            yield raw


@pytest.fixture
def place(session_parts):
    return session_parts(3, n_bars=N_BARS, snapshot_every=7)


@pytest.fixture
def payments(place):
    """Some in every third bar, some of a time before the session, which is told late."""
    opens = place.bars.open_time_ms
    return [
        {"id": i, "amount": 0.1 * (i + 1), "time_ms": int(opens[3 * (i // 2)]) - 1_000 * (i % 3)} for i in range(14)
    ]


def life(place, journal, payments, **given):
    """A session on the journal until the feed ends; the broker shares the journal."""
    feed = AttendedFeed(place.bars, ReplayFeed(place.bars, start=None, pace=None))
    make_broker = given.pop("make_broker", lambda account: Venue(account, journal, payments))
    feed.session = place.session(journal, feed=feed, make_broker=make_broker, **given)
    feed.session.start()
    feed.session.run()
    return feed.session


def evidence(journal):
    """Bars and facts of the venue in their order, without what a restart adds or a clock decides."""
    return [
        (event.kind, event.facts["bar"] if event.kind == "bar" else event.facts)
        for event in journal.replay()
        if event.kind == "bar" or event.kind in VENUE_KINDS
    ]


def test_facts_are_journalled_before_the_broker_takes_them_and_before_the_bar_that_they_belong_to(place, payments):
    memory = MemoryJournal()

    class Asking(Venue):
        def take(self, event):
            assert event.facts in [entry.facts for entry in memory.replay() if entry.kind == event.kind]
            super().take(event)

    session = life(place, memory, payments, make_broker=lambda account: Asking(account, memory, payments))
    found = evidence(memory)
    assert sum(kind == "intent" for kind, _ in found) > 10
    assert [facts["id"] for kind, facts in found if kind == "cash_moved"] != sorted(entry["id"] for entry in payments)
    close, waiting = {}, []
    for kind, facts in found:
        if kind == "cash_moved":
            waiting.append(facts)
        elif kind == "bar":
            close |= {entry["id"]: facts["open_ms"] + place.bars.interval_ms for entry in waiting}
            waiting = []
    assert all(entry["time_ms"] < close[entry["id"]] for entry in payments)
    plain = place.session(MemoryJournal())
    plain.start()
    plain.run()
    broker = session._engine.broker
    assert sorted(broker.known) == [entry["id"] for entry in payments]
    assert broker.pending == []
    assert session.account.state.account[CASH] - plain.account.state.account[CASH] > 9.0  # of 10.5; sizes follow equity


@pytest.mark.parametrize("durable", [False, True])
def test_a_death_at_any_append_changes_nothing(place, payments, durable):
    """Whatever was durable is taken again in its order; what was not is gathered, or sent, again."""
    whole = DyingJournal(MemoryJournal())
    state = [part.tobytes() for part in life(place, whole, payments).account.state]
    expected = evidence(whole)
    for at in range(2, whole.calls + 1):
        memory = MemoryJournal()
        with pytest.raises(Killed):
            life(place, DyingJournal(memory, at, durable), payments)
        again = life(place, DyingJournal(memory), payments)
        assert evidence(memory) == expected, at
        assert [part.tobytes() for part in again.account.state] == state, at


def test_a_clean_stop_keeps_what_was_taken_and_not_yet_settled(place, payments):
    """The snapshot of a stop lies behind facts of the bar to come: they are part of the broker's state in it."""
    memory = MemoryJournal()
    feed = ReplayFeed(place.bars, start=None, pace=None)
    session = place.session(memory, feed=feed, make_broker=lambda account: Venue(account, memory, payments))
    session.start()
    session.run(most_bars=3)
    session.attend(1.0)
    assert session._engine.broker.pending
    session.finish("test")
    life(place, memory, payments)
    whole = MemoryJournal()
    life(place, whole, payments)
    assert sorted(map(repr, evidence(memory))) == sorted(map(repr, evidence(whole)))


def test_facts_in_a_journal_on_disk_leave_its_tables_as_its_entries_make_them(place, payments):
    with place.journal() as journal:
        life(place, journal, payments)
        tables = read_tables(journal._database)
    with place.journal() as journal:  # verified as it is opened
        assert read_tables(journal._database) == tables
        assert dict(tables["counters"])["event.cash_moved"] == len(payments)


def test_a_kind_that_a_restart_would_not_hand_back_is_refused_before_it_is_journalled(place):
    memory = MemoryJournal()

    class Strange(PaperBroker):
        def gather(self, until_ms):
            return [Event("fill", {}), Event("rumour", {})]

    with pytest.raises(ContractError, match="found rumour"):
        life(place, memory, [], make_broker=Strange)
    assert not [event for event in memory.replay() if event.kind in ("fill", "rumour", "bar")]


def test_a_report_that_does_not_fit_the_account_is_no_mismatch_of_features(place):
    memory = MemoryJournal()

    class Confused(PaperBroker):
        def sync(self, bar):
            raise ContractError("a fill in one of 4 symbols", found="column 7", fix="map them")

    session = place.session(memory, make_broker=Confused)
    session.start()
    with pytest.raises(ContractError, match="column 7"):
        session.run()
    assert "column 7" in memory.latest("bar_failed").facts["error"]
    assert memory.latest("feature_mismatch") is None
    assert [alert.kind for alert in place.alerts.sent] == ["bar_failed"]


def test_a_journal_of_a_venue_cannot_go_on_in_paper(place, payments):
    memory = MemoryJournal()
    life(place, memory, payments)
    with pytest.raises((ContractError, ArtifactError), match="fills are simulated"):
        place.session(memory).start()


def test_a_restart_takes_the_inputs_of_a_bar_from_its_journal(place):
    """Whoever gave them may say something else by now; ``stale`` is the session's own."""
    memory, turn = MemoryJournal(), itertools.count()
    kinds = [
        BarInputs(stale=True),
        BarInputs(venue_halt=True),
        BarInputs(owner_halt=True),
        BarInputs(share=0.25, positions=1.0),
    ]
    place = dataclasses.replace(place, snapshot_every=1_000)
    session = place.session(memory, inputs=lambda: kinds[next(turn) % 4])
    session.start()
    session.run()
    bars = [event.facts["bar"] for event in memory.replay() if event.kind == "bar"]
    halts = [set(bar["halts"]) & {"feed", "venue", "owner"} for bar in bars]
    assert halts == [[set(), {"venue"}, {"owner"}, set()][t % 4] for t in range(N_BARS)]
    assert [bar["stage"]["share"] for bar in bars] == [0.25 if t % 4 == 3 else 1.0 for t in range(N_BARS)]
    assert [bar["stage"]["positions"] for bar in bars] == [1.0 if t % 4 == 3 else None for t in range(N_BARS)]
    entries = [[leg for leg in bar["orders"] if not leg["reduce_only"]] for bar in bars]
    assert not any(legs for t, legs in enumerate(entries) if t % 4 in (1, 2))
    assert any(legs for t, legs in enumerate(entries) if t % 4 in (0, 3))
    again = place.session(memory)
    assert again.start() == N_BARS
    for ours, theirs in zip(again.account.state, session.account.state, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    "inputs", [BarInputs(), BarInputs(True, True, True, 0.25, 5.0), BarInputs(share=0.0, positions=0.0)]
)
def test_inputs_come_back_from_strict_json(inputs):
    names = {"feed": inputs.stale, "venue": inputs.venue_halt, "owner": inputs.owner_halt}
    bar = {"halts": [name for name, on in names.items() if on], "stage": stage_facts(inputs)}
    assert inputs_of(json.loads(json.dumps(bar, allow_nan=False))) == inputs


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"share": math.nan}, {"positions": -1.0}, {"positions": math.nan}])
def test_a_stage_out_of_its_range_is_refused(wrong):
    with pytest.raises(ContractError, match="share of targets"):
        BarInputs(**wrong)


def test_attending_is_the_running_brokers_and_ends_when_its_wait_does(place):
    waited = []
    session = place.session(MemoryJournal(), make_broker=lambda account: PaperBroker(account, wait=waited.append))
    session.attend(2.5)
    assert waited == [2.5]


def test_a_journal_of_another_layout_is_refused_in_a_sentence(place):
    memory = MemoryJournal()
    place.session(memory).start()
    memory.events[0] = dataclasses.replace(memory.events[0], facts={**memory.events[0].facts, "layout": 1})
    with pytest.raises(
        ConfigError, match=r"layout 2; found layout 1\. Go on with the version.*or begin a session in a new folder"
    ):
        place.session(memory).start()
