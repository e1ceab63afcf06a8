"""The command behind a run, as it was typed and without its secrets; and the results of a multirun's combinations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from quantlab.core.files import write_json
from quantlab.core.redaction import hide_named, is_secret_option
from quantlab.core.secrets.texts import HIDDEN

#: Signs before which Hydra writes a backslash.
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
#: In a combination's folder: the run that it made, and the reason why it made none.
RUN_MADE, REASON = "run.json", "refused.json"


def asked_for(cfg: DictConfig) -> dict[str, Any]:
    """Job, experiment and overrides, for a run's manifest.

    Returns
    -------
    dict
        ``job``: its name; ``experiment``: its name; ``overrides``: list of str; ``data``: the chosen source; these two are None
        outside the command line; ``multirun``: None, or the ``folder`` of the multirun and the ``combination``'s number in it.
    """
    entry = str(cfg.job.entry) if "job" in cfg else ""
    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    combination = combination_folder()
    return {
        "job": entry.split(".")[-2] if entry.count(".") else None,
        "experiment": str(cfg.experiment_name),
        "overrides": None if hydra is None else shown_overrides(hydra.overrides.task),
        "data": None if hydra is None else hydra.runtime.choices.get("data"),
        "multirun": None
        if combination is None
        else {"folder": combination.parent.name, "combination": combination.name},
    }


def shown_overrides(typed: Sequence[str]) -> list[str]:
    r"""Overrides without their secrets.

    Examples
    --------
    >>> shown_overrides(["seed=3", "data.exchange.api_key=abcdef", r"+x.y=$\{oc.env\:NAME\,abcdef\}"])
    ['seed=3', 'data.exchange.api_key=[hidden]', "+x.y=${oc.env:NAME,'[hidden]'}"]
    """
    return [_shown(text) for text in typed]


def _shown(text: str) -> str:
    text = _ESCAPED.sub(r"\1", text)  # a multirun's: no pattern of a secret would find it
    name, equals, value = text.partition("=")
    if equals and any(is_secret_option(part, value) for part in name.lstrip("+~").replace("/", ".").split(".")):
        return f"{name}={HIDDEN}"
    return hide_named(text)


def combination_folder() -> Path | None:
    """Folder of the combination of a multirun that this job is; None in a single run."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().runtime.output_dir)


def record_run(final: Path) -> None:
    """Note in a multirun's folder which run this combination has made."""
    _record(RUN_MADE, {"run": str(final)})


def record_refusal(path: Path, reason: str) -> None:
    """Note in a multirun's folder why this combination has no run; `path` is the record beside the runs."""
    _record(REASON, {"reason": reason, "record": str(path)})


def _record(name: str, content: dict[str, Any]) -> None:
    folder = combination_folder()
    if folder is not None:
        write_json(folder / name, content)
