"""A search whose trials take time, for processes that are killed in the middle of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantlab.learning.tuning.rounds import Candidate, Outcome, Search, run_search
from quantlab.learning.tuning.space import parse_space
from quantlab.learning.tuning.store import RoundStore

SPACE = parse_space(
    "here",
    {"x": {"low": 0.1, "high": 10.0, "log": True}, "n": {"low": 1, "high": 6}, "c": {"choices": [[], ["u"]]}},
    {"x": 1.0, "n": 3, "c": ("u",)},
)
STEPS = 3


def search(trials: int = 16, prune_below: float = 0.1) -> Search:
    return Search("bowl", "loss", False, SPACE, trials, 4, prune_below, seed=7)


def losses(values: dict[str, object], fold: int) -> list[float]:
    """Four noisy losses of a bowl; the noise is the same for every trial."""
    noise = np.random.default_rng(fold).normal(0.0, 0.05, 4)
    bowl = (np.log(float(values["x"])) - 1.0) ** 2 + 0.1 * int(values["n"]) + len(list(values["c"]))
    return (bowl + noise).tolist()


def evaluate(candidates: Sequence[Candidate]) -> list[Outcome]:
    for fold in range(STEPS):
        for one in candidates:
            if not one.pruned:
                one.report(losses(one.values, fold), last=fold == STEPS - 1)
    return [Outcome(float(np.mean(one.steps))) for one in candidates]


class Silent:
    def advance(self, steps: float = 1.0) -> None: ...
    def set_remark(self, text: str) -> None: ...


def main(folder: str) -> None:
    def slowly(candidates: Sequence[Candidate]) -> list[Outcome]:
        time.sleep(0.05)
        found = evaluate(candidates)
        print("evaluated", flush=True)  # noqa: T201 - the parent listens
        time.sleep(0.05)
        return found

    print("ready", os.getpid(), flush=True)  # noqa: T201
    run_search(search(), slowly, RoundStore(Path(folder)), Silent())
    print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
