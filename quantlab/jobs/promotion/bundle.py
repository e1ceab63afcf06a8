"""The strategy bundle: the very object that was backtested, in one folder that can be carried anywhere.

1. *Promote*: a finished run is verified against its manifest; its members, the configuration of its parts and
   its verdict are copied into ``<registry_root>/bundles/<name>``, sealed with a sha256 for every file. Before the
   folder gets its name its members are loaded in child processes, and the strategy is built from it: its
   fingerprint must be the one that the run recorded.
2. *Load*: every file is hashed; code, library versions, feature names and fingerprints are compared with what was
   promoted; only then a library sees a file. The strategy is built again through its ``_target_`` nodes, which may name
   no class but quantlab's own and those that the user allows; members repeat their golden predictions, and the fingerprint is compared once more.

A bundle needs neither the run, nor the forecast cache, nor the registry's other folders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.clock import parse_utc
from quantlab.core.errors import ArtifactError
from quantlab.core.ports import FeatureSource, SignalSource
from quantlab.core.shape import ANYTHING, FLAG, MAYBE_NUMBER, NUMBER, TEXT, WHOLE, MapOf, require_shape
from quantlab.core.trust import Trust
from quantlab.features.drift_reference import DriftReference
from quantlab.jobs.config.composition import build
from quantlab.jobs.config.known_classes import require_known_classes
from quantlab.jobs.promotion.run_members import MEMBERS, code_hashes
from quantlab.jobs.promotion.shapes import NODE, STRATEGY_SHAPE, TESTED_SHAPE
from quantlab.learning.artifacts.code_versions import LIBRARIES, library_versions
from quantlab.learning.artifacts.member_facts import require_features
from quantlab.learning.artifacts.sealed_folder import verify_folder
from quantlab.learning.registry.bundle_members import StoredMember, load_drift, require_plain, stored_signal
from quantlab.learning.registry.manifest import ensemble_of

CONFIG = "config.json"

_SHAPE = {
    **TESTED_SHAPE,
    "bundle": TEXT,
    "packages": MapOf(TEXT),
    "run": TEXT,
    "verdict": TEXT,
    "synthetic": FLAG,
    "period": {"first": TEXT, "last": TEXT},
    "evidence": {"sharpe": MAYBE_NUMBER, "max_drawdown": MAYBE_NUMBER, "trades": WHOLE},
}
_CONFIG_SHAPE = {
    "features": NODE,
    "drift": NODE,
    "strategy": STRATEGY_SHAPE,
    "trading": MapOf(ANYTHING),
    "barriers": MapOf(NUMBER),
    "cash": NUMBER,
}
_RUN_AGAIN = "run the research again with what is installed now, and promote that run"
RESTORE = "restore the folder from a backup, or promote the run again"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Parameters
    ----------
    folder : Path
    strategy : Strategy
        Its ``signal`` is a :class:`~quantlab.core.ports.SignalSource`.
    config : DictConfig
        Resolved nodes of its parts: ``features``, ``strategy``, ``trading``, ``drift`` and the rest; read-only.
    manifest : dict
        Where it comes from: ``run``, ``verdict``, ``metrics``, ``market``, fingerprints and versions.
    features : FeatureSource
        That the signal reads.
    drift : DriftReference or None
        The features in training, for :meth:`quantlab.features.drift.Drift.monitor`; None without models.
    """

    folder: Path
    strategy: Any
    config: DictConfig
    manifest: dict[str, Any]
    features: FeatureSource
    drift: DriftReference | None


def load_bundle(folder: Path, trust: Trust) -> Bundle:
    """Verify a bundle and build its strategy.

    Parameters
    ----------
    folder : Path
    trust : Trust
        Classes that it may name beside quantlab's own.

    Raises
    ------
    ArtifactError
        If a file is missing, added or altered, a class is named that may not be constructed, or the code, a library
        or the strategy is not what was promoted.
    ContractError
        If the features are not the ones that were promoted.
    ConfigError
        If its configuration names what this installation does not have.
    """
    require_plain(folder)
    manifest = verify_folder(folder, RESTORE)
    require_shape(manifest, _SHAPE, f"the manifest of a strategy bundle in {folder}", RESTORE)
    _require_same_installation(folder, manifest)
    config = read_config(folder / CONFIG, trust)
    features: FeatureSource = _construct(lambda: build(config.features), "features", folder)
    stated = manifest["features"]
    require_features(tuple(stated["names"]), manifest["feature_fingerprint"], stated["definitions"], features)
    signal = _signal(folder, config, manifest["models"], features, trust)
    strategy = _construct(lambda: build(config.strategy)(signal=signal), "strategy", folder)
    if strategy.fingerprint != manifest["strategy_fingerprint"]:
        raise ArtifactError(
            f"the strategy {manifest['strategy_fingerprint']} in {folder}", found=strategy.fingerprint, fix=_RUN_AGAIN
        )
    return Bundle(folder, strategy, config, manifest, features, _drift(folder, manifest["models"]))


