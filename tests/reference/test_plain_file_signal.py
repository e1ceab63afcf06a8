"""Signals played back from a parquet file, against rows that the plain simulator reads itself."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plain_simulator
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plain_comparison import differences, fill_cut_differences
from plain_markets import CASH, Case, random_case

from quantlab.core.market import Bars
from quantlab.core.types import Signal
from quantlab.trading.signals.parquet import FileSignal
from quantlab.trading.strategy.policies import FromSignals

DISTANCES = ("stop_distance", "take_distance", "trail_distance", "break_even_distance")
N_CASES = 380

Rows = list[dict[str, Any]]


def random_rows(rng: np.random.Generator, bars: Bars) -> Rows:
    """Some cells of the grid in any order, and a few rows before and after the bars; `target` now and then."""
    columns = ["target"] if rng.random() < 0.4 else ["side"]
    columns += ["target"] if columns == ["side"] and rng.random() < 0.2 else []
    columns += ["confidence"] if rng.random() < 0.5 else []
    columns += [name for name in DISTANCES if rng.random() < 0.5]
    cells = [(t, s) for t in range(-3, bars.n_bars + 3) for s in range(bars.n_symbols) if rng.random() < 0.4]
    rng.shuffle(cells)
    rows = []
    for t, s in cells:
        row: dict[str, Any] = {"t": t, "s": s}
        row |= {name: _value(rng, name) for name in columns}
        rows.append(row)
    return rows


def _value(rng: np.random.Generator, name: str) -> Any:
    if name == "side":
        return int(rng.integers(-1, 2))
    if name == "confidence":
        return float(rng.uniform(0.0, 1.0))
    if name == "target":
        return [None, 0.0, float(rng.uniform(-0.6, 0.6))][int(rng.integers(0, 3))]
    return [None, math.inf, *rng.uniform(0.1, 8.0, 6).tolist()][int(rng.integers(0, 8))]


def write(rows: Rows, bars: Bars, path: Path) -> None:
    stamps = [int(bars.open_time_ms[0]) + row["t"] * bars.interval_ms for row in rows]
    table = {
        "timestamp": pa.array(stamps, pa.timestamp("ms", tz="UTC")),
        "symbol": pa.array([bars.symbols[row["s"]] for row in rows], pa.string()),
    }
    for name in rows[0].keys() - {"t", "s"}:
        kind = pa.int8() if name == "side" else pa.float64()
        table[name] = pa.array([row[name] for row in rows], kind)
    pq.write_table(pa.table(table), path)


def said_by(rows: Rows, bars: Bars, branches: Counter[str]) -> Signal:
    """A bar without a row says HOLD and keeps; an empty target keeps; an empty distance is unknown."""
    shape, columns = (bars.n_bars, bars.n_symbols), rows[0].keys()
    side, confidence = np.zeros(shape, dtype=np.int8), np.ones(shape)
    brought = {name: np.full(shape, np.nan) for name in ("target", *DISTANCES) if name in columns}
    for row in rows:
        cell = (row["t"], row["s"])
        if not 0 <= row["t"] < bars.n_bars:
            branches["row outside the bars"] += 1
            continue
        side[cell] = row.get("side", 0)
        confidence[cell] = row.get("confidence", 1.0)
        for name, array in brought.items():
            array[cell] = math.nan if row[name] is None else row[name]
            branches[f"empty {name}"] += row[name] is None
    unknown: dict[str, Any] = {"atr": np.full(shape, np.nan), "consensus": np.ones(shape)}
    return Signal(
        side=side,
        proba=np.full((*shape, 3), np.nan),
        confidence=confidence,
        live_members=np.zeros(shape, dtype=np.int8),
        **unknown,
        **brought,
    )


def file_case(seed: int) -> tuple[Case, Rows]:
    rng = np.random.default_rng([seed, 2])
    case = random_case(seed)
    policy = FromSignals(rebalance=bool(rng.random() < 0.5))
    return dataclasses.replace(case, strategy=dataclasses.replace(case.strategy, policy=policy)), random_rows(
        rng, case.bars
    )


@pytest.fixture(scope="module")
def played_back(
    run_product: Callable[[Case], Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Counter[str]]:
    """What differed over all cases, and how often each branch was taken."""
    found: list[str] = []
    branches: Counter[str] = Counter()
    path = tmp_path_factory.mktemp("signals") / "mine.parquet"
    for seed in range(N_CASES):
        case, rows = file_case(seed)
        write(rows, case.bars, path)
        signal = FileSignal(str(path), features=None).signal(case.bars)
        product = run_product(dataclasses.replace(case, signal=signal))
        mine = said_by(rows, case.bars, branches)
        reference = plain_simulator.simulate(case.bars, mine, case.strategy, CASH, limits_on=case.limits_on)
        texts = differences(product, reference) + fill_cut_differences(product, reference)
        found.extend(f"seed {seed}: {text}" for text in texts)
        branches.update(reference.branches)
    return found, branches


def test_a_file_of_signals_is_played_back_exactly(played_back: tuple[list[str], Counter[str]]) -> None:
    assert played_back[0] == []


@pytest.mark.parametrize(
    "branch",
    [
        "row outside the bars",
        *(f"empty {name}" for name in ("target", *DISTANCES)),
        "open",
        "flip",
        "stop",
        "take-profit",
        "trailing stop moved",
    ],
)
def test_played_back_files_take_every_branch_a_hundred_times(
    played_back: tuple[list[str], Counter[str]], branch: str
) -> None:
    assert played_back[1][branch] >= 100
