"""What docs/sweep.md tells a reader to type can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlab.core.fakes import FixedSignal
from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.sweep.plan import check_names
from quantlab.jobs.sweep.signals import SignalMaker
from quantlab.trading import Costs, EnsembleThreshold, FixedFraction, Limits, Strategy


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "sweep.md").read_text()


def commands(page: str) -> list[list[str]]:
    block = next(block for block in re.findall(r"```\n(.*?)```", page, re.DOTALL) if "job=sweep" in block)
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


def test_every_command_names_a_space_that_can_be_swept(page: str) -> None:
    assert len(commands(page)) == 5
    for python, module, name, *overrides in commands(page):
        assert (python, module, name) == ("python", "-m", "quantlab")
        plain = [one for one in overrides if one != "-m" and not one.startswith("data.seed=")]
        cfg = compose(*plain)
        combinations = build(cfg.sweep).combinations()
        assert len(combinations) > 10
        signal: Any = build(cfg.signal)
        check_names(build(cfg.strategy)(signal=signal), SignalMaker(signal, None, None), tuple(combinations[0]))  # type: ignore[arg-type]


def test_the_python_on_the_page_runs(page: str, random_bars: Callable[..., Bars]) -> None:
    bars = random_bars(n_bars=600)
    side = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], bars.state.shape).astype(np.int8)
    ones = np.ones(side.shape)
    signal = Signal(side, np.full((*side.shape, 3), 1 / 3), ones, ones, side * 0 + 1, 0.5 * ones)
    strategy = Strategy(
        signal=FixedSignal(signal),
        policy=EnsembleThreshold(1.2, 2.0, 12, False),
        sizer=FixedFraction(0.1),
        limits=Limits(0.05, False, 0.12, 10, 0.1, 1.0, 1.0),
        costs=Costs(2.0, 0.05, 125.0),
    )
    space: dict[str, Any] = {"bars": bars, "signal": signal, "strategy": strategy}
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "docs/sweep.md", "exec"), space)  # noqa: S102 - our own page
    assert space["result"].final_equity.shape == (3,)
    assert len(np.unique(space["result"].final_equity)) == 3
