"""The table of runs and the page over them, with damaged and older folders among them."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import compose
from quantlab.jobs.runs import runs
from quantlab.jobs.runs.listing import Selection, find_beside, find_records, sort_runs
from quantlab.jobs.runs.record import RunRecord, interval_text
from quantlab.jobs.runs.table import runs_table


@pytest.fixture
def root(first: Path, other: Path, tmp_path: Path) -> Path:
    """The two runs, what can be wrong with one, and everything that lies beside runs."""
    path = tmp_path / "runs"
    for run in (first, other):
        shutil.copytree(run, path / "baseline" / run.name)
    damage = path / "damage"
    for name in ("a", "b", "c", "d", "e"):
        shutil.copytree(other, damage / name)
    (damage / "a" / "manifest.json").unlink()
    (damage / "b" / "metrics.json").write_text('{"evidence"')
    (damage / "c" / "metrics.json").write_text("[]")
    (damage / "d" / "metrics.json").write_text('{"evidence": null}')
    (damage / "e" / "metrics.json").unlink()
    (path / "baseline" / ".partial-host-1-x").mkdir()
    (path / "empty" / "nothing").mkdir(parents=True)
    (path / "baseline" / "20260101_000000_000-0.failed.json").write_text("{}")
    for check in ("checks/data/20260101_000000_000-aaaaaaaa", "baseline/20240101_000000_000-bbbbbbbb"):
        (path / check).mkdir(parents=True)
        (path / check / "manifest.json").write_text('{"files_sha256": {"quality.json": ""}}')
    (path / "paper" / "<b>").mkdir(parents=True)
    (path / "paper" / "<b>" / "journal.db").touch()
    (path / "sweeps" / "20260101_000000").mkdir(parents=True)
    return path


def test_every_run_is_found_and_a_damaged_one_says_what_is_wrong(root: Path, first: Path) -> None:
    records = {record.name: record for record in find_records(root)}
    assert len(records) == 7
    wrong = {name: record.wrong for name, record in records.items() if record.wrong}
    assert wrong == {
        "a": "manifest.json: No such file or directory",
        "b": "metrics.json: no JSON",
        "c": "metrics.json: no JSON object",
        "d": "other content than a run's (KeyError: 'judgement')",
        "e": "metrics.json: No such file or directory",
    }
    one, metrics = records[first.name], json.loads((first / "metrics.json").read_text())
    assert one.sharpe == metrics["evidence"]["sharpe"]
    assert (one.deflated, one.trials) == (metrics["judgement"]["dsr"], 1)
    assert (one.job, one.experiment, one.market, one.page) == ("research", "baseline", "2 x 5m", True)
    assert one.overrides is None  # made in this process, not from a command line
    beside = find_beside(root)
    assert [path.name for path in beside.checks] == ["20260101_000000_000-aaaaaaaa", "20240101_000000_000-bbbbbbbb"]
    assert [path.name for path in beside.sessions] == ["<b>"]


def record(name: str, **facts: object) -> RunRecord:
    return RunRecord(
        Path("x") / name, **{"experiment": "x", "started": name, "verdict": "edge", "job": "sweep", **facts}
    )


RUNS = [
    record("1", sharpe=0.5, max_drawdown=0.2, verdict="no evidence of an edge"),
    record("2", sharpe=None, max_drawdown=0.1, experiment="y"),
    record("3", sharpe=1.5, max_drawdown=0.3),
    RunRecord(Path("x/4"), "x", wrong="gone"),
]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(), "3214"),
        (Selection(sort="-time"), "1234"),
        (Selection(sort="sharpe"), "3124"),
        (Selection(sort="-sharpe"), "1324"),
        (Selection(sort="drawdown"), "2134"),
        (Selection(experiment="x", first=2), "31"),
        (Selection(verdict="no"), "1"),
        (Selection(verdict="edge", sort="drawdown"), "23"),
        (Selection(job="sweep"), "321"),
    ],
)
def test_runs_are_filtered_and_sorted(selection: Selection, names: str) -> None:
    assert "".join(run.name for run in selection.of(RUNS)) == names


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(experiment="z"), "job.experiment as one that runs have; found z. Choose one of: x, y"),
        (Selection(verdict="maybe"), "Choose one of: edge, no evidence of an edge"),
        (Selection(job="paper"), "Choose one of: .*sweep"),
        (Selection(sort="profit"), "job.sort as a column; found profit. Choose one of: time, sharpe"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(selection: Selection, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        selection.of(RUNS)


@pytest.mark.parametrize("width", [60, 80, 120, 160, 240])
def test_the_table_fits_and_grows(root: Path, width: int) -> None:
    good = [one for one in sort_runs(find_records(root), "time") if not one.wrong]
    typed = ("experiment=x", "trading.policy.a_setting_with_a_long_name=0.0625", "history.start=2025-01-07T00:00:00")
    good[0] = replace(good[0], experiment="an_experiment_with_a_name_of_its_own", overrides=typed)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(runs_table(good, {one.name: one.name[-8:] for one in good}, console))
    text = console.export_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert good[0].name[-8:] in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    head = next(line for line in lines if "verdict" in line).split()
    assert {"id", "experiment", "verdict", "deflated", "return"} <= set(head)
    assert ("started" in head) == (width >= 80)
    assert ("settings" in head) == (width >= 120)
    assert ("trades" in head) == (width >= 120)
    assert ("data" in head and "job" in head) == (width >= 240)


def test_the_job_prints_a_table_and_writes_the_page(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run(compose(f"runs_dir={root}", "job=runs")) == 7
    out = capsys.readouterr().out
    assert "damaged: damage/b: metrics.json: no JSON" in out
    assert "7 of 7 runs" in out
    html = (root / "index.html").read_text()
    (linked,) = re.findall(r'href="(baseline/[^"]*report.html)"', html)
    assert (root / linked).is_file()
    assert "paper/%3Cb%3E" in html
    assert "&lt;b&gt;" in html
    assert "http" not in html.replace("http-equiv", "")
    for words in (
        "Damaged runs</strong> (5)",
        "Checks of data and code</strong> (2)",
        "Paper sessions</strong> (1)",
        "Multiruns",
    ):
        assert words in html


def test_as_json_every_fact_is_there_and_nothing_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.run(compose(f"runs_dir={root}", "job=runs", "job.json=true", "job.experiment=baseline"))
    rows = json.loads(capsys.readouterr().out)
    assert {row["wrong"] for row in rows} == {""}
    assert {Path(row["folder"]).name.endswith(row["id"]) for row in rows} == {True}
    assert not (root / "index.html").exists()
    with pytest.raises(ConfigError, match=r"finished runs in .*found none"):
        runs.run(compose(f"runs_dir={root}/none", "job=runs"))


def test_bars_of_any_length_have_a_short_name() -> None:
    assert [interval_text(ms) for ms in (60_000, 900_000, 14_400_000, 604_800_000)] == ["1m", "15m", "4h", "1w"]
