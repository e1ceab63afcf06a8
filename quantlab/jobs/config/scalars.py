"""Checks of single values before the code of a job is loaded: a wrong one is refused at once, not after seconds.

Everything that is checked here is checked once more where it is used. Here only the composed configuration and the yaml
files are read, so a refusal takes as long as composing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from quantlab.core.checks import check_flag, check_period, check_range, check_whole
from quantlab.core.errors import ConfigError
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.hints import hint

#: Counts whose default is none: whole numbers from 1.
_COUNTS = ("history.bars", "history.symbols", "exits.horizon", "job.bars")
#: Multiples of ATR that may be none.
_MULTIPLES = ("exits.take_profit_atr", "exits.stop_atr")
#: The least that a multiple of ATR or an account can be.
_LEAST = 1e-6
_DOTTED = re.compile(r"\w+(?:\.\w+)*")
#: Groups whose section stands at another place than their name says.
_PLACES = {"drift": "features/drift", "stress": "evaluation/stress", "job.source": "job/source"}


def check_scalars(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Refuse single values that no job can run with, and typed ones of another kind than their default.

    Parameters
    ----------
    cfg : DictConfig
        With all sections that it should have.
    typed : sequence of str
        The options of the command line.

    Raises
    ------
    ConfigError
        Naming the first of these.
    """
    check_whole("seed", cfg.seed, low=0)
    check_whole("workers", cfg.workers, low=1)
    if not (_is_number(cfg.cash) and cfg.cash >= _LEAST):
        raise ConfigError("cash as a number of USD above 0", found=repr(cfg.cash), fix="set it, e.g. cash=10000")
    check_period("history", cfg.history.start, cfg.history.end)
    _check_barriers(cfg.barriers)
    _check_trust(cfg.trust)
    for key in _COUNTS:
        if (count := OmegaConf.select(cfg, key, default=None)) is not None:
            check_whole(key, count, low=1)
    for key in _MULTIPLES:
        if (multiple := OmegaConf.select(cfg, key, default=None)) is not None:
            check_range(key, multiple, low=_LEAST)
    for word in typed:
        key, sign, _ = word.partition("=")
        if sign and "/" not in key and "." in key and not key.startswith("~"):
            _check_typed(cfg, key.lstrip("+"), added=key.startswith("+"))


def _check_barriers(node: Any) -> None:
    check_range("barriers.stop_atr", node.stop_atr, low=_LEAST)
    check_range("barriers.take_profit_atr", node.take_profit_atr, low=node.stop_atr)
    check_whole("barriers.horizon", node.horizon, low=1)


def _check_trust(names: Any) -> None:
    plain = OmegaConf.to_container(names) if isinstance(names, ListConfig) else names
    if not (isinstance(plain, list) and all(isinstance(name, str) and _DOTTED.fullmatch(name) for name in plain)):
        fix = "write 'trust=[my_strategies.DipBuyer]'"
        raise ConfigError("trust as a list of classes, named with their module", found=repr(plain), fix=fix)


def _check_typed(cfg: DictConfig, key: str, *, added: bool) -> None:
    """Hold one typed value against the default that the yaml files give it."""
    place, defaults = _defaults(cfg, key)
    parts = key.removeprefix(f"{place}.").split(".")
    default: Any = defaults
    for name in parts:
        if not isinstance(default, Mapping):
            return
        if name not in default:
            if added and "entry" in default:
                known = [str(one) for one in default if one not in ("entry", "defaults", "decided_by_bundle")]
                raise ConfigError(f"a known key {place}.*", found=key, fix=hint(name, known, f"{place}."))
            return
        default = default[name]
    value = OmegaConf.select(cfg, key, default=None)
    if value is not None:
        _check_kind(key, value, default)


#: Sections whose rules are numbers that ``off`` takes out.
_SWITCHED_OFF = ("trading.limits.", "trading.costs.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_kind(key: str, value: Any, default: Any) -> None:
    if isinstance(default, bool):
        check_flag(key, value)
    elif value == "off" and key.startswith(_SWITCHED_OFF):
        return
    elif isinstance(default, int | float) and not _is_number(value):
        raise ConfigError(f"{key} as a number", found=repr(value), fix=f"set {key} to a number, e.g. {key}={default}")


def _defaults(cfg: DictConfig, key: str) -> tuple[str, Mapping[str, Any]]:
    """The section that a key stands in, and its defaults: of the group's option that builds the same, or of ``config.yaml``."""
    parts = key.split(".")
    for end in range(len(parts) - 1, 0, -1):
        place = ".".join(parts[:end])
        folder = config_folder() / _PLACES.get(place, place.replace(".", "/"))
        defaults = _option_of(folder, OmegaConf.select(cfg, place, default=None)) if folder.is_dir() else {}
        if defaults:
            return place, defaults
    top = _read(config_folder() / "config.yaml").get(parts[0])
    return parts[0], top if isinstance(top, Mapping) and parts[0] != "hydra" else {}


def _option_of(folder: Path, node: Any) -> Mapping[str, Any]:
    """The file of a group whose class or job `node` has; empty if there is none."""
    for name in ("_target_", "entry"):
        wanted = node.get(name) if isinstance(node, DictConfig) else None
        for path in sorted(folder.glob("*.yaml")) if wanted else ():
            if f"{name}: {wanted}" in path.read_text(encoding="utf-8"):
                found = _read(path)
                if found.get(name) == wanted:
                    return {**found, **{key: {} for key in _own_groups(found)}}
    return {}


def _own_groups(defaults: Mapping[str, Any]) -> list[str]:
    """Sections that other groups fill."""
    return [str(name) for item in defaults.get("defaults", ()) if isinstance(item, Mapping) for name in item]


def _read(path: Path) -> dict[str, Any]:
    read = yaml.safe_load(path.read_bytes())
    return read if isinstance(read, dict) else {}
