"""``job=retrain``: a candidate from the newest data, promoted only if it beats what serves.

1. Every configured member is fitted on the last fold of the splits, over the newest history. Its thresholds are those of
   what serves, if something does: nothing is changed that is not compared.
2. The members are registered together, as candidates.
3. The active ensemble forecasts the candidate's test rows, which neither has seen; a paired test compares.
4. The candidate is promoted if it is better at ``job.test.confidence``, or with ``job.promote=force`` and a reason.

Each step, and why, is in the registry's audit log. Exit code 0: promoted; 3: registered, and what served before
serves on; 2: refused.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, Progress
from quantlab.core.results import Study
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.run_folder import require_folders
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.promotion.model_tables import moves_table
from quantlab.jobs.promotion.registration import register_study
from quantlab.learning.ensemble.comparison import Comparison
from quantlab.learning.ensemble.thresholds import Thresholds
from quantlab.learning.registry.serving import serve, serving_thresholds
from quantlab.learning.registry.store import Registry

EXIT_REGISTERED_ONLY = 3
_PROMOTE = ("if_better", "never", "force")
_THRESHOLDS = ("active", "configured")


@dataclass(frozen=True)
class PromotionDecision:
    """Result of the comparison, and what follows from it.

    Parameters
    ----------
    promote : bool
    why : str
        A sentence for the audit log and the screen.
    found : Comparison or None
        None where nothing could be compared.
    """

    promote: bool
    why: str
    found: Comparison | None = None


def run(cfg: DictConfig) -> None:
    """Train, register, compare, and promote or not.

    Raises
    ------
    QuantlabError
        If data, configuration, a member or the registry is refused.
    SystemExit
        With code 3, if the candidate was registered and not promoted.
    """
    check_request(cfg)
    console, progress = stdout_console(), TerminalProgress()
    registry: Registry = build(cfg.learning.registry)
    thresholds = candidate_thresholds(cfg, registry)
    learner = build(last_fold_config(cfg, thresholds).signal)
    features: FeatureSource = build(cfg.features)
    build(cfg.job.test)  # refused now, not after the fitting
    require_folders(cfg, "cache_dir", "registry_root")
    with progress.stage("history", 1) as stage:
        bars = history_cut(cfg).load(build(cfg.data))
        stage.advance()
    study = learner.study(bars, progress)
    with progress.stage("register", 1) as stage:
        versions = register_study(registry, cfg, study, bars, features)
        stage.advance()
    decision = decide(cfg, registry, features, study, bars, progress)
    registry.note("compare", versions, decision.why)
    before = registry.active()
    after = registry.promote(versions, features, f"retrain: {decision.why}") if decision.promote else before
    console.print(decision_table(decision, versions, describe_thresholds(cfg, thresholds), study, bars))
    console.print(moves_table(before, after))
    if not decision.promote:
        sys.exit(EXIT_REGISTERED_ONLY)


def last_fold_config(cfg: DictConfig, thresholds: Thresholds | None) -> DictConfig:
    """The configuration with ``job.splits`` in the place of its splits, and `thresholds` in that of its own."""
    changed = copy.deepcopy(cfg)
    splits = OmegaConf.to_container(cfg.job.splits, resolve=True)
    OmegaConf.update(changed, "learning.splits", splits, merge=False)
    for name, value in ({} if thresholds is None else thresholds._asdict()).items():
        OmegaConf.update(changed, f"learning.ensemble.{name}", value)
    return changed


def candidate_thresholds(cfg: DictConfig, registry: Registry) -> Thresholds | None:
    """The thresholds of what serves; None where nothing can be trusted to, or ``job.thresholds=configured``.

    Raises
    ------
    ConfigError
        If the configured members cannot meet their quorum.
    """
    if cfg.job.thresholds == "configured":
        return None
    try:
        thresholds = serving_thresholds(registry)
    except ArtifactError:
        return None  # in quarantine now, and the audit log says why
    if thresholds is not None and len(cfg.learning.members) < thresholds.quorum:
        raise ConfigError(
            f"at least {thresholds.quorum} members, the quorum of what serves",
            found=f"{len(cfg.learning.members)} in learning.members",
            fix="add members, or set job.thresholds=configured",
        )
    return thresholds


def describe_thresholds(cfg: DictConfig, thresholds: Thresholds | None) -> str:
    """Describe the origin of the candidate's thresholds, and those that the configuration wanted otherwise."""
    if thresholds is None:
        return "as configured"
    wanted = cfg.learning.ensemble
    others = [
        f"{name} {value:g} (configured: {wanted[name]:g})"
        for name, value in thresholds._asdict().items()
        if value != wanted[name]
    ]
    if not others:
        return "those of the active ensemble, as configured"
    return f"those of the active ensemble: {', '.join(others)}; job.thresholds=configured takes the others"


