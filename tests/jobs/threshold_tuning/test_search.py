"""Stage 2 of tuning, and what a run says of it, on a made-up study: no member is fitted here.

The market is random; opinions know the next bars. Loud ones are mostly right; quiet ones are nearly always right for
two windows and then nearly always wrong, so that the best threshold changes over time.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantlab.audit.context import AuditContext, AuditDepth
from quantlab.audit.findings import AuditLog
from quantlab.audit.leak_checks import check_threshold_search
from quantlab.backtest.scan import Scan
from quantlab.core.clock import iso_utc
from quantlab.core.errors import ConfigError, HistoryError
from quantlab.core.fakes import FixedSignal
from quantlab.core.market import Bars
from quantlab.core.progress import SilentProgress
from quantlab.core.results import Study, Trial, TuningStage, Window
from quantlab.core.types import Signal
from quantlab.evaluation.statistics.metrics import daily_returns
from quantlab.evaluation.statistics.summary import summarise
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.threshold_tuning import search as choosing
from quantlab.jobs.threshold_tuning.record import chosen_keys, chosen_table, trial_table, tuning_notes, tuning_numbers
from quantlab.jobs.threshold_tuning.search import ThresholdTuner, simulate_all
from quantlab.learning.ensemble.ensemble import Ensemble
from quantlab.learning.ensemble.thresholds import gain_bps, with_thresholds, with_window_thresholds
from quantlab.learning.tuning.rounds import Search
from quantlab.learning.tuning.search import Tuning
from quantlab.learning.tuning.thresholds import ThresholdTuning

FIRST, LENGTH, WINDOWS = 300, 864, 4
LAST = FIRST + WINDOWS * LENGTH
TESTS = tuple((FIRST + k * LENGTH, FIRST + (k + 1) * LENGTH) for k in range(WINDOWS))
CASH = 10_000.0
RULES = Ensemble(0.6, 0.5, 2, 48, 0.1, 0.6, 1.0, 2.0)
LISTED = {"ensemble.min_confidence": {"choices": [0.4, 0.8]}}
SPACE = {
    "ensemble.min_confidence": {"low": 0.34, "high": 0.66},
    "ensemble.min_gain_bps": {"low": 1.0, "high": 40.0, "log": True},
}


@dataclass(frozen=True)
class Voted:
    """A learner that is asked for nothing but other thresholds."""

    ensemble: Ensemble = RULES

    @property
    def fingerprint(self) -> str:
        return "voted"

    def signal(self, bars: Bars) -> Signal:
        raise NotImplementedError

    def stream(self, symbols: tuple[str, ...], interval_ms: int) -> Any:
        raise NotImplementedError

    def with_thresholds(self, study: Study, thresholds: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Study:
        assert isinstance(thresholds, Sequence)
        each = [dataclasses.replace(self.ensemble, **one).thresholds for one in thresholds]
        return dataclasses.replace(study, signal=with_window_thresholds(study.signal, study.windows, each))


@pytest.fixture(scope="module")
def bars(random_bars: Callable[..., Bars]) -> Bars:
    return random_bars(4, LAST, 4)


@pytest.fixture(scope="module")
def study(bars: Bars) -> Study:
    rng = np.random.default_rng(5)
    ahead = np.zeros((LAST, 4))
    ahead[:-13] = bars.close[13:] / bars.close[1:-12] - 1.0
    loud = rng.random((LAST, 4)) < 0.5
    turned = (np.arange(LAST) >= TESTS[2][0])[:, None] & ~loud
    right = rng.random((LAST, 4)) < np.where(loud, 0.65, np.where(turned, 0.05, 0.9))
    buy = (ahead > 0.0) == right
    sure = np.where(loud, 0.65, 0.45) + rng.uniform(-0.03, 0.03, (LAST, 4))
    proba = np.repeat((0.5 - sure / 2.0)[..., None], 3, axis=2)
    proba[..., 2][buy], proba[..., 0][~buy] = sure[buy], sure[~buy]
    silent = rng.random((LAST, 4)) < 0.9
    proba[silent] = (0.3, 0.4, 0.3)
    proba[:FIRST] = np.nan
    signal = Signal(
        side=np.zeros((LAST, 4), dtype=np.int8),
        proba=proba,
        confidence=proba.max(axis=-1),
        consensus=np.where(np.isfinite(proba[:, :, 0]), 1.0, np.nan),
        live_members=np.full((LAST, 4), 2, dtype=np.int8),
        atr=np.ascontiguousarray(0.004 * bars.close),
        gain_bps=gain_bps(proba, np.full((LAST, 4), 80.0)),
    )
    signal = with_thresholds(signal, RULES.thresholds)
    return Study(signal, FIRST, LAST, FixedSignal(signal), None, windows=TESTS)


@pytest.fixture(scope="module")
def make_strategy() -> Callable[..., Any]:
    cfg = compose("experiment=ensemble_v2", "learning.tuning=null")
    made: Callable[..., Any] = build(cfg.strategy)
    return made


@pytest.fixture
def tuner(make_strategy: Callable[..., Any], tmp_path: Path) -> Callable[..., ThresholdTuner]:
    def make(threads: int = 1, trials: int = 8, min_trades: int = 20, space: Any = SPACE) -> ThresholdTuner:
        tuning = Tuning(4, 3, None, ThresholdTuning(trials, min_trades, space))
        return ThresholdTuner(tuning, Voted(), make_strategy, CASH, threads, tmp_path / f"cache{threads}")

    return make


def above(signal: Signal, min_confidence: float, min_gain: float = 1.0) -> Signal:
    """The opinions at two thresholds, cell by cell."""
    assert signal.gain_bps is not None
    side = np.zeros_like(signal.side)
    for (t, s), sure in np.ndenumerate(signal.confidence):
        if sure >= min_confidence and signal.gain_bps[t, s] >= min_gain:
            down, hold, up = signal.proba[t, s]
            side[t, s] = 1 if up > max(down, hold) else -1 if down > max(up, hold) else 0
    return dataclasses.replace(signal, side=side)


@dataclass(frozen=True)
class Account:
    returns: tuple[float, ...]
    trades: int

    @property
    def sharpe(self) -> float:
        return statistics.mean(self.returns) / statistics.stdev(self.returns) * math.sqrt(365)

    @property
    def total(self) -> float:
        return math.prod(1.0 + r for r in self.returns) - 1.0


def account(bars: Bars, signal: Signal, strategy: Any, first: int, end: int) -> Account:
    """The backtest's own engine on some rows, daily limit and breaker off."""
    rows = bars.rows(first, end)
    ran = Scan(CASH).run(rows, signal.rows(first, end), strategy, limits_on=False)
    return Account(tuple(daily_returns(ran.equity, ran.open_time_ms, CASH).tolist()), summarise(ran, rows)["trades"])


