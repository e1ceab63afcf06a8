"""``job=promote run=runs/EXPERIMENT/RUN``: freeze what a run tested into a strategy bundle.

A bundle is what a paper session starts from. The verdict does not decide about promotion, a person does; it is
in the bundle's manifest and on the screen.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from quantlab.core.errors import ConfigError
from quantlab.jobs.promotion.bundles import Bundle
from quantlab.jobs.promotion.finished_run import read_run
from quantlab.jobs.promotion.sealing import bundle_name, write_bundle
from quantlab.jobs.run.composition import build
from quantlab.learning.registry.store import Registry

BUNDLES = "bundles"


def run(cfg: DictConfig) -> None:
    """Write the bundle, load it again and print what it holds.

    Raises
    ------
    QuantlabError
        If the run, a file of it or the installation is refused; then there is no bundle.
    """
    if cfg.run is None:
        raise ConfigError("a finished run", found="none", mend="add run=runs/EXPERIMENT/RUN")
    registry: Registry = build(cfg.learning.registry)
    finished = read_run(Path(cfg.run).resolve(), "run")
    final = registry.folder.resolve() / BUNDLES / bundle_name(cfg.job.name, finished)
    bundle = write_bundle(finished, final, registry.clock, registry.load_timeout_s)
    console = Console()
    console.print(bundle_table(bundle))
    console.print(f"bundle: {final}", highlight=False, soft_wrap=True)


def bundle_table(bundle: Bundle) -> Table:
    """What a person should know of a bundle before it runs."""
    facts = bundle.manifest
    table = Table("", facts["bundle"], title_justify="left")
    members = facts["models"].get("ensemble", {})
    weights = zip(members.get("names", ()), members.get("weights", ()), strict=True)
    rows = {
        "run": facts["run"],
        "verdict": facts["verdict"] + (" (synthetic market)" if facts["synthetic"] else ""),
        "tested": f"{facts['period']['first']} to {facts['period']['last']}",
        "Sharpe (annual)": _number(facts["evidence"]["sharpe"]),
        "max drawdown, %": _number(facts["evidence"]["max_drawdown"], 100.0),
        "trades": str(facts["evidence"]["trades"]),
        "members": "\n".join(f"{name}, weight {weight:.3f}" for name, weight in weights) or "none",
        "signal": type(bundle.strategy.signal).__name__,
        "policy": type(bundle.strategy.policy).__name__,
        "sizer": type(bundle.strategy.sizer).__name__,
        "market": f"{len(facts['market']['symbols'])} symbols, bars of {facts['market']['interval_ms'] // 1000} s",
        "strategy": facts["strategy_fingerprint"],
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _number(value: float | None, factor: float = 1.0) -> str:
    return "-" if value is None else f"{value * factor:.2f}"
