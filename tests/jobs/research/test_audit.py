"""``job=audit`` as a user runs it: exit code, files, and a note of what was not looked at."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.audit.context import AuditDepth
from quantlab.audit.findings import STAGES
from quantlab.core.errors import ConfigError
from quantlab.core.progress import SilentProgress
from quantlab.jobs.config.composition import compose
from quantlab.jobs.config.help import help_text
from quantlab.jobs.research.audit import audit

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("job=audit", "debug=tiny", "workers=1", "job.checks.cuts=2", "job.checks.fills=4", "job.checks.many_cuts=40")
PEEKING = """
import dataclasses
import numpy as np
from quantlab.trading.signals.rules import MovingAverageSignal


class Peeking(MovingAverageSignal):
    def signal(self, bars):
        said = super().signal(bars)
        side = np.zeros_like(said.side)
        side[:-1] = np.sign(bars.close[1:] - bars.close[:-1])
        return dataclasses.replace(said, side=side)
"""


def only(runs: Path) -> Path:
    """The one run folder below `runs`."""
    (folder,) = (path.parent for path in runs.rglob("audit.json"))
    return folder


def test_an_honest_pipeline_exits_with_0_and_leaves_a_report(tmp_path: Path, quantlab_cli: Command) -> None:
    done = quantlab_cli(*SMALL)
    assert done.returncode == 0, done.stderr
    assert "no leak found" in done.stdout
    folder = only(tmp_path / "runs")
    said = json.loads((folder / "audit.json").read_text())
    assert said["leaks"] is False
    assert said["findings"] == []
    assert {check["stage"] for check in said["checks"]} == {"universe", "feature", "fill", "sizing", "signal"}
    assert all(check["passed"] and check["compared"] > 0 for check in said["checks"])
    powers = {one["looked_at"]: one["finds_99"] for one in said["powers"]}
    assert powers["features"] == powers["plain signal"] == pytest.approx(1.0 - 0.01 ** (1 / 40))
    assert "finds with 99 % a leak in" in (folder / "audit.md").read_text()
    assert (folder / "audit.md").read_text().startswith("# Audit of baseline: no leak was found")
    assert set(json.loads((folder / "manifest.json").read_text())["files_sha256"]) == {
        "audit.json",
        "audit.md",
        "config.yaml",
    }
    assert not list((tmp_path / ".cache").glob(".partial-*"))


def test_a_leak_is_named_and_exits_with_3(tmp_path: Path, quantlab_cli: Command) -> None:
    (tmp_path / "peeking.py").write_text(PEEKING)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    done = quantlab_cli(*SMALL, "trading.signal._target_=peeking.Peeking", PYTHONPATH=path)
    assert done.returncode == 3, done.stderr
    assert "leak feature: signal.side" in done.stdout
    said = json.loads((only(tmp_path / "runs") / "audit.json").read_text())
    assert said["leaks"] is True
    assert said["findings"][0]["stage"] in STAGES


def test_a_learned_pipeline_is_looked_at_in_every_stage(tmp_path: Path) -> None:
    where = (f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}")
    trees = ("experiment=ensemble_v2", "learning.tuning=null", "~learning.members.nhits", "~learning.members.patchtst")
    report = audit(compose(*trees, *SMALL, *where), SilentProgress())
    assert report.findings == ()
    assert {check.stage for check in report.checks} == {
        "universe",
        "feature",
        "label",
        "split",
        "scaler",
        "calibrator",
        "fill",
        "sizing",
        "signal",
    }
    assert {"return_delayed_by_one_bar", "shuffled_auc.xgboost"} <= set(report.diagnostics)
    assert list((tmp_path / "cache").iterdir()) == [], "nothing is left behind"


@pytest.mark.parametrize(
    "wrong",
    [
        {"cuts": 0},
        {"many_cuts": 0},
        {"reach": 0},
        {"fills": 0},
        {"decisions": 0},
        {"learner": 1},
        {"bootstrap_samples": 1},
        {"shuffle_errors": 0.5},
        {"seed": -1},
    ],
)
def test_impossible_depths_are_refused(wrong: dict[str, float]) -> None:
    given = {
        "cuts": 2,
        "many_cuts": 2,
        "reach": 2,
        "fills": 2,
        "decisions": 2,
        "learner": 2,
        "bootstrap_samples": 2,
        "shuffle": False,
        "shuffle_errors": 5.0,
        "seed": 0,
    }
    with pytest.raises(ConfigError, match=r"job\.checks"):
        AuditDepth(**{**given, **wrong})  # type: ignore[arg-type]


def test_help_names_the_job() -> None:
    assert "audit" in help_text()
