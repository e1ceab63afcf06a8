"""The outcome of an audit: findings, checks that passed, and notes on what could not be checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from quantlab.audit.draws import found_share

#: Stages of a pipeline, in the order in which one feeds the next; ``signal`` = only the outcome is suspicious.
STAGES = (
    "universe",
    "feature",
    "label",
    "weights",
    "split",
    "scaler",
    "calibrator",
    "tuning",
    "sizing",
    "fill",
    "signal",
)


@dataclass(frozen=True)
class LeakFinding:
    """One place where the future reaches the past.

    Parameters
    ----------
    stage : str
        One of :data:`STAGES`.
    column : str
        The feature, field, parameter or part that changed.
    where : str
        Row, time, symbol, fold or member.
    evidence : str
        What was done, and what happened then, in one sentence.
    """

    stage: str
    column: str
    where: str
    evidence: str


@dataclass(frozen=True)
class LeakCheck:
    """A check that was made, with the number of values or rows that were compared."""

    stage: str
    name: str
    compared: int
    passed: bool


@dataclass(frozen=True)
class CheckPower:
    """The power of a look at rows that were drawn at random.

    Parameters
    ----------
    stage : str
    looked_at : str
    rows : int
        Rows (bars, of all symbols) before another future, drawn independently.
    finds_99 : float
        Share of leaking rows of which one is among them with 99 %: a leak in fewer may be missed.
    """

    stage: str
    looked_at: str
    rows: int
    finds_99: float


@dataclass(frozen=True)
class AuditReport:
    """The outcome of an audit.

    Parameters
    ----------
    findings : tuple of LeakFinding
        In the order of the stages: the first is the likely cause, later ones may be its consequences.
    checks : tuple of LeakCheck
    notes : tuple of str
        What was not looked at, and why.
    diagnostics : dict of name to number or None
        Numbers that prove nothing by themselves.
    powers : tuple of CheckPower
    """

    findings: tuple[LeakFinding, ...]
    checks: tuple[LeakCheck, ...]
    notes: tuple[str, ...] = ()
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    powers: tuple[CheckPower, ...] = ()

    @property
    def leaks(self) -> bool:
        """True if anything was found."""
        return bool(self.findings)

    @property
    def first_finding(self) -> LeakFinding | None:
        """The earliest stage's first finding, the likely cause of the others; None without a leak."""
        return self.findings[0] if self.findings else None

    def as_dict(self) -> dict[str, Any]:
        """Strict JSON."""
        return {"leaks": self.leaks, **dataclasses.asdict(self)}


@dataclass
class AuditLog:
    """Collects findings while an audit runs; the only part of an audit that changes."""

    findings: list[LeakFinding] = field(default_factory=list)
    checks: list[LeakCheck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    diagnostics: dict[str, float | None] = field(default_factory=dict)
    powers: list[CheckPower] = field(default_factory=list)

    def power(self, stage: str, looked_at: str, rows: int) -> None:
        """Note how rare a leak may be that `rows` random rows find."""
        self.powers.append(CheckPower(stage, looked_at, rows, found_share(rows)))

    def check(self, stage: str, name: str, compared: int, findings: list[LeakFinding]) -> None:
        """Note a check, and what it found."""
        self.checks.append(LeakCheck(stage, name, int(compared), not findings))
        self.findings.extend(findings)

    def note(self, text: str) -> None:
        """Say once what was not looked at."""
        if text not in self.notes:
            self.notes.append(text)

    def found(self) -> bool:
        """Return whether anything has been found so far."""
        return bool(self.findings)

    def report(self) -> AuditReport:
        """Everything, findings by stage."""
        ordered = sorted(self.findings, key=lambda finding: STAGES.index(finding.stage))
        return AuditReport(
            tuple(ordered), tuple(self.checks), tuple(self.notes), dict(self.diagnostics), tuple(self.powers)
        )
