"""Content of a tear sheet: plain, frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quantlab.core.arrays import Float64Array
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.results import SignalReport, Simulation, TuningStage
from quantlab.evaluation.statistics.stress import Stress
from quantlab.evaluation.statistics.summary import check_same_bars
from quantlab.evaluation.verdict.rule import Verdict


@dataclass(frozen=True)
class AccountResult:
    """A simulated account and its numbers.

    Parameters
    ----------
    simulation : Simulation
    summary : dict
        From :func:`quantlab.evaluation.statistics.summary.summarise`.
    """

    simulation: Simulation
    summary: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """Everything that the tear sheet shows.

    Parameters
    ----------
    experiment : str
    data_label : str
        E.g. ``"100 perpetuals, 5-minute bars"``.
    synthetic : bool
        The market is made up; the sheet says so loudly.
    verdict : Verdict
    evidence, lived : AccountResult
        Daily limit and breaker off (statistics, verdict), and on (what an account would have lived).
    bars : Bars
        The bars that both ran over, (T, S).
    benchmarks : dict of name to float64 (T,)
        Equity in USD on the same bars.
    signal : SignalReport or None
        None for a signal that was not learned.
    stamps : dict of str to str
        When, where and with which version: run id, creation time, seed, ...
    fingerprints : dict of str to str
        Of data, features, models, strategy, ...
    notes : tuple of str
        Sentences that a reader must see.
    findings : tuple of str
        What the quality gate saw; shown with the provenance.
    config_text : str
        The resolved configuration.
    tuning : tuple of TuningStage
        Choices that were made on the way, every trial of them.
    stress : Stress or None
        The evidence run replayed at other costs and with other accounts; None = not asked for.
    unmended : str
        A sentence on prices that step as a redenomination makes them; empty if none do.
    idle : str
        Why nothing was traded, the first thing that is said; empty where something was.

    Raises
    ------
    ContractError
        If a run or a benchmark does not belong to the bars.
    """

    experiment: str
    data_label: str
    synthetic: bool
    verdict: Verdict
    evidence: AccountResult
    lived: AccountResult
    bars: Bars
    benchmarks: dict[str, Float64Array]
    signal: SignalReport | None
    stamps: dict[str, str]
    fingerprints: dict[str, str]
    notes: tuple[str, ...] = field(default=())
    findings: tuple[str, ...] = field(default=())
    config_text: str = ""
    tuning: tuple[TuningStage, ...] = ()
    stress: Stress | None = None
    unmended: str = ""
    idle: str = ""

    def __post_init__(self) -> None:
        for account in (self.evidence, self.lived):
            check_same_bars(account.simulation, self.bars)
        for name, equity in self.benchmarks.items():
            if equity.shape != (self.bars.n_bars,):
                raise ContractError(
                    f"benchmark {name!r} with one equity value for each of {self.bars.n_bars} bars",
                    found=f"shape {equity.shape}",
                    fix="compute it on the simulated bars",
                )
