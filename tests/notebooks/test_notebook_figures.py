"""Figures for a notebook: the tear sheet's colours, the right numbers, one line per finished stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.evaluation.report.theme import apply_theme, palette
from quantlab.evaluation.sweep.figures import MAX_POINTS, holdout_figure, pair_figure
from quantlab.evaluation.sweep.maps import PairMap
from quantlab.jobs.notebook import progress as notebook_progress
from quantlab.jobs.notebook.progress import NotebookProgress, progress_here
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.research import Experiment, feature_figure


def tones(figure: go.Figure) -> dict[str, str]:
    """Name of a trace -> its line's or marker's colour."""
    return {trace.name: (trace.line.color if trace.mode == "lines" else trace.marker.color) for trace in figure.data}


def test_colours_are_the_tear_sheets() -> None:
    light, dark = palette(dark=False), palette(dark=True)
    assert (light["evidence"], light["loss"]) == ("#0072b2", "#c24a00")
    assert (dark["evidence"], dark["loss"]) == ("#56b4e9", "#f08a4b")
    assert set(light) == set(dark)


def test_a_tone_becomes_a_colour_and_what_has_none_keeps_its_own() -> None:
    lines = go.Scatter(y=[1, 2], mode="lines", name="a", meta={"tone": "lived"}, fill="tozeroy", line={"dash": "dot"})
    points = go.Scatter(y=[1, 2], mode="markers", name="b", meta={"tone": "gain"}, marker={"size": 9})
    own = go.Scatter(y=[1, 2], mode="lines", name="c", line={"color": "#123456"})
    figure = apply_theme(go.Figure([lines, points, own, go.Bar(y=[1], meta={"tone": "price"})]), title="A title")
    assert tones(go.Figure(figure.data[:3])) == {"a": "#b4508d", "b": "#00785a", "c": "#123456"}
    assert figure.data[0].fillcolor == "#b4508d2e"
    assert figure.data[0].line.dash == "dot"
    assert figure.data[1].marker.size == 9
    assert figure.data[3].marker.color == "#6b7682"
    assert figure.layout.title.text == "A title"
    assert apply_theme(go.Figure(own), dark=True).layout.paper_bgcolor == "#171b21"


def test_before_and_after_shows_every_defined_point_and_the_chosen_one() -> None:
    seen, unseen = np.array([3.0, np.nan, -1.0, 2.0]), np.array([-2.0, 1.0, 0.5, np.nan])
    figure = holdout_figure(seen, unseen, np.array([0, 3, 2, 1]))
    everything, diagonal, chosen = figure.data
    assert sorted(zip(everything.x, everything.y, strict=True)) == [(-1.0, 0.5), (3.0, -2.0)]
    assert (list(chosen.x), list(chosen.y)) == ([3.0], [-2.0])
    assert list(diagonal.x) == list(diagonal.y) == [-1.0, 3.0]
    assert chosen.name == "Chosen: +3.00 became -2.00"


def test_many_points_are_thinned_evenly_and_the_chosen_one_stays() -> None:
    sharpe = np.linspace(5.0, -5.0, 3 * MAX_POINTS + 1)
    figure = holdout_figure(sharpe, -sharpe, np.arange(len(sharpe)))
    assert 0.5 * MAX_POINTS < len(figure.data[0].x) <= MAX_POINTS
    assert list(figure.data[2].x) == [5.0]
    with pytest.raises(ContractError, match="on both sides"):
        holdout_figure(np.array([1.0]), np.array([np.nan]), np.array([0]))


def test_a_choice_without_a_sharpe_ratio_afterwards_is_not_replaced_by_the_next() -> None:
    figure = holdout_figure(np.array([3.0, 2.0]), np.array([np.nan, 1.0]), np.array([0, 1]))
    assert len(figure.data) == 2


def test_a_pair_map_is_centred_on_nothing() -> None:
    one = PairMap("policy.a", "policy.b", ("1", "2"), ("3",), np.array([[-4.0], [1.0]]), np.array([[2], [2]]))
    heat = pair_figure(one).data[0]
    assert (heat.zmin, heat.zmax) == (-4.0, 4.0)
    assert heat.z.tolist() == [[-4.0], [1.0]]


def test_every_figure_of_the_way_in_can_be_drawn(lab: Experiment, bars: Bars) -> None:
    result = lab.backtest(bars)
    space = "sweep.space={signal.fast:[12,24],policy.stop_atr:[1.0,2.0]}"
    swept = lab.sweep(bars, space, unseen_from="2025-02-27")
    figures = [
        result.equity_figure(),
        swept.distribution_figure(),
        swept.unseen_figure(),
        swept.equity_figure(),
        *swept.pair_figures(),
        feature_figure(bars, lab.features(bars), symbol=bars.symbols[0], name="rsi_14"),
    ]
    assert len(figures) == 6
    for figure in figures:
        assert figure.layout.title.text
        assert figure.layout.plot_bgcolor == palette(dark=False)["card"]
        assert len(figure.to_json()) < 2_000_000


def test_a_price_figure_of_the_last_bars_shows_the_trades_that_began_in_them(lab: Experiment, bars: Bars) -> None:
    result = lab.backtest(bars)
    symbol, start = bars.symbols[0], int(result.run.bars.open_time_ms[-300])
    entries = [t for t in result.price_figure(symbol, last=300).data if t.name in ("Long", "Short")]
    drawn = sorted(zip(*(np.concatenate([getattr(t, axis) for t in entries]).tolist() for axis in "xy"), strict=True))
    trades = result.trades
    begun = trades["entry_time"].dt.as_unit("ms").astype("int64")
    mine = (trades["symbol"] == symbol) & (begun >= start)
    assert drawn == sorted(zip(begun[mine].astype(float), trades["entry_price"][mine], strict=True))
    assert len(drawn) > 0


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What a notebook would show, in order."""
    seen: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle: dict[str, str], raw: bool) -> None:
            seen.append(bundle)

    def display(bundle: dict[str, str], **settings: Any) -> Handle:
        assert settings == {"raw": True, "display_id": True}
        seen.append(bundle)
        return Handle()

    monkeypatch.setattr(notebook_progress, "display", display)
    monkeypatch.setattr(notebook_progress, "_SECONDS_BETWEEN", 0.0)
    return seen


