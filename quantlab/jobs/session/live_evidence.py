"""The evidence without which no session begins on a venue: a paper session of the same strategy that has passed its stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import ConfigError
from quantlab.execution.journal.reader import read_session
from quantlab.execution.readiness.stages import Readiness
from quantlab.jobs.session.session_folder import JOURNAL

_BEGIN = "let one run: job=paper with the same bundle or experiment and the same options"


def evidence_journal(cfg: DictConfig, gates: Readiness) -> Path:
    """Return the journal of the session that ``job.evidence`` names.

    Raises
    ------
    ConfigError
        If none is named, there is none, or there is no such stage.
    """
    gates.require_stage(str(cfg.job.evidence_stage))
    asked = "job.evidence as the folder of a paper session of this strategy"
    if OmegaConf.is_missing(cfg.job, "evidence") or not cfg.job.evidence:
        raise ConfigError(asked, found="none", fix=_BEGIN)
    journal = Path(str(cfg.job.evidence)).resolve() / JOURNAL
    if not journal.is_file():
        raise ConfigError(asked, found=f"no {JOURNAL} in {journal.parent}", fix=_BEGIN)
    return journal


def require_evidence(journal: Path, gates: Readiness, stage: str, strategy: Any) -> None:
    """Return if a session of the same strategy has passed a stage.

    Parameters
    ----------
    journal : Path
    gates : Readiness
    stage : str
    strategy : Strategy

    Raises
    ------
    ConfigError
        Naming the gates that hold it up.
    ArtifactError
        If the journal is damaged.
    """
    identity = read_session(journal).identity
    theirs = "none that has begun" if identity is None else str(identity["strategy"])
    if theirs != strategy.fingerprint:
        expected = f"a session of this strategy ({strategy.fingerprint[:12]}) in {journal.parent}"
        raise ConfigError(expected, found=f"one of another, {theirs[:12]}" if identity else theirs, fix=_BEGIN)
    results = gates.assess(journal)
    until = next(i for i, result in enumerate(results) if result.name == stage)
    if results[until].passed:
        return
    held = [f"{r.gate} {r.status} ({r.evidence})" for one in results[: until + 1] for r in one.results if r.blocks]
    expected = f"the stage {stage} passed in {journal.parent}"
    raise ConfigError(expected, found=f"held up by {'; '.join(dict.fromkeys(held))}", fix="let that session go on")