def check_request(cfg: DictConfig) -> None:
    """Refuse what cannot end well before anything is fitted.

    Raises
    ------
    ConfigError
        If the signal is not learned, a mode is unknown, or an override has no reason.
    """
    if "splits" not in cfg.signal:
        raise ConfigError(
            "a signal that is learned", found=str(cfg.signal.get("_target_")), fix="add experiment=ensemble_v2"
        )
    if cfg.job.promote not in _PROMOTE:
        raise ConfigError(f"job.promote as one of {', '.join(_PROMOTE)}", found=repr(cfg.job.promote), fix="set it")
    if cfg.job.thresholds not in _THRESHOLDS:
        raise ConfigError(
            f"job.thresholds as one of {', '.join(_THRESHOLDS)}", found=repr(cfg.job.thresholds), fix="set it"
        )
    if cfg.job.promote == "force" and not str(cfg.job.reason or "").strip():
        raise ConfigError("a reason for job.promote=force", found="none", fix="add job.reason='...': it is logged")


def decide(
    cfg: DictConfig, registry: Registry, features: FeatureSource, study: Study, bars: Bars, progress: Progress
) -> PromotionDecision:
    """Compare the candidate with what serves, and say what follows under ``job.promote``."""
    found: Comparison | None = None
    try:
        found = compare(cfg, registry, features, study, bars, progress)
        better, why = (False, "there is no active version") if found is None else (found.better, str(found))
    except (HistoryError, ContractError, ArtifactError) as refused:
        better, why = False, f"not compared: {refused}"
    if cfg.job.promote == "force":
        return PromotionDecision(True, f"forced ({cfg.job.reason}); {why}", found)
    return PromotionDecision(better and cfg.job.promote == "if_better", why, found)


def compare(
    cfg: DictConfig, registry: Registry, features: FeatureSource, study: Study, bars: Bars, progress: Progress
) -> Comparison | None:
    """Both ensembles on the rows that neither has seen; None if nothing is active.

    Raises
    ------
    HistoryError
        If too few days are unseen by both.
    ContractError
        If the active members were fitted on other features.
    ArtifactError
        If the active release cannot be trusted.
    """
    if not registry.active():
        return None
    serving = serve(registry, features)
    unseen = max(first_unseen_ms(registry, version) for version in serving.release.values())
    first = max(study.first_row, int(np.searchsorted(bars.open_time_ms, unseen)))
    if first >= study.last_row:
        raise HistoryError(
            f"test bars of the candidate after {iso_utc(unseen)}, up to which the active ensemble was fitted",
            found=f"bars up to {iso_utc(int(bars.open_time_ms[study.last_row - 1]))}",
            fix="wait for newer data, or override with job.promote=force",
        )
    rows = slice(first, study.last_row)
    with progress.stage("comparison", 1) as stage:
        start = max(0, first - serving.signal.warmup)
        proba = serving.signal.signal(bars.rows(start, study.last_row)).proba[first - start :]
        labels = build(cfg.learning.labels).label(bars, study.signal.atr)
        cut = type(labels)(labels.label[rows], labels.weight[rows], labels.known_at_ms[rows])
        found: Comparison = build(cfg.job.test).compare(proba, study.signal.proba[rows], cut, bars.open_time_ms[rows])
        stage.advance()
    return found


def first_unseen_ms(registry: Registry, version: str) -> int:
    """Epoch ms of the first bar that nothing of a version was fitted, stopped or calibrated on.

    Raises
    ------
    ArtifactError
        If its manifest does not say.
    """
    first = registry.describe(version)["parts"].get("test", {}).get("first")
    if first is None:
        raise ArtifactError(
            f"the first test bar in the manifest of {version}", found="none", fix="use job.promote=force"
        )
    return parse_utc(first)


def decision_table(
    decision: PromotionDecision, versions: tuple[str, ...], thresholds: str, study: Study, bars: Bars
) -> Table:
    """The comparison as a person reads it."""
    table = terminal_table("", "candidate", "active")
    test = (
        f"{iso_utc(int(bars.open_time_ms[study.first_row]))} to {iso_utc(int(bars.open_time_ms[study.last_row - 1]))}"
    )
    table.add_row("versions", "\n".join(versions), "")
    table.add_row("its test bars", test, "")
    table.add_row("its thresholds", thresholds, "")
    if decision.found is not None:
        found = decision.found
        table.add_row("log loss", f"{found.candidate:.5f}", f"{found.active:.5f}")
        table.add_row("improvement", f"{found.improvement:+.5f}", "")
        table.add_row(f"its {found.confidence:.0%} lower bound", f"{found.low:+.5f}", "")
        table.add_row("on unseen", f"{found.rows:,} rows, {found.days} days", "")
    table.add_row("decision", "promoted" if decision.promote else "registered only", "", style="bold")
    table.add_row("why", decision.why, "")
    return table
