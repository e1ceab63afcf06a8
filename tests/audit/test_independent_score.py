"""The second score: twenty leaks that were written without knowing the audit, and twenty more clean pipelines."""

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
_INDEPENDENT = importlib.import_module("independent")
PLANTED: tuple[Any, ...] = _INDEPENDENT.SECOND_PLANTED
CLEAN: tuple[Any, ...] = _INDEPENDENT.SECOND_CLEAN


def audit_of(pipeline: Any, tmp_path: Path, market_data: Path | None) -> AuditReport:
    """The pipeline's audit, with folders of its own."""
    where = [f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}"]
    return audit(compose(*pipeline.composed_of(market_data), "job=audit", *where), SilentProgress())


def test_the_independent_set_covers_every_stage_twice() -> None:
    assert Counter(one.stage for one in PLANTED) == dict.fromkeys(STAGES[:-1], 2)
    assert len(CLEAN) == 20
    assert len({one.name for one in (*PLANTED, *CLEAN)}) == 40


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PLANTED, ids=lambda one: one.name)
def test_each_of_twenty_more_leaks_is_found_and_named(pipeline: Any, tmp_path: Path) -> None:
    first_finding = audit_of(pipeline, tmp_path, None).first_finding
    assert first_finding is not None
    assert first_finding.stage == pipeline.stage
    assert first_finding.column
    assert first_finding.where


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", CLEAN, ids=lambda one: one.name)
def test_none_of_twenty_more_clean_pipelines_is_accused(
    pipeline: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue("market_data") if pipeline.needs_market_data else None
    assert audit_of(pipeline, tmp_path, folder).findings == ()