def test_every_window_uses_what_the_past_said(
    bars: Bars, study: Study, make_strategy: Callable[..., Any], tuner: Callable[..., ThresholdTuner]
) -> None:
    tuned, strategy = tuner(space=LISTED).choose(study, bars, SilentProgress())
    assert strategy == make_strategy(signal=study.source)
    candidates = {threshold: above(study.signal, threshold) for threshold in (0.4, 0.6, 0.8)}
    expected = {0: 0.6}
    for k in (1, 2, 3):
        seen = {threshold: account(bars, one, strategy, FIRST, TESTS[k][0]) for threshold, one in candidates.items()}
        eligible = {threshold: ran.sharpe for threshold, ran in seen.items() if ran.trades >= 20}
        expected[k] = max(eligible, key=lambda threshold: eligible[threshold])
        assert 0.8 not in eligible
        stage = tuned.tuning[k - 1]
        assert stage.name == f"gates {k + 1}"
        assert stage.chosen == {"ensemble.min_confidence": expected[k]}
        assert {trial.values["ensemble.min_confidence"] for trial in stage.trials} == set(candidates)
    # What was best for two windows is what the third one punishes.
    assert list(expected.values()) == [0.6, 0.4, 0.4, 0.6]
    for k, threshold in expected.items():
        np.testing.assert_array_equal(tuned.signal.side[slice(*TESTS[k])], candidates[threshold].side[slice(*TESTS[k])])
    assert not tuned.signal.side[:FIRST].any()


def test_a_trial_is_the_backtest_on_what_was_seen_and_a_window_one_on_what_followed(
    bars: Bars, study: Study, make_strategy: Callable[..., Any], tuner: Callable[..., ThresholdTuner]
) -> None:
    stages = tuner().search(study, bars, SilentProgress())
    strategy = make_strategy(signal=study.source)
    configured = above(study.signal, 0.6)
    for stage, (first, end) in zip(stages, TESTS[1:], strict=True):
        assert stage.trials[0].values == {"ensemble.min_confidence": 0.6, "ensemble.min_gain_bps": 1.0}
        for trial in stage.trials:
            ran = account(bars, above(study.signal, *trial.values.values()), strategy, FIRST, first)
            assert trial.returns == ran.returns
            assert (trial.state == "infeasible") == (ran.trades < 20)
            assert trial.value is None or trial.value == pytest.approx(ran.sharpe)
        values = [trial.value for trial in stage.trials if trial.value is not None]
        assert stage.trials[stage.best].value == max(values)
        chosen = account(bars, above(study.signal, *stage.chosen.values()), strategy, first, end)
        other = account(bars, configured, strategy, first, end)
        assert stage.window == Window(
            iso_utc(int(bars.open_time_ms[first])),
            iso_utc(int(bars.open_time_ms[end - 1])),
            pytest.approx(chosen.total, abs=1e-15),
            pytest.approx(other.total, abs=1e-15),
            chosen.trades,
            other.trades,
        )


