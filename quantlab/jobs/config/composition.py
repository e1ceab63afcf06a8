"""From a composed configuration to objects, with errors that a user can act on."""

from __future__ import annotations

import re
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.errors import HydraException, InstantiationException, OverrideParseException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from quantlab.core.checks import check_whole
from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.redaction import hide_values
from quantlab.core.secrets.names import is_secret_name
from quantlab.core.secrets.texts import HIDDEN
from quantlab.jobs.config.decided_options import refuse_decided_options
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.hints import hint
from quantlab.jobs.config.secrets import refuse_carried_secrets, secrets_of

#: What Python and Hydra say of a key that a constructor does not take or lacks, and of a target that is not there.
_WRONG_KEY = re.compile(r"unexpected keyword argument|missing \d+ required|Are you sure that")
#: Items of an override's value that Hydra reads without quotes.
_PLAIN = re.compile(r"[\w.+-]*", re.ASCII)
#: Folders below ``runs_dir`` that belong to no experiment: checks of data and code, multiruns, comparisons of runs.
CHECKS, SWEEPS, COMPARISONS = RESERVED = ("checks", "sweeps", "compare")
_FOLDER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def compose(*overrides: str) -> DictConfig:
    """The configuration that the command line would run with these overrides; for notebooks and tests.

    Raises
    ------
    ConfigError
        If a key is not known, a value is none that any job can run with, or a bundle beside an option decides it.
    HydraException
        If a group or an option is not known.

    Examples
    --------
    >>> compose("experiment=baseline", "cash=500").cash
    500
    """
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            cfg = hydra.compose("config", list(overrides))
        except ValueError as error:
            raise not_composable(error) from error
    check_configuration(cfg)
    refuse_decided_options(cfg, overrides)
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
        fix="correct the key or the _target_; --cfg job shows the whole configuration",
    )


def check_configuration(cfg: DictConfig) -> None:
    """Refuse, before anything is constructed, what no job can run with.

    Keys that nothing reads, at the top and in the plain mappings of ``config.yaml`` (keys inside a node with
    a ``_target_`` are refused by its constructor, in :func:`build`); sections and texts that are none; a seed,
    a number of workers or an experiment's name that is none; a secret in a section that runs and bundles keep.

    Raises
    ------
    ConfigError
        Naming the first of these.
    """
    hide_values(secrets_of(cfg))
    base = OmegaConf.load(config_folder() / "config.yaml")
    assert isinstance(base, DictConfig)  # noqa: S101 - narrows the type; the file is ours
    groups = _groups(base.pop("defaults"))
    base.pop("hydra")
    top = OmegaConf.to_container(base, resolve=False)
    assert isinstance(top, dict)  # noqa: S101 - likewise
    _refuse_unknown("", {str(key) for key in cfg}, {*map(str, top), *(group.split("/")[0] for group in groups)})
    _require_options(cfg, groups)
    _require_kinds(cfg, {str(key): value for key, value in top.items()})
    for key in ("history", "barriers", "internal"):
        _refuse_unknown(f"{key}.", {str(k) for k in cfg[key]}, {str(k) for k in top[key]})
    check_whole("seed", cfg.seed, low=0)
    check_whole("workers", cfg.workers, low=1)
    check_experiment_name(cfg.experiment_name)
    refuse_carried_secrets(cfg)


def check_experiment_name(name: object) -> None:
    """Raise ConfigError unless `name` can be a folder of its own below ``runs_dir``."""
    if not _FOLDER_NAME.fullmatch(str(name)) or str(name) in (".", ".."):
        raise ConfigError(
            "experiment_name of 1 to 64 letters, digits, dots, hyphens and underscores",
            found=repr(name),
            fix="name the experiment's folder; runs_dir says where it is",
        )
    if str(name) in RESERVED:
        raise ConfigError(
            f"experiment_name other than {', '.join(RESERVED)}, which are folders beside the experiments'",
            found=repr(name),
            fix="give the experiment another name",
        )


