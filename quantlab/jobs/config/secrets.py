"""Secrets of a configuration: found, so that nothing shows them, and refused where a run would carry them away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.errors import ConfigError
from quantlab.core.redaction import hide_named, is_secret_option, login_of
from quantlab.core.secrets.names import is_secret_name

#: Sections that are part of what was tested: manifests and bundles hold them as plain values, for everyone who gets one.
CARRIED = (
    "experiment_name", "seed", "cash", "history", "barriers", "exits", "features", "drift", "signal", "strategy", "trading",
    "learning",
)  # fmt: skip

#: Names of the variables of the environment that a text refers to.
_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*([^,}\s]+)")
#: ``Bearer abc``: the second word is the secret.
_AFTER_SCHEME = re.compile(r"[A-Za-z]{3,12} (\S+)")
_Path = tuple[Any, ...]


def secrets_of(cfg: DictConfig) -> list[object]:
    """Values that nothing may show.

    They stand under a secret's name, at any depth, or come from a variable of the environment with such a name, or
    are the login of an address that does.
    """
    plain = OmegaConf.to_container(cfg, resolve=False)
    named = [_value(cfg, path) for path, value, secret in _leaves(plain, (), False) if secret or _refers(value)]
    logins = [login_of(str(os.environ.get(name, ""))) for name in _ENVIRONMENT.findall(str(plain))]
    values = [value for value in [*named, *map(os.environ.get, _secret_variables(str(plain))), *logins] if value]
    words = [found.group(1) for found in map(_AFTER_SCHEME.fullmatch, map(str, values)) if found]
    return [value for value in [*values, *words] if isinstance(value, str | int | float) and value is not True]


def refuse_carried_secrets(cfg: DictConfig) -> None:
    """Refuse a secret in a section that runs and bundles keep.

    Raises
    ------
    ConfigError
        Naming the option; never its value.
    """
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)  # noqa: S101 - narrows the type
    for section in CARRIED:
        for path, value, secret in _leaves(plain.get(section), (section,), False):
            if secret or _holds_secret(cfg, path, value):
                raise ConfigError(
                    f"no secret in {section}, which runs and bundles keep",
                    found=f"one in {'.'.join(map(str, path))}",
                    fix="a strategy is data that is carried around: read the secret from the environment in your own code instead",
                )


def _holds_secret(cfg: DictConfig, path: _Path, value: Any) -> bool:
    if not isinstance(value, str) or path[-1] == "_target_":
        return False
    if "${" not in value:
        return hide_named(value) != value
    resolved = _value(cfg, path)
    return bool(_secret_variables(value)) or (isinstance(resolved, str) and hide_named(resolved) != resolved)


def _leaves(plain: Any, path: _Path, secret: bool) -> Iterator[tuple[_Path, Any, bool]]:
    """Every plain value with its path, and whether it stands under a secret's name."""
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else None
    if items is None:
        yield path, plain, secret and plain is not None and not isinstance(plain, bool)
        return
    for key, value in items:
        named = secret or is_secret_option(str(key), value) if isinstance(plain, dict) else secret
        yield from _leaves(value, (*path, key), named)


def _refers(value: Any) -> bool:
    return bool(_secret_variables(str(value)))


def _secret_variables(text: str) -> list[str]:
    return [name for name in _ENVIRONMENT.findall(text) if is_secret_name(name) or "key" in name.lower()]


def _value(cfg: DictConfig, path: _Path) -> object:
    """An option's value; None where it cannot be resolved, which the job that reads it refuses."""
    node: Any = cfg
    try:
        for key in path:
            node = node[key]
    except OmegaConfBaseException:
        return None
    return node
