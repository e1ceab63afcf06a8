"""Size and power of a sweep's deflated Sharpe ratio: ``python tests/tools/write_deflation.py [WORLDS]``.

Simulates daily returns of whole sweeps in synthetic markets without and with an edge and deflates their best in three ways:
``pooled`` (all parameter sets one family, all of their spread taken for luck), ``scenario`` (costs are assumptions,
the spread within one scenario is luck) and ``shipped`` (that, capped by what chance can make). Writes
``experiments/deflation/deflation.json`` and its README.md.

A day of choice i under costs c earns ``mean_i + noise - turnover_i x c``, in units of the noise's standard deviation;
the noise has heavy tails (Student's t with five degrees of freedom) and a part in common. Without an edge the means
are zero, and the judged scenario is the *free* one: the truth nearest to an edge that is none. With one, a quarter of
the choices, those that trade least, earn an annual Sharpe ratio of 7 after the costs of the judged, middle scenario.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from code_commit import belongs_to, code_commit
from scipy.signal import lfilter

from quantlab.core.arrays import Float64Array
from quantlab.core.files import write_json, write_text
from quantlab.evaluation.statistics.metrics import moments
from quantlab.evaluation.sweep.scenario_scores import score_scenarios, table_of_scenario
from quantlab.evaluation.sweep.scenarios import scenarios_of
from quantlab.evaluation.sweep.scores import SweepTable, annualised, daily_sharpes, ranking, trials_of
from quantlab.evaluation.verdict.deflation import deflated_sharpe, uncapped_luck_sharpe

FOLDER = Path(__file__).resolve().parent.parent.parent / "experiments" / "deflation"
PASSED = 0.95
EDGE = 7.0 / math.sqrt(365)
SHARE_WITH_EDGE = 4
WAYS = ("pooled", "scenario", "shipped")


@dataclass(frozen=True)
class Case:
    """One kind of sweep.

    Parameters
    ----------
    name : str
    choices : int
    busiest : float
        Turnover of the choice that trades most; the one that trades least has 1.
    costs : tuple of float
        Per unit of turnover and day, in standard deviations of a day.
    correlation : float
        Between the returns of any two choices.
    copies : int
        Choices that are nearly one and the same.
    days : int
    follows : float
        Correlation of a choice's return with its return of the day before.
    """

    name: str
    choices: int
    busiest: float = 1.0
    costs: tuple[float, ...] = (0.2,)
    correlation: float = 0.5
    copies: int = 1
    days: int = 120
    follows: float = 0.0


LEVELS = (0.0, 0.1, 0.2, 0.4, 0.8)
CASES = (
    Case("choices", 24),
    Case("choices, independent", 24, correlation=0.0),
    Case("choices, much alike", 24, correlation=0.95),
    Case("choices, six copies of each", 24, copies=6),
    Case("two choices, 30 days", 2, days=30),
    Case("choices that trade 1 to 16 times as often", 24, busiest=16.0),
    Case("costs", 1, costs=LEVELS),
    Case("mixed", 24, costs=LEVELS),
    Case("mixed, trading 1 to 16 times as often", 24, busiest=16.0, costs=LEVELS),
    Case("one choice, days that follow each other (0.2)", 1, follows=0.2),
    Case("choices, independent, days that follow each other (0.2)", 24, correlation=0.0, follows=0.2),
)


def noise(case: Case, rng: np.random.Generator) -> Float64Array:
    """Daily returns of every choice before costs, (choices, days), of variance 1."""
    own = np.repeat(rng.standard_t(5, (case.choices // case.copies, case.days)), case.copies, axis=0)
    if case.copies > 1:
        own = math.sqrt(0.99) * own + math.sqrt(0.01) * rng.standard_t(5, own.shape)
    common = rng.standard_t(5, case.days)
    fresh = (math.sqrt(case.correlation) * common + math.sqrt(1.0 - case.correlation) * own) * math.sqrt(3.0 / 5.0)
    fresh[:, 1:] *= math.sqrt(1.0 - case.follows**2)
    followed: Float64Array = lfilter([1.0], [1.0, -case.follows], fresh, axis=1)
    return followed


def swept(case: Case, edge: bool, rng: np.random.Generator) -> tuple[SweepTable, int]:
    """A sweep in one synthetic market, and which scenario is judged."""
    costs = case.costs if edge else tuple(cost - case.costs[0] for cost in case.costs)
    judged = len(costs) // 2 if edge else 0
    turnover = np.geomspace(1.0, case.busiest, case.choices)
    mean = np.zeros(case.choices)
    if edge:
        mean[: max(1, case.choices // SHARE_WITH_EDGE)] = EDGE + costs[judged] * turnover[0]
    gross = mean[:, None] + noise(case, rng)
    returns = np.concatenate([gross - cost * turnover[:, None] for cost in costs]) * 0.01
    names = ("policy.choice", "costs.slippage_bps")
    values = tuple(dict(zip(names, (i, c), strict=True)) for c, i in product(costs, range(case.choices)))
    return SweepTable(names, values, returns, {"trades": np.full(len(values), 1_000)}, len(values)), judged


def passes(table: SweepTable, judged: int) -> dict[str, bool]:
    """Does the best pass: in each way, and by the shipped one in any scenario at all?"""
    sharpe = annualised(daily_sharpes(table.daily_returns))
    scores = score_scenarios(table, sharpe, scenarios_of(table.values), 0)
    best = int(ranking(sharpe, table.numbers["trades"].astype(np.int64), 0)[0])
    found = [score.dsr for score in scores]
    return {
        "pooled": literal(table, best) >= PASSED,
        "scenario": literal(table_of_scenario(table, scores[judged].scenario), scores[judged].row, table) >= PASSED,
        "shipped": (found[judged] or 0.0) >= PASSED,
        "any scenario": max(dsr or 0.0 for dsr in found) >= PASSED,
    }


def literal(family: SweepTable, best: int, table: SweepTable | None = None) -> float:
    """The paper's formula: all of the spread between the trials of `family` is luck."""
    shape = moments((table or family).daily_returns[best])
    return deflated_sharpe(shape, uncapped_luck_sharpe(trials_of(family)))  # type: ignore[arg-type, return-value]


