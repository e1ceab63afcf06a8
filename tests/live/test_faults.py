"""A part of the cases of ``faults.py``; the whole of them is its script."""

from __future__ import annotations

import faults
import pytest

CASES = tuple(faults.cases())


def failures(every: int) -> dict[int, list[str]]:
    played = {number: faults.play(case)[2] for number, case in enumerate(CASES) if number % every == 0}
    return {number: found for number, found in played.items() if found}


def test_every_fault_meets_every_order_in_every_phase() -> None:
    assert len(CASES) == len(set(CASES)) == 2_475
    assert len({(case.kind, case.what, case.phase) for case in CASES}) == 11 * 5 * 3


def test_a_tenth_of_the_faults_have_one_effect_each() -> None:
    assert failures(every=11) == {}


@pytest.mark.slow
def test_all_faults_have_one_effect_each() -> None:
    assert failures(every=1) == {}
