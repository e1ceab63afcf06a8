"""One canonical hash: equal values equal hashes, anything else another."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys
from enum import Enum

import numpy as np
import pytest

from quantlab.core.fingerprint import fingerprint


class _Colour(Enum):
    RED = 1


@dataclasses.dataclass(frozen=True)
class _Point:
    x: float
    y: tuple[int, ...]


DISTINCT = [
    None, True, False, 0, 1, 1.0, "1", b"1", "", (), {}, (1,), (1, 2), ((1,), 2), (1, (2,)), {"a": 1}, {"a": 2}, {"b": 1},
    _Colour.RED, _Point(1.0, (1,)), _Point(1.0, (2,)), np.zeros(2), np.zeros(3), np.zeros((2, 1)), np.zeros(2, dtype=np.float32),
    np.zeros(0), "ab", ("a", "b"),
]  # fmt: skip


def test_distinct_values_have_distinct_hashes() -> None:
    for a, b in itertools.combinations(DISTINCT, 2):
        assert fingerprint(a) != fingerprint(b), (a, b)


def test_neighbouring_parts_do_not_run_into_each_other() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_dict_order_and_array_layout_do_not_matter() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    grid = np.arange(6.0).reshape(2, 3)
    assert fingerprint(grid) == fingerprint(np.asfortranarray(grid))


def test_every_element_counts() -> None:
    values = np.arange(1000.0)
    before = fingerprint(values)
    values[777] = np.nextafter(values[777], np.inf)
    assert fingerprint(values) != before


def test_refuses_what_has_no_stable_value() -> None:
    with pytest.raises(TypeError, match="cannot fingerprint"):
        fingerprint(object())


def test_same_in_another_process_with_another_hash_seed() -> None:
    code = "from quantlab.core.fingerprint import fingerprint; print(fingerprint({'a': (1, 2.5), 'b': None}))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert {r.stdout.strip() for r in runs} == {fingerprint({"a": (1, 2.5), "b": None})}
