"""A judged backtest as tables and figures, for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import yaml
from hydra.utils import get_method
from omegaconf import DictConfig

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ContractError
from quantlab.evaluation.report.content import AccountResult, Report
from quantlab.evaluation.report.figures import equity_figure, price_figure, reliability_figure
from quantlab.evaluation.report.theme import apply_theme
from quantlab.evaluation.statistics.trade_list import trade_list
from quantlab.evaluation.statistics.trades import round_trips
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.notebook.frames import forecasts_frame, members_frame, numbers_frame, orders_frame, utc
from quantlab.jobs.notebook.judged_run import JudgedRun
from quantlab.jobs.notebook.verdict_card import label_synthetic, verdict_card, verdict_text
from quantlab.jobs.output.run_folder import resolved_yaml
from quantlab.jobs.research.metrics import Judgement
from quantlab.jobs.research.pipeline import Backtest
from quantlab.jobs.research.results import result_remarks


@dataclass(frozen=True, repr=False)
class Result(JudgedRun):
    """A judged backtest in memory; :func:`quantlab.research.open_run` opens one that a job has written.

    Parameters
    ----------
    cfg : DictConfig
    run : Backtest
        Bars, signal, study, strategy and both accounts, as arrays.
    judgement : Judgement
    synthetic : bool
        The market is made up.
    """

    cfg: DictConfig
    run: Backtest
    judgement: Judgement
    synthetic: bool

    def __repr__(self) -> str:
        return verdict_text(self.verdict, self.synthetic)

    def _repr_html_(self) -> str:
        return verdict_card(self.verdict, self.synthetic, *result_remarks(self.judgement))

    @property
    def name(self) -> str:
        """Of the experiment."""
        return str(self.cfg.experiment_name)

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration as it was run: plain values, no secrets."""
        plain: dict[str, Any] = yaml.safe_load(resolved_yaml(self.cfg))
        return plain

    @property
    def verdict(self) -> Verdict:
        """On the evidence: the account without daily limit and breaker."""
        return self.judgement.verdict

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number of both accounts."""
        return numbers_frame({"evidence": self.judgement.evidence, "lived": self.judgement.lived})

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Both accounts and what stands beside them, USD, by the close time of each bar."""
        curves = {
            "evidence": self.run.evidence.equity,
            "lived": self.run.lived.equity,
            **self.judgement.benchmarks.curves,
        }
        return pd.DataFrame(curves, index=utc(self.run.bars.close_time_ms))

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Every fill of the evidence."""
        return orders_frame(self.run.evidence)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Every round trip of the evidence."""
        return trade_list(self.run.evidence, self.run.bars)

    @cached_property
    def forecasts(self) -> pd.DataFrame:
        """Forecasts of the signal on the simulated bars, all of them out of sample."""
        return forecasts_frame(self.run.bars, self.run.signal)

    @cached_property
    def members(self) -> pd.DataFrame:
        """Quality of each ensemble member out of sample; empty for a signal that was not learned."""
        report = self.run.study.report
        return pd.DataFrame() if report is None else members_frame(report)

    def portfolio(self) -> Any:
        """The evidence as a ``vectorbt.Portfolio``; the first call imports vectorbt, which takes seconds."""
        return get_method(self.cfg.internal.portfolio)(self.run.evidence, self.run.bars)

    def equity_figure(self) -> go.Figure:
        """Both accounts, the benchmarks and the drawdowns."""
        figure = equity_figure(self._report(), self.judgement.benchmarks.curves)
        return apply_theme(figure, title=label_synthetic("Equity after costs", self.synthetic))

    def price_figure(self, symbol: str, last: int | None = None) -> go.Figure:
        """One symbol's close with the trades on it.

        Parameters
        ----------
        symbol : str
        last : int, optional
            Newest bars to show, with the trades that began in them; None = all.

        Raises
        ------
        ContractError
            If there is no such symbol.
        """
        bars = self.run.bars
        if symbol not in bars.symbols:
            raise ContractError(f"a symbol {symbol!r}", found=", ".join(bars.symbols), fix="choose one of these")
        first = 0 if last is None else max(0, bars.n_bars - last)
        trades = round_trips(self.run.evidence, bars).records
        shown = trades[trades["entry_idx"] >= first]
        for name in ("entry_idx", "exit_idx"):
            shown[name] -= first
        figure = price_figure(bars.rows(first, bars.n_bars), bars.symbols.index(symbol), shown)
        return apply_theme(figure, title=label_synthetic(f"{symbol} and its trades", self.synthetic))

    def reliability_figure(self) -> go.Figure:
        """Stated probability against what came true; ContractError for a signal that was not learned."""
        report = self.run.study.report
        if report is None or not report.reliability:
            raise ContractError(
                "a learned signal with decisions", found="none", fix="take an experiment that learns: ensemble_v2"
            )
        return apply_theme(reliability_figure(report), title="Does 0.4 mean 40 %?")

    def _path(self, account: str) -> tuple[Int64Array, Float64Array, float]:
        simulation = getattr(self.run, account)
        return simulation.open_time_ms, simulation.equity, simulation.initial_cash

    def _report(self) -> Report:
        return Report(
            experiment=str(self.cfg.experiment_name),
            data_label="",
            synthetic=self.synthetic,
            verdict=self.verdict,
            evidence=AccountResult(self.run.evidence, self.judgement.evidence),
            lived=AccountResult(self.run.lived, self.judgement.lived),
            bars=self.run.bars,
            benchmarks=self.judgement.benchmarks.curves,
            signal=self.run.study.report,
            stamps={},
            fingerprints={},
        )