def last_test_start(bundle: Bundle) -> str | None:
    """Return the first bar, ISO 8601, that no fit, weight or choice of a bundle's members has seen; None without members."""
    names = bundle.manifest["models"].get("ensemble", {}).get("names", ())
    starts = [StoredMember.read(bundle.folder / MEMBERS / name).parts["test"]["first"] for name in names]
    return max(starts, key=parse_utc, default=None)


def _construct(make: Callable[[], Any], what: str, folder: Path) -> Any:
    """Construct a part of a bundle; arguments that its class does not understand make the bundle one that is refused."""
    try:
        return make()
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, OmegaConfBaseException) as error:
        raise ArtifactError(
            f"{what} in {folder} with arguments that its class takes",
            found=f"{type(error).__name__}: {error}",
            fix=RESTORE,
        ) from error


def read_config(path: Path, trust: Trust) -> DictConfig:
    """A resolved configuration from a file whose hash was compared; read-only.

    Raises
    ------
    ArtifactError
        If it is none, or names a class that may not be constructed.
    """
    try:
        content = json.loads(path.read_bytes())
        config = OmegaConf.create(content)
    except (OSError, ValueError, RecursionError, OmegaConfBaseException) as error:
        raise ArtifactError(f"a configuration in {path}", found=type(error).__name__, fix=RESTORE) from error
    if not isinstance(config, DictConfig):
        raise ArtifactError(f"a configuration in {path}", found="another kind of file", fix=RESTORE)
    require_shape(content, _CONFIG_SHAPE, f"the configuration {path}", RESTORE)
    require_known_classes(content, trust, path.parent)
    OmegaConf.set_readonly(config, True)
    return config


def require_same_code(what: object, stated: Mapping[str, str]) -> None:
    """Return if the code that decides is the code that was tested.

    Raises
    ------
    ArtifactError
        Naming the rooms that have changed.
    """
    now = code_hashes()
    changed = sorted(room for room in {*stated, *now} if stated.get(room) != now.get(room))
    if changed:
        raise ArtifactError(
            f"the code that {what} was made with", found=f"other sources in {', '.join(changed)}", fix=_RUN_AGAIN
        )


def _require_same_installation(folder: Path, manifest: Mapping[str, Any]) -> None:
    require_same_code(folder.name, manifest["rooms"])
    now = library_versions()
    changed = [name for name in LIBRARIES if manifest["packages"].get(name) != now[name]]
    if changed:
        first = changed[0]
        raise ArtifactError(
            f"{first} {manifest['packages'].get(first)}, with which {folder.name} was promoted",
            found=f"{now[first]}" + (f", and {len(changed) - 1} more libraries" if len(changed) > 1 else ""),
            fix="install the versions in its manifest, or promote a run that was made with these",
        )


def _signal(
    folder: Path, config: DictConfig, models: Mapping[str, Any], features: FeatureSource, trust: Trust
) -> SignalSource:
    """Signal of the stored members where there are any; else the source that the configuration names."""
    if models:
        return stored_signal(features, folder / MEMBERS, ensemble_of(models["ensemble"]), trust)
    require_shape(OmegaConf.to_container(config), {"signal": NODE}, f"the configuration of {folder}", RESTORE)
    source: SignalSource = _construct(lambda: build(config.signal), "signal", folder)
    return source


def _drift(folder: Path, models: Mapping[str, Any]) -> DriftReference | None:
    """Members of one run share a training window: any of their references is the bundle's."""
    return load_drift(folder / MEMBERS / models["ensemble"]["names"][0]) if models else None
