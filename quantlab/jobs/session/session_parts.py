"""Parts that a paper session and a live one are made of alike: strategy, feed, releases, terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from quantlab.core.checks import check_whole
from quantlab.core.errors import ArtifactError, ConfigError, ContractError
from quantlab.core.events import Event
from quantlab.core.files import write_json
from quantlab.core.market import Bars
from quantlab.core.ports import BarFeed, DataSource, HasMarket, Journal
from quantlab.execution.journal.sqlite import SqliteJournal
from quantlab.execution.readiness.stages import Readiness
from quantlab.execution.session.drift_watch import DriftWatchRules
from quantlab.execution.session.handover import release_of
from quantlab.execution.session.rules import SessionRules
from quantlab.execution.session.session import Session
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut, trust_of
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.session.promoted_bundles import PromotedBundles
from quantlab.jobs.session.readiness import gate_document, print_stages
from quantlab.jobs.session.replay_start import replay_start
from quantlab.jobs.session.session_folder import JOURNAL
from quantlab.jobs.session.session_strategy import PaperStrategy, is_stored, paper_strategy

LOG, GATES = "log.jsonl", "gates.json"


def checked_gates(cfg: DictConfig) -> Readiness:
    """Build the gates, and refuse options of the job that no session can run with."""
    gates: Readiness = build(cfg.execution.gates)
    if cfg.job.bars is not None:
        check_whole("job.bars", cfg.job.bars, low=1)
    if cfg.job.stage is not None:
        gates.require_stage(str(cfg.job.stage))
    return gates


def load_history(cfg: DictConfig, progress: TerminalProgress) -> Bars:
    """Load the configured data; before the journal, so that data that is refused leaves none behind."""
    with progress.stage("history", 1) as stage:
        history = history_cut(cfg).load(build(cfg.data))
        stage.advance()
    return history


def load_strategy(cfg: DictConfig, folder: Path, journal: SqliteJournal) -> PaperStrategy:
    """Load the strategy, or journal that it could not be loaded; a wrong option of a configured one is no such fact."""
    try:
        return paper_strategy(cfg, folder, release_of(journal))
    except (ArtifactError, ContractError) as error:
        if is_stored(cfg):
            journal.append([Event("model_load_failure", {"error": str(error)})])
        raise


def open_feed(
    cfg: DictConfig, chosen: PaperStrategy, history: Bars, journal: Journal, sleep: Callable[[float], None]
) -> tuple[BarFeed, str]:
    """Open the configured feed, and say in a line where it begins; one with a ``start`` that is null begins after the warm-up.

    While it waits the broker works: `sleep` is :meth:`Session.attend` of the session that is made with this feed.
    """
    make = build(cfg.execution.feed)
    if "start" not in cfg.execution.feed or cfg.execution.feed.start is not None:
        feed, words = make(history, sleep=sleep), ""
    else:
        begins = replay_start(journal, chosen.strategy, chosen.bundle, history)
        feed, words = make(history, sleep=sleep, start=begins.time), begins.words
    _require_one_market(build(cfg.data), feed)
    return feed, words


def warm_up_bars(feed: BarFeed, history: Bars) -> Bars | None:
    """Return what lies before the feed's first bar; None where nothing does."""
    begins = feed.begins_ms
    rows = history.n_bars if begins is None else int(history.open_time_ms.searchsorted(begins))
    return history.rows(0, rows) if rows else None


def watched(cfg: DictConfig, chosen: PaperStrategy, history: Bars) -> dict[str, Any]:
    """Return a session's watch over drift and the bundles that it follows, by its parameters' names."""
    rules: DriftWatchRules = build(cfg.execution.drift)
    releases = None
    if chosen.bundles_folder is not None and chosen.bundle is not None:
        releases = PromotedBundles(
            chosen.bundles_folder, chosen.bundle, history, rules.watch, trust_of(cfg), common_terms(cfg)
        )
    return {"drift": None if chosen.drift is None else rules.watch(chosen.drift), "releases": releases}


def common_terms(cfg: DictConfig) -> dict[str, Any]:
    """Return the age beyond which a bar is stale, and the gates of each stage."""
    rules: SessionRules = build(cfg.execution.session)
    gates: Readiness = build(cfg.execution.gates)
    names = {name: list(stage.gates) for name, stage in gates.stages.items()}
    return {"stale_after_ms": rules.stale_after_ms, "gates": names}


def begin(
    cfg: DictConfig, console: Console, session: Session, journal: SqliteJournal, chosen: PaperStrategy, repeated: int
) -> None:
    """Do what is asked for at a start, say that the session is ready, and journal the strategy's terms."""
    if cfg.job.reset_breaker:
        session.reset_breaker()
    if cfg.job.backup is not None:
        journal.backup(Path(cfg.job.backup).resolve())
    console.print(f"session ready, {repeated:,} journalled bars repeated", highlight=False)
    journal.append([Event("terms", chosen.terms(common_terms(cfg)))])


def report_stage(cfg: DictConfig, console: Console, gates: Readiness, folder: Path) -> None:
    """Write and print the asked stage's gates so far; every stage is in ``job=readiness``."""
    if cfg.job.stage is None:
        return
    stages = gates.assess(folder / JOURNAL, [str(cfg.job.stage)])
    write_json(folder / GATES, gate_document(stages))
    print_stages(console, stages)


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
