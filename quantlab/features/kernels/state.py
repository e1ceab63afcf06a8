"""Everything the features remember of one symbol: about 24 kB, all float64, no pointers."""

from __future__ import annotations

import numpy as np

from quantlab.core.compiled import compiled
from quantlab.features.kernels.windows import Kernel, latest_max_window, max_window, sum_window

# Channels of the sums. Windows that share a quantity keep it in the same channel.
VOLUME, R2 = 0, 1  # windows 24, 48 and 288: volume, squared return
ILLIQUIDITY, TRADED = 2, 3  # windows 24 and 288: abs(r) / (C V), and 1 where V > 0
TYPICAL_VALUE = 4  # window 288: tp V
ROGERS_SATCHELL, SPREAD, GAP, BODY = 4, 5, 6, 7  # window 24
RANGE2, DOWNSIDE, LAG_PRODUCT, LAG_R2, FLOW = 2, 3, 4, 5, 6  # window 48
CLOSE, MOVE, SIGNED_VOLUME, CLV_VOLUME = 1, 2, 3, 4  # window 20, beside VOLUME
RISING, FALLING = 0, 1  # window 14: tp V
# Channels of the maxima; a lowest low is minus the highest of minus the lows.
HIGH, MINUS_LOW = 0, 1


def _scalars(*names: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.float64) for name in names])


#: The bar taken in last and what it gives together with its predecessor (``_1``).
BAR = _scalars(
    *("open", "high", "low", "close", "volume"),
    *("open_1", "high_1", "low_1", "close_1"),
    *("typical", "typical_1"),  # (H + L + C) / 3
    *("change", "tiny"),  # C - C1, 1e-12 C
    *("gap", "top", "bottom"),  # lO - lC1, lH - lC1, lL - lC1
    *("from_high", "from_low"),  # lH - lC, lL - lC
    *("r", "r_1", "hl", "hl_1", "body"),  # lC - lC1, lH - lL, lC - lO
    *("r_12", "r_48", "r_288"),  # lC - lC_n
    *("traded", "illiquidity"),  # 1 where V > 0; abs(r) / (C V)
    *("change_20", "clv"),  # C - C_20; (2C - H - L)/(H - L)
    *("stoch", "stoch_1", "stoch_2"),  # stoch_k_14 of the last three bars
    "range_10",  # mean H - L of the 10 bars before
    "per_sigma",  # 1 / sqrt(Q_288 / 288); 0 if dead
)

#: Recursive averages; see ``recursions``.
AVERAGES = _scalars(
    *("ema_9", "ema_12", "ema_21", "ema_26", "ema_50", "macd_9"),
    *("gain", "loss", "plus", "minus", "atr", "per_atr", "adx", "streak"),
)

#: One symbol.
STATE = np.dtype(
    [
        ("bars", np.float64),  # seen since the start or the last reset
        ("bar", BAR),
        ("average", AVERAGES),
        ("sums_288", sum_window(288, 5)),
        ("sums_200", sum_window(200, 1)),
        ("sums_48", sum_window(48, 7)),
        ("sums_24", sum_window(24, 8)),
        ("sums_20", sum_window(20, 5)),
        ("sums_14", sum_window(14, 2)),
        ("sums_10", sum_window(10, 1)),
        ("tops_288", max_window(288, 1)),
        ("tops_55", max_window(55, 2)),
        ("tops_26", latest_max_window(26, 2)),
        ("tops_14", max_window(14, 2)),
        ("closes_288", np.float64, (288,)),  # rings, by the bar's phase
        ("closes_20", np.float64, (20,)),
        ("gaps_24", np.float64, (24,)),
        ("bodies_24", np.float64, (24,)),
        ("returns_40", np.float64, (40,)),  # a ring of 20 twice over, so that a window is contiguous
    ]
)


def empty_state(symbols: int) -> Kernel:
    """Records (symbols,) of `STATE` that have seen no bar."""
    state = np.zeros(symbols, dtype=STATE)
    for name in ("tops_288", "tops_55", "tops_26", "tops_14"):
        state[name]["block"] = -np.inf
        state[name]["prefix"] = -np.inf
    return state


@compiled(forceinline=True)
def forget(state: Kernel, position: Kernel, empty: Kernel) -> None:
    """Make the symbol at `position` one that has seen no bar; `empty` is ``empty_state(1)``."""
    state[position] = empty[0]
