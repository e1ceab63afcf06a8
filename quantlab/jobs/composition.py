"""From a composed configuration to objects, with errors that a user can act on."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from quantlab.core.errors import ConfigError, QuantlabError

#: What Python and Hydra say of a key that a constructor does not take or lacks, and of a target that is not there.
_WRONG_KEY = re.compile(r"unexpected keyword argument|missing \d+ required|Are you sure that")
_PACKAGE = Path(__file__).resolve().parent.parent


def config_folder() -> Path:
    """The yaml files: inside an installed package, or beside it in a checkout."""
    packaged = _PACKAGE / "_conf"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "conf"


def compose(*overrides: str) -> DictConfig:
    """The configuration that the command line would run with these overrides; for notebooks and tests.

    Raises
    ------
    ConfigError
        If a key is not known.
    HydraException
        If a group or an option is not known.

    Examples
    --------
    >>> compose("experiment=baseline", "cash=500").cash
    500
    """
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = hydra.compose("config", list(overrides))
    check_keys(cfg)
    return cfg


def build(node: Any, **values: Any) -> Any:
    """Construct what a node's ``_target_`` names, with all children as plain Python objects.

    Raises
    ------
    ConfigError
        If the target does not exist or does not take one of the node's keys.
    QuantlabError
        Whatever a constructor refused on purpose.
    """
    try:
        return instantiate(node, _convert_="all", **values)
    except InstantiationException as error:
        raise _cause(error) from error


def _cause(error: InstantiationException) -> BaseException:
    """Our own refusal, a refusal made of a wrong key or target, or else the bug itself."""
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    refused = next((cause for cause in chain if isinstance(cause, QuantlabError)), None)
    if refused is not None:
        return refused
    lines = [line for cause in reversed(chain) for line in str(cause).splitlines()]
    wrong = next((line for line in lines if _WRONG_KEY.search(line)), None)
    if wrong is None:
        return chain[-1]
    where = next(
        (line.removeprefix("full_key: ") for line in lines if line.startswith("full_key")), "the configuration"
    )
    return ConfigError(
        f"{where} to hold what its _target_ takes",
        found=wrong,
        mend="correct the key or the _target_; --cfg job shows the whole configuration",
    )


def check_keys(cfg: DictConfig) -> None:
    """Refuse keys that nothing reads: at the top, and in the plain mappings of ``config.yaml``.

    Keys inside a node with a ``_target_`` are refused by its constructor, in :func:`build`.
    """
    base = OmegaConf.load(config_folder() / "config.yaml")
    assert isinstance(base, DictConfig)  # noqa: S101 - narrows the type; the file is ours
    groups = {str(key).split("/")[0].split("@")[-1] for item in base.pop("defaults") for key in _names(item)}
    roots = {str(key) for key in base} - {"hydra"}
    _refuse_unknown("", {str(key) for key in cfg}, roots | groups)
    for key in ("history", "barriers"):
        _refuse_unknown(f"{key}.", {str(k) for k in cfg[key]}, {str(k) for k in base[key]})


def _names(item: Any) -> list[str]:
    return [str(key) for key in item] if isinstance(item, DictConfig) else [str(item)]


def _refuse_unknown(prefix: str, found: set[str], known: set[str]) -> None:
    for key in sorted(found - known):
        close = difflib.get_close_matches(key, sorted(known), n=1)
        hint = f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(sorted(known))}"
        raise ConfigError(f"a known key {prefix}*", found=f"{prefix}{key}", mend=hint)


def one_sentence(error: QuantlabError | HydraException | OmegaConfBaseException) -> str:
    """What was expected, what was found, what to do: on one line."""
    if isinstance(error, QuantlabError):
        return " ".join(str(error).split())
    if isinstance(error, MissingMandatoryValue):
        key = str(error).rsplit(":", 1)[-1].splitlines()[0].strip()
        return f"expected a value for {key}; found none. Add {key}=... to the command."
    cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
    # Hydra's advice to add an unknown key with a plus sign would only lead to the next refusal.
    text = re.sub(r" (To append to your config use \S+|Config search path:.*)", "", " ".join(f"{error}{cause}".split()))
    text = text.rstrip(".")
    return f"the configuration cannot be composed: {text}. Run with --help for the groups and their options."
