"""A judged sweep as tables and figures, for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from quantlab.core.errors import ContractError
from quantlab.evaluation.report.theme import painted
from quantlab.evaluation.sweep.figures import before_and_after, pair_figure, seen_and_unseen
from quantlab.evaluation.sweep.maps import pair_maps
from quantlab.evaluation.sweep.page import distribution
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.notebook.frames import numbers_frame, utc
from quantlab.jobs.notebook.verdict_card import card, titled, words
from quantlab.jobs.sweep.best import Best
from quantlab.jobs.sweep.holdout import Unseen
from quantlab.jobs.sweep.notes import notes
from quantlab.jobs.sweep.simulations import Sweep


@dataclass(frozen=True, repr=False)
class Swept:
    """Many parameter sets, the chosen one, and what became of them afterwards.

    Parameters
    ----------
    what : Sweep
        Plan and bars that the choice rests on.
    best : Best
        The chosen parameter set, judged with everything that was tried.
    unseen : Unseen or None
        On the bars from `unseen_from` on; None where nothing was kept out of sight.
    synthetic : bool
        The market is made up.
    """

    what: Sweep
    best: Best
    unseen: Unseen | None
    synthetic: bool

    def __repr__(self) -> str:
        return words(self.verdict, self.synthetic)

    def _repr_html_(self) -> str:
        return card(self.verdict, self.synthetic, *notes(self.what, self.best))

    @property
    def verdict(self) -> Verdict:
        """On the best, with every parameter set as a trial."""
        return self.best.verdict

    @property
    def chosen(self) -> dict[str, Any]:
        """Parameters of the best."""
        return self.best.table.values[self.best.row]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per parameter set, the best first, those that assume other costs last; ``sharpe_unseen`` where bars were kept out of sight."""
        table = self.best.table
        frame = pd.DataFrame([{name: values[name] for name in table.names} for values in table.values])
        frame["sharpe"] = self.best.sharpe
        if self.unseen is not None:
            frame["sharpe_unseen"] = self.unseen.sharpe
        return frame.assign(**table.numbers).iloc[self.best.order].reset_index(drop=True)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """The best where it was chosen and, from fresh cash, afterwards; USD, by the close time of each bar."""
        runs = {"seen": self.best.runs["evidence"]}
        if self.unseen is not None:
            runs["unseen"] = self.unseen.simulation
        columns = [
            pd.Series(run.equity, index=utc(run.open_time_ms + run.interval_ms), name=name)
            for name, run in runs.items()
        ]
        return pd.concat(columns, axis=1)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number of the best where it was chosen, and of the same one afterwards."""
        summaries = {"seen": self.best.evidence}
        if self.unseen is not None:
            summaries["unseen"] = self.unseen.summary
        return numbers_frame(summaries)

    def equity_figure(self) -> go.Figure:
        """The best where it was chosen and, from fresh cash, afterwards."""
        later = None if self.unseen is None else self.unseen.simulation
        figure = before_and_after(self.best.runs["evidence"], later)
        return painted(figure, title=titled("The best, after costs", self.synthetic))

    def distribution_figure(self) -> go.Figure:
        """Sharpe ratios of all parameter sets that the choice was made from, the best among them, and what luck gives the best of so many."""
        best = self.best
        drawn = distribution(best.family_sharpe, float(best.sharpe[best.row]), best.luck)
        figure = painted(drawn, title=titled("Where the choice was made", self.synthetic))
        return figure.update_traces(marker_line_width=0, selector={"type": "bar"})

    def unseen_figure(self) -> go.Figure:
        """Every parameter set before and after; ContractError where nothing was kept out of sight."""
        if self.unseen is None:
            raise ContractError(
                "bars that the choice had not seen", found="none", fix='sweep with unseen_from="2025-02-15" or so'
            )
        figure = seen_and_unseen(self.best.sharpe, self.unseen.sharpe, self.best.order)
        return painted(figure, title=titled("The same parameter sets, later", self.synthetic))

    def pair_figures(self) -> list[go.Figure]:
        """A map of medians for every pair of parameters; none where fewer than two were varied."""
        maps = pair_maps(self.best.table, self.best.sharpe)
        return [painted(pair_figure(one), title="Median Sharpe ratio") for one in maps]
