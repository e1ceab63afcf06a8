"""The way in for notebooks: the command line's experiments as objects, tables and figures.

>>> lab = experiment("experiment=baseline", "debug=tiny")
>>> bars = lab.history()
>>> bars.n_symbols
4

1. :func:`experiment` composes what ``python -m quantlab`` would run with the same overrides;
2. ``lab.history()`` reads bars through the quality gate, ``lab.features(bars)`` computes their features;
3. ``lab.backtest(bars)`` learns, simulates and judges: :class:`Result`;
4. ``lab.sweep(bars, ...)`` tries many parameter sets, may keep the last days out of sight: :class:`Swept`.

The objects are those that the jobs use, so a number here is the number in ``metrics.json``. Nothing is written
but the caches; to keep a run, run its job.
"""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go
from omegaconf import DictConfig

from quantlab.core.ports import Progress
from quantlab.core.types import Bars, Features
from quantlab.evaluation.feature_figure import feature_figure as candles_and_feature
from quantlab.evaluation.painting import painted, palette
from quantlab.jobs.notebook.frames import bars_frame, features_frame, forecasts_frame
from quantlab.jobs.notebook.progress import progress_here
from quantlab.jobs.notebook.result import Result
from quantlab.jobs.run.backtesting import Setup, backtest, setup
from quantlab.jobs.run.composition import build, compose
from quantlab.jobs.run.metrics import judge
from quantlab.jobs.run.outcome import load
from quantlab.jobs.sweep import prepare
from quantlab.jobs.sweeps.best import best_of
from quantlab.jobs.sweeps.swept import Swept
from quantlab.jobs.sweeps.unseen import afterwards, split
from quantlab.jobs.sweeps.work import simulate

__all__ = [
    "Experiment",
    "Result",
    "Swept",
    "bars_frame",
    "experiment",
    "feature_figure",
    "features_frame",
    "forecasts_frame",
]


def experiment(*overrides: str, progress: Progress | None = None) -> Experiment:
    """An experiment, checked and constructed; nothing is loaded yet.

    Parameters
    ----------
    *overrides : str
        The command line's own: ``"experiment=ensemble_v2"``, ``"data.edge=0"``, ...
    progress : Progress, optional
        By default bars that suit the place: a notebook, or a terminal.

    Raises
    ------
    QuantlabError, HydraException
        If the configuration cannot be composed, or names something impossible.
    """
    cfg = compose(*overrides)
    return Experiment(overrides, cfg, setup(cfg), progress or progress_here())


@dataclass(frozen=True)
class Experiment:
    """A composed configuration and what it names; see :func:`experiment`.

    Parameters
    ----------
    overrides : tuple of str
    cfg : DictConfig
        The whole configuration, resolved on reading.
    parts : Setup
    progress : Progress
    """

    overrides: tuple[str, ...]
    cfg: DictConfig
    parts: Setup
    progress: Progress

    def __repr__(self) -> str:
        return f"experiment({', '.join(map(repr, self.overrides))})"

    def history(self) -> Bars:
        """The configured part of the market, through the quality gate.

        Raises
        ------
        DataError
            If the source refuses its data.
        """
        return load(self.parts, self.progress)

    def features(self, bars: Bars) -> Features:
        """The configured features of `bars`; ``features_frame(bars, features)`` is their table.

        Raises
        ------
        QuantlabError
            If the bars are not fit for them.
        """
        with self.progress.stage("features", 1) as stage:
            features: Features = build(self.cfg.features).transform(bars)
            stage.advance()
        return features

    def backtest(self, bars: Bars) -> Result:
        """Learn or compute the signal, simulate limits off and on, judge: ``job=backtest`` without its files.

        Raises
        ------
        QuantlabError
            If the history or a member is refused.
        """
        run = backtest(self.parts, bars, self.progress)
        with self.progress.stage("verdict", 1) as stage:
            judgement = judge(self.cfg, self.parts, run)
            stage.advance()
        return Result(self.cfg, run, judgement, self.parts.source.synthetic)

    def sweep(self, bars: Bars, *overrides: str, unseen_from: str | None = None) -> Swept:
        """Simulate many parameter sets, choose the best and judge it: ``job=sweep`` without its files.

        Parameters
        ----------
        bars : Bars
        *overrides : str
            Beside the experiment's own, e.g. ``"sweep=exits"`` or ``"sweep.space={policy.stop_atr:[1.0,2.0]}"``.
        unseen_from : str, optional
            ISO 8601, UTC: the choice sees nothing from there on; afterwards every parameter set runs on it.

        Raises
        ------
        QuantlabError, HydraException
            If the space, the date, the history or a model is refused.
        """
        cfg = compose(*self.overrides, *overrides, "job=sweep")
        combinations = build(cfg.sweep).combinations()
        parts = setup(cfg)
        what, later = prepare(cfg, parts, bars, combinations, self.progress), None
        if unseen_from is not None:
            what, later = split(what, unseen_from)
        result = simulate(cfg, what, self.progress)
        with self.progress.stage("verdict on the best", 1) as stage:
            best = best_of(cfg, parts, what, result)
            stage.advance()
        unseen = None if later is None else afterwards(cfg, parts, later, best, self.progress)
        return Swept(what, best, unseen, parts.source.synthetic)


def feature_figure(bars: Bars, features: Features, *, symbol: str, name: str) -> go.Figure:
    """One symbol's candles above one of its features; errors and limits as
    :func:`quantlab.evaluation.feature_figure.feature_figure`.
    """
    figure = candles_and_feature(bars, features, symbol=symbol, name=name)
    figure.update_traces(meta={"tone": "evidence"}, selector={"type": "scatter"})
    colours = palette(dark=False)
    rising, falling = ({"line": {"color": colours[tone]}} for tone in ("gain", "loss"))
    figure.update_traces(increasing=rising, decreasing=falling, selector={"type": "candlestick"})
    return painted(figure, title=f"{symbol}: {name}")
