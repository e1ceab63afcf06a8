"""A run that lies on the disk as tables and figures; nothing is computed again."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from quantlab.core.arrays import Float64Array, Int64Array
from quantlab.core.errors import ContractError
from quantlab.evaluation.report.theme import apply_theme
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.notebook.frames import MEMBER_NUMBERS, numbers_frame, utc
from quantlab.jobs.notebook.judged_run import ACCOUNTS, JudgedRun
from quantlab.jobs.notebook.verdict_card import label_synthetic, verdict_card, verdict_text
from quantlab.jobs.runs.curve_figure import Curve, curves_figure
from quantlab.jobs.runs.stored_run import StoredRun

_DASHES = ("dot", "dash", "dashdot", "longdash")


class StoredResult(JudgedRun):
    """A judged run, opened by :func:`quantlab.research.open_run`.

    Its numbers and tables are those of the :class:`~quantlab.jobs.notebook.result.Result` that it was, bit for bit. What a run
    does not keep - bars, forecasts, the fitted strategy - is refused with what to do instead.

    Parameters
    ----------
    run : StoredRun
    """

    def __init__(self, run: StoredRun) -> None:
        self.run = run

    def __repr__(self) -> str:
        return f"{self.name}: {verdict_text(self.verdict, self.synthetic)}"

    def _repr_html_(self) -> str:
        notes = [str(note) for note in self.metrics.get("suspicions", ())]
        return verdict_card(self.verdict, self.synthetic, *notes, self.name)

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.run.folder

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, fingerprints, seed, host, times and the command that made it."""
        return self.run.manifest

    @property
    def metrics(self) -> dict[str, Any]:
        """Everything in ``metrics.json``."""
        return self.run.metrics

    @property
    def config(self) -> dict[str, Any]:
        return self.run.config

    @property
    def synthetic(self) -> bool:
        """The market is made up."""
        return bool(self.metrics["synthetic"])

    @property
    def report_path(self) -> Path:
        """The run's page; ContractError where its job writes none."""
        if not self.run.has("report.html"):
            raise ContractError(
                f"report.html in {self.folder}", found="none", fix="run it with job=research, which writes one"
            )
        return self.folder / "report.html"

    @cached_property
    def verdict(self) -> Verdict:
        numbers = dict(self.metrics["judgement"])
        return Verdict(
            numbers.pop("verdict"), numbers.pop("words"), undefined=numbers.pop("undefined"), numbers=numbers
        )

    @cached_property
    def numbers(self) -> pd.DataFrame:
        return numbers_frame({name: self.metrics[name] for name in ACCOUNTS})

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Both accounts and, where the run kept them, its benchmarks, USD, by the close time of each bar."""
        stored = self.run.equity
        curves = {name: stored[f"{name}_equity"].to_numpy() for name in ACCOUNTS}
        if self.run.has("benchmarks.parquet"):
            kept = self.run.table("benchmarks.parquet").drop(columns="time")
            curves |= {str(name): kept[name].to_numpy() for name in kept}
        return pd.DataFrame(curves, index=utc(self.run.open_time_ms + self.run.interval_ms))

    @cached_property
    def orders(self) -> pd.DataFrame:
        frame = self._evidence("orders.parquet").set_index("time")
        return frame[["symbol", "side", "units", "price", "fee", "reason"]]

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Every round trip of the evidence; ContractError where an older run kept none."""
        return self._evidence("trades.parquet")

    @cached_property
    def members(self) -> pd.DataFrame:
        """Quality of each ensemble member out of sample; empty for a signal that was not learned."""
        found = self.metrics.get("members") or {}
        rows = {name: [numbers[key] for key in MEMBER_NUMBERS] for name, numbers in found.items()}
        if not rows:
            return pd.DataFrame()
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(MEMBER_NUMBERS), dtype=np.float64).rename_axis(
            "member"
        )

    @cached_property
    def sweep(self) -> pd.DataFrame:
        """Every parameter set with its results, best first; ContractError where the run is no ``job=sweep``."""
        return self.run.table("sweep.parquet").sort_values("rank").reset_index(drop=True)

    @property
    def forecasts(self) -> pd.DataFrame:
        """Refused: a run keeps no forecasts."""
        raise ContractError(
            "forecasts of a stored run",
            found="none: a run keeps orders, trades and equity",
            fix="make the experiment again, lab = experiment(...), and read lab.backtest(lab.history()).forecasts; members come from the cache",
        )

    def equity_figure(self) -> go.Figure:
        equity, times = self.equity, self.run.open_time_ms + self.run.interval_ms
        cash = self._path("evidence")[2]
        beside = [name for name in equity if name not in ACCOUNTS]
        curves = [
            Curve(str(name), f"benchmark-{i % 3}", times, equity[name].to_numpy(), cash, _DASHES[i % 4], falls=False)
            for i, name in enumerate(beside)
        ]
        curves += [Curve(name.title(), name, times, equity[name].to_numpy(), cash) for name in reversed(ACCOUNTS)]
        return apply_theme(curves_figure(curves), title=label_synthetic("Equity after costs", self.synthetic))

    def _path(self, account: str) -> tuple[Int64Array, Float64Array, float]:
        equity: Float64Array = self.run.equity[f"{account}_equity"].to_numpy()
        return self.run.open_time_ms, equity, float(self.metrics[account]["initial_cash"])

    def _evidence(self, name: str) -> pd.DataFrame:
        """Rows of the evidence, as a notebook's own tables hold them."""
        frame = self.run.table(name).query("run == 'evidence'").drop(columns="run").reset_index(drop=True)
        unit = utc(self.run.open_time_ms[:1]).unit  # a notebook's own tables have it, whatever the file's is
        times = {column: frame[column].dt.as_unit(unit) for column in map(str, frame) if column.endswith("time")}
        return frame.assign(**times)
