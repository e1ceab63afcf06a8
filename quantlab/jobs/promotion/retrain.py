"""``job=retrain``: a candidate from the newest data, promoted only if it beats what serves.

1. Every configured member is fitted on the last fold of the splits, over the newest history. Its gates are those of
   what serves, if something does: nothing is changed that is not compared.
2. The members are registered together, as candidates.
3. The active ensemble speaks about the candidate's test rows, which neither has seen; a paired test compares.
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
from rich.console import Console
from rich.table import Table

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.errors import ArtifactError, ConfigError, ContractError, HistoryError
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource, Progress
from quantlab.core.results import Study
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.output.run_folder import require_folders
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.promotion.model_tables import moves_table
from quantlab.jobs.promotion.registration import register_study
from quantlab.learning.ensemble.comparison import Comparison
from quantlab.learning.ensemble.thresholds import Gates
from quantlab.learning.registry.serving import serve, serving_gates
from quantlab.learning.registry.store import Registry

KEPT = 3
_PROMOTE = ("if_better", "never", "force")
_GATES = ("active", "configured")


@dataclass(frozen=True)
class Decision:
    """What was found, and what follows.

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
    console, progress = Console(), TerminalProgress()
    registry: Registry = build(cfg.learning.registry)
    gates = kept_gates(cfg, registry)
    learner = build(newest_step(cfg, gates).signal)
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
    console.print(decision_table(decision, versions, gates_in_words(cfg, gates), study, bars))
    console.print(moves_table(before, after))
    if not decision.promote:
        sys.exit(KEPT)


def newest_step(cfg: DictConfig, gates: Gates | None) -> DictConfig:
    """The configuration with ``job.splits`` in the place of its splits, and `gates` in that of its own."""
    changed = copy.deepcopy(cfg)
    splits = OmegaConf.to_container(cfg.job.splits, resolve=True)
    OmegaConf.update(changed, "learning.splits", splits, merge=False)
    for name, value in ({} if gates is None else gates._asdict()).items():
        OmegaConf.update(changed, f"learning.ensemble.{name}", value)
    return changed


def kept_gates(cfg: DictConfig, registry: Registry) -> Gates | None:
    """The gates of what serves; None where nothing can be trusted to, or ``job.gates=configured``.

    Raises
    ------
    ConfigError
        If the configured members cannot meet their quorum.
    """
    if cfg.job.gates == "configured":
        return None
    try:
        gates = serving_gates(registry)
    except ArtifactError:
        return None  # in quarantine now, and the audit log says why
    if gates is not None and len(cfg.learning.members) < gates.quorum:
        raise ConfigError(
            f"at least {gates.quorum} members, the quorum of what serves",
            found=f"{len(cfg.learning.members)} in learning.members",
            fix="add members, or set job.gates=configured",
        )
    return gates


def gates_in_words(cfg: DictConfig, gates: Gates | None) -> str:
    """Whose gates the candidate has, and where the configuration wanted others."""
    if gates is None:
        return "as configured"
    wanted = cfg.learning.ensemble
    others = [
        f"{name} {value:g} (configured: {wanted[name]:g})"
        for name, value in gates._asdict().items()
        if value != wanted[name]
    ]
    if not others:
        return "those of the active ensemble, as configured"
    return f"those of the active ensemble: {', '.join(others)}; job.gates=configured takes the others"


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
    if cfg.job.gates not in _GATES:
        raise ConfigError(f"job.gates as one of {', '.join(_GATES)}", found=repr(cfg.job.gates), fix="set it")
    if cfg.job.promote == "force" and not str(cfg.job.reason or "").strip():
        raise ConfigError("a reason for job.promote=force", found="none", fix="add job.reason='...': it is logged")


def decide(
    cfg: DictConfig, registry: Registry, features: FeatureSource, study: Study, bars: Bars, progress: Progress
) -> Decision:
    """Compare the candidate with what serves, and say what follows under ``job.promote``."""
    found: Comparison | None = None
    try:
        found = compare(cfg, registry, features, study, bars, progress)
        better, why = (False, "there is no active version") if found is None else (found.better, str(found))
    except (HistoryError, ContractError, ArtifactError) as refused:
        better, why = False, f"not compared: {refused}"
    if cfg.job.promote == "force":
        return Decision(True, f"forced ({cfg.job.reason}); {why}", found)
    return Decision(better and cfg.job.promote == "if_better", why, found)


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
    unseen = max(unseen_from(registry, version) for version in serving.release.values())
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
        said = serving.signal.signal(bars.rows(start, study.last_row)).proba[first - start :]
        labels = build(cfg.learning.labels).label(bars, study.signal.atr)
        cut = type(labels)(labels.label[rows], labels.weight[rows], labels.known_at_ms[rows])
        found: Comparison = build(cfg.job.test).compare(said, study.signal.proba[rows], cut, bars.open_time_ms[rows])
        stage.advance()
    return found


def unseen_from(registry: Registry, version: str) -> int:
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


def decision_table(decision: Decision, versions: tuple[str, ...], gates: str, study: Study, bars: Bars) -> Table:
    """The comparison as a person reads it."""
    table = Table("", "candidate", "active", title_justify="left")
    test = (
        f"{iso_utc(int(bars.open_time_ms[study.first_row]))} to {iso_utc(int(bars.open_time_ms[study.last_row - 1]))}"
    )
    table.add_row("versions", "\n".join(versions), "")
    table.add_row("its test bars", test, "")
    table.add_row("its gates", gates, "")
    if decision.found is not None:
        found = decision.found
        table.add_row("log loss", f"{found.candidate:.5f}", f"{found.active:.5f}")
        table.add_row("improvement", f"{found.improvement:+.5f}", "")
        table.add_row(f"its {found.confidence:.0%} lower bound", f"{found.low:+.5f}", "")
        table.add_row("on unseen", f"{found.rows:,} rows, {found.days} days", "")
    table.add_row("decision", "promoted" if decision.promote else "registered only", "", style="bold")
    table.add_row("why", decision.why, "")
    return table
