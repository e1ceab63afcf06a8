"""The fourth score: leaks of policies, sizers and exits, their honest twins, and a proof of which is which."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from quantlab.audit.findings import AuditReport
from quantlab.core.progress import SilentProgress
from quantlab.jobs.config.composition import compose
from quantlab.jobs.research.audit import audit

sys.path.insert(0, str(Path(__file__).parent))  # the planted parts are named in configurations
_LEAKS, _PROOF = importlib.import_module("decision_leaks"), importlib.import_module("decision_proof")
PLANTED: tuple[Any, ...] = _LEAKS.FOURTH_PLANTED
CLEAN: tuple[Any, ...] = importlib.import_module("decision_twins").FOURTH_CLEAN

#: One of a policy and one of a sizer, each with its twin: no learner, and two compiled functions.
_SAMPLED = ("large_moves_ahead", "large_before_winners")
SAMPLE = tuple(one for one in PLANTED if one.name in _SAMPLED)
CLEAN_SAMPLE = tuple(one for one in CLEAN if one.name.removesuffix("_honestly") in _SAMPLED)
#: Leaks that pay by themselves; the others only move decisions.
PAYING = ("large_moves_ahead", "last_bar_of_the_hour", "large_before_winners", "young_winners", "left_at_the_best_bar")


#: Fewer cuts, for the sample that runs every time.
QUICK = ("job.checks.many_cuts=10", "job.checks.decisions=12", "job.checks.cuts=2", "job.checks.fills=2")


def audit_of(pipeline: Any, tmp_path: Path, *more: str) -> AuditReport:
    """The pipeline's audit, with folders of its own."""
    where = [f"cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}"]
    return audit(compose(*pipeline.composed_of(None), "job=audit", *where, *more), SilentProgress())


def assert_named(pipeline: Any, tmp_path: Path, *more: str) -> None:
    first_finding = audit_of(pipeline, tmp_path, *more).first_finding
    assert first_finding is not None
    assert first_finding.stage == pipeline.stage
    assert first_finding.column
    assert first_finding.where


def named(name: str) -> Any:
    return next(one for one in (*PLANTED, *CLEAN) if one.name == name)


def test_the_decisions_are_four_policies_four_sizers_and_four_exits_and_each_has_a_twin() -> None:
    assert Counter(one.kind for one in _LEAKS.DECISIONS.values()) == {"policy": 4, "sizer": 4, "exit": 4}
    assert [f"{one.name}_honestly" for one in PLANTED] == [one.name for one in CLEAN]


@pytest.mark.parametrize("pipeline", SAMPLE, ids=lambda one: one.name)
def test_a_sample_of_leaks_in_decisions_is_found_and_named(pipeline: Any, tmp_path: Path) -> None:
    assert_named(pipeline, tmp_path, *QUICK)


@pytest.mark.parametrize("pipeline", CLEAN_SAMPLE, ids=lambda one: one.name)
def test_a_sample_of_honest_decisions_is_not_accused(pipeline: Any, tmp_path: Path) -> None:
    assert audit_of(pipeline, tmp_path, *QUICK).findings == ()


@pytest.mark.parametrize("pipeline", SAMPLE, ids=lambda one: one.name)
def test_a_sample_of_leaks_moves_decisions_and_its_twins_do_not(pipeline: Any) -> None:
    leak, twin = _PROOF.played(pipeline), _PROOF.played(named(f"{pipeline.name}_honestly"))
    assert leak.moved(leak.cuts(6)) > 0
    assert twin.moved(twin.cuts(6)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PLANTED, ids=lambda one: one.name)
def test_each_of_twelve_leaks_in_decisions_is_found_and_named(pipeline: Any, tmp_path: Path) -> None:
    assert_named(pipeline, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", CLEAN, ids=lambda one: one.name)
def test_none_of_twelve_honest_twins_is_accused(pipeline: Any, tmp_path: Path) -> None:
    assert audit_of(pipeline, tmp_path).findings == ()


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PLANTED, ids=lambda one: one.name)
def test_what_a_leak_does_follows_another_future(pipeline: Any) -> None:
    leak = _PROOF.played(pipeline)
    assert leak.moved(leak.cuts(150)) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", CLEAN, ids=lambda one: one.name)
def test_what_a_twin_does_follows_no_other_future(pipeline: Any) -> None:
    twin = _PROOF.played(pipeline)
    assert len(twin.told(None).orders) > 10
    assert twin.moved(twin.cuts(150)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", PAYING)
def test_a_leak_that_pays_earns_more_than_its_twin(name: str) -> None:
    leak, twin = (_PROOF.played(named(one)).told(None).equity[-1] for one in (name, f"{name}_honestly"))
    assert leak > twin + 200.0
