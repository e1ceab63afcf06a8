"""A user's mistake in a step or in an array is told in one sentence that says where, and never reaches the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from quantlab.core.errors import ContractError
from quantlab.trading import compiled_step, signal_of


def writes_the_market(params, memory, market, account, intents):
    market.close[0] = params[0]


def writes_the_account(params, memory, market, account, intents):
    account.units[0] = params[0]


def misspells(params, memory, market, account, intents):
    intents.stop[0] = 1.0


def asks_for_more(params, memory, market, account, intents):
    intents.target[0] = market.volume[0]


def names_nothing(params, memory, market, account, intents):
    intents.target[0] = nothing_of_that_name(1.0)  # noqa: F821 - that is the mistake


def imports(params, memory, market, account, intents):
    import math

    intents.target[0] = math.pi


def writes_a_text(params, memory, market, account, intents):
    intents.target[0] = "all"


MISTAKES = {
    writes_the_market: r"Cannot modify readonly array in .*test_refused_code\.py, line \d+: market\.close\[0\] = params",
    writes_the_account: r"Cannot modify readonly array in .*, line \d+: account\.units",
    misspells: r"Unknown attribute 'stop' of type Intents in .*, line \d+: intents\.stop\[0\]",
    asks_for_more: r"Unknown attribute 'volume' of type Market in .*, line \d+",
    names_nothing: r"NameError: name 'nothing_of_that_name' is not defined",
    imports: r"unsupported opcode \(IMPORT_NAME\) in .*, line \d+: import math",
    writes_a_text: r"in .*, line \d+: intents\.target\[0\] = .all",
}


@pytest.mark.parametrize("function", MISTAKES, ids=lambda function: function.__name__)
def test_what_does_not_compile_says_why_and_where(function: Any) -> None:
    with pytest.raises(ContractError, match=MISTAKES[function]) as refused:
        compiled_step(function)
    assert f"a function {function.__name__} that numba can compile" in str(refused.value)
    assert len(str(refused.value)) < 700
    assert refused.value.__cause__ is not None


def test_a_step_of_other_arguments_is_refused() -> None:
    def four(params, memory, market, account):
        pass

    with pytest.raises(ContractError, match=r"four\(params, memory, market, account, intents\); found four\(params, "):
        compiled_step(four)


def reaches_beyond(params, memory, market, account, intents):
    memory[int(params[0]), 0] = 1.0


@dataclass(frozen=True)
class Reaches:
    row: int

    @property
    def step(self) -> Any:
        return compiled_step(reaches_beyond)

    def params(self) -> Any:
        return np.array([float(self.row)])

    def begin(self, n_symbols: int) -> Any:
        return np.zeros((2, n_symbols))


def test_an_index_beyond_its_array_does_not_reach_into_other_memory(random_bars, play) -> None:
    bars = random_bars(n_bars=10, n_symbols=1)
    assert len(play(bars, policy=Reaches(1)).equity) == 10
    for row in (2, 1_000_000):
        with pytest.raises(IndexError):
            play(bars, policy=Reaches(row))


TARGET = np.array([[0.1, np.nan], [0.0, -0.1], [np.nan, 0.0]])
ARRAYS = {
    "float32": (TARGET.astype("f4"), "signal.target as a C-contiguous float64"),
    "whole": (np.zeros((3, 2), dtype=int), "signal.target .* found int64"),
    "texts": (TARGET.astype(str), "signal.target .* found str"),
    "objects": (TARGET.astype(object), "signal.target .* found object"),
    "a list": (TARGET.tolist(), "signal.target .* found list"),
    "one axis": (TARGET[:, 0].copy(), r"signal.target .* found float64 \(3,\)"),
    "turned round": (TARGET.T, "signal.target .* not C-contiguous"),
    "infinite": (np.where(TARGET == -0.1, -np.inf, TARGET), "1 infinite, the first in row 1, column 1"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_of_another_kind_is_refused_by_the_name_that_it_was_given(case: str) -> None:
    array, message = ARRAYS[case]
    with pytest.raises(ContractError, match=message):
        signal_of(target=array)


def test_sides_too() -> None:
    with pytest.raises(ContractError, match=r"signal\.side .* found list"):
        signal_of(side=[1, 0])
    with pytest.raises(ContractError, match=r"signal\.side .* found float64"):
        signal_of(side=np.sign(np.nan_to_num(TARGET)))
