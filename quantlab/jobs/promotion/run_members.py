"""Members and facts that a run keeps, so that it can be promoted from its own folder alone.

``members/<name>/`` holds the last fold's fitted members, copied from the forecast cache with their hashes; the
manifest says on which market, features and code the numbers rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from quantlab.core.clock import iso_utc, parse_utc
from quantlab.core.market import Bars
from quantlab.core.ports import FeatureSource
from quantlab.core.rule_spans import last_rules
from quantlab.features.definitions import definitions_of
from quantlab.features.drift import Drift
from quantlab.features.drift_reference import DriftReference
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.run_folder import RunFolder
from quantlab.jobs.research.pipeline import Backtest
from quantlab.jobs.research.results import models_used
from quantlab.learning.artifacts.code_versions import package_code_hash
from quantlab.learning.registry.bundle_members import keep_member
from quantlab.learning.registry.names import check_member
from quantlab.learning.study.forecasts import read_forecast

MEMBERS = "members"
#: The rooms that a decision runs through, each fingerprinted by its sources.
CODE_ROOMS = ("features", "learning", "trading")


def save_members(folder: RunFolder, cfg: DictConfig, result: Backtest) -> dict[str, Any]:
    """Write ``members/`` into a run folder; return what the manifest says about models, market, costs, features and code.

    Raises
    ------
    ArtifactError
        If a cached member is damaged or another than the one that was tested.
    """
    features: FeatureSource = build(cfg.features)
    used = models_used(result)
    if used:
        copy_members(folder.path / MEMBERS, cfg, used["members"], result.history, features)
    return {
        "models": used,
        "market": tested_market(result.history),
        "costs": tested_costs(result.history),
        "features": {"names": list(features.names), "definitions": definitions_of(features)},
        "rooms": code_hashes(),
        "strategy": plain_section(cfg.strategy),
        "tuned": {stage.name: stage.chosen for stage in result.study.tuning},
    }


def plain_section(node: DictConfig) -> dict[str, Any]:
    """A section as plain values, every interpolation resolved."""
    resolved: Any = OmegaConf.to_container(node, resolve=True)
    checked: dict[str, Any] = resolved
    return checked


def copy_members(
    root: Path, cfg: DictConfig, members: dict[str, dict[str, str]], history: Bars, features: FeatureSource
) -> None:
    """Copy members from the forecast cache into ``root / <name>``, with the features' distribution in training.

    Parameters
    ----------
    root : Path
        Inside a staged folder.
    cfg : DictConfig
        Names the cache and the drift rules.
    members : dict of member to {origin, sha256}
        See :meth:`quantlab.learning.ensemble.signal_source.EnsembleSignal.models`.
    history : Bars
        That they were fitted on.
    features : FeatureSource
    """
    rules: Drift = build(cfg.drift)
    entries = {name: Path(cfg.cache_dir) / "forecasts" / stored["origin"] for name, stored in members.items()}
    # The members of a run share a fold, so this is made once and not once for each of them.
    references: dict[tuple[str, str], DriftReference] = {}
    for name, entry in entries.items():
        fit = read_forecast(entry).facts["parts"]["fit"]
        window = (fit["first"], fit["last"])
        if window not in references:
            references[window] = training_distribution(rules, history, features, *window)
        sha256 = members[name]["sha256"]
        keep_member(
            entry, root / check_member(name), sha256, drift=references[window], definitions=definitions_of(features)
        )


def training_distribution(
    rules: Drift, history: Bars, features: FeatureSource, first: str, last: str
) -> DriftReference:
    """The features of every ready row of the bars that open from `first` to `last`, ISO 8601.

    The rows between those that a thinned training set was fitted on count too: they are draws of the same window.
    """
    stop = int(np.searchsorted(history.open_time_ms, parse_utc(last), side="right"))
    rows = features.transform(history.rows(0, stop))
    chosen = np.zeros(rows.ready.shape, dtype=np.bool_)
    chosen[int(np.searchsorted(history.open_time_ms, parse_utc(first))) :] = True
    return rules.reference(rows, chosen)


def tested_market(history: Bars) -> dict[str, Any]:
    """Symbols and bars of a history."""
    return {
        "symbols": list(history.symbols),
        "interval_ms": history.interval_ms,
        "first": iso_utc(int(history.open_time_ms[0])),
        "last": iso_utc(int(history.open_time_ms[-1])),
    }


def tested_costs(history: Bars) -> dict[str, dict[str, float]]:
    """Costs of trading each symbol at the last bar, beside slippage; steps of price and size are the venue's, and may change."""
    names = ("maker_fee_bps", "taker_fee_bps", "maintenance_margin_rate")
    return {
        symbol: {name: getattr(instrument, name) for name in names}
        for symbol, instrument in zip(history.symbols, last_rules(history), strict=True)
    }


def code_hashes() -> dict[str, str]:
    """Room -> sha256 over its sources."""
    return {room: package_code_hash((room,)) for room in CODE_ROOMS}
