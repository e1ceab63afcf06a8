"""A judged sweep as tables and figures, for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from quantlab.core.errors import ContractError
from quantlab.evaluation.report.theme import apply_theme
from quantlab.evaluation.sweep.figures import holdout_equity_figure, holdout_figure, pair_figure
from quantlab.evaluation.sweep.maps import pair_maps
from quantlab.evaluation.sweep.page import distribution
from quantlab.evaluation.verdict.rule import Verdict
from quantlab.jobs.notebook.frames import numbers_frame, utc
from quantlab.jobs.notebook.verdict_card import label_synthetic, verdict_card, verdict_text
from quantlab.jobs.sweep.best import Best
from quantlab.jobs.sweep.holdout import Holdout
from quantlab.jobs.sweep.notes import sweep_notes
from quantlab.jobs.sweep.simulations import PreparedSweep


@dataclass(frozen=True, repr=False)
class SweepOutcome:
    """Many parameter sets, the chosen one, and what became of them afterwards.

    Parameters
    ----------
    prepared : PreparedSweep
        Plan and bars that the choice rests on.
    best : Best
        The chosen parameter set, judged with everything that was tried.
    holdout : Holdout or None
        On the bars from `unseen_from` on; None where nothing was kept out of sight.
    synthetic : bool
        The market is made up.
    """

    prepared: PreparedSweep
    best: Best
    holdout: Holdout | None
    synthetic: bool

    def __repr__(self) -> str:
        return verdict_text(self.verdict, self.synthetic)

    def _repr_html_(self) -> str:
        return verdict_card(self.verdict, self.synthetic, *sweep_notes(self.prepared, self.best))

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
        if self.holdout is not None:
            frame["sharpe_unseen"] = self.holdout.sharpe
        return frame.assign(**table.numbers).iloc[self.best.order].reset_index(drop=True)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """The best where it was chosen and, from fresh cash, afterwards; USD, by the close time of each bar."""
        runs = {"seen": self.best.accounts["evidence"]}
        if self.holdout is not None:
            runs["unseen"] = self.holdout.simulation
        columns = [
            pd.Series(run.equity, index=utc(run.open_time_ms + run.interval_ms), name=name)
            for name, run in runs.items()
        ]
        return pd.concat(columns, axis=1)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number of the best where it was chosen, and of the same one afterwards."""
        summaries = {"seen": self.best.evidence}
        if self.holdout is not None:
            summaries["unseen"] = self.holdout.summary
        return numbers_frame(summaries)

    def equity_figure(self) -> go.Figure:
        """The best where it was chosen and, from fresh cash, afterwards."""
        later = None if self.holdout is None else self.holdout.simulation
        figure = holdout_equity_figure(self.best.accounts["evidence"], later)
        return apply_theme(figure, title=label_synthetic("The best, after costs", self.synthetic))

    def distribution_figure(self) -> go.Figure:
        """Sharpe ratios of all parameter sets that the choice was made from, the best among them, and what luck gives the best of so many."""
        best = self.best
        drawn = distribution(best.family_sharpe, float(best.sharpe[best.row]), best.luck_sharpe)
        figure = apply_theme(drawn, title=label_synthetic("Where the choice was made", self.synthetic))
        return figure.update_traces(marker_line_width=0, selector={"type": "bar"})

    def unseen_figure(self) -> go.Figure:
        """Every parameter set before and after; ContractError where nothing was kept out of sight."""
        if self.holdout is None:
            raise ContractError(
                "bars that the choice had not seen", found="none", fix='sweep with unseen_from="2025-02-15" or so'
            )
        figure = holdout_figure(self.best.sharpe, self.holdout.sharpe, self.best.order)
        return apply_theme(figure, title=label_synthetic("The same parameter sets, later", self.synthetic))

    def pair_figures(self) -> list[go.Figure]:
        """A map of medians for every pair of parameters; none where fewer than two were varied."""
        maps = pair_maps(self.best.table, self.best.sharpe)
        return [apply_theme(pair_figure(one), title="Median Sharpe ratio") for one in maps]
