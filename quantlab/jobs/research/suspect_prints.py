"""The cost of distrust: how often prints were suspect, and what it did to the evidence account."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from quantlab.core.market import PrintFlag
from quantlab.core.results import Simulation
from quantlab.evaluation.statistics.trades import round_trips
from quantlab.jobs.research.pipeline import Backtest, Setup


def suspect_prints(parts: Setup, result: Backtest) -> dict[str, Any] | None:
    """Count suspect cells, and simulate the evidence once more without flags; None where no print is suspect.

    Returns
    -------
    dict or None
        Per symbol with a flag: its cells with a suspect print inside and with a suspicion at the close, and what the
        hold gained in its trades before funding, USD (a cost is negative). ``gained`` of the account is the difference of
        the last equities.
    """
    flags = result.bars.suspect
    if flags is None or not flags.any():
        return None
    bars = dataclasses.replace(result.bars, suspect=None)
    trusting = parts.engine.run(bars, result.signal, result.strategy, limits_on=False)
    gained = _profits(result.evidence, result) - _profits(trusting, dataclasses.replace(result, bars=bars))
    return {
        "gained": float(result.evidence.equity[-1] - trusting.equity[-1]),
        "trusting_equity": float(trusting.equity[-1]),
        "refused": result.evidence.cuts["suspect"],
        "per_symbol": {
            result.bars.symbols[s]: {
                "within": int((flags[:, s] == PrintFlag.WITHIN).sum()),
                "stands": int((flags[:, s] == PrintFlag.STANDS).sum()),
                "gained": float(gained[s]),
            }
            for s in np.flatnonzero(flags.any(axis=0)).tolist()
        },
    }


def hold_notes(numbers: dict[str, Any] | None) -> tuple[str, ...]:
    """Sentences for the report."""
    if numbers is None:
        return ()
    rows = numbers["per_symbol"]
    cells = sum(row["within"] + row["stands"] for row in rows.values())
    total = f"{cells:,} bars of {len(rows)} symbols hold suspect prints; not trusting them gained {numbers['gained']:+,.2f} USD"
    moved = sorted((row["gained"], name) for name, row in rows.items() if row["gained"])
    largest = sorted(moved, key=lambda item: -abs(item[0]))[:5]
    names = ", ".join(f"{name} {gained:+,.2f}" for gained, name in largest)
    return (f"{total} in the evidence account" + (f" (in trades of {names})" if names else ""),)


def _profits(simulation: Simulation, result: Backtest) -> Any:
    trades = round_trips(simulation, result.bars).records
    return np.bincount(trades["symbol"], trades["pnl"], minlength=result.bars.n_symbols)
