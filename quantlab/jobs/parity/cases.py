"""The case of a comparison: a strategy, the bars that it is compared on, and the signal of history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from omegaconf import DictConfig, open_dict

from quantlab.core.checks import check_whole
from quantlab.core.clock import parse_utc
from quantlab.core.errors import ContractError
from quantlab.core.market import Bars
from quantlab.core.ports import BacktestEngine, HasWarmup, Progress
from quantlab.core.results import Study
from quantlab.core.types import Signal
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import history_cut
from quantlab.jobs.parity.reachable import lacks_of_data, lacks_of_limits, require_reachable
from quantlab.jobs.promotion.bundle import Bundle, last_test_start
from quantlab.jobs.promotion.run_members import plain_section
from quantlab.jobs.research.pipeline import learn, setup
from quantlab.jobs.research.results import load_history
from quantlab.jobs.session.session_strategy import strategy_of


@dataclass(frozen=True)
class Case:
    """A strategy and the bars that backtest and session are compared on.

    Parameters
    ----------
    engine : BacktestEngine
        Of the backtest.
    synthetic : bool
        Whether the market is.
    study : Study
    strategy : Strategy
        As it was backtested.
    history : Bars
    warmup_start : int
        First row that the session's signal sees.
    first, last : int
        Rows that are traded.
    bundle : str or None
        Name of the bundle that it was read from.
    """

    engine: BacktestEngine
    synthetic: bool
    study: Study
    strategy: Any
    history: Bars
    warmup_start: int
    first: int
    last: int
    bundle: str | None = None

    @property
    def bars(self) -> Bars:
        """The traded rows."""
        return self.history.rows(self.first, self.last)

    @property
    def signal(self) -> Signal:
        """The signal that the backtest traded on them."""
        return self.study.signal.rows(self.first, self.last)


def configured_case(cfg: DictConfig, progress: Progress) -> Case:
    """Return what the configuration learns or names: the last test period of a learned signal, all rows of another.

    Raises
    ------
    QuantlabError
        If data, configuration or a model is refused.
    """
    parts = setup(cfg)
    history = load_history(parts, progress)
    whole = lacks_of_data(history, 0, history.n_bars, cfg.job.needed)  # known before anything is learned
    require_reachable([*lacks_of_limits(build(cfg.trading.limits), cfg.job.needed), *whole])
    study, strategy = learn(parts, history, progress)
    rows = _rows(study, cfg.job.bars)
    return Case(parts.engine, parts.source.synthetic, study, strategy, history, *rows)


def with_promoted_settings(cfg: DictConfig, bundle: Bundle) -> DictConfig:
    """Return the configuration with the cash and the features of a bundle in their place."""
    found, promoted = cfg.copy(), plain_section(bundle.config)
    with open_dict(found):
        for name in ("cash", "features"):
            found[name] = promoted[name]
    return found


def promoted_case(cfg: DictConfig, bundle: Bundle, progress: Progress) -> Case:
    """Return what a bundle holds, over the last test window of its members; all tested rows of one without members.

    Parameters
    ----------
    cfg : DictConfig
        See :func:`with_promoted_settings`; it names data and engine.
    bundle : Bundle
    progress : Progress

    Raises
    ------
    ContractError
        If the data is not what the bundle was tested on.
    QuantlabError
        If data or configuration is refused.
    """
    source = build(cfg.data)
    with progress.stage("history", 1) as stage:
        history = history_cut(cfg).load(source)
        stage.advance()
    strategy_of(bundle).require_market(history)
    _require_tested_data(bundle, history)
    first, last = _tested_rows(bundle, history)
    with progress.stage("signal", 1) as stage:
        signal = bundle.strategy.signal.signal(history)
        stage.advance()
    study = Study(signal, first, last, bundle.strategy.signal, None)
    rows = _rows(study, cfg.job.bars)
    return Case(build(cfg.backtest), source.synthetic, study, bundle.strategy, history, *rows, bundle.folder.name)


def _rows(study: Study, n_bars: int | None) -> tuple[int, int, int]:
    """Return how far back the warm-up reaches, and the rows that are traded: all, or the first so many bars."""
    if n_bars is not None:
        check_whole("job.bars", n_bars, low=1)
    first = max(study.first_row, study.last_test)
    warmup = study.source.warmup if isinstance(study.source, HasWarmup) else first
    last = study.last_row if n_bars is None else min(study.last_row, first + n_bars)
    return max(0, first - warmup), first, last


def _require_tested_data(bundle: Bundle, history: Bars) -> None:
    found, tested = history.fingerprint(), bundle.manifest["data_fingerprint"]
    if found != tested:
        market = bundle.manifest["market"]
        raise ContractError(
            f"the bars that {bundle.folder.name} was tested on, {len(market['symbols'])} symbols from"
            f" {market['first']} to {market['last']} with fingerprint {tested}",
            found=found,
            fix="give the data and history options of its run again",
        )


def _tested_rows(bundle: Bundle, history: Bars) -> tuple[int, int]:
    """The last test window: no row of it was seen by a fit, a weight or a choice."""
    period = bundle.manifest["period"]
    first = last_test_start(bundle) or period["first"]
    opens = history.open_time_ms
    return int(np.searchsorted(opens, parse_utc(first))), int(
        np.searchsorted(opens, parse_utc(period["last"]), "right")
    )
