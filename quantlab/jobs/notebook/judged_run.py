"""The common face of a judged backtest, in memory or on the disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ContractError
from quantlab.evaluation.statistics.metrics import daily_returns, days_of
from quantlab.evaluation.verdict.rule import Verdict

ACCOUNTS = ("evidence", "lived")


class JudgedRun(ABC):
    """A judged backtest: what its two accounts did, in tables.

    *Evidence* is the account without daily limit and breaker, on which the verdict rests; *lived* is the one with them.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the experiment; of a stored run with its id."""

    @property
    @abstractmethod
    def verdict(self) -> Verdict:
        """On the evidence."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The whole configuration as it was run: plain values, no secrets."""

    @property
    @abstractmethod
    def numbers(self) -> pd.DataFrame:
        """Every number of both accounts."""

    @property
    @abstractmethod
    def equity(self) -> pd.DataFrame:
        """Both accounts and the benchmarks, USD, by the close time of each bar."""

    @property
    @abstractmethod
    def orders(self) -> pd.DataFrame:
        """Every fill of the evidence, by the open of the bar in which it filled."""

    @property
    @abstractmethod
    def trades(self) -> pd.DataFrame:
        """Every round trip of the evidence; see :func:`quantlab.evaluation.statistics.trade_list.trade_list`."""

    @property
    @abstractmethod
    def members(self) -> pd.DataFrame:
        """Quality of each ensemble member out of sample; empty for a signal that was not learned."""

    @abstractmethod
    def equity_figure(self) -> go.Figure:
        """Both accounts, the benchmarks and the drawdowns."""

    @abstractmethod
    def _path(self, account: str) -> tuple[Int64Array, Float64Array, float]:
        """Opens of the bars in ms (T,), equity at their closes in USD (T,), and the initial cash."""

    def to_quantstats(self, account: str = "evidence") -> pd.Series:
        """Return daily returns as QuantStats and pyfolio take them: fractions, by day, without a time zone.

        ``quantstats.reports.html(result.to_quantstats(), periods_per_year=365)``. The days are UTC days, the first and the last
        may be partial, and the returns compound exactly to the account's total return; ``docs/runs.md`` says which numbers
        agree with ours.

        Parameters
        ----------
        account : {"evidence", "lived"}

        Raises
        ------
        ContractError
            If there is no such account.
        """
        if account not in ACCOUNTS:
            raise ContractError(
                f"account as one of {', '.join(ACCOUNTS)}", found=repr(account), fix="choose one of these"
            )
        open_time_ms, equity, cash = self._path(account)
        days = days_of(open_time_ms).astype("datetime64[D]").astype("datetime64[ns]")
        returns = np.asarray(daily_returns(equity, open_time_ms, cash))
        return pd.Series(returns, index=pd.DatetimeIndex(days, name="date"), name=f"{self.name} {account}")