def test_a_stage_is_one_line_with_a_bar_while_it_lasts(screen: list[dict[str, str]]) -> None:
    with NotebookProgress().stage("members <4>", 8) as stage:
        stage.advance(2)
        stage.set_remark("fold 1")
        stage.advance(6)
    assert '<progress value="2" max="8"' in screen[1]["text/html"]
    assert "s left" in screen[1]["text/html"]
    assert "members &lt;4&gt; fold 1" in screen[2]["text/html"]
    assert "left" not in screen[3]["text/html"]
    assert screen[-1]["text/plain"].startswith("done members <4> fold 1 ")
    assert "<progress" not in screen[-1]["text/html"]
    assert len(screen) == 5


def test_a_stage_that_failed_does_not_say_done(screen: list[dict[str, str]]) -> None:
    with pytest.raises(ZeroDivisionError), NotebookProgress().stage("members", 8):
        raise ZeroDivisionError
    assert screen[-1]["text/plain"].startswith("stopped members ")


def test_fast_steps_are_not_all_drawn(screen: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_progress, "_SECONDS_BETWEEN", 1e9)
    with NotebookProgress().stage("combinations", 1e5) as stage:
        for _ in range(1000):
            stage.advance()
    assert len(screen) == 2


def test_outside_a_kernel_the_terminals_progress_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(progress_here(), TerminalProgress)
    monkeypatch.setattr(notebook_progress, "get_ipython", lambda: type("Shell", (), {"kernel": object()})())
    assert isinstance(progress_here(), NotebookProgress)
