"""The score: leaks that others planted, and clean pipelines that others made to look suspicious."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quantlab.audit.findings import STAGES, AuditReport
from quantlab.core.progress import SilentProgress
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research.audit import audit

sys.path.insert(0, str(Path(__file__).parent))  # the planted parts are named in configurations
PLANTED: tuple[Any, ...] = importlib.import_module("planted").PLANTED
CLEAN: tuple[Any, ...] = importlib.import_module("clean").CLEAN

#: The first planted leak of every stage, and two clean pipelines that cost little.
SAMPLE = tuple({one.stage: one for one in reversed(PLANTED)}.values())
CLEAN_SAMPLE = CLEAN[:1]


#: Fewer cuts, for the samples that run every time.
QUICK = ("job.checks.many_cuts=40",)


def audit_of(pipeline: Any, tmp_path: Path, market_data: Path | None, *more: str) -> AuditReport:
    """The pipeline's audit, with folders of its own."""
    where = [f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}"]
    return audit(compose(*pipeline.composed_of(market_data), "job=audit", *where, *more), SilentProgress())


def folder_of(pipeline: Any, request: pytest.FixtureRequest) -> Path | None:
    """The market data where the pipeline needs them, or a skip."""
    return request.getfixturevalue("market_data") if pipeline.needs_market_data else None


def test_the_planted_set_covers_every_stage_twice() -> None:
    assert Counter(one.stage for one in PLANTED) == dict.fromkeys(STAGES[:-1], 2)
    assert len(CLEAN) == 20


@pytest.mark.parametrize("pipeline", SAMPLE, ids=lambda one: one.stage)
def test_one_leak_of_every_stage_is_found_and_named(
    pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    report = audit_of(pipeline, tmp_path, folder_of(pipeline, request), *QUICK)
    assert report.first_finding is not None
    assert report.first_finding.stage == pipeline.stage
    assert report.first_finding.column
    assert report.first_finding.where


@pytest.mark.parametrize("pipeline", CLEAN_SAMPLE, ids=lambda one: one.name)
def test_a_clean_pipeline_is_not_accused(pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert audit_of(pipeline, tmp_path, folder_of(pipeline, request), *QUICK).findings == ()


@pytest.mark.slow
def test_nineteen_of_twenty_leaks_are_found_and_named(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    missed, misnamed = [], []
    for pipeline in PLANTED:
        first_finding = audit_of(pipeline, tmp_path, folder_of(pipeline, request)).first_finding
        if first_finding is None:
            missed.append(pipeline.name)
        elif first_finding.stage != pipeline.stage:
            misnamed.append((pipeline.name, first_finding.stage))
    assert len(missed) <= 1, missed
    assert len(missed) + len(misnamed) <= 1, misnamed


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", CLEAN, ids=lambda one: one.name)
def test_no_clean_pipeline_is_accused(pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert audit_of(pipeline, tmp_path, folder_of(pipeline, request)).findings == ()
