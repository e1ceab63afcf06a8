"""From a composed configuration to objects, with errors that a user can act on."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Sequence
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.redaction import hide_values
from quantlab.jobs.config.decided_options import refuse_decided_options
from quantlab.jobs.config.folder import config_folder
from quantlab.jobs.config.hints import hint
from quantlab.jobs.config.refusals import explain, not_composable
from quantlab.jobs.config.scalars import check_scalars
from quantlab.jobs.config.secrets import refuse_carried_secrets, secrets_of

#: What Python and Hydra say of a key that a constructor does not take or lacks, and of a target that is not there.
_UNEXPECTED = re.compile(r"unexpected keyword argument '([^']+)'")
_WRONG_KEY = re.compile(r"unexpected keyword argument|missing \d+ required|Are you sure that")
#: Folders below ``runs_dir`` that belong to no experiment: checks of data and code, multiruns, comparisons of runs.
CHECKS, SWEEPS, COMPARISONS = RESERVED = ("checks", "sweeps", "compare")
_FOLDER_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def compose(*overrides: str) -> DictConfig:
    """The configuration that the command line would run with these overrides; for notebooks and tests.

    Raises
    ------
    ConfigError
        If a key, a group or an option is not known, a value is none that any job can run with, or a bundle beside an
        option decides it.

    Examples
    --------
    >>> compose("experiment=baseline", "cash=500").cash
    500
    """
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            cfg = hydra.compose("config", list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, overrides) from error
        except ValueError as error:
            raise not_composable(error, overrides) from error
    check_configuration(cfg, overrides)
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
        built = instantiate(node, _convert_="all", **values)
    except InstantiationException as error:
        raise _cause(error, node) from error
    if isinstance(built, functools.partial):
        _require_keys(built, node)
    return built


def _require_keys(later: functools.partial[Any], node: Any) -> None:
    """Refuse, now, a key that a class constructed later does not take."""
    try:
        inspect.signature(later.func).bind_partial(*later.args, **later.keywords)
    except TypeError as error:
        taken = set(inspect.signature(later.func).parameters)
        key = next(key for key in later.keywords if key not in taken)
        where = _name_of(node)
        raise ConfigError(
            f"a known key {where}.*", found=f"{where}.{key}", fix=hint(key, _keys_beside(node, key), f"{where}.")
        ) from error


def _name_of(node: Any) -> str:
    """Place of a node in the configuration, as it is typed."""
    return node._get_full_key(None) if OmegaConf.is_config(node) else "the configuration"


def _cause(error: InstantiationException, node: Any) -> BaseException:
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
    unexpected = _UNEXPECTED.search(wrong)
    if unexpected:
        key, known = unexpected.group(1), _keys_beside(node, unexpected.group(1))
        return ConfigError(f"a known key {where}.*", found=f"{where}.{key}", fix=hint(key, known, f"{where}."))
    return ConfigError(
        f"{where} to hold what its class takes",
        found=wrong,
        fix="correct the key or the name of the class; --cfg job shows the whole configuration",
    )


def _keys_beside(node: Any, key: str) -> list[str]:
    """The other keys of the mapping in which `key` stands."""
    waiting = [OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and key in value:
            return [str(name) for name in value if name != key and not str(name).startswith("_")]
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return []


def check_configuration(cfg: DictConfig, typed: Sequence[str] = ()) -> None:
    """Refuse, before anything is constructed, what no job can run with.

    Keys that nothing reads, at the top and in the plain mappings of ``config.yaml`` (keys inside a node with
    a ``_target_`` are refused by its constructor, in :func:`build`); sections and texts that are none; single values that
    are none; a secret in a section that runs and bundles keep.

    Parameters
    ----------
    cfg : DictConfig
    typed : sequence of str
        The options of the command line.

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
    _refuse_deleted(cfg, base)
    _require_options(cfg, groups)
    _require_kinds(cfg, {str(key): value for key, value in top.items()})
    for key in ("history", "barriers", "exits", "internal", "learning.search"):
        found, known = OmegaConf.select(cfg, key), OmegaConf.select(base, key)
        _refuse_unknown(f"{key}.", {str(k) for k in found}, {str(k) for k in known})
    in_learning = {
        *top["learning"],
        *(group.split("/")[1] for group in groups if group.startswith("learning/")),
        "models",
    }
    _refuse_unknown("learning.", {str(key) for key in cfg.learning}, in_learning)
    check_scalars(cfg, typed)
    check_experiment_name(cfg.experiment_name)
    _refuse_unread(cfg)
    refuse_carried_secrets(cfg)


def _refuse_unread(cfg: DictConfig) -> None:
    """Refuse the name and the kind of a template beside a job that writes none."""
    for key in ("name", "kind"):
        if cfg[key] is not None and "kind" not in cfg.job:
            fix = "leave it out, or set job.name" if key in cfg.job else "leave it out, or add job=new"
            raise ConfigError(f"{key}= beside job=new", found=f"{key}={cfg[key]} beside another job", fix=fix)


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
    """Groups with a section of their own; recipes (experiment, debug) only change the others', and null is none yet."""
    chosen = [item for item in defaults if isinstance(item, DictConfig) and None not in item.values()]
    # group@package: what counts here is where its section stands.
    named = [str(key).split("@")[-1] for item in chosen for key in item]
    return [key for key in named if not key.startswith("override ") and key not in ("experiment", "debug")]


def _refuse_deleted(cfg: DictConfig, base: DictConfig) -> None:
    """Refuse a key of ``config.yaml`` that is not there: it was deleted with a tilde."""
    for name, node in ((str(key), base._get_node(key)) for key in base):
        inner = [f"{name}.{key}" for key in map(str, node)] if isinstance(node, DictConfig) else []
        for key in (name, *inner):
            parent, _, last = key.rpartition(".")
            place = OmegaConf.select(cfg, parent) if parent else cfg
            if isinstance(place, DictConfig) and last not in place:
                raise ConfigError(f"a value for {key}", found="none, it was deleted", fix=f"leave ~{key} out")


def _require_options(cfg: DictConfig, groups: list[str]) -> None:
    for group in groups:
        key = group.replace("/", ".")
        node = OmegaConf.select(cfg, key, default=None)
        if not isinstance(node, DictConfig) or not {"_target_", "entry"} & {str(k) for k in node}:
            fix = f"choose one, {group}=NAME, or set what is in it, one by one; --help lists the names"
            raise ConfigError(f"{key} as an option of its group", found=repr(node), fix=fix)


def _require_kinds(cfg: DictConfig, top: dict[str, Any]) -> None:
    """Every section of ``config.yaml`` is still one, and every text (``experiment_name`` aside) too."""
    texts = {f"internal.{key}": value for key, value in top["internal"].items()}
    for key, value in (top | texts).items():
        if isinstance(value, dict) or str(value).startswith("${"):
            if not isinstance(cfg[key], DictConfig):
                raise ConfigError(
                    f"{key} as a section", found=repr(cfg[key]), fix=f"set what is in it, one by one: {key}.NAME"
                )
        elif isinstance(value, str) and value != "???":
            text = OmegaConf.select(cfg, key, default=None)
            if not (isinstance(text, str) and text):
                raise ConfigError(f"{key} as a text", found=repr(text), fix=f"set it, e.g. {key}={value}")


def _refuse_unknown(prefix: str, found: set[str], known: set[str]) -> None:
    for key in sorted(found - known):
        fix = hint(key, known, prefix)
        raise ConfigError(f"a known key {prefix}*" if prefix else "a known key", found=f"{prefix}{key}", fix=fix)
