"""``job=live``: a session on a venue, with every position's stop resting there; it begins, or goes on after any end.

It begins only with evidence, a paper session of the same strategy that has passed its stage, and on an account that
preflight admits. Ctrl-C and a termination end it cleanly between two bars, with exit code 0: positions and their stops stay.
Start the same command again and it goes on, whatever happened meanwhile.
"""

from __future__ import annotations

import asyncio
import dataclasses

from omegaconf import DictConfig
from rich.console import Console

from quantlab.core.errors import DataError
from quantlab.core.events import BarInputs
from quantlab.core.files import require_writable
from quantlab.core.logs import json_log
from quantlab.core.market import Bars
from quantlab.core.ports import BarFeed, Venue
from quantlab.execution.feeds.lockstep import LockstepFeed
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.live.account import LiveAccount
from quantlab.execution.live.broker import LiveBroker, LiveLoop
from quantlab.execution.live.settings import BrokerSettings
from quantlab.execution.orders.intents import IntentMaker
from quantlab.execution.session.engine import Market
from quantlab.execution.session.handover import PAPER_VENUE
from quantlab.execution.session.session import Session
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.session.bar_lines import BarLines, TellingBroker
from quantlab.jobs.session.live_evidence import evidence_journal, require_evidence
from quantlab.jobs.session.live_venue import Admission, admit, open_venue, require_venue
from quantlab.jobs.session.session_folder import JOURNAL, LIVE_SESSIONS, removed_if_refused, session_folder
from quantlab.jobs.session.session_parts import (
    LOG,
    begin,
    checked_gates,
    load_history,
    load_strategy,
    open_feed,
    report_stage,
    warm_up_bars,
    watched,
)
from quantlab.jobs.session.session_strategy import PaperStrategy, require_request
from quantlab.jobs.session.status import status_tables
from quantlab.jobs.session.stop_request import StopRequest, stop_on_signals
from quantlab.trading.bar.stepper import Stepper


def run(cfg: DictConfig) -> float | None:
    """Trade until the feed ends or somebody asks to stop; the result is the equity, None before any bar.

    Raises
    ------
    QuantlabError
        If strategy, evidence, account, data, journal or configuration is refused.
    """
    console, progress = stdout_console(), TerminalProgress()
    require_venue(cfg)
    gates, broker = checked_gates(cfg), build(cfg.execution.broker)
    evidence = evidence_journal(cfg, gates)
    folder = session_folder(cfg, LIVE_SESSIONS)
    require_request(cfg)
    require_writable("job.folder", folder)
    history = load_history(cfg, progress)
    with removed_if_refused(folder), json_log(folder / LOG), stop_on_signals() as stop:
        with SqliteJournal(folder / JOURNAL) as journal:
            chosen = load_strategy(cfg, folder, journal)
            chosen.require_market(history)
            require_evidence(evidence, gates, str(cfg.job.evidence_stage), chosen.strategy)
            feed, _ = open_feed(cfg, chosen, history, journal, lambda seconds: live.session.attend(seconds))
            with open_venue(cfg, history.symbols, feed) as (venue, runner):
                live = _LiveRun(cfg, chosen, history, journal, feed, venue, runner, broker, stop, console)
                taken = live.trade(progress)
        view = read_session(folder / JOURNAL)
    for table in status_tables(view, now_ms=None):
        console.print(table)
    report_stage(cfg, console, gates, folder)
    console.print(f"{taken:,} bars, stopped: {view.ended}; session: {folder}", highlight=False, soft_wrap=True)
    return None if view.last_bar is None else view.last_bar["account"]["equity"]


class _LiveRun:
    """One session on one venue, from the judgement on the account to its end."""

    def __init__(
        self,
        cfg: DictConfig,
        chosen: PaperStrategy,
        history: Bars,
        journal: SqliteJournal,
        feed: BarFeed,
        venue: Venue,
        runner: asyncio.Runner,
        broker: BrokerSettings,
        stop: StopRequest,
        console: Console,
    ) -> None:
        self._cfg, self._chosen, self._history, self._journal, self._feed = cfg, chosen, history, journal, feed
        self._venue, self._stop, self._console = venue, stop, console
        rules = build(cfg.execution.venue.preflight)
        self.admission: Admission = runner.run(admit(venue, journal, history, chosen.strategy, broker, rules))
        self._broker = broker
        self._account = self._live_account()
        self._loop = LiveLoop(self._account, stop.event.is_set, runner)
        self._lines = BarLines(console, journal, self._account)
        self._brokers: list[LiveBroker] = []
        self.session = self._session()

    def trade(self, progress: TerminalProgress) -> int:
        """Start, run and finish the session; gives the number of bars that were taken."""
        for warning in self.admission.warnings:
            words = f"warning: expected {warning.expected}; found {warning.found}: {warning.fix}"
            self._console.print(words, highlight=False, soft_wrap=True)
        self._journal.append([self.admission.entry(self._broker.capital)])
        try:
            repeated = self.session.start(progress)
            begin(self._cfg, self._console, self.session, self._journal, self._chosen, repeated)
            self._lines.is_on = True
            taken = self._run()
            self.session.finish(self._stop.reason or ("bars" if taken == self._cfg.job.bars else "the feed ended"))
        finally:
            self._loop.close()
        return taken

    def _run(self) -> int:
        """Run the session; a venue that cannot be asked holds up no stop."""
        try:
            return self.session.run(self._stop.event, most_bars=self._cfg.job.bars)
        except DataError:
            if not self._stop.event.is_set():
                raise
            return self._lines.count

    def _live_account(self) -> LiveAccount:
        cfg, settings = self._cfg, self._broker.settings
        if isinstance(self._feed, LockstepFeed):  # market time does not pass while one waits
            settings = dataclasses.replace(settings, show_ms=0)
        maker = IntentMaker(self.admission.session, self.admission.facts.symbols, build(cfg.execution.orders))
        coarsest = float(self._chosen.strategy.costs.coarsest_tick)
        rules = build(cfg.execution.answer_rules)
        return LiveAccount(self._venue, self._journal, maker, rules, settings, coarsest, self.admission.began_ms)

    def _session(self) -> Session:
        cfg, history = self._cfg, self._history
        facts = self.admission.facts
        return Session(
            self._chosen.strategy,
            Market.of(history),
            feed=self._feed,
            journal=self._journal,
            make_broker=self._make_broker,
            alerts=build(cfg.execution.alerts),
            rules=build(cfg.execution.session),
            initial_cash=self._broker.capital,
            history=warm_up_bars(self._feed, history),
            # No stage of a rollout is passed on a simulated exchange.
            venue=PAPER_VENUE if facts.host.startswith(("127.0.0.1", "localhost")) else facts.name,
            inputs=self._inputs,
            **watched(cfg, self._chosen, history),
        )

    def _make_broker(self, account: Stepper) -> LiveBroker:
        self._brokers = [TellingBroker(account, self._loop, self._lines)]
        return self._brokers[0]

    def _inputs(self) -> BarInputs:
        return self._brokers[-1].inputs()
