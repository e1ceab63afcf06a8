"""Markets that are chosen by what happened in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantlab.core.arrays import Float64Array
from quantlab.core.market import CLOSE, VOLUME, Bars, Funding
from quantlab.data.synthetic.oracle import Truth
from quantlab.data.synthetic.source import SyntheticSource


def chosen(bars: Bars, columns: list[int]) -> Bars:
    """`bars` of some symbols only."""
    funding = bars.funding and Funding(bars.funding.time_ms, np.ascontiguousarray(bars.funding.rate[:, columns]))
    return dataclasses.replace(
        bars,
        ohlcv=np.ascontiguousarray(bars.ohlcv[:, columns]),
        state=np.ascontiguousarray(bars.state[:, columns]),
        symbols=tuple(bars.symbols[s] for s in columns),
        instruments=tuple(bars.instruments[s] for s in columns),
        funding=funding,
    )


@dataclass(frozen=True)
class _Selected(SyntheticSource):
    """The best `keep` symbols by a score of the period that is asked for."""

    keep: int

    def score(self, bars: Bars) -> Float64Array:
        raise AssertionError("a subclass says")

    def best(self, bars: Bars) -> list[int]:
        ranked = np.argsort(-self.score(bars), kind="stable")
        return sorted(ranked[: self.keep].tolist())

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> Bars:
        bars = super().history(start_ms, end_ms)
        return chosen(bars, self.best(bars))

    def stream(self, start_ms: int | None = None, end_ms: int | None = None) -> Iterator[Bars]:
        columns = self.best(super().history(start_ms, end_ms))
        return (chosen(bar, columns) for bar in super().stream(start_ms, end_ms))

    def truth(self) -> Truth:
        truth, columns = super().truth(), self.best(super().history())
        own = truth.volatility
        volatility = dataclasses.replace(
            own, quiet=np.ascontiguousarray(own.quiet[columns]), fast=np.ascontiguousarray(own.fast[:, columns])
        )
        return Truth(np.ascontiguousarray(truth.flow[:, columns]), volatility, truth.drift)


class GainingVolume(_Selected):
    """By the notional volume of the second half of the period against the first's."""

    def score(self, bars: Bars) -> Float64Array:
        notional = bars.ohlcv[:, :, CLOSE] * bars.ohlcv[:, :, VOLUME]
        half = bars.n_bars // 2
        growth: Float64Array = np.nansum(notional[half:], axis=0) / np.nansum(notional[:half], axis=0)
        return growth


class StillWorthListing(_Selected):
    """By the price at the end as a share of the price at the beginning."""

    def score(self, bars: Bars) -> Float64Array:
        first = np.array([column[np.isfinite(column)][0] for column in bars.close.T])
        last = np.array([column[np.isfinite(column)][-1] for column in bars.close.T])
        share: Float64Array = last / first
        return share
