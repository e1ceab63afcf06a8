"""Sentences on positions that were settled because their symbol had no bars any more, as what the bars show it to be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from quantlab.core.market import Bars
from quantlab.core.results import OrderReason, Simulation


def settled_notes(simulation: Simulation, bars: Bars) -> tuple[str, ...]:
    """Say how long symbols had no bars, which came back, and where no symbol at all had any.

    Parameters
    ----------
    simulation : Simulation
    bars : Bars
        The bars that it ran over.
    """
    ended = np.flatnonzero(simulation.reasons == OrderReason.DELISTED)
    return tuple(_sentences(simulation, bars, ended.tolist())) if len(ended) else ()


def _sentences(simulation: Simulation, bars: Bars, ended: list[int]) -> Iterator[str]:
    rows, columns = (simulation.orders[name][ended].tolist() for name in ("idx", "col"))
    printed, any_printed = bars.printed, np.asarray(bars.printed.any(axis=1))
    missing = [int(np.argmax(printed[row::-1, s])) for row, s in zip(rows, columns, strict=True)]
    shortest, longest = min(missing), max(missing)
    span = f"{longest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
    yield (
        f"{len(ended):,} positions were settled at their last mark, because their symbol had no bars for {span} bars in a row: "
        f"{_names(bars, columns)}"
    )
    back = [s for row, s in zip(rows, columns, strict=True) if printed[row:, s].any()]
    if back:
        yield f"Of these, {len(back):,} had bars again later, so their market had not ended: {_names(bars, back)}"
    everywhere = [
        s
        for row, s, bars_missing in zip(rows, columns, missing, strict=True)
        if not any_printed[row - bars_missing + 1 : row + 1].any()
    ]
    if everywhere:
        alone = ", though of one symbol alone that cannot be told from its end" if bars.n_symbols == 1 else ""
        yield (
            f"In {len(everywhere):,} of these, no symbol of the data had a bar in that time, which is a hole in the data or a stop of the "
            f"venue and not the end of a market{alone}: {_names(bars, everywhere)}"
        )


def _names(bars: Bars, columns: list[int]) -> str:
    return ", ".join(bars.symbols[s] for s in sorted(set(columns)))
