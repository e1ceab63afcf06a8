"""Refusal of options that a bundle has decided already.

A bundle is a strategy that was tested. An option that would change it, typed beside ``bundle=`` (or beside ``run=``,
which is made a bundle first), could only be ignored, so it is refused. Each job that begins with a bundle names in
``job.decided_by_bundle`` what it takes from there and not from the configuration. Recipes (``experiment=``,
``debug=``) and defaults are not typed options: of them a job reads what the bundle leaves open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from quantlab.core.errors import ConfigError

_KEY = "decided_by_bundle"


def refuse_decided_options(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Return if no typed option would have to be ignored because a bundle decides it.

    Parameters
    ----------
    cfg : DictConfig
        Composed with `typed`.
    typed : sequence of str
        The overrides of the command line, as Hydra understands them.

    Raises
    ------
    ConfigError
        Naming every option that is decided; or if the job reads neither bundle nor run.
    """
    given = next((name for name in ("bundle", "run") if cfg[name] is not None), None)
    if given is None:
        return
    if _KEY not in cfg.job:
        raise ConfigError(
            f"{given}= beside a job that begins with it",
            found=f"{given}={cfg[given]} beside {cfg.job.entry}",
            fix="leave it out, or use job=promote, job=paper, job=parity, job=status or job=readiness",
        )
    # With the list itself emptied, options would be ignored without a word again.
    decided = (*cfg.job[_KEY], f"job.{_KEY}")
    overrides = OverridesParser.create().parse_overrides(list(typed))
    found = [one.input_line for one in overrides if any(_writes_into(one, node) for node in decided)]
    if found:
        raise ConfigError(
            f"beside {given}= no option that it decides itself",
            found=", ".join(map(str, found)),
            fix="leave out what was found; for another strategy run the research with it and promote that run",
        )


def _writes_into(override: Override, node: str) -> bool:
    """Return whether an override writes `node` or something in it, or deletes a section around it."""
    key = _dotted(override)
    if override.is_delete() and node.startswith(f"{key}."):
        return True
    return any(f"{place}.".startswith(f"{node}.") for place in _written_keys(key, override.value()))


def _dotted(override: Override) -> str:
    """Key that an override writes: of ``features/drift@drift`` that is ``drift``."""
    place = override.key_or_group if override.package in (None, "_global_") else override.package
    return str(place).replace("/", ".")


def _written_keys(key: str, value: object) -> Iterator[str]:
    """`key`, or what a mapping writes below it."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _written_keys(f"{key}.{name}", inner)
    else:
        yield key
