"""Walk over the configuration that came with an artifact, before anything in it is constructed.

Hydra calls whatever a ``_target_`` names. In the user's own configuration that is the point; in a bundle or a run
that somebody made it would be a program hidden in data. So every node is looked at first: a place accepts the classes of its
own kind, which are those that the yaml files of its group in ``conf/`` name, and the classes that the user allows (:class:`quantlab.core.trust.Trust`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from quantlab.core.errors import ArtifactError
from quantlab.core.trust import Trust
from quantlab.features.extra import ExtraFeature
from quantlab.jobs.config.folder import config_folder

#: Key of a node -> groups of conf/ whose classes may stand there.
_GROUPS = {
    "features": ("features",),
    "drift": ("features/drift",),
    "signal": ("trading/signal",),
    "policy": ("trading/policy",),
    "sizer": ("trading/sizer",),
    "limits": ("trading/limits",),
    "costs": ("trading/costs",),
    "instrument": ("trading/instrument",),
    "labels": ("learning/labels",),
    "splits": ("learning/splits",),
    "ensemble": ("learning/ensemble",),
}
#: Of a configuration; the largest of quantlab's own has some hundreds.
_MOST_VALUES = 100_000
_MEMBERS, _EXTRA, _STRATEGY = "members", "extra", "strategy"
_STRATEGY_CLASS = "quantlab.trading.strategy.strategy.Strategy"
_GET_OBJECT = "hydra.utils.get_object"


def require_known_classes(config: Mapping[str, Any], trust: Trust, artifact: Path) -> None:
    """Return if every class that `config` names may be constructed.

    Parameters
    ----------
    config : mapping
        Plain values: nested dicts and lists.
    trust : Trust
        What the user allows beside quantlab's own.
    artifact : Path
        Folder that the configuration came in.

    Raises
    ------
    ArtifactError
        Naming the first place that holds a class of another kind, a function, a module among artifacts, or a value
        that would be looked up somewhere else (``${...}``).
    """
    for place, kind, value in _values(config, artifact):
        if value == "???":
            raise ArtifactError(
                f"a value for {place} in {artifact.name}", found="none (???)", fix="make the files anew"
            )
        if isinstance(value, str) and "${" in value:
            raise ArtifactError(
                f"plain values in {artifact.name}",
                found=f"{place}={value!r}, which would be looked up on this machine",
                fix="write the value itself where these files were made",
            )
        if not isinstance(value, Mapping):
            continue
        for key in value:
            if isinstance(key, str) and key.startswith("_") and key.endswith("_"):
                _require_control(place, kind, key, value[key], artifact)
        if "_target_" in value:
            _require_class(place, kind, value, trust, artifact)


def _values(config: Mapping[str, Any], artifact: Path) -> Iterator[tuple[str, str, Any]]:
    """Every value with its path and the key of the mapping or list that holds it; no recursion, however deep."""
    waiting: list[tuple[str, str, str, Any]] = [("", "", "", config)]
    seen = 0
    while waiting:
        path, key, parent, value = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES:  # values that hold each other have no end
            raise ArtifactError(
                f"at most {_MOST_VALUES} values in the configuration of {artifact.name}",
                found="more",
                fix="do not use it",
            )
        kind = _MEMBERS if parent == _MEMBERS else key
        yield path or "the configuration", kind, value
        if isinstance(value, Mapping):
            waiting += [(f"{path}.{name}".lstrip("."), str(name), key, one) for name, one in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", key, parent, one) for index, one in enumerate(value)]


def _require_control(place: str, kind: str, key: str, value: Any, artifact: Path) -> None:
    """Refuse Hydra's own keys where they would change how a class is called."""
    if (
        key == "_target_"
        or (key, value) == ("_convert_", "all")
        or (kind, key, value) == (_STRATEGY, "_partial_", True)
    ):
        return
    raise ArtifactError(
        f"{place} in {artifact.name} with the arguments of its class by name",
        found=f"{key}={value!r}",
        fix="do not use these files: quantlab writes no such key",
    )


def _require_class(place: str, kind: str, node: Mapping[str, Any], trust: Trust, artifact: Path) -> None:
    name = node["_target_"]
    if not isinstance(name, str):
        raise ArtifactError(
            f"the name of a class for {place} in {artifact.name}", found=repr(name)[:80], fix="do not use these files"
        )
    if kind == _EXTRA and name == _GET_OBJECT:
        _require_feature(place, node, trust, artifact)
    elif name not in _registered(kind):
        trust.find_class(name, place, artifact)


def _require_feature(place: str, node: Mapping[str, Any], trust: Trust, artifact: Path) -> None:
    """An extra feature is a value in a module of the user's: named by its path, and nothing is called."""
    if set(node) != {"_target_", "path"} or not isinstance(node["path"], str):
        raise ArtifactError(f"the path of a feature for {place}", found=repr(dict(node)), fix="do not use these files")
    found = trust.find(node["path"], place, artifact)
    if not isinstance(found, ExtraFeature):
        raise ArtifactError(
            f"an ExtraFeature for {place}", found=f"{node['path']}, a {type(found).__name__}", fix="name a feature"
        )


@cache
def _registered(kind: str) -> frozenset[str]:
    """Classes of quantlab's own that the yaml files of a place's groups name; others there need the user's word too."""
    if kind == _STRATEGY:
        return frozenset({_STRATEGY_CLASS})
    groups = ("learning/models",) if kind == _MEMBERS else _GROUPS.get(kind, ())
    files = [path for group in groups for path in sorted((config_folder() / group).glob("*.yaml"))]
    nodes = [OmegaConf.load(path) for path in files]
    targets = [node.get("_target_") for node in nodes if isinstance(node, DictConfig)]
    return frozenset(target for target in targets if isinstance(target, str) and target.startswith("quantlab."))
