"""Between steps 3 and 4: what is held of a symbol that is not there any more is settled."""

from __future__ import annotations

import numpy as np
from plain_account import Account, Bar

from quantlab.core.results import OrderReason
from quantlab.trading.strategy.strategy import Costs

DAY_MS = 86_400_000


def settle_delisted(account: Account, t: int, row: list[Bar], costs: Costs) -> None:
    """Count absent bars in a row of what is held; at the last one it is closed at its mark, whatever that is."""
    patience, before = bars_until_delisted(costs, account.bars.interval_ms), len(account.fills)
    for s in account.held():
        position = account.positions[s]
        if not row[s].absent:
            account.branches["absence ends before the delisting"] += position.absent_bars > 0
            account.branches["a filled bar ends an absence"] += position.absent_bars > 0 and row[s].filled
            position.absent_bars = 0
            continue
        position.absent_bars += 1
        if position.absent_bars >= patience:
            _note(account, t, s, costs, patience)
            fee_bps = account.terms[s].instrument.taker_fee_bps
            account.fill(t, s, -position.units, account.marks[s], fee_bps, OrderReason.DELISTED)
    account.branches["several delisted in one bar"] += len(account.fills) > before + 1


def bars_until_delisted(costs: Costs, interval_ms: int) -> int:
    """So many, or a day of bars."""
    if costs.delisted_after_bars is not None:
        return int(costs.delisted_after_bars)
    return max(1, DAY_MS // interval_ms)


def _note(account: Account, t: int, s: int, costs: Costs, patience: int) -> None:
    position = account.positions[s]
    account.branches["delisted"] += 1
    account.branches["delisted long" if position.units > 0.0 else "delisted short"] += 1
    account.branches["delisted at once"] += patience == 1
    account.branches["delisted after some bars"] += patience > 1
    account.branches["delisted after a day"] += costs.delisted_after_bars is None
    account.branches["delisted while a close is wanted"] += account.wanted[s] is not None
    closes = account.bars.close[:, s]
    last = closes[: t + 1][np.isfinite(closes[: t + 1])][-1]
    account.branches["delisted at a mark that is not the last close"] += last != account.marks[s]