def _groups(defaults: Any) -> list[str]:
    """Groups with a section of their own; recipes (experiment, debug) only change the others'."""
    # group@package: what counts here is where its section stands.
    named = [str(key).split("@")[-1] for item in defaults if isinstance(item, DictConfig) for key in item]
    return [key for key in named if not key.startswith("override ") and key not in ("experiment", "debug")]


def _require_options(cfg: DictConfig, groups: list[str]) -> None:
    for key in (group.replace("/", ".") for group in groups):
        node = OmegaConf.select(cfg, key, default=None)
        if not isinstance(node, DictConfig) or not {"_target_", "entry"} & {str(k) for k in node}:
            fix = f"choose an option for {key}; --help lists them"
            raise ConfigError(f"{key} as a section that names what to construct", found=repr(node), fix=fix)


def _require_kinds(cfg: DictConfig, top: dict[str, Any]) -> None:
    """Every section of ``config.yaml`` is still one, and every text (``experiment_name`` aside) too."""
    texts = {f"internal.{key}": value for key, value in top["internal"].items()}
    for key, value in (top | texts).items():
        if isinstance(value, dict) or str(value).startswith("${"):
            if not isinstance(cfg[key], DictConfig):
                raise ConfigError(f"{key} as a section", found=repr(cfg[key]), fix=f"set single keys, {key}.KEY=VALUE")
        elif isinstance(value, str) and value != "???":
            text = OmegaConf.select(cfg, key, default=None)
            if not (isinstance(text, str) and text):
                raise ConfigError(f"{key} as a text", found=repr(text), fix=f"set it, e.g. {key}={value}")


def _refuse_unknown(prefix: str, found: set[str], known: set[str]) -> None:
    for key in sorted(found - known):
        fix = hint(key, known, prefix)
        raise ConfigError(f"a known key {prefix}*" if prefix else "a known key", found=f"{prefix}{key}", fix=fix)


def not_composable(error: Exception) -> ConfigError:
    """The refusal that is meant by a plain error of Hydra's, raised before any job began.

    It answers a group that is set to null with a ValueError, and a folder that it cannot make with an OSError.
    """
    fix = "set runs_dir to a folder that can be written"
    if isinstance(error, ValueError):
        fix = "give every group, also debug and experiment, the name of an option instead of null; --help lists them"
    return ConfigError("a configuration that can be composed", found=" ".join(str(error).split()), fix=fix)


def one_sentence(error: QuantlabError | HydraException | OmegaConfBaseException) -> str:
    """Return an error as one line: what was expected, what was found, what to do."""
    if isinstance(error, QuantlabError):
        return " ".join(str(error).split())
    if isinstance(error, MissingMandatoryValue):
        key = str(error).rsplit(":", 1)[-1].splitlines()[0].strip()
        return f"expected a value for {key}; found none. Add {key}=... to the command."
    cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
    # Hydra's advice to add an unknown key with a plus sign would only lead to the next refusal.
    text = re.sub(r" (To append to your config use \S+|Config search path:.*)", "", " ".join(f"{error}{cause}".split()))
    text = text.rstrip(".")
    if isinstance(error, OverrideParseException):
        name = str(error.override).partition("=")[0]
        secret = is_secret_name(name)
        advice = "" if secret else _with_quotes(error.override)
        text = f"{f'{name}={HIDDEN}' if secret else error.override} is no override that can be read{advice}"
    return f"the configuration cannot be composed: {text}. Run with --help for the groups and their options."


def _with_quotes(override: str) -> str:
    """Words on an override whose value needs quotes of its own: letters other than a to z, spaces and signs do."""
    name, _, value = override.partition("=")
    listed = value.startswith("[") and value.endswith("]")
    items = [item.strip() for item in value[1:-1].split(",")] if listed else [value]
    nested = any(sign in (value[1:-1] if listed else value) for sign in "'\"[]{}")
    if not name or nested or all(map(_PLAIN.fullmatch, items)):
        return ""
    quoted = ",".join(item if _PLAIN.fullmatch(item) else f"'{item}'" for item in items)
    whole = f"[{quoted}]" if listed else quoted
    return f': write letters other than a to z, spaces and signs in quotes of their own, "{name}={whole}"'
