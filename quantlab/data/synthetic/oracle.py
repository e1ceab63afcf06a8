"""The planted edge of a synthetic market: the most that can be known, and its worth after costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import BoolArray, Float64Array, Int8Array, read_only
from quantlab.core.clock import MS_PER_DAY
from quantlab.core.compiled import compiled
from quantlab.core.market import OPEN, Bars
from quantlab.data.synthetic.market import FLOW_IN_RETURNS, FLOW_MEMORY
from quantlab.data.synthetic.volatility import Volatility, decay


@dataclass(frozen=True)
class Truth:
    """The planted edge, bar by bar: everything here is known at the close of its bar.

    Parameters
    ----------
    flow : float64 (T, S)
        Hidden order flow, unit variance; NaN where there is no traded bar.
    volatility : Volatility
        Its state at each close.
    drift : float
        Expected return of the next bar per unit of flow, in standard deviations; 0 = no edge.
    """

    flow: Float64Array
    volatility: Volatility
    drift: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "flow", read_only(self.flow, np.float64, (None, None), "truth.flow"))

    def expected_return(self, horizon: int) -> Float64Array:
        """float64 (T, S): expected return from the next open over `horizon` bars, fraction.

        Flow decays and volatility reverts independently of each other, so each bar adds
        ``drift x (flow that is left) x (expected volatility)``; products of these are left out.
        """
        keep = decay(FLOW_MEMORY)
        ahead = sum(keep**k * self.volatility.expected(k) for k in range(horizon))
        expected: Float64Array = self.drift * self.flow * ahead
        return expected

    def score(self, horizon: int) -> Float64Array:
        """float64 (T, S): that return in its standard deviations; ``Phi(score)`` is the chance of a rise.

        Volatility cancels as long as it stays what it is, so the score is a multiple of the flow.
        """
        keep = decay(FLOW_MEMORY)
        left = np.concatenate([[0.0], np.cumsum(keep ** np.arange(horizon))])
        # A shock i bars before the end moves the price at once and, through flow, on every later bar.
        carried = self.drift * np.sqrt(1.0 - keep**2) * left[:-1]
        variance = ((1.0 + FLOW_IN_RETURNS * carried) ** 2 + (1.0 - FLOW_IN_RETURNS**2) * carried**2).sum()
        score: Float64Array = self.drift * left[-1] * self.flow / np.sqrt(variance)
        return score


@dataclass(frozen=True)
class OracleReport:
    """Earnings of an oracle that sees the flow.

    Parameters
    ----------
    auc : float
        Of the oracle's score for the sign of the return from the next open over the horizon.
    sharpe : float
        Of daily net returns, yearly (365 days), after costs; 0 if it never trades.
    trades_per_day : float
        Changes of position, over all symbols.
    gross_bps, cost_bps : float
        Mean daily return before costs and mean daily cost, in basis points of equal-weight capital.
    """

    auc: float
    sharpe: float
    trades_per_day: float
    gross_bps: float
    cost_bps: float


def measure_oracle(bars: Bars, truth: Truth, *, horizon: int, cost_bps: float) -> OracleReport:
    """Trade the truth with equal weights, entering at the next open.

    At every close each symbol is bought (sold) if its expected return over `horizon` bars is above
    twice `cost_bps` (below minus that), and left `horizon` bars after the last such close.

    Parameters
    ----------
    bars : Bars
    truth : Truth
        Of the same market.
    horizon : int
        Bars.
    cost_bps : float
        Per side: taker fee plus slippage, basis points of notional.
    """
    return measure_oracle_on(
        bars, truth.expected_return(horizon), truth.score(horizon), horizon=horizon, cost_bps=cost_bps
    )


def measure_oracle_on(
    bars: Bars, expected: Float64Array, score: Float64Array, *, horizon: int, cost_bps: float
) -> OracleReport:
    """Report an oracle over any stretch of a market: `expected` and `score` (T, S) are the truth's rows for `bars`."""
    expected = np.where(bars.tradable, expected, np.nan)
    position = _positions(expected, 2e-4 * cost_bps, horizon)
    ahead = _open_returns(bars, 1)
    before = np.concatenate([np.zeros((1, bars.n_symbols)), position[:-1]])
    gross = np.where(np.isfinite(ahead), position * ahead, 0.0).mean(axis=1)
    cost = 1e-4 * cost_bps * np.abs(position - before).mean(axis=1)
    days = bars.open_time_ms // MS_PER_DAY
    daily = [np.bincount(days - days[0], weights=series) for series in (gross - cost, gross, cost)]
    spread = daily[0].std(ddof=1) if len(daily[0]) > 1 else 0.0
    future = _open_returns(bars, horizon)
    return OracleReport(
        auc=directional_auc(score, future > 0.0, future < 0.0),
        sharpe=float(np.sqrt(365.0) * daily[0].mean() / spread) if spread > 0.0 else 0.0,
        trades_per_day=float((position != before).sum() / len(daily[0])),
        gross_bps=float(1e4 * daily[1].mean()),
        cost_bps=float(1e4 * daily[2].mean()),
    )


def directional_auc(score: Float64Array, buy: BoolArray, sell: BoolArray) -> float:
    """Chance that a row of `buy` scores above a row of `sell` (Mann-Whitney; ties count half).

    Parameters
    ----------
    score : float64 (T, S)
        NaN rows are left out.
    buy, sell : bool (T, S)
        E.g. ``label == BUY`` and ``label == SELL``, which gives the oracle's AUC to hold a model against.

    Returns
    -------
    float
        NaN if either is empty.
    """
    seen = np.isfinite(score)
    rises, falls = score[seen & buy], np.sort(score[seen & sell])
    if len(rises) == 0 or len(falls) == 0:
        return float("nan")
    below = np.searchsorted(falls, rises, side="left") + np.searchsorted(falls, rises, side="right")
    return float(below.mean() / 2.0 / len(falls))


def _open_returns(bars: Bars, horizon: int) -> Float64Array:
    """(T, S) return from the open of t + 1 to that of t + 1 + horizon, fraction; NaN beyond the data."""
    opens = bars.ohlcv[:, :, OPEN]
    out = np.full(opens.shape, np.nan)
    out[: -1 - horizon] = opens[1 + horizon :] / opens[1:-horizon] - 1.0
    return out


@compiled
def _positions(expected: Float64Array, threshold: float, horizon: int) -> Int8Array:
    """int8 (T, S): the side held from the next open on."""
    position = np.zeros(expected.shape, dtype=np.int8)
    for s in range(expected.shape[1]):
        side, left = 0, 0
        for t in range(expected.shape[0]):
            left -= 1
            if expected[t, s] > threshold:
                side, left = 1, horizon
            elif expected[t, s] < -threshold:
                side, left = -1, horizon
            elif left <= 0:
                side = 0
            position[t, s] = side
    return position
