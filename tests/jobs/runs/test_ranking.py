"""The end of a multirun: ranked by what its jobs returned, with those that have no run, and the same runs named."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from quantlab.jobs.runs.combination import Combination, differing_keys, ranked, read_combinations, sameness_notes
from quantlab.jobs.runs.ranking import rank_multirun


def one(number: int, objective: float | None, accounts: str = "", reason: str = "", **settings: object) -> Combination:
    kept = {"job": "backtest", **{key: str(value) for key, value in settings.items()}}
    return Combination(number, kept, objective, None, (accounts,) if accounts else (), reason)


def test_the_largest_objective_is_first_and_what_has_no_run_last() -> None:
    found = [one(0, -1.0), one(1, None), one(2, None, reason="refused"), one(3, 2.0), one(4, 2.0)]
    assert [combination.number for combination in ranked(found)] == [3, 4, 0, 1, 2]


def test_a_setting_that_changes_nothing_is_named() -> None:
    found = [
        one(0, 1.0, "a", seed=1, cost=2),
        one(1, 1.0, "a", seed=2, cost=2),
        one(2, 0.0, "b", seed=1, cost=4),
        one(3, 0.0, "b", seed=2, cost=4),
    ]
    assert differing_keys(found) == ["seed", "cost"]
    (note,) = sameness_notes(found)
    assert note.startswith("seed changed nothing: combinations that differ in it alone are the same run")
    changed = [*found[:3], one(3, 0.5, "c", seed=2, cost=4)]
    assert sameness_notes(changed) == ["the same run: seed=1 cost=2; seed=2 cost=2"]
    assert sameness_notes([one(0, 1.0, "a", seed=1), one(1, 1.0, "b", seed=2)]) == []
    assert sameness_notes([one(0, 1.0, "a", seed=1), one(1, None, reason="refused", seed=2)]) == []


def test_equal_runs_of_several_settings_are_named_by_those_that_were_read() -> None:
    found = [one(i, 1.0, "a" if horizon < 3 else "b", seed=seed, horizon=horizon) for i, (seed, horizon) in enumerate(
        [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    )]  # fmt: skip
    notes = sameness_notes(found)
    assert notes[0].startswith("seed changed nothing")
    assert notes[1] == "the same run: horizon=1; horizon=2"


@pytest.fixture
def multirun(first: Path, other: Path, tmp_path: Path) -> Path:
    """Four combinations: two that are the same run, another run, and a refusal with a long reason."""
    folder = tmp_path / "runs" / "sweeps" / "20260101_000000"
    twin = Path(shutil.copytree(first, tmp_path / "runs" / "baseline" / "twin"))
    for number, (run, seed) in enumerate([(other, "1"), (first, "2"), (twin, "3"), (None, "-1")]):
        place = folder / str(number)
        place.mkdir(parents=True)
        objective = None if run is None else json.loads((run / "metrics.json").read_text())["evidence"]["sharpe"]
        outcome = {"number": number, "overrides": ["debug=tiny", f"seed={seed}"], "objective": objective, "error": None}
        (place / "combination.json").write_text(json.dumps(outcome))
        name, content = (
            ("refused.json", {"reason": "expected [a] " + 100 * "b "})
            if run is None
            else ("run.json", {"run": str(run)})
        )
        (place / name).write_text(json.dumps(content))
    (folder / "4").mkdir()  # was stopped
    return folder


def test_the_ranking_is_printed_and_written(multirun: Path, first: Path, other: Path) -> None:
    console = Console(width=80, file=io.StringIO(), record=True, markup=False)
    rank_multirun(multirun, console)
    out = console.export_text()
    ours, theirs = (json.loads((run / "metrics.json").read_text())["evidence"] for run in (first, other))
    assert ours["sharpe"] > theirs["sharpe"]
    with (multirun / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["2", "3", "1", "-1"]
    assert [float(row["objective"]) for row in rows[:3]] == [ours["sharpe"], ours["sharpe"], theirs["sharpe"]]
    assert [float(row["max_drawdown"]) for row in rows[:3]] == [ours["max_drawdown"]] * 2 + [theirs["max_drawdown"]]
    assert [row["rank"] for row in rows] == ["1", "2", "3", ""]
    assert rows[0]["run"] == f"baseline/{first.name}"
    document = json.loads((multirun / "ranking.json").read_text())
    assert document["combinations"][0]["objective"] == ours["sharpe"]
    assert document["notes"] == ["the same run: seed=2; seed=3"]
    assert "the same run: seed=2; seed=3." in out
    assert "no run: seed=-1: expected [a] b b" in out
    assert "No verdict above covers choosing the best" in out
    assert out.index("seed=2") < out.index("seed=1")


def test_a_multirun_in_which_nothing_ended_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    rank_multirun(tmp_path, Console(file=io.StringIO()))
    assert read_combinations(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
