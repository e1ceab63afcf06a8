"""Refusals by Hydra and OmegaConf in the words of the house: what was expected, what was found, what to type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from quantlab.core.errors import ConfigError, QuantlabError
from quantlab.core.secrets.names import is_secret_name
from quantlab.core.secrets.texts import HIDDEN
from quantlab.jobs.config.folder import config_folder, groups
from quantlab.jobs.config.hints import hint, nearest

Refusal = QuantlabError | HydraException | OmegaConfBaseException

#: Items of an override's value that Hydra reads without quotes.
_PLAIN = re.compile(r"[\w.+-]*", re.ASCII)
_NOT_OVERRIDDEN = re.compile(r"Could not override '([^']*)'")
_NOT_DELETED = re.compile(r"Could not delete(?: from config)?\.? '?([^' ]*)'")
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*?)'\s+1\.|Sweep parameters '(.*)' requires", re.DOTALL)
_INTERPOLATION = re.compile(r"Interpolation key ('[^']*') not found")
_FULL_KEY = re.compile(r"full_key: (\S+)")
_KEY = re.compile(r"(?m)^([a-z]\w*):")
#: Hydra's words on a group that was added to the one that is there.
_TWICE = re.compile(r"Multiple values for|force-add of config groups")
_NUMBER = re.compile(r"[-+]?[\d_.]+(?:[eE][-+]?\d+)?")
#: Share of letters that a key somewhere else has in common with a slip, at least.
_ALIKE = 0.8


def explain(error: Refusal, typed: Sequence[str]) -> QuantlabError:
    """The refusal that is meant by an error of Hydra's, of OmegaConf's, or by our own.

    Parameters
    ----------
    error : exception
    typed : sequence of str
        The options of the command line.
    """
    if isinstance(error, QuantlabError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        return _unknown_option(error.missing_cfg_file, [str(option) for option in error.options or ()])
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    if isinstance(error, MissingMandatoryValue):
        key = str(error).rsplit(":", 1)[-1].splitlines()[0].strip()
        return ConfigError(f"a value for {key}", found="none", fix=f"add {key}=... to the command")
    text = str(error)
    ambiguous = _AMBIGUOUS.search(text)
    if ambiguous:
        return _several(next(filter(None, ambiguous.groups())))
    named = _NOT_OVERRIDDEN.search(text)
    if named:
        return unknown_key(named.group(1), typed)
    twice = _TWICE.search(text)
    if twice:
        word = next((word for word in typed if word.startswith("+") and twice.group(0)), "")
        fix = f"write it without a sign before it, {word.lstrip('+')}" if word else "name one option of it"
        return ConfigError("one option of every group", found=word or text.splitlines()[0], fix=fix)
    kept = _NOT_DELETED.search(text)
    if kept:
        return ConfigError("options as name=value", found=f"~{kept.group(1)}", fix=f"write {kept.group(1)}=null")
    return _of_omegaconf(error, typed)


def one_sentence(error: Refusal, typed: Sequence[str] = ()) -> str:
    """Return an error as one line: what was expected, what was found, what to do."""
    return " ".join(str(explain(error, typed)).split())


def not_composable(error: Exception, typed: Sequence[str] = ()) -> ConfigError:
    """The refusal that is meant by a plain error of Hydra's, raised before any job began.

    It answers a group that is set to null with a ValueError, and a folder that it cannot make with an OSError.

    Parameters
    ----------
    error : ValueError or OSError
    typed : sequence of str
        The options of the command line.
    """
    emptied = [word for word in typed if word.endswith("=null") and word.partition("=")[0] in groups()]
    if isinstance(error, ValueError) and emptied:
        group = emptied[0].partition("=")[0]
        fix = f"give {group} the name of an option instead of null: {', '.join(groups()[group])}"
        return ConfigError(f"an option of the group {group}", found=emptied[0], fix=fix)
    fix = "set runs_dir to a folder that can be written"
    if isinstance(error, ValueError):
        fix = "give every group, also debug and experiment, the name of an option instead of null; --help lists them"
    return ConfigError("a configuration that can be composed", found=" ".join(str(error).split()), fix=fix)


def unknown_key(key: str, typed: Sequence[str]) -> ConfigError:
    """The refusal of an option that nothing reads, with the nearest one that is read.

    Parameters
    ----------
    key : str
        As it was typed: ``histroy.bars``, ``trading/polcy``.
    typed : sequence of str
        The options of the command line: what is known depends on the groups' options among them.
    """
    if key in groups():
        owner = key.rpartition("/")[0]
        owners = [f"{owner}={option}" for option in _options_with_group(owner, key.removeprefix(f"{owner}/"))]
        fix = f"add {' or '.join(owners)}, which it belongs to" if owners else "leave it out"
        return ConfigError("a group of options that the command uses", found=key, fix=fix)
    if "/" in key:
        return ConfigError("a known group of options", found=key, fix=hint(key, groups()))
    node: Any = _known_configuration(typed)
    place = ""
    for name in key.split("."):
        known = [str(one) for one in node] if isinstance(node, DictConfig) else []
        if name not in known:
            expected = f"a known key {place}*" if place else "a known key"
            found = key if not place or isinstance(node, DictConfig) else f"{key}, where {place[:-1]} is a single value"
            return ConfigError(expected, found=found, fix=_advice(key, name, known, place))
        node, place = node._get_node(name), f"{place}{name}."  # a value that is missing or refers elsewhere is one too
        node = node._dereference_node() if node is not None and node._is_interpolation() else node
    return ConfigError("an option that can be set", found=key, fix="set the keys inside it, one by one")


def _advice(key: str, name: str, known: Sequence[str], place: str) -> str:
    """The nearest key beside it, or of the group's other options; else a key of that name elsewhere, or all that are known."""
    beside = [one for one in known if not one.startswith("_")]
    others = _keys_of_options(place)
    close = nearest(name, {*beside, *others})
    if close is not None and close not in beside:
        group, asked = place[:-1].replace(".", "/"), "" if close == name else f"did you mean {place}{close}? "
        return f"{asked}It belongs to {' and '.join(f'{group}={option}' for option in others[close])}"
    if close is not None:
        return hint(name, beside, place, key.removeprefix(f"{place}{name}"))
    elsewhere = _elsewhere(key.rsplit(".", maxsplit=1)[-1])
    return f"did you mean {' or '.join(elsewhere)}?" if elsewhere else hint(name, beside, place)


