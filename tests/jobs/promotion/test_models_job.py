"""``job=models`` as a user calls it: from a finished run to what serves, and back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.core.errors import ArtifactError, ConfigError
from quantlab.jobs.config.composition import build, compose
from quantlab.jobs.promotion.models import ACTIONS, choose_versions, run
from quantlab.learning.registry.serving import serve

TREES = (
    "experiment=ensemble_v2", "debug=tiny", "learning.tuning=null", "workers=1",
    "~learning.members.nhits", "~learning.members.patchtst",
    "learning.members.xgboost.max_rounds=10", "learning.members.lightgbm.max_rounds=10",
)  # fmt: skip
Command = Callable[..., subprocess.CompletedProcess[str]]


def models(folder: Path, action: str, *more: str) -> None:
    """``job=models`` in this process, with its folders under `folder`."""
    run(
        compose(
            "job=models", f"job.action={action}", f"registry_root={folder / 'models'}", f"cache_dir={folder / '.cache'}", *more
        )
    )  # fmt: skip


def test_from_a_run_to_service_and_back(
    quantlab_cli: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = quantlab_cli("job=backtest", *TREES)
    assert done.returncode == 0, done.stderr
    (finished,) = (tmp_path / "runs" / "ensemble_v2").iterdir()
    manifest = json.loads((finished / "manifest.json").read_text())
    names = manifest["models"]["ensemble"]["names"]
    models(tmp_path, "register", f"job.from_run={finished}")
    cfg = compose(f"registry_root={tmp_path / 'models'}")
    registry, features = build(cfg.learning.registry), build(cfg.features)
    versions = registry.versions()
    assert [version.rpartition("_v")[0] for version in versions] == names
    stamp = versions[0].rpartition("_v")[2]

    facts = registry.describe(versions[0])
    assert facts["metrics"]["log_loss"] > 0
    assert facts["labels"]["horizon"] == 36
    assert facts["splits"]["n_folds"] == 2
    assert set(facts["parts"]) == {"fit", "early_stopping", "calibration", "test"}
    assert facts["parts"]["fit"]["last"] < facts["parts"]["test"]["first"]
    assert facts["source"]["run"] == finished.name

    models(tmp_path, "promote", f"job.version={stamp}", "job.reason='as [/docs] says'")
    serving = serve(registry, features)
    assert serving.signal.fingerprint == manifest["signal_fingerprint"], "what is promoted is what was tested"
    for action in ("list", "show", "verify"):
        models(tmp_path, action)
    shown = capsys.readouterr().out
    assert "active" in shown
    assert shown.count("good") == len(names)
    assert [version for version in versions if f" {version} " not in shown] == [], "whole, in 80 columns"
    assert " ".join(shown.split()).count("[/docs]") == 2 * len(names), "in the list and in the log of every version"

    for action, more, words in (
        ("rollback", (), "earlier release"),
        ("promote", (f"job.version={versions[0]}", "job.model=other"), "other"),
        ("promote", (), "job.version"),
        ("promote", ("job.version=../../etc",), "a version <member>"),
        ("shadow", (f"job.version=v{stamp}",), "one version"),
        ("register", (), "a finished run"),
        ("register", (f"job.from_run={tmp_path}",), "no manifest.json"),
        ("dance", (), "job.action as one of"),
    ):
        with pytest.raises(ConfigError, match=words):
            models(tmp_path, action, *more)
    models(tmp_path, "quarantine", f"job.version={versions[0]}")
    assert registry.active() == {}
    models(tmp_path, "restore", f"job.version={versions[0]}")
    models(tmp_path, "recover")

    refused = quantlab_cli("job=models", "job.action=promote", "job.version=nonsense")
    assert refused.returncode == 2
    assert len([line for line in refused.stderr.splitlines() if line.startswith("quantlab: ")]) == 1

    altered = tmp_path / "altered"
    shutil.copytree(finished, altered)
    (altered / "metrics.json").write_text("{}")
    with pytest.raises(ArtifactError, match="altered file"):
        models(tmp_path, "register", f"job.from_run={altered}")
    shutil.rmtree(tmp_path / ".cache")
    models(tmp_path, "register", f"job.from_run={finished}")
    assert len(registry.versions()) == 2 * len(names), "a run keeps its members: the cache may go"


def test_every_action_is_in_the_yaml(repository: Path) -> None:
    text = (repository / "conf" / "job" / "models.yaml").read_text()
    assert all(action in text for action in ACTIONS)


def test_a_stamp_may_lose_its_underscore() -> None:
    """Hydra reads digits with an underscore between them as a whole number."""
    assert choose_versions(("a_v20250316_120000",), None, 20250316120000) == ("a_v20250316_120000",)