@pytest.mark.parametrize("k", [1, 2, 3])
def test_no_choice_sees_its_own_window_or_anything_after(
    bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner], tmp_path: Path, k: int
) -> None:
    space = {"ensemble.min_confidence": {"low": 0.34, "high": 0.7}}
    border = TESTS[k][0]
    first, _ = tuner(space=space, min_trades=1).choose(study, bars, SilentProgress())
    ohlcv, proba = bars.ohlcv.copy(), study.signal.proba.copy()
    ohlcv[border:, :, :4] = ohlcv[border:, :, :4][::-1]
    proba[border:] = proba[border:, :, ::-1]
    other = dataclasses.replace(study, signal=dataclasses.replace(study.signal, proba=np.ascontiguousarray(proba)))
    elsewhere = dataclasses.replace(tuner(space=space, min_trades=1), cache_dir=tmp_path / "elsewhere")
    again, _ = elsewhere.choose(other, dataclasses.replace(bars, ohlcv=ohlcv), SilentProgress())
    for before, after in zip(first.tuning[:k], again.tuning[:k], strict=True):
        assert repr((before.trials, before.best)) == repr((after.trials, after.best))
    for before, after in zip(first.tuning[: k - 1], again.tuning[: k - 1], strict=True):
        assert before.window == after.window
    np.testing.assert_array_equal(first.signal.side[:border], again.signal.side[:border])
    assert first.tuning[k - 1].window != again.tuning[k - 1].window
    for before, after in zip(first.tuning[k:], again.tuning[k:], strict=True):
        assert before.trials != after.trials


def test_threads_change_nothing(bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner]) -> None:
    (one, _), (two, _) = (tuner(threads=n).choose(study, bars, SilentProgress()) for n in (1, 2))
    assert one.tuning == two.tuning
    np.testing.assert_array_equal(one.signal.side, two.signal.side)


def test_a_killed_choice_goes_on_where_it_was(
    bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dataclasses.replace(tuner(), cache_dir=tmp_path / "whole").search(study, bars, SilentProgress())
    calls: list[int] = []

    def counted(values: Sequence[Mapping[str, Any]], **given: Any) -> list[Any]:
        calls.append(len(values))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return simulate_all(values, **given)

    monkeypatch.setattr(choosing, "simulate_all", counted)
    # Two rounds and the accounts of the first window, one round of the second; its other one is cut off.
    with pytest.raises(KeyboardInterrupt):
        tuner().search(study, bars, SilentProgress())
    assert calls == [4, 4, 2, 4, 4]
    assert tuner().search(study, bars, SilentProgress()) == whole
    # The accounts of a window are no part of a search: they are simulated again.
    assert calls[5:] == [2, 4, 2, 4, 4, 2]


class Peeking(Tuning):
    """Every search also sees the first day of its own window."""

    def tune_thresholds(self, search: Search, simulate: Any, **given: Any) -> TuningStage:
        first, end = simulate.keywords["rows"]
        return super().tune_thresholds(search, partial(simulate.func, rows=(first, end + 288)), **given)


def test_the_audit_names_a_search_that_sees_its_own_window(
    bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner], tmp_path: Path
) -> None:
    def findings(one: ThresholdTuner) -> list[str]:
        parts: Any = SimpleNamespace(thresholds=one, make_strategy=one.make_strategy)
        context = AuditContext(
            AuditDepth(2, 2, 2, 2, 2, 2, 2, False, 5.0, 0), parts, bars, AuditLog(), tmp_path, SilentProgress()
        )
        check_threshold_search(context, study)
        assert len(context.log.checks) == WINDOWS - 1
        return [f"{one.stage}, {one.where}" for one in context.log.findings]

    honest = tuner()
    rules = honest.tuning
    peeking = Peeking(rules.round_size, rules.seed, None, rules.thresholds)
    assert findings(honest) == []
    assert findings(dataclasses.replace(honest, tuning=peeking)) == [
        "tuning, search gates 2",
        "tuning, search gates 3",
        "tuning, search gates 4",
    ]


def test_where_no_trial_is_eligible_the_configured_gates_stay(
    bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner]
) -> None:
    tuned, _ = tuner(min_trades=100_000).choose(study, bars, SilentProgress())
    assert [stage.best for stage in tuned.tuning] == [0, 0, 0]
    assert {trial.state for stage in tuned.tuning for trial in stage.trials} == {"infeasible"}
    np.testing.assert_array_equal(tuned.signal.side, study.signal.side)
    for stage in tuned.tuning:
        assert stage.window is not None
        assert stage.window.chosen_return == stage.window.configured_return


