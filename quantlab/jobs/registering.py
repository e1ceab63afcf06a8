"""From a finished run to candidates: the last fold's members, exactly the files that were tested."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.core.files import sha256_file
from quantlab.learning.forecasts import read
from quantlab.learning.golden import Golden
from quantlab.learning.registry import Registry
from quantlab.learning.registry_manifest import ensemble_of
from quantlab.learning.registry_writing import Candidate

_KEY = re.compile(r"[0-9a-f]{64}")
_AGAIN = "run it again: what is still cached is not fitted twice"


def register_run(registry: Registry, run: Path, cache_dir: Path) -> tuple[str, ...]:
    """Store the members that a run's manifest names, read from the forecast cache, as candidates.

    Raises
    ------
    ConfigError
        If there is no such run, or its signal was not learned.
    ArtifactError
        If a file of the run or the cache is missing or damaged, or is not what the manifest names.
    InstallationError
        If the registry cannot be written.
    """
    manifest = _manifest(run)
    used = manifest["models"]
    config = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    metrics = json.loads((run / "metrics.json").read_bytes())
    assert isinstance(config, dict)  # noqa: S101 - its hash was verified
    candidates = [
        _candidate(name, used["members"][name], cache_dir, config["learning"], metrics["members"].get(name, {}))
        for name in used["ensemble"]["names"]
    ]
    source = {"run": run.name, "data_fingerprint": manifest["data_fingerprint"], "experiment": metrics["experiment"]}
    return registry.register(candidates, ensemble=ensemble_of(used["ensemble"]), source=source)


def _manifest(run: Path) -> dict[str, Any]:
    """The run's manifest, after the two files that are read beside it were held against their hashes."""
    path = run / "manifest.json"
    if not path.is_file():
        raise ConfigError(f"a finished run in {run}", found="no manifest.json", mend="set job.from_run to its folder")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        wrong = [n for n in ("config.yaml", "metrics.json") if sha256_file(run / n) != manifest["files_sha256"][n]]
        used = manifest["models"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} as a run writes it", found=type(error).__name__, mend=_AGAIN) from error
    if wrong:
        raise ArtifactError(f"{run / wrong[0]} as it was written", found="an altered file", mend=_AGAIN)
    if not used:
        raise ConfigError("a run with learned members", found=run.name, mend="run e.g. experiment=ensemble_v2")
    return manifest


def _candidate(
    name: str, stored: dict[str, str], cache_dir: Path, learning: dict[str, Any], metrics: dict[str, Any]
) -> Candidate:
    entry = cache_dir / "forecasts" / stored["origin"]
    if not (_KEY.fullmatch(stored["origin"]) and entry.is_dir()):
        raise ArtifactError(f"the fitted {name} in the forecast cache", found=f"no {entry}", mend=_AGAIN)
    forecast = read(entry)
    if forecast.digest != stored["sha256"]:
        raise ArtifactError(f"{name} with sha256 {stored['sha256']}", found=forecast.digest, mend=_AGAIN)
    facts = forecast.facts
    return Candidate(
        member=name,
        model=forecast.load(),
        golden=Golden.load(entry, tuple(facts["feature_names"]), facts["feature_fingerprint"]),
        labels=learning["labels"],
        splits=learning["splits"],
        settings=learning["members"][name],
        parts=facts["parts"],
        metrics=metrics,
        sha256=forecast.digest,
    )
