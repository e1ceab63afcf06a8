"""The strategy of a paper session, and what must be true before it may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from quantlab.core.errors import ConfigError, ContractError
from quantlab.core.market import Bars
from quantlab.core.ports import Learner
from quantlab.core.trust import Trust
from quantlab.features.drift_reference import DriftReference
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.sections import trust_of
from quantlab.jobs.output.latest import resolve_run
from quantlab.jobs.promotion.active_bundle import bundle_folder, has_pointer, last_activation, require_manifest
from quantlab.jobs.promotion.bundle import Bundle, load_bundle
from quantlab.jobs.promotion.bundle_writer import write_bundle
from quantlab.jobs.promotion.finished_run import read_run
from quantlab.jobs.promotion.run_members import tested_costs
from quantlab.learning.artifacts.sealed_folder import MANIFEST
from quantlab.learning.registry.store import Registry


@dataclass(frozen=True)
class PaperStrategy:
    """A strategy and the market that it was tested on.

    Parameters
    ----------
    strategy : Strategy
    barriers : dict
        ``take_profit_atr``, ``stop_atr`` and ``horizon``: how blind entries beside it are measured.
    drift : DriftReference or None
        The features in training; None where nothing was learned.
    bundle : Bundle or None
        That it was promoted in; None where the configuration itself was asked for.
    bundles_folder : Path or None
        Folder of bundles whose pointer the session follows; None = it keeps what it was started with.
    """

    strategy: Any
    barriers: dict[str, Any]
    drift: DriftReference | None = None
    bundle: Bundle | None = None
    bundles_folder: Path | None = None

    def terms(self, common: Mapping[str, Any]) -> dict[str, Any]:
        """Facts that gates and pages need: strict JSON for the journal.

        Parameters
        ----------
        common : dict
            Those that are the session's own, whatever strategy runs.
        """
        return {
            **common,
            "barriers": self.barriers,
            "learned": self.drift is not None,
            "limits": asdict(self.strategy.limits),
            "costs": asdict(self.strategy.costs),
        }

    def require_market(self, history: Bars) -> None:
        """Return if `history` is of the market that the strategy was tested on.

        Raises
        ------
        ContractError
            If the interval differs, a symbol was not in the test, or trading one costs something else.
        """
        if self.bundle is None:
            return
        market, tested = self.bundle.manifest["market"], self.bundle.manifest["costs"]
        unknown = [symbol for symbol in history.symbols if symbol not in market["symbols"]]
        if market["interval_ms"] != history.interval_ms or unknown:
            raise ContractError(
                f"bars of {market['interval_ms']} ms of the {len(market['symbols'])} symbols in the bundle",
                found=f"bars of {history.interval_ms} ms" + (f", and {', '.join(unknown[:5])}" if unknown else ""),
                fix="choose the data that the strategy was tested on",
            )
        for symbol, ours in tested_costs(history).items():
            if tested.get(symbol) != ours:
                raise ContractError(
                    f"{symbol} at the costs that the strategy was tested with, {_cost_text(tested.get(symbol, {}))}",
                    found=_cost_text(ours),
                    fix="set trading.instrument as in the run, or run the research at these costs and promote that",
                )


def _cost_text(costs_of_one: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in costs_of_one.items())


def paper_strategy(cfg: DictConfig, folder: Path, running: str | None = None) -> PaperStrategy:
    """Build the strategy from a bundle, a finished run or the configuration.

    Parameters
    ----------
    cfg : DictConfig
        Its ``bundle`` is one, or a folder of bundles with a pointer to the active one.
    folder : Path
        Of the session.
    running : str or None
        The bundle that the session's journal ends with: it goes on with that one, wherever the pointer is.

    Raises
    ------
    ConfigError
        If both a bundle and a run are named, or neither where the signal is one that must be learned; or there is no
        such folder, or none of its bundles is active.
    ArtifactError, ContractError
        If a file, the code, a library, the features or the strategy is not what was promoted.
    """
    require_request(cfg)
    if cfg.bundle is not None:
        root = Path(cfg.bundle).resolve()
        if has_pointer(root):
            return _active_strategy(root, running, trust_of(cfg))
        return strategy_of(load_bundle(root, trust_of(cfg)))
    if cfg.run is not None:
        return strategy_of(_bundle_of_run(cfg, folder / "bundle"))
    return PaperStrategy(build(cfg.strategy)(signal=build(cfg.signal)), build(cfg.barriers))


def is_stored(cfg: DictConfig) -> bool:
    """Tell whether the strategy comes from files, a bundle's or a run's, and not from the configuration."""
    return cfg.bundle is not None or cfg.run is not None


def require_request(cfg: DictConfig) -> None:
    """Return if the configuration names one strategy: a bundle, a run, or a signal that is not learned.

    Raises
    ------
    ConfigError
        Otherwise; nothing was written.
    """
    if cfg.bundle is not None and cfg.run is not None:
        raise ConfigError("a bundle or a run", found="both", fix="leave one of them out")
    if cfg.bundle is not None:
        _require_bundles(Path(cfg.bundle).resolve())
    elif cfg.run is None and isinstance(build(cfg.signal), Learner):
        raise ConfigError(
            "a bundle, where the signal is learned",
            found="none",
            fix="promote a run (job=promote run=...), then add bundle=FOLDER",
        )


def _require_bundles(root: Path) -> None:
    """Refuse a folder without a bundle, or whose pointer is missing, by another error than a bundle that cannot be trusted."""
    if not root.is_dir():
        raise ConfigError(f"a bundle, or a folder of bundles, in {root}", found="no folder", fix="correct bundle=")
    if (root / "metrics.json").is_file():
        raise ConfigError("a bundle", found=f"a finished run, {root}", fix="give it as run=, or promote it first")
    if not has_pointer(root) and not (root / MANIFEST).is_file() and any(root.glob(f"*/{MANIFEST}")):
        raise ConfigError(
            f"a bundle in {root}, or one of its bundles made active",
            found="bundles, and none that is active",
            fix="name one of them in bundle=, or make it active with job=promote bundle=FOLDER",
        )


def _bundle_of_run(cfg: DictConfig, folder: Path) -> Bundle:
    if folder.is_dir():
        return _require_same_run(load_bundle(folder, trust_of(cfg)), resolve_run(cfg.run, cfg.runs_dir).name)
    registry: Registry = build(cfg.learning.registry)
    finished = read_run(resolve_run(cfg.run, cfg.runs_dir), "run")
    return write_bundle(finished, folder, registry.clock, registry.load_timeout_s, registry.trust)


def _require_same_run(bundle: Bundle, run: str) -> Bundle:
    """Return a session's own bundle if it was made from this run: another run is another session."""
    if bundle.manifest["run"] != run:
        raise ConfigError(
            f"run={bundle.manifest['run']}, with which the session in {bundle.folder.parent} began",
            found=run,
            fix="go on with that run, or begin another session with job.folder=DIR",
        )
    return bundle


def _active_strategy(root: Path, running: str | None, trust: Trust) -> PaperStrategy:
    """Return the bundle that the session ended with, or the active one where none has begun."""
    if running is None:
        move = last_activation(root)
        found = bundle_folder(root, move.bundle)
        require_manifest(found, move)
    else:
        found = bundle_folder(root, running)
    return replace(strategy_of(load_bundle(found, trust)), bundles_folder=root)


def strategy_of(bundle: Bundle) -> PaperStrategy:
    """Return a bundle's strategy."""
    barriers = build(bundle.config.barriers)
    return PaperStrategy(bundle.strategy, barriers, bundle.drift, bundle)
