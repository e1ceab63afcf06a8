"""``job=paper``: a paper session that begins, or goes on where its journal ends.

The strategy comes from a bundle (``bundle=FOLDER``), from a finished run (``run=runs/EXPERIMENT/RUN``, which is
made a bundle in the session's folder first), or from the experiment's configuration where nothing is learned. With
``bundle=models/bundles``, a folder of bundles with a pointer to the active one, the session goes on with another
bundle, between two bars, as soon as ``job=promote`` has made it active.
Ctrl-C and a termination end it cleanly between two bars, with exit code 0; a second Ctrl-C at once, and nothing
is lost either. Start the same command again and it goes on. A session ends in a report: whether it has passed the
stage ``job.stage``, and on which evidence.
"""

from __future__ import annotations

from functools import partial

from omegaconf import DictConfig

from quantlab.core.files import require_writable
from quantlab.core.logs import json_log
from quantlab.core.market import Bars
from quantlab.core.ports import BarFeed
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.session.engine import Market
from quantlab.execution.session.session import Session
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.session.session_folder import JOURNAL, removed_if_refused, session_folder
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


def run(cfg: DictConfig) -> float | None:
    """Trade until the feed ends or somebody asks to stop; the result is the equity, None before any bar.

    Raises
    ------
    QuantlabError
        If strategy, data, journal or configuration is refused.
    """
    console, progress = stdout_console(), TerminalProgress()
    gates = checked_gates(cfg)
    folder = session_folder(cfg)
    require_request(cfg)
    require_writable("job.folder", folder)
    history = load_history(cfg, progress)
    with removed_if_refused(folder), json_log(folder / LOG), stop_on_signals() as stop:
        with SqliteJournal(folder / JOURNAL) as journal:
            chosen = load_strategy(cfg, folder, journal)
            chosen.require_market(history)
            feed, words = open_feed(cfg, chosen, history, journal, lambda seconds: session.attend(seconds))
            if words:
                console.print(words, highlight=False, soft_wrap=True)
            session = _session(cfg, chosen, history, journal, feed, stop)
            repeated = session.start(progress)
            begin(cfg, console, session, journal, chosen, repeated)
            taken = session.run(stop.event, most_bars=cfg.job.bars)
            session.finish(stop.reason or ("bars" if taken == cfg.job.bars else "the feed ended"))
        view = read_session(folder / JOURNAL)
    for table in status_tables(view, now_ms=None):
        console.print(table)
    report_stage(cfg, console, gates, folder)
    console.print(f"{taken:,} bars, stopped: {view.ended}; session: {folder}", highlight=False, soft_wrap=True)
    return None if view.last_bar is None else view.last_bar["account"]["equity"]


def _session(
    cfg: DictConfig, chosen: PaperStrategy, history: Bars, journal: SqliteJournal, feed: BarFeed, stop: StopRequest
) -> Session:
    return Session(
        chosen.strategy,
        Market.of(history),
        feed=feed,
        journal=journal,
        make_broker=partial(build(cfg.execution.broker), wait=stop.wait),
        alerts=build(cfg.execution.alerts),
        rules=build(cfg.execution.session),
        initial_cash=cfg.cash,
        history=warm_up_bars(feed, history),
        **watched(cfg, chosen, history),
    )
