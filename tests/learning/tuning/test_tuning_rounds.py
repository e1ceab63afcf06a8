"""The search itself: rounds, spaces, storage, pruning, kills."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tuning_fakes
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import wilcoxon
from tuning_fakes import Silent, evaluate, losses, search

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.results import Trial, TuningStage
from quantlab.learning.tuning.rounds import Candidate, Outcome, best_trial, propose, run_search
from quantlab.learning.tuning.space import parse_space
from quantlab.learning.tuning.store import RoundStore


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TuningStage:
    """The search, undisturbed."""
    return run_search(search(), evaluate, RoundStore(tmp_path_factory.mktemp("rounds")), Silent())


# --- rounds ----------------------------------------------------------------------------------------


def test_the_first_trial_is_the_configuration_and_the_best_is_no_worse(whole: TuningStage) -> None:
    assert whole.trials[0].values == {"x": 1.0, "n": 3, "c": ["u"]}
    values = [t.value for t in whole.trials if t.value is not None]
    assert whole.trials[whole.best].value == min(values)
    assert min(values) < whole.trials[0].value
    assert [t.number for t in whole.trials] == list(range(16))
    assert sum(whole.importance.values()) == pytest.approx(1.0)
    assert max(whole.importance, key=whole.importance.__getitem__) in ("x", "c")


def test_a_round_is_a_function_of_the_rounds_before_it(whole: TuningStage) -> None:
    for index in range(4):
        for _ in range(2):
            again = propose(search(), whole.trials[: 4 * index], index)
            assert [one.values for one in again] == [t.values for t in whole.trials[4 * index : 4 * index + 4]]
    other = propose(dataclasses.replace(search(), seed=8), whole.trials[:4], 1)
    assert [one.values for one in other] != [t.values for t in whole.trials[4:8]]


def test_proposals_learn_from_what_was_told(whole: TuningStage) -> None:
    """Turning the values round makes other proposals."""
    turned = tuple(dataclasses.replace(t, value=None if t.value is None else -t.value) for t in whole.trials[:12])
    asked = [one.values for one in propose(search(), turned, 3)]
    assert asked != [t.values for t in whole.trials[12:]]


def test_a_search_need_not_be_whole_rounds(tmp_path: Path) -> None:
    assert len(run_search(search(trials=6), evaluate, RoundStore(tmp_path), Silent()).trials) == 6


@pytest.mark.parametrize("kept", range(5))
def test_going_on_after_any_round_gives_the_same(whole: TuningStage, tmp_path: Path, kept: int) -> None:
    store = RoundStore(tmp_path)
    for index in range(kept):
        store.write(index, whole.trials[4 * index : 4 * index + 4])
    asked: list[int] = []

    def counting(candidates: Sequence[Candidate]) -> list[Outcome]:
        asked.extend(one.number for one in candidates)
        return evaluate(candidates)

    assert run_search(search(), counting, store, Silent()) == whole
    assert asked == list(range(4 * kept, 16))


@pytest.mark.parametrize("delay", [0.0, 0.06, 0.12, 0.2, 0.31])
def test_killed_at_any_moment_it_goes_on_to_the_same_end(whole: TuningStage, tmp_path: Path, delay: float) -> None:
    script = Path(tuning_fakes.__file__)
    process = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    time.sleep(delay)
    process.kill()
    rest = process.communicate()[0]
    assert "done" not in rest
    done = len(list(tmp_path.glob("round_*.json")))
    assert rest.count("evaluated") - 1 <= done <= rest.count("evaluated")
    assert run_search(search(), evaluate, RoundStore(tmp_path), Silent()) == whole
    assert len(list(tmp_path.glob("round_*.json"))) == 4


# --- pruning ---------------------------------------------------------------------------------------


def test_only_earlier_rounds_are_pruned_against(whole: TuningStage) -> None:
    """Held against the signed-rank test itself, step by step."""
    assert all(t.state == "complete" for t in whole.trials[:4])
    pruned = [t for t in whole.trials if t.state == "pruned"]
    assert pruned
    for trial in whole.trials[4:]:
        earlier = [t for t in whole.trials[: trial.number // 4 * 4] if t.value is not None]
        best = min(earlier, key=lambda t: t.value)
        expected = 12
        for seen in (4, 8):
            mine, theirs = np.array(trial.steps[:seen]), np.array(best.steps)
            if len(mine) < seen:
                break
            p = wilcoxon(mine - theirs[:seen], alternative="greater", zero_method="zsplit").pvalue
            if p < 0.1 and theirs.mean() < mine.mean():
                expected = seen
                break
        assert len(trial.steps) == expected
        assert (trial.state == "pruned") == (expected < 12)
        assert trial.value is None or trial.value == pytest.approx(np.mean([losses(trial.values, f) for f in range(3)]))


def test_pruning_can_be_off(tmp_path: Path) -> None:
    stage = run_search(search(prune_below=0.0), evaluate, RoundStore(tmp_path), Silent())
    assert {t.state for t in stage.trials} == {"complete"}


# --- failures --------------------------------------------------------------------------------------


def test_failed_and_infeasible_trials_are_kept_with_their_reason(tmp_path: Path) -> None:
    def moody(candidates: Sequence[Candidate]) -> list[Outcome]:
        kinds = {
            1: Outcome(None, "failed", note="no"),
            2: Outcome(None, "infeasible", (0.1,), "few"),
        }
        return [kinds.get(one.number % 4, Outcome(float(one.number))) for one in candidates]

    stage = run_search(dataclasses.replace(search(8), maximise=True), moody, RoundStore(tmp_path), Silent())
    assert [t.state for t in stage.trials] == ["complete", "failed", "infeasible", "complete"] * 2
    assert stage.best == 7
    assert (stage.trials[1].note, stage.trials[2].note, stage.trials[2].returns) == ("no", "few", (0.1,))
    assert stage.trials[1].value is None


def test_nothing_but_failures_is_refused_and_nothing_eligible_keeps_the_configuration(tmp_path: Path) -> None:
    def fails(candidates: Sequence[Candidate]) -> list[Outcome]:
        return [Outcome(None, "failed", note=f"because {one.number}") for one in candidates]

    with pytest.raises(ConfigError, match="because 0"):
        run_search(search(4), fails, RoundStore(tmp_path / "a"), Silent())

    def idle(candidates: Sequence[Candidate]) -> list[Outcome]:
        return [Outcome(None, "infeasible", note="no trades") for one in candidates]

    stage = run_search(search(4), idle, RoundStore(tmp_path / "b"), Silent())
    assert stage.best == 0
    assert stage.importance == {}


def test_a_bug_ends_the_search_and_leaves_no_round(tmp_path: Path) -> None:
    def bug(candidates: Sequence[Candidate]) -> list[Outcome]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_search(search(4), bug, RoundStore(tmp_path), Silent())
    assert not list(tmp_path.iterdir())


def test_the_earliest_of_equals_is_chosen() -> None:
    trials = [Trial(i, {}, "complete", value) for i, value in enumerate((2.0, 1.0, 1.0))]
    assert best_trial(search(), trials).number == 1


# --- storage ---------------------------------------------------------------------------------------


def test_a_round_that_was_touched_is_refused(whole: TuningStage, tmp_path: Path) -> None:
    store = RoundStore(tmp_path)
    store.write(0, whole.trials[:4])
    assert store.read(0) == whole.trials[:4]
    assert store.read(1) is None
    path = next(tmp_path.iterdir())
    good = path.read_text()
    better = json.loads(good)
    better["trials"][1]["value"] = 0.0
    for bad in (json.dumps(better), good[:-30], "", "[]", good.replace('"trials"', '"trail"')):
        path.write_text(bad)
        with pytest.raises(ArtifactError, match="round_0000"):
            store.read(0)
    path.write_text(good)
    os.rename(path, tmp_path / "round_0001.json")
    with pytest.raises(ArtifactError, match="altered"):
        store.read(1)


# --- spaces ----------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-5, 5), width=st.floats(0, 5), now=st.floats(-20, 20))
def test_a_range_always_holds_the_configured_value(low: float, width: float, now: float) -> None:
    (one,) = parse_space("s", {"x": {"low": low, "high": low + width}}, {"x": now})
    assert isinstance(one.distribution, FloatDistribution)
    assert one.distribution._contains(one.raw(now))


def test_whole_numbers_stay_whole_and_lists_are_extended() -> None:
    c, n = parse_space("s", {"n": {"low": 1, "high": 4}, "c": {"choices": [12, 24]}}, {"n": 9, "c": None})
    assert isinstance(n.distribution, IntDistribution)
    assert (n.distribution.low, n.distribution.high) == (1, 9)
    assert [c.value(raw) for raw in c.distribution.choices] == [None, 12, 24]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"y": {"low": 1, "high": 2}}, "Choose among x"),
        ({"x": {"low": 2, "high": 1}}, "s.x.high"),
        ({"x": {"low": 0, "high": 1, "log": True}}, "above 0"),
        ({"x": {"low": 0, "high": 1, "log": "yes"}}, "log"),
        ({"x": {"low": 0}}, "low and high"),
        ({"x": {"choices": []}}, "low and high"),
        ({"x": [1, 2]}, "low and high"),
        ({"x": {"low": "a", "high": 1}}, "s.x.low"),
    ],
)
def test_what_is_no_space_is_refused(spec: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_space("s", spec, {"x": 1})
