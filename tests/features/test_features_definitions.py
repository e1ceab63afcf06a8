"""A mismatch names its first difference; a feature set that lost columns on its way is not taken."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.core.types import Features
from quantlab.features import NAMES, FeaturePipeline
from quantlab.features.catalogue import CATALOGUE
from quantlab.features.contract import FeatureContract, feature_mismatch_total
from quantlab.features.definitions import definitions_of, feature_definitions, first_difference

PIPELINE = FeaturePipeline(interval_ms=300_000, threads=None)


def rows(names: tuple[str, ...], fingerprint: str) -> Features:
    return Features(np.zeros((2, 1, len(names)), np.float32), np.ones((2, 1), np.bool_), names, fingerprint)


def test_every_feature_has_a_definition_of_its_own() -> None:
    found = PIPELINE.definitions
    assert tuple(found)[: len(NAMES)] == NAMES
    assert len({found[name] for name in NAMES}) == len(NAMES)
    assert definitions_of(PIPELINE) == found == feature_definitions(300_000, "float32", ())
    assert definitions_of(object()) == {}


@pytest.mark.parametrize("column", [0, 17, 48])
def test_a_changed_definition_is_named(column: int, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = list(CATALOGUE)
    changed[column] = dataclasses.replace(changed[column], version=changed[column].version + 1)
    monkeypatch.setattr("quantlab.features.definitions.CATALOGUE", tuple(changed))
    difference = first_difference(PIPELINE.definitions, feature_definitions(300_000, "float32", ()))
    assert difference.startswith(f"{NAMES[column]} ")
    before = feature_mismatch_total()
    with pytest.raises(ContractError, match=f"first difference: {NAMES[column]} "):
        FeatureContract(NAMES, PIPELINE.fingerprint).require(NAMES, "another", difference)
    assert feature_mismatch_total() == before + 1


def test_the_interval_is_named_and_nothing_where_nothing_is_known() -> None:
    other = FeaturePipeline(interval_ms=60_000, threads=None)
    assert first_difference(PIPELINE.definitions, other.definitions) == "bar interval 300000 ms against 60000 ms"
    assert first_difference({}, other.definitions) == first_difference(other.definitions, {}) == ""
    assert first_difference({"a": "1"}, {"a": "1", "b": "2"}) == "b absent against 2"


@pytest.mark.parametrize("names", [NAMES[:22], (*NAMES, "extra"), (NAMES[1], NAMES[0], *NAMES[2:])])
def test_columns_that_are_not_the_pipelines_are_refused_though_both_sides_agree(names: tuple[str, ...]) -> None:
    """What training and validation rows have lost alike, a comparison of the two cannot see."""
    wrong = rows(names, PIPELINE.fingerprint)
    with pytest.raises(ContractError, match="as the pipeline makes it" if len(names) != len(NAMES) else "column 0"):
        FeatureContract(names, wrong.fingerprint).check(wrong)
    FeatureContract(NAMES, PIPELINE.fingerprint).check(rows(NAMES, PIPELINE.fingerprint))
    FeatureContract(names, "a user's own pipeline").check(rows(names, "a user's own pipeline"))