def _keys_of_options(place: str) -> dict[str, list[str]]:
    """Keys in the files of the group at `place`, each with the options that have it."""
    folder = config_folder() / place[:-1].replace(".", "/") if place else None
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.yaml")) if folder is not None and folder.is_dir() else ():
        for name in _KEY.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, []).append(path.stem)
    return found


def _options_with_group(group: str, inner: str) -> list[str]:
    """Options of a group that have a group of their own."""
    files = sorted((config_folder() / group).glob("*.yaml"))
    return [path.stem for path in files if re.search(rf"(?m)^  - {inner}:", path.read_text(encoding="utf-8"))]


def _elsewhere(name: str) -> list[str]:
    """At most three options whose last word is `name`, or else nearly is, the shortest first."""
    paths = _paths(OmegaConf.to_container(_known_configuration(()), resolve=False))
    last = {path: path.rsplit(".", maxsplit=1)[-1] for path in paths}
    share = 1.0 if name in last.values() else _ALIKE
    found = [path for path in last if nearest(name, [last[path]], share) is not None]
    return sorted(found, key=lambda path: path.count("."))[:3]


def _paths(node: Any, place: str = "") -> Iterator[str]:
    """Dotted paths of all single values of plain mappings."""
    for name, value in node.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{place}{name}.")
        elif not str(name).startswith("_"):
            yield f"{place}{name}"


def _known_configuration(typed: Sequence[str]) -> DictConfig:
    """The configuration with the groups' options that were typed, if these are known, and nothing else."""
    known = groups()
    chosen = []
    for word in typed:
        group, _, option = word.partition("=")
        if option in known.get(group.split("@")[0], ()):
            chosen.append(word)
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        try:
            return hydra.compose("config", chosen)
        except HydraException:
            return hydra.compose("config")


def _unknown_option(file: str, known: Sequence[str]) -> ConfigError:
    group, _, option = file.rpartition("/")
    if not group:
        return ConfigError("the configuration of this package", found=file, fix="leave --config-name out")
    if not known:
        return ConfigError("a known group of options", found=group, fix=hint(group, groups()))
    fix = hint(option, known, f"{group}=")
    return ConfigError(f"an option of the group {group}", found=f"{group}={option}", fix=f"{fix}{_rest(fix, known)}")


def _rest(fix: str, known: Sequence[str]) -> str:
    return f" Known are {', '.join(known)}" if fix.startswith("did you mean") else ""


def _several(override: str) -> ConfigError:
    """A value with a comma: a list without its brackets, or a sweep without its flag."""
    name, _, value = override.partition("=")
    shown = HIDDEN if is_secret_name(name) else value
    single = name in groups() or all(_NUMBER.fullmatch(item.strip()) for item in value.split(","))
    a_list = "" if single else f", or {name}=[{shown}] for a list"
    return ConfigError(
        f"one value for {name}",
        found=f"several, {shown}",
        fix=f"write -m {name}={shown} for a run of each{a_list}",
    )


def _unreadable(override: str) -> ConfigError:
    name = override.partition("=")[0]
    secret = is_secret_name(name)
    advice = "" if secret else _with_quotes(override)
    return ConfigError(
        "options as name=value that can be read",
        found=f"{name}={HIDDEN}" if secret else override,
        fix=advice or "close every quote and bracket, and leave no spaces around =",
    )


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
    return f'write letters other than a to z, spaces and signs in quotes of their own, "{name}={whole}"'


def _of_omegaconf(error: Exception, typed: Sequence[str]) -> ConfigError:
    """A key that was deleted, a reference that leads nowhere, a value of a kind that its place does not take."""
    lines = [line.strip() for line in f"{error}\n{error.__cause__ or ''}".splitlines() if line.strip()]
    keys = _FULL_KEY.findall("\n".join(lines))
    reason = lines[0].rstrip(".") if lines else type(error).__name__
    if keys and "is not in struct" in reason:
        fix = f"leave ~{keys[0]} out" if any(word.startswith("~") for word in typed) else f"set {keys[0]}=VALUE"
        return ConfigError(f"a value for {keys[0]}", found="none", fix=fix)
    reason = _INTERPOLATION.sub(r"a reference to \1, which is not there", reason)
    if keys:
        return ConfigError(f"a value for {keys[0]} that can be read", found=reason, fix="correct that option")
    return ConfigError(
        "a configuration that can be composed", found=reason, fix="--help lists the groups and their options"
    )
