"""The way in for notebooks: the command line's experiments as objects, tables and figures.

>>> lab = experiment("experiment=baseline", "debug=tiny")
>>> bars = lab.history()
>>> bars.n_symbols
4

1. :func:`experiment` composes what ``python -m quantlab`` would run with the same overrides;
2. ``lab.history()`` reads bars through the quality gate, ``lab.features(bars)`` computes their features;
3. ``lab.backtest(bars)`` learns, simulates and judges: :class:`Result`;
4. ``lab.sweep(bars, ...)`` tries many parameter sets, may keep the last days out of sight: :class:`SweepOutcome`;
5. ``lab.using(bars=..., signal=..., policy=...)`` does all that with prices, signals and a policy of your own.

The objects are those that the jobs use, so a number here is the number in ``metrics.json``. Nothing is written
but the caches; to keep a run, run its job, and ``open_run("latest")`` opens it: :class:`StoredResult`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from omegaconf import DictConfig

from quantlab.core.checks import check_flag
from quantlab.core.errors import ConfigError
from quantlab.core.market import Bars
from quantlab.core.ports import Policy, PositionSizer, Progress
from quantlab.core.types import Features, Signal
from quantlab.evaluation.report.feature_figure import feature_figure as candles_and_feature
from quantlab.evaluation.report.theme import apply_theme, palette
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.notebook.frames import bars_frame, big_bars, features_frame, forecasts_frame
from quantlab.jobs.notebook.progress import progress_here
from quantlab.jobs.notebook.result import Result
from quantlab.jobs.notebook.stored_result import StoredResult
from quantlab.jobs.notebook.sweep_result import SweepOutcome
from quantlab.jobs.notebook.user_bars import UserBars, grid_from_frames
from quantlab.jobs.notebook.user_parts import UserParts, values_of
from quantlab.jobs.output.latest import resolve_run
from quantlab.jobs.research.metrics import judge
from quantlab.jobs.research.pipeline import Setup, backtest, setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.runs.stored_run import open_stored
from quantlab.jobs.sweep.best import choose_best
from quantlab.jobs.sweep.holdout import simulate_holdout, split_holdout
from quantlab.jobs.sweep.simulations import simulate
from quantlab.jobs.sweep.sweep import prepare

__all__ = [
    "Experiment",
    "Result",
    "StoredResult",
    "SweepOutcome",
    "bars_frame",
    "big_bars",
    "experiment",
    "feature_figure",
    "features_frame",
    "forecasts_frame",
    "open_run",
    "values_of",
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
    QuantlabError
        If the configuration cannot be composed, or names something impossible.
    """
    cfg = compose(*overrides)
    return Experiment(overrides, cfg, setup(cfg), progress or progress_here())


def open_run(run: str | Path = "latest", runs_dir: str | Path = "runs") -> StoredResult:
    """Open a finished run that a job has written, every file of it held against its hash first.

    Parameters
    ----------
    run : str or Path
        Its folder, its id in ``job=runs``, ``"latest"`` or ``"latest:EXPERIMENT"``.
    runs_dir : str or Path
        Where runs lie.

    Raises
    ------
    ConfigError
        If there is no such run.
    ArtifactError
        If a file of it is missing or altered.
    """
    return StoredResult(open_stored(resolve_run(run, runs_dir, announce=False)))


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
    user_parts : UserParts
        What stands in place of the configured parts; see :meth:`using`.
    """

    overrides: tuple[str, ...]
    cfg: DictConfig
    parts: Setup
    progress: Progress
    user_parts: UserParts = field(default_factory=UserParts)

    def __repr__(self) -> str:
        return f"experiment({', '.join(map(repr, self.overrides))})"

    def using(
        self,
        *,
        bars: Mapping[str, pd.DataFrame] | None = None,
        funding: Mapping[str, pd.Series] | None = None,
        signal: Signal | None = None,
        policy: Policy | None = None,
        sizer: PositionSizer | None = None,
        known_at_close: bool = False,
    ) -> Experiment:
        """The same experiment with parts of your own; what is left out stays as it is.

        Parameters
        ----------
        bars : dict of symbol to DataFrame, optional
            Index: the bar's open, with a time zone; columns ``open high low close volume``, float64. The market
            that :meth:`history` gives from then on, with the configured ``trading.instrument``.
        funding : dict of symbol to Series, optional
            Of these bars: rates by the time at which they fall due. Left out = no funding data.
        signal : Signal, optional
            Of the bars that will be given, from :func:`quantlab.trading.signal_of`; nothing is learned then.
        policy, sizer : optional
            ``docs/write-a-strategy.md`` writes one.
        known_at_close : bool
            Declares of `signal` that every value is known at the close of its bar. Without it a signal that changes on a
            longer step than the bars', hourly on 5-minute bars, is refused when it meets them.

        Raises
        ------
        QuantlabError
            If one of them is refused.

        Examples
        --------
        >>> from quantlab.trading import BuyAndHold
        >>> experiment("experiment=baseline").using(policy=BuyAndHold()).user_parts.policy
        BuyAndHold()
        """
        source = None
        if bars is not None:
            source = UserBars(grid_from_frames(bars, build(self.cfg.trading.instrument), funding))
        elif funding is not None:
            raise ConfigError("bars of your own beside their funding", found="none", fix="pass bars=... too")
        check_flag("known_at_close", known_at_close)
        if known_at_close and signal is None:
            raise ConfigError("a signal beside known_at_close", found="none", fix="pass signal=... too")
        declared = None if signal is None else known_at_close
        user_parts = UserParts(source, signal, policy, sizer, declared).with_defaults(self.user_parts)
        return replace(self, parts=user_parts.applied_to(setup(self.cfg)), user_parts=user_parts)

    def history(self) -> Bars:
        """The configured part of the market, through the quality gate.

        Raises
        ------
        DataError
            If the source refuses its data.
        """
        return load_history(self.parts, self.progress)

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

    def sweep(self, bars: Bars, *overrides: str, unseen_from: str | None = None) -> SweepOutcome:
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
        QuantlabError
            If the space, the date, the history or a model is refused.
        """
        cfg = compose(*self.overrides, *overrides, "job=sweep")
        combinations = build(cfg.sweep).combinations()
        parts = self.user_parts.applied_to(setup(cfg))
        prepared, later = prepare(cfg, parts, bars, combinations, self.progress), None
        if unseen_from is not None:
            prepared, later = split_holdout(prepared, unseen_from)
        result = simulate(cfg, prepared, self.progress)
        with self.progress.stage("verdict on the best", 1) as stage:
            best = choose_best(cfg, parts, prepared, result)
            stage.advance()
        holdout = None if later is None else simulate_holdout(cfg, parts, later, best, self.progress)
        return SweepOutcome(prepared, best, holdout, parts.source.synthetic)


def feature_figure(bars: Bars, features: Features, *, symbol: str, name: str) -> go.Figure:
    """One symbol's candles above one of its features; errors and limits as
    :func:`quantlab.evaluation.report.feature_figure.feature_figure`.
    """
    figure = candles_and_feature(bars, features, symbol=symbol, name=name)
    figure.update_traces(meta={"tone": "evidence"}, selector={"type": "scatter"})
    colours = palette(dark=False)
    rising, falling = ({"line": {"color": colours[tone]}} for tone in ("gain", "loss"))
    figure.update_traces(increasing=rising, decreasing=falling, selector={"type": "candlestick"})
    return apply_theme(figure, title=f"{symbol}: {name}")
