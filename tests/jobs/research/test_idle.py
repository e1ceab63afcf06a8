"""A run without a trade: its first line says why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantlab.core.fakes import SilentProgress
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import compose
from quantlab.jobs.output.console import stdout_console
from quantlab.jobs.research.idle import idle_note
from quantlab.jobs.research.metrics import judge
from quantlab.jobs.research.pipeline import backtest, setup
from quantlab.jobs.research.results import load_history, print_equity, result_remarks
from quantlab.learning.ensemble.ensemble import Ensemble

ROWS = 6
RULES = Ensemble(
    min_confidence=0.5, min_consensus=0.6, quorum=2, liveness_bars=48, min_weight=0.0, max_weight=1.0, min_gain_bps=16.0, move_atr=2.0
)  # fmt: skip
LEARNER: Any = SimpleNamespace(ensemble=RULES)


def a_run(confidence: float = 0.7, gain: tuple[float, ...] = (1.0, 2.0, 15.94, 3.0, 4.0, 5.0), **changes: Any) -> Any:
    """An account without orders, and the forecasts of an ensemble that decided SELL everywhere."""
    shape = (ROWS, 1)
    proba = np.tile([confidence, 0.0, 1.0 - confidence], (*shape, 1))
    signal = Signal(
        side=np.zeros(shape, np.int8),
        proba=proba,
        confidence=np.full(shape, confidence),
        consensus=np.ones(shape),
        live_members=np.full(shape, 3, np.int8),
        atr=np.ones(shape),
        gain_bps=np.array(gain)[:, None],
    )
    defaults = {
        "signal": signal,
        "study": SimpleNamespace(windows=((10, 13), (13, 16)), first_row=10, tuning=()),
        "bars": SimpleNamespace(
            open_time_ms=np.arange(ROWS) * 86_400_000, interval_ms=86_400_000, instruments=[SimpleNamespace(taker_fee_bps=4.5)]
        ),
        "strategy": SimpleNamespace(costs=SimpleNamespace(slippage_bps=2.0)),
        "evidence": SimpleNamespace(orders=[], cuts={}),
    }  # fmt: skip
    return SimpleNamespace(**(defaults | changes))


def with_side(side: int, atr: float = 1.0) -> Any:
    run = a_run()
    shape = (ROWS, 1)
    values = {**vars(run.signal), "side": np.full(shape, side, np.int8), "atr": np.full(shape, atr), "gain_bps": None}
    return SimpleNamespace(**{**vars(run), "signal": Signal(**values)})


def test_gains_below_what_a_trade_costs_are_named_with_both_numbers() -> None:
    said = idle_note(LEARNER, a_run())
    assert said.startswith("Over 6.0 days nothing was worth its cost: of 6 decisions that passed the other thresholds")
    for words in ("expected to gain 15.9 bps", "min_gain_bps asks for 16,", "in and out costs 13.0"):
        assert words in said


def test_the_threshold_of_the_window_that_came_nearest_is_named() -> None:
    stage = SimpleNamespace(window=object(), chosen={"ensemble.min_gain_bps": 6.0})
    study = SimpleNamespace(windows=((10, 13), (13, 16)), first_row=10, tuning=(stage,))
    said = idle_note(LEARNER, a_run(study=study))
    assert "expected to gain 15.9 bps" in said, "0.1 below 16 is nearer than 1 below 6"
    assert "asks for 16," in said
    assert "asks for 30," in idle_note(LEARNER, a_run(), {"min_gain_bps": 30.0, "other": 1})


def test_gains_decide_too_where_another_threshold_holds_everything() -> None:
    assert "nothing was worth its cost: of 6 decisions of the ensemble" in idle_note(LEARNER, a_run(confidence=0.45 + 0.06, gain=(1.0,) * 6), {"min_confidence": 0.9})  # fmt: skip


def test_other_thresholds_are_counted_one_by_one() -> None:
    said = idle_note(LEARNER, a_run(gain=(1.0, 2.0, 99.0, 99.0, 4.0, 5.0)), {"min_confidence": 0.9})
    assert "nothing was traded: of 6 decisions none passed all thresholds" in said
    assert said.endswith("min_confidence 0, min_consensus 6, quorum 6, min_gain_bps 2")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (with_side(0), "nothing was traded: the signal asked for no position in 6 bars"),
        (with_side(1, np.nan), "nothing was traded: all 6 decisions of the signal fall into the warm-up"),
        (with_side(-1), "nothing was traded: the signal made 6 decisions, and the policy ordered nothing"),
        (
            SimpleNamespace(**{**vars(with_side(1)), "evidence": SimpleNamespace(orders=[], cuts={"lot": 1, "halt": 0, "min_notional": 7})}),
            "the signal made 6 decisions, and rules refused what they asked for:",
        ),
    ],
)  # fmt: skip
def test_a_signal_that_is_not_learned_says_where_it_ended(run: Any, words: str) -> None:
    assert words in idle_note(SimpleNamespace(), run)  # type: ignore[arg-type]


def test_nothing_is_said_of_a_run_that_traded() -> None:
    assert idle_note(LEARNER, a_run(evidence=SimpleNamespace(orders=[1], cuts={}))) == ""


def test_it_is_the_first_line_the_first_remark_and_the_first_statement(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    cfg = compose("debug=tiny", "cash=5", "evaluation/stress@stress=none")
    parts = setup(cfg)
    result = backtest(parts, load_history(parts, SilentProgress()), SilentProgress())
    judgement = judge(cfg, parts, result)
    print_equity(stdout_console(), parts, result)
    first, second = capsys.readouterr().out.splitlines()
    assert "nothing was traded: the signal made" in first
    assert second.startswith("equity 5.00 -> 5.00 USD, 0 fills")
    assert f"{judgement.idle}." == first.rstrip() == result_remarks(judgement)[0]
    counts = [int(word.replace(",", "")) for word in first.split("asked for:")[1].split() if word[0].isdigit()]
    assert counts == sorted(counts, reverse=True), "what mattered most first"
    assert len(counts) > 1