@pytest.mark.parametrize("name", ["policy.horizon", "sizer.weight", "limits.max_positions", "costs.slippage_bps"])
def test_only_gates_can_differ_between_windows(tuner: Callable[..., ThresholdTuner], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*job=sweep"):
        tuner(space={name: {"low": 1, "high": 24}})


def test_what_cannot_be_searched_is_refused(bars: Bars, study: Study, tuner: Callable[..., ThresholdTuner]) -> None:
    with pytest.raises(ConfigError, match=r"ensemble\.min_weight.*ensemble\.quorum"):
        tuner(space={"ensemble.min_weight": {"low": 0, "high": 1}}).search_for()
    with pytest.raises(HistoryError, match="two test windows"):
        tuner().choose(dataclasses.replace(study, windows=((FIRST, LAST),)), bars, SilentProgress())


def test_a_refused_set_of_values_is_a_failed_trial(bars: Bars, study: Study, make_strategy: Callable[..., Any]) -> None:
    values = [{"ensemble.min_confidence": 2.0}, {"ensemble.quorum": 1}, {"ensemble.quorum": 0}]
    strategy = make_strategy(signal=study.source)
    rows = {"bars": bars.rows(*TESTS[0]), "signal": study.signal.rows(*TESTS[0])}
    simulated = simulate_all(values, **rows, rules=RULES, strategy=strategy, cash=CASH, threads=1)
    assert ["min_confidence" in simulated[0].error, simulated[1].error, "quorum" in simulated[2].error] == [
        True,
        "",
        True,
    ]
    assert simulated[1].trades > 0
    only_bad = simulate_all(values[:1], **rows, rules=RULES, strategy=strategy, cash=CASH, threads=1)
    assert "min_confidence" in only_bad[0].error


TRIALS = (
    Trial(0, {"x": 1.0, "c": []}, "complete", 1.0),
    Trial(1, {"x": 2.0, "c": ["u"]}, "infeasible", None, note="few"),
    Trial(2, {"x": 3.0, "c": []}, "failed", None, note="no"),
)


def threshold_stage(k: int, threshold: float, window: Window) -> TuningStage:
    trials = (
        Trial(0, {"ensemble.quorum": 2}, "complete", 0.5),
        Trial(1, {"ensemble.quorum": threshold}, "complete", 0.7),
    )
    return TuningStage(f"gates {k}", "said", True, trials, 1, {}, window)


def test_a_run_says_what_was_tried_and_what_its_choices_came_to() -> None:
    stages = (
        TuningStage("tree", "said", False, TRIALS, 0, {}),
        threshold_stage(2, 3, Window("2025-01-01T00:00:00Z", "2025-01-05T23:55:00Z", 0.10, -0.20, 30, 40)),
        threshold_stage(3, 4, Window("2025-01-06T00:00:00Z", "2025-01-09T23:55:00Z", -0.50, 0.25, 5, 6)),
    )
    keys = {"learning.members.tree.x": 1.0, "learning.members.tree.c": [], "learning.ensemble.quorum": 4}
    assert dict(chosen_keys(stages)) == keys
    numbers = tuning_numbers(stages)
    assert numbers is not None
    assert list(numbers["stages"]) == ["tree", "gates 2", "gates 3"]
    assert [stage.title for stage in stages] == ["tree", "thresholds, window 2", "thresholds, window 3"]
    assert numbers["stages"]["tree"]["states"] == {"complete": 1, "failed": 1, "infeasible": 1}
    assert numbers["stages"]["tree"]["window"] is None
    assert numbers["stages"]["gates 2"]["window"]["configured_return"] == -0.20
    assert numbers["gates"] == {
        "first": "2025-01-01T00:00:00Z",
        "last": "2025-01-09T23:55:00Z",
        "chosen_return": pytest.approx(1.1 * 0.5 - 1.0),
        "configured_return": pytest.approx(0.8 * 1.25 - 1.0),
        "chosen_trades": 35,
        "configured_trades": 46,
    }
    (note,) = tuning_notes(stages)
    assert "each of the last 2 test windows" in note
    assert "-45.00 % with 35 trades" in note
    assert "the last test window" in tuning_notes(stages[:2])[0]
    assert (tuning_notes(stages[:1]), tuning_numbers(())) == ((), None)
    assert tuning_numbers(stages[:1]) == {"stages": {"tree": numbers["stages"]["tree"]}, "gates": None}
    assert trial_table(stages[0]).row_count == 3
    assert chosen_table(stages).row_count == 3
