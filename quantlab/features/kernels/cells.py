"""The workbench of the kernel: up to `LANES` cells (bars of symbols) side by side, one column per quantity.

What a bar's own numbers give, and what its sums give, is the same arithmetic for every cell: such loops
run over columns and become vector instructions. Additions, products, quotients and roots round alike in
vectors and alone, so that the bits never tell which cells were neighbours.
"""

from __future__ import annotations

import numpy as np

#: Cells worked on at once; their columns and one symbol's state share the first-level cache.
LANES = 16
#: Number of features.
COUNT = 49

_INTEGERS = (
    *("row", "column"),  # the cell's place in the output
    *("place", "index"),  # its symbol's place among the states; absolute number of its bar
)

_SCALARS = (
    "bars",  # seen by the symbol since its start or last reset, this one included
    *("open", "high", "low", "close", "volume"),
    *("open_1", "high_1", "low_1", "close_1"),  # the previous bar's; a first bar follows itself
    # What a bar and its predecessor give.
    *("tiny", "direction"),  # 1e-12 C, sign of C - C1
    *("r", "gap", "top", "bottom"),  # lC, lO, lH, lL, each minus lC1
    *("hl", "body", "from_high", "from_low"),  # lH - lL, lC - lO, lH - lC, lL - lC
    *("square", "hl_square", "drop_square"),  # r^2, hl^2, r^2 where r < 0
    *("clv", "rogers_satchell"),
    *("traded", "illiquidity", "value"),  # 1 where V > 0, abs(r) / (C V), tp V
    *("signed_volume", "clv_volume", "rising", "falling"),
    *("range", "reach", "gain_1", "loss_1", "plus_1", "minus_1", "move"),
    # What the previous bars' memory gives.
    *("r_1", "hl_1", "from_high_1", "from_low_1", "stoch_1", "stoch_2"),
    *("close_12", "close_20", "close_48", "close_288"),
    *("ema_9", "ema_12", "ema_21", "ema_26", "ema_50", "macd_9"),
    *("gain", "loss", "atr", "plus", "minus", "adx", "streak"),
    # What needs both.
    *("lag_product", "lag_square", "spread", "sigma", "per_sigma", "flow", "dx", "stoch"),
    "range_10",  # S_10(H - L) of the bars before this one
)

_TOTALS = (
    *(("sums_288", 5), ("sums_200", 1), ("sums_48", 7), ("sums_24", 6), ("sums_20", 4), ("sums_14", 2), ("sums_10", 1)),
    *(("closes_20", 3), ("gaps_24", 3), ("bodies_24", 3)),  # see `windows.slide_spread`
    ("line_20", 3),  # see `windows.slide_line`
    *(("tops_288", 1), ("tops_55", 2), ("when_26", 2), ("tops_14", 2)),
)


#: Up to `LANES` cells.
CELLS = np.dtype(
    [
        *((name, np.int64, (LANES,)) for name in _INTEGERS),
        *((name, np.float64, (LANES,)) for name in _SCALARS),
        *((name, np.float64, (channels, LANES)) for name, channels in _TOTALS),
        ("features", np.float64, (COUNT, LANES)),
    ]
)