def shares(case: Case, edge: bool, markets: int) -> dict[str, float]:
    """Share of synthetic markets whose best passes, with a seed for every market."""
    found = [passes(*swept(case, edge, np.random.default_rng([seed, edge]))) for seed in range(markets)]
    return {name: sum(one[name] for one in found) / markets for name in found[0]}


def study(markets: int) -> dict[str, Any]:
    """Every case, without and with an edge."""
    cases = [
        {**asdict(case), "no_edge": shares(case, False, markets), "planted": shares(case, True, markets)}
        for case in CASES
    ]
    return {"worlds": markets, "passed_from": PASSED, "cases": cases}


def table_of(record: dict[str, Any]) -> str:
    """The record in Markdown, in per cent."""
    head = "| sweep over | " + " | ".join(f"{kind}: {way}" for kind in ("no edge", "edge") for way in WAYS)
    lines = [head + " | no edge: any scenario |", "|---" * 8 + "|"]
    for case in record["cases"]:
        numbers = [case[kind][way] for kind in ("no_edge", "planted") for way in WAYS]
        lines.append(
            " | ".join([f"| {case['name']}", *(f"{100 * x:.1f}" for x in (*numbers, case["no_edge"]["any scenario"]))])
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Write the record."""
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    commit = code_commit()
    record = study(markets)
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_json(FOLDER / "deflation.json", record)
    said = (__doc__ or "").split("\n\n", 1)[1]
    text = f"# Size and power of a sweep's deflated Sharpe ratio\n\nPer cent of {markets:,} synthetic markets in which the best has at least {PASSED}.\n\n"
    write_text(
        FOLDER / "README.md",
        f"{text}{table_of(record)}\n\n{said}\nReproduce with\n\n```\npython tests/tools/write_deflation.py\n```\n\n{belongs_to(commit)}\n",
    )
    sys.stdout.write(f"{table_of(record)}\n")


if __name__ == "__main__":
    main()
