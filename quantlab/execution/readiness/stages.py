"""Stages of readiness: each stage's gates with their evidence from a journal, and the stages that were passed.

A stage is passed when all of its time is recorded, no gate finds UNKNOWN and none that blocks finds FAIL. It counts
as reached only after stages that were passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError
from quantlab.execution.readiness.gates import FAIL, GATES, UNKNOWN, Finding, GateLimits
from quantlab.execution.readiness.window import Window, read_windows


@dataclass(frozen=True)
class Stage:
    """One step towards production.

    Parameters
    ----------
    title : str
    minutes : int
        Of market time, the newest ones.
    gates : tuple of str
        Names of :data:`~quantlab.execution.readiness.gates.GATES`.
    since : str or None
        Only what follows the first journal entry of this kind counts.

    Raises
    ------
    ConfigError
        If a gate is not known, there is none, or `minutes` is no positive whole number.
    """

    title: str
    minutes: int
    gates: tuple[str, ...]
    since: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))
        check_whole(f"minutes of the stage {self.title!r}", self.minutes, low=1)
        _require_known(f"the gates of {self.title!r}", self.gates)
        if not self.gates:
            raise ConfigError(f"at least one gate for {self.title!r}", found="none", fix="name some")


def _partial_finding(found: Finding, stage: Stage, minutes: float) -> Finding:
    """Return a gate's finding on less time than was asked for: a failure is one however little is recorded."""
    after = "" if stage.since is None else f" after an entry {stage.since!r}"
    recorded = f"{minutes:,.0f} of {stage.minutes:,} minutes recorded{after}"
    if found.status == FAIL:
        return Finding(FAIL, f"{found.evidence}; {recorded}", found.value)
    return Finding(UNKNOWN, f"{recorded}; so far: {found.evidence}", found.value)


def _require_known(what: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in GATES:
            raise ConfigError(f"{what} as some of {', '.join(GATES)}", found=repr(name), fix="correct the name")


@dataclass(frozen=True)
class GateResult:
    """A finding with its place.

    Parameters
    ----------
    gate : str
    status : {"PASS", "FAIL", "UNKNOWN"}
    evidence : str
    value : float or None
    blocks : bool
        Whether this result keeps the stage from being passed.
    """

    gate: str
    status: str
    evidence: str
    value: float | None
    blocks: bool


@dataclass(frozen=True)
class StageResult:
    """A stage as its journal shows it.

    Parameters
    ----------
    name, title : str
    minutes, recorded_minutes : float
        Of market time: asked for, and there.
    results : tuple of GateResult
    reached : bool
        Whether every stage before it was passed.
    """

    name: str
    title: str
    minutes: float
    recorded_minutes: float
    results: tuple[GateResult, ...]
    reached: bool

    @property
    def passed(self) -> bool:
        """True if every gate lets it pass, and every stage before it was passed."""
        return self.reached and not any(result.blocks for result in self.results)

    def document(self) -> dict[str, Any]:
        """Strict JSON."""
        return {**asdict(self), "results": [asdict(result) for result in self.results], "passed": self.passed}


@dataclass(frozen=True)
class Readiness:
    """Stages in their order, what they compare with, and which failures block.

    Parameters
    ----------
    limits : GateLimits
    blocking : tuple of str
        Gates whose FAIL blocks; UNKNOWN of any gate does, and any finding on a stage not recorded in full.
    stages : dict of name to Stage

    Raises
    ------
    ConfigError
        If a blocking gate is not known, or there is no stage.
    """

    limits: GateLimits
    blocking: tuple[str, ...]
    stages: Mapping[str, Stage]

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocking", tuple(self.blocking))
        _require_known("execution.gates.blocking", self.blocking)
        if not self.stages:
            raise ConfigError("execution.gates.stages with at least one stage", found="none", fix="name some")

    def assess(self, journal: Path, names: Sequence[str] | None = None) -> tuple[StageResult, ...]:
        """Every stage, or those named, as a journal shows it; a stage after others is reached only if they passed.

        Raises
        ------
        ConfigError
            If there is no journal, or no such stage.
        ArtifactError
            If the journal is damaged.
        """
        wanted = tuple(self.stages) if names is None else tuple(names)
        for name in wanted:
            self.require_stage(name)
        windows = read_windows(journal, [(stage.minutes, stage.since) for stage in self.stages.values()])
        done: dict[str, StageResult] = {}
        for (name, stage), window in zip(self.stages.items(), windows, strict=True):
            done[name] = self._stage(name, stage, window, all(result.passed for result in done.values()))
        return tuple(done[name] for name in wanted)

    def require_stage(self, name: str) -> None:
        """Return if there is such a stage.

        Raises
        ------
        ConfigError
            Naming those that there are.
        """
        if name not in self.stages:
            known = ", ".join(self.stages)
            raise ConfigError(f"a stage, one of {known}", found=repr(name), fix="correct its name")

    def _stage(self, name: str, stage: Stage, window: Window, reached: bool) -> StageResult:
        minutes = len(window.facts) * window.bars.interval_ms / 60_000 if window.bars is not None else 0.0
        results = tuple(self._result(gate, stage, window, minutes) for gate in stage.gates)
        return StageResult(name, stage.title, float(stage.minutes), minutes, results, reached)

    def _result(self, gate: str, stage: Stage, window: Window, minutes: float) -> GateResult:
        found = GATES[gate](window, self.limits)
        if not window.complete:
            found = _partial_finding(found, stage, minutes)
        blocks = not window.complete or found.status == UNKNOWN or (found.status == FAIL and gate in self.blocking)
        return GateResult(gate, found.status, found.evidence, found.value, blocks)
