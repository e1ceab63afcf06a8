"""The tear sheet's section on tuning: every trial, its history, and what mattered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quantlab.core.results import Trial, TuningStage
from quantlab.core.types import Bars
from quantlab.evaluation.report import Report
from quantlab.evaluation.tear_sheet import render
from quantlab.evaluation.tuning_section import history_figure, importance_figure, tuning, tuning_figures

TRIALS = (
    Trial(0, {"rate": 0.05, "columns": ["a", "b"]}, "complete", 1.10),
    Trial(1, {"rate": 0.10, "columns": []}, "failed", None, note="<b>no</b>"),
    Trial(2, {"rate": 0.01, "columns": []}, "complete", 1.05),
    Trial(3, {"rate": 0.02, "columns": []}, "complete", 1.07),
)
STAGES = (
    TuningStage("tree", "log loss", False, TRIALS, 2, {"rate": 0.8, "columns": 0.2}),
    TuningStage("strategy", "Sharpe ratio", True, TRIALS[1:2], 0, {}),
)


def test_every_trial_is_on_the_page(report_of: Callable[..., Report], bars_of: Callable[..., Bars]) -> None:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (400, 2)), axis=0))
    report = report_of(bars_of(close), tuning=STAGES)
    section = tuning(report)
    for said in ("tree: log loss", "4 trials, number 2 was chosen", "2 (chosen)", "a, b", "none", "1.05", "failed"):
        assert said in section
    assert "&lt;b&gt;no&lt;/b&gt;" in section
    figures = tuning_figures(report)
    assert set(figures) == {"tuning-history-0", "tuning-importance-0", "tuning-history-1"}
    page = render(report)
    assert section in page
    for name in figures:
        assert f'id="{name}"' in page
        assert f'"{name}":' in page
    assert tuning(report_of(bars_of(close))) == ""


def test_the_history_runs_to_the_best() -> None:
    trials, best = history_figure(STAGES[0]).data
    assert (list(trials.x), list(trials.y)) == ([0, 2, 3], [1.10, 1.05, 1.07])
    np.testing.assert_array_equal(best.y, [1.10, 1.05, 1.05])
    assert len(history_figure(STAGES[1]).data[1].y) == 0


def test_the_most_important_parameter_is_on_top_and_every_trace_has_a_tone() -> None:
    figure = importance_figure(STAGES[0])
    assert list(figure.data[0].y) == ["columns", "rate"]
    for one in (figure, history_figure(STAGES[0])):
        assert all(trace.meta["tone"] in ("evidence", "price") for trace in one.data)
