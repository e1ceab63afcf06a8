"""Content of a sweep's page: plain, frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from quantlab.core.arrays import Float64Array
from quantlab.core.market import Bars
from quantlab.evaluation.report.content import AccountResult
from quantlab.evaluation.sweep.scenario_scores import ScenarioScore
from quantlab.evaluation.sweep.scores import SweepTable
from quantlab.evaluation.verdict.rule import Verdict


@dataclass(frozen=True)
class SweepReport:
    """Everything that the page shows.

    Parameters
    ----------
    experiment, data_label : str
    synthetic : bool
        The market is made up; the page says so.
    bars : Bars
        The bars that all of them ran over, (T, S).
    evidence, lived : AccountResult
        Of the best: daily limit and breaker off, as in all rows of the sweep, and on.
    table : SweepTable
    sharpe : float64 (N,)
        Annualised, after costs; NaN = undefined.
    scenarios : tuple of ScenarioScore
        What was assumed, the dearest last; a single one where nothing was varied that is no choice.
    judged : int
        Which of them the verdict rests on.
    top : int
        Rows of the ranking that are shown at first.
    listed : int
        Rows of the ranking that the page holds at most.
    verdict : Verdict
        On the best of the judged scenario, with everything that was tried in it.
    notes : tuple of str
    stamps : dict of str to str
        When, where and from what: run, data, strategy, ...
    config_text : str
    benchmarks : dict of name to float64 (T,)
        Equity in USD on the same bars.
    files : dict of name to str
        Files beside the page that hold every row, and a few words on each.
    idle : str
        Why nothing was traded, the first thing that is said; empty where something was.
    """

    experiment: str
    data_label: str
    synthetic: bool
    bars: Bars
    evidence: AccountResult
    lived: AccountResult
    table: SweepTable
    sharpe: Float64Array
    scenarios: tuple[ScenarioScore, ...]
    judged: int
    top: int
    listed: int
    verdict: Verdict
    notes: tuple[str, ...]
    stamps: dict[str, str]
    config_text: str
    benchmarks: dict[str, Float64Array]
    files: dict[str, str]
    idle: str = ""

    @property
    def score(self) -> ScenarioScore:
        """The judged scenario."""
        return self.scenarios[self.judged]
