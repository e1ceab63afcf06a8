"""``job=promote run=runs/EXPERIMENT/RUN``: freeze what a run tested into a strategy bundle.

A bundle is what a paper session starts from. The verdict does not decide about promotion, a person does; it is
in the bundle's manifest and on the screen. ``job.activate=true`` also points at the bundle: sessions that were
started with the folder of bundles go on with it between two bars. ``job=promote bundle=models/bundles/NAME``
points at a bundle that is there already; naming an older one is a rollback.
"""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from quantlab.core.errors import ConfigError
from quantlab.core.ports import Progress
from quantlab.jobs.config.composition import build
from quantlab.jobs.output.console import stdout_console, terminal_table
from quantlab.jobs.output.latest import resolve_run
from quantlab.jobs.output.terminal import TerminalProgress
from quantlab.jobs.promotion.active_bundle import make_active
from quantlab.jobs.promotion.bundle import RESTORE, Bundle, load_bundle
from quantlab.jobs.promotion.bundle_writer import bundle_name, prove_members, write_bundle
from quantlab.jobs.promotion.finished_run import read_run
from quantlab.learning.artifacts.sealed_folder import verify_folder
from quantlab.learning.registry.bundle_members import require_plain
from quantlab.learning.registry.store import Registry

BUNDLES = "bundles"


def run(cfg: DictConfig) -> None:
    """Write or read the bundle, load it, print what it holds, and make it active if that was asked for.

    Raises
    ------
    QuantlabError
        If the run, a file of it, the bundle or the installation is refused; then nothing has changed.
    """
    if (cfg.run is None) == (cfg.bundle is None):
        found = "neither" if cfg.run is None else "both"
        raise ConfigError(
            "a finished run or a bundle", found=found, fix="add run=latest, run=runs/EXPERIMENT/RUN or bundle=FOLDER"
        )
    registry: Registry = build(cfg.learning.registry)
    progress = TerminalProgress()
    if cfg.bundle is None:
        bundle = _write_new_bundle(cfg, registry, progress)
    else:
        bundle = _prove_bundle(Path(cfg.bundle).resolve(), registry, progress)
    console = stdout_console()
    console.print(bundle_table(bundle))
    console.print(f"bundle: {bundle.folder}", highlight=False, soft_wrap=True)
    if cfg.bundle is not None or cfg.job.activate:
        move = make_active(bundle.folder, registry.clock, str(cfg.job.reason))
        console.print(f"active: {move.bundle}, since {move.time} ({move.reason})", highlight=False, soft_wrap=True)


def _write_new_bundle(cfg: DictConfig, registry: Registry, progress: Progress) -> Bundle:
    folder = resolve_run(cfg.run, cfg.runs_dir)
    with progress.stage("hashes of the run's files compared", 1) as stage:
        finished = read_run(folder, "run")
        stage.advance()
    final = registry.folder.resolve() / BUNDLES / bundle_name(cfg.job.name, finished)
    return write_bundle(finished, final, registry.clock, registry.load_timeout_s, registry.trust, progress)


def _prove_bundle(folder: Path, registry: Registry, progress: Progress) -> Bundle:
    require_plain(folder)
    with progress.stage("hashes of the bundle's files compared", 1) as stage:
        models = verify_folder(folder, RESTORE).get("models", {})
        stage.advance()
    prove_members(folder, models, registry.load_timeout_s, registry.trust, progress)
    with progress.stage("strategy built from the bundle", 1) as stage:
        bundle = load_bundle(folder, registry.trust)
        stage.advance()
    return bundle


def bundle_table(bundle: Bundle) -> Table:
    """Facts of a bundle that a person should know before it runs."""
    facts = bundle.manifest
    table = terminal_table("", facts["bundle"])
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
