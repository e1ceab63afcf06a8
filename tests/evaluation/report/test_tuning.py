"""The tear sheet's section on tuning: every trial, its history, what mattered, and what thresholds came to afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from quantlab.core.market import Bars
from quantlab.core.results import Trial, TuningStage, Window
from quantlab.evaluation.report.content import Report
from quantlab.evaluation.report.page import render
from quantlab.evaluation.report.thresholds import thresholds_figure, thresholds_section
from quantlab.evaluation.report.tuning import history_figure, importance_figure, tuning_figures, tuning_section

TRIALS = (
    Trial(0, {"rate": 0.05, "columns": ["a", "b"]}, "complete", 1.10),
    Trial(1, {"rate": 0.10, "columns": []}, "failed", None, note="<b>no</b>"),
    Trial(2, {"rate": 0.01, "columns": []}, "complete", 1.05),
    Trial(3, {"rate": 0.02, "columns": []}, "complete", 1.07),
)
STAGES = (
    TuningStage("tree", "log loss", False, TRIALS, 2, {"rate": 0.8, "columns": 0.2}),
    TuningStage("net", "log loss", True, TRIALS[1:2], 0, {}),
)
#: The least for an importance.
MANY = tuple(Trial(i, {"rate": 0.01 * i, "columns": []}, "complete", 1.0 + 0.01 * i) for i in range(20))


def threshold_stage(k: int, threshold: float, window: Window) -> TuningStage:
    trials = tuple(
        Trial(i, {"ensemble.min_confidence": value, "ensemble.quorum": 2}, "complete", 1.0 + i)
        for i, value in enumerate((0.36, threshold, *([0.5] * (18 if k == 3 else 0))))
    )
    importance = {"ensemble.min_confidence": 0.75, "ensemble.quorum": 0.25} if k == 3 else {}
    return TuningStage(f"gates {k}", "Sharpe ratio", True, trials, 1, importance, window)


TUNED_THRESHOLDS = (
    threshold_stage(2, 0.41, Window("2025-01-01T00:00:00Z", "2025-01-05T23:55:00Z", 0.10, -0.20, 30, 1_040)),
    threshold_stage(3, 0.52, Window("2025-01-06T00:00:00Z", "2025-01-09T23:55:00Z", -0.50, 0.25, 5, 6)),
)


def test_every_trial_is_on_the_page(report_of: Callable[..., Report], bars_of: Callable[..., Bars]) -> None:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (400, 2)), axis=0))
    report = report_of(bars_of(close), tuning=STAGES)
    section = tuning_section(report)
    for said in ("tree: log loss", "4 trials, number 2 was chosen", "2 (chosen)", "a, b", "none", "1.05", "failed"):
        assert said in section
    assert "&lt;b&gt;no&lt;/b&gt;" in section
    figures = tuning_figures(report)
    assert set(figures) == {"tuning-history-0", "tuning-history-1"}
    assert section.count("Importances of parameters need 20 trials with a value.") == 2  # four say nothing
    page = render(report)
    assert section in page
    for name in figures:
        assert f'id="{name}"' in page
        assert f'"{name}":' in page
    assert tuning_section(report_of(bars_of(close))) == ""


def test_importances_are_drawn_from_twenty_trials_with_a_value_on(
    report_of: Callable[..., Report], bars_of: Callable[..., Bars]
) -> None:
    shares = {"rate": 0.8, "columns": 0.2}
    enough = TuningStage("tree", "log loss", True, MANY, 19, shares)
    failed = TuningStage("tree", "log loss", True, (*MANY[:19], TRIALS[1]), 18, shares)
    report = report_of(bars_of(np.full((60, 1), 100.0)), tuning=(enough, failed))
    assert {name for name in tuning_figures(report) if "importance" in name} == {"tuning-importance-0"}
    assert 'id="tuning-importance-0"' in tuning_section(report)


def test_the_history_runs_to_the_best() -> None:
    trials, best = history_figure(STAGES[0]).data
    assert (list(trials.x), list(trials.y)) == ([0, 2, 3], [1.10, 1.05, 1.07])
    np.testing.assert_array_equal(best.y, [1.10, 1.05, 1.05])
    assert len(history_figure(STAGES[1]).data[1].y) == 0
    assert history_figure(STAGES[0]).layout.xaxis.dtick == 1  # there is no half a trial


def test_the_most_important_parameter_is_on_top_and_every_trace_has_a_tone() -> None:
    figure = importance_figure(STAGES[0])
    assert list(figure.data[0].y) == ["columns", "rate"]
    for one in (figure, history_figure(STAGES[0])):
        assert all(trace.meta["tone"] in ("evidence", "price") for trace in one.data)


def one_line(time: str) -> str:
    """A time that does not wrap in a narrow table."""
    return f'<span class="when">{time}</span>'


def test_gates_stand_window_by_window_beside_the_configured_ones(
    report_of: Callable[..., Report], bars_of: Callable[..., Bars]
) -> None:
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.01, (400, 2)), axis=0))
    report = report_of(bars_of(close), tuning=(STAGES[0], *TUNED_THRESHOLDS))
    page = render(report)
    assert set(tuning_figures(report)) == {"tuning-history-0", "tuning-thresholds"}
    assert thresholds_section(report.tuning) in page
    rows = re.findall("<tr>(.*?)</tr>", thresholds_section(report.tuning))
    cells = [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["Chosen", "min confidence", "quorum", "Past, configured", "Past, chosen"]
    assert cells[1] == ["thresholds, window 2", "0.41", "2", "1.00", "2.00"]
    assert cells[3][:3] == ["Afterwards", "From", "To"]
    dates = one_line("2025-01-01 00:00"), one_line("2025-01-05 23:55")
    assert cells[4] == ["thresholds, window 2", *dates, "\N{MINUS SIGN}20.00 %", "+10.00 %", "1,040", "30"]
    # 0.8 x 1.25 at the configured thresholds, 1.1 x 0.5 behind the chosen ones.
    dates = one_line("2025-01-01 00:00"), one_line("2025-01-09 23:55")
    assert cells[6] == ["in all", *dates, "+0.00 %", "\N{MINUS SIGN}45.00 %", "1,046", "35"]
    assert cells[8] == ["thresholds, window 3", "75 %", "25 %"]
    assert re.findall(r"(\d+) trials, number 1 was chosen", page) == ["2", "20"]
    assert thresholds_section(STAGES) == ""


def test_both_bars_of_a_window_stand_side_by_side() -> None:
    configured, chosen = thresholds_figure(TUNED_THRESHOLDS).data
    assert list(configured.x) == list(chosen.x) == ["thresholds, window 2", "thresholds, window 3"]
    np.testing.assert_allclose(configured.y, [-20.0, 25.0])
    np.testing.assert_allclose(chosen.y, [10.0, -50.0])
    assert {trace.meta["tone"] for trace in (configured, chosen)} == {"price", "evidence"}
