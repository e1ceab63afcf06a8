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

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from quantlab.core.checks import check_whole
from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.events import Event
from quantlab.core.files import require_writable, write_json
from quantlab.core.logs import json_log
from quantlab.core.market import Bars
from quantlab.core.ports import BarFeed, DataSource, HasMarket
from quantlab.execution.journal.reader import read_session
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.readiness.stages import Readiness
from quantlab.execution.session.drift_watch import DriftWatchRules
from quantlab.execution.session.engine import Market
from quantlab.execution.session.handover import release_of
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut, trust_of
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.session.promoted_bundles import PromotedBundles
from quantlab.jobs.session.readiness import gate_document, print_stages
from quantlab.jobs.session.replay_start import replay_start
from quantlab.jobs.session.session_folder import JOURNAL, removed_if_refused, session_folder
from quantlab.jobs.session.session_strategy import PaperStrategy, is_stored, paper_strategy, require_request
from quantlab.jobs.session.status import status_tables
from quantlab.jobs.session.stop_request import StopRequest, stop_on_signals

LOG, GATES = "log.jsonl", "gates.json"


def run(cfg: DictConfig) -> float | None:
    """Trade until the feed ends or somebody asks to stop; the result is the equity, None before any bar.

    Raises
    ------
    QuantlabError
        If strategy, data, journal or configuration is refused.
    """
    console, progress = stdout_console(), TerminalProgress()
    gates: Readiness = build(cfg.execution.gates)
    if cfg.job.bars is not None:
        check_whole("job.bars", cfg.job.bars, low=1)
    if cfg.job.stage is not None:
        gates.require_stage(str(cfg.job.stage))
    folder = session_folder(cfg)
    require_request(cfg)
    require_writable("job.folder", folder)
    with progress.stage("history", 1) as stage:
        history = history_cut(cfg).load(build(cfg.data))  # before the journal: data that is refused leaves none behind
        stage.advance()
    with removed_if_refused(folder), json_log(folder / LOG), stop_on_signals() as stop:
        with SqliteJournal(folder / JOURNAL) as journal:
            chosen = _strategy(cfg, folder, journal)
            chosen.require_market(history)
            feed, words = _feed(cfg, chosen, history, journal, lambda seconds: session.attend(seconds))
            if words:
                console.print(words, highlight=False, soft_wrap=True)
            session = _session(cfg, chosen, history, journal, feed, stop)
            repeated = session.start(progress)
            _begin(cfg, console, session, journal, repeated)
            journal.append([Event("terms", chosen.terms(_common_terms(cfg)))])
            taken = session.run(stop.event, most_bars=cfg.job.bars)
            session.finish(stop.reason or ("bars" if taken == cfg.job.bars else "the feed ended"))
        view = read_session(folder / JOURNAL)
    for table in status_tables(view, now_ms=None):
        console.print(table)
    if cfg.job.stage is not None:
        _report(console, gates, folder, str(cfg.job.stage))
    console.print(f"{taken:,} bars, stopped: {view.ended}; session: {folder}", highlight=False, soft_wrap=True)
    return None if view.last_bar is None else view.last_bar["account"]["equity"]


def _report(console: Console, gates: Readiness, folder: Path, stage: str) -> None:
    """Write and print one stage's gates so far; every stage is in ``job=readiness``."""
    stages = gates.assess(folder / JOURNAL, [stage])
    write_json(folder / GATES, gate_document(stages))
    print_stages(console, stages)


def _strategy(cfg: DictConfig, folder: Path, journal: SqliteJournal) -> PaperStrategy:
    """The strategy, or a journalled fact that it could not be loaded; a wrong option of a configured one is no such fact."""
    try:
        return paper_strategy(cfg, folder, release_of(journal))
    except (ArtifactError, ContractError) as error:
        if is_stored(cfg):
            journal.append([Event("model_load_failure", {"error": str(error)})])
        raise


def _feed(
    cfg: DictConfig, chosen: PaperStrategy, history: Bars, journal: SqliteJournal, sleep: Callable[[float], None]
) -> tuple[BarFeed, str]:
    """The configured feed, and a line on where it begins; one with a ``start`` that is null begins after the warm-up.

    While it waits the broker works: `sleep` is :meth:`Session.attend` of the session that is made with this feed.
    """
    make = build(cfg.execution.feed)
    if "start" not in cfg.execution.feed or cfg.execution.feed.start is not None:
        return make(history, sleep=sleep), ""
    begins = replay_start(journal, chosen.strategy, chosen.bundle, history)
    return make(history, sleep=sleep, start=begins.time), begins.words


def _session(
    cfg: DictConfig, chosen: PaperStrategy, history: Bars, journal: SqliteJournal, feed: BarFeed, stop: StopRequest
) -> Session:
    watch_rules = build(cfg.execution.drift)
    _require_one_market(build(cfg.data), feed)
    begins = feed.begins_ms
    rows = history.n_bars if begins is None else int(history.open_time_ms.searchsorted(begins))
    return Session(
        chosen.strategy,
        Market.of(history),
        feed=feed,
        journal=journal,
        make_broker=partial(build(cfg.execution.broker), wait=stop.wait),
        alerts=build(cfg.execution.alerts),
        rules=build(cfg.execution.session),
        initial_cash=cfg.cash,
        history=history.rows(0, rows) if rows else None,
        drift=None if chosen.drift is None else watch_rules.watch(chosen.drift),
        releases=_releases(cfg, chosen, history, watch_rules),
    )


def _require_one_market(source: DataSource, feed: BarFeed) -> None:
    """Refuse a history of one market that goes on with the bars of another."""
    if not (isinstance(source, HasMarket) and isinstance(feed, HasMarket)):
        return
    if source.bar_market() != feed.bar_market():
        raise ConfigError(
            f"a history of the feed's market, {feed.bar_market()}",
            found=f"bars of {source.bar_market()}",
            fix="set data to a dataset of that market: two never meet in one series",
        )


def _releases(
    cfg: DictConfig, chosen: PaperStrategy, history: Bars, watch_rules: DriftWatchRules
) -> PromotedBundles | None:
    if chosen.bundles_folder is None or chosen.bundle is None:
        return None
    return PromotedBundles(
        chosen.bundles_folder, chosen.bundle, history, watch_rules.watch, trust_of(cfg), _common_terms(cfg)
    )


def _common_terms(cfg: DictConfig) -> dict[str, Any]:
    """The age beyond which a bar is stale, and the gates of each stage."""
    rules: SessionRules = build(cfg.execution.session)
    gates: Readiness = build(cfg.execution.gates)
    names = {name: list(stage.gates) for name, stage in gates.stages.items()}
    return {"stale_after_ms": rules.stale_after_ms, "gates": names}


def _begin(cfg: DictConfig, console: Console, session: Session, journal: SqliteJournal, repeated: int) -> None:
    if cfg.job.reset_breaker:
        session.reset_breaker()
    if cfg.job.backup is not None:
        journal.backup(Path(cfg.job.backup).resolve())
    console.print(f"session ready, {repeated:,} journalled bars repeated", highlight=False)
