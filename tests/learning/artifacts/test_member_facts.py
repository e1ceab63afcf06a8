"""The one look at whether features are those that a stored member was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from quantlab.core.errors import ContractError
from quantlab.learning.artifacts.member_facts import MemberFacts
from quantlab.learning.registry.bundle_members import StoredMember
from quantlab.learning.registry.manifest import Manifest

STORED = MemberFacts("one", "module:Class", "0", ("ret_1", "rsi_14"), "ours", {"ret_1": "a", "rsi_14": "b"}, {})


@dataclass(frozen=True)
class Source:
    """The part of a feature source that is looked at, with its definitions."""

    names: tuple[str, ...] = ("ret_1", "rsi_14")
    fingerprint: str = "ours"
    definitions: dict[str, str] = field(default_factory=lambda: {"ret_1": "a", "rsi_14": "b"})


def required(**changes: Any) -> None:
    STORED.require_contract(Source(**changes))  # type: ignore[arg-type]


def test_the_same_features_are_taken() -> None:
    required()


def test_other_features_are_refused_by_their_first_difference() -> None:
    with pytest.raises(ContractError, match="'ret_1' in column 0; found 2 features with 'rsi_14' there"):
        required(names=("rsi_14", "ret_1"))
    with pytest.raises(ContractError, match="the first difference: rsi_14 b against c"):
        required(fingerprint="theirs", definitions={"ret_1": "a", "rsi_14": "c"})


def test_manifests_of_registry_and_bundle_look_with_the_same_eyes() -> None:
    for kind in (Manifest, StoredMember):
        assert kind.require_contract is MemberFacts.require_contract
        assert kind.golden is MemberFacts.golden
