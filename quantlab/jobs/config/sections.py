"""Sections of the configuration as checked values: the barriers that several parts share, and the history's cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from quantlab.core.checks import check_range, check_whole
from quantlab.core.trust import Trust
from quantlab.data.series.history_cut import HistoryCut


@dataclass(frozen=True)
class Barriers:
    """The ``barriers`` node of the configuration.

    Parameters
    ----------
    take_profit_atr, stop_atr : float
        Multiples of ATR, ``0 < stop_atr <= take_profit_atr``.
    horizon : int
        Bars, >= 1.

    Raises
    ------
    ConfigError
        If a value is outside those ranges.
    """

    take_profit_atr: float
    stop_atr: float
    horizon: int

    def __post_init__(self) -> None:
        check_range("barriers.stop_atr", self.stop_atr, low=1e-6)
        check_range("barriers.take_profit_atr", self.take_profit_atr, low=self.stop_atr)
        check_whole("barriers.horizon", self.horizon, low=1)


def trust_of(cfg: DictConfig) -> Trust:
    """The classes that artifacts may name, by the user's ``trust``; none of them may lie among runs or models."""
    names: Any = OmegaConf.to_container(cfg.trust) if isinstance(cfg.trust, ListConfig) else cfg.trust
    return Trust(names, (str(cfg.runs_dir), str(cfg.registry_root)))


def barriers_of(cfg: DictConfig) -> Barriers:
    """The configuration's ``barriers`` node as a checked value."""
    node = cfg.barriers
    return Barriers(node.take_profit_atr, node.stop_atr, node.horizon)


def history_cut(cfg: DictConfig) -> HistoryCut:
    """The configuration's ``history`` node as a checked value."""
    node = cfg.history
    return HistoryCut(node.start, node.end, node.bars, node.symbols)
