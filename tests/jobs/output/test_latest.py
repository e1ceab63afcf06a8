"""Runs found by what a person types, and folders that lie apart from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from quantlab.core.errors import ConfigError
from quantlab.jobs.config.composition import check_experiment_name, compose
from quantlab.jobs.output.asked_for import asked_for
from quantlab.jobs.output.latest import resolve_run, run_folders, short_ids
from quantlab.jobs.output.run_folder import run_folder


def make_run(root: Path, experiment: str, name: str, started: str | None) -> Path:
    folder = root / experiment / name
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    (folder / "manifest.json").write_text("{" if started is None else json.dumps({"started": started}))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Four runs of two experiments; the names do not say in which order they began."""
    made = {
        "old": make_run(tmp_path, "a", "20260101_000000_001-83bb0ee0", "2026-01-01T00:00:00Z"),
        "new": make_run(tmp_path, "a", "20250101_000000_002-83bb0ee0", "2026-03-01T00:00:00Z"),
        "other": make_run(tmp_path, "b", "20260201_000000_003-12345678", "2026-02-01T00:00:00Z"),
        "damaged": make_run(tmp_path, "b", "20270101_000000_004-abcdef12", None),
    }
    make_run(tmp_path, "checks/data", "20280101_000000_005-83bb0ee0", "2028-01-01T00:00:00Z")
    old_check = make_run(tmp_path, "a", "20280101_000000_006-00000000", "2028-01-01T00:00:00Z")
    (old_check / "metrics.json").unlink()  # a data check of before they lay apart
    return made


def test_latest_is_the_run_that_started_last(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve_run("latest", tmp_path) == runs["new"]
    assert capsys.readouterr().err == f"run=latest: {runs['new']}, started 2026-03-01T00:00:00Z\n"
    assert resolve_run("latest:b", tmp_path, announce=False) == runs["other"]
    assert capsys.readouterr().err == ""
    assert set(run_folders(tmp_path)) == set(runs.values())
    with pytest.raises(ConfigError, match=r"a finished run of c .* found runs of a, b"):
        resolve_run("latest:c", tmp_path)
    with pytest.raises(ConfigError, match=r"found none. Run e.g. experiment=baseline first"):
        resolve_run("latest", tmp_path / "nothing")


def test_a_run_is_found_by_its_folder_or_by_a_piece_of_its_name(runs: dict[str, Path], tmp_path: Path) -> None:
    ids = short_ids([folder.name for folder in runs.values()])
    assert [ids[folder.name] for folder in runs.values()] == [
        "001-83bb0ee0",
        "002-83bb0ee0",
        "003-12345678",
        "abcdef12",
    ]
    for folder in runs.values():
        for text in (folder, f"{folder.parent.name}/{folder.name}", folder.name, ids[folder.name]):
            assert resolve_run(text, tmp_path, announce=False) == folder
    assert resolve_run(12345678, tmp_path, announce=False) == runs["other"]  # as Hydra reads it
    assert resolve_run("20270101", tmp_path, announce=False) == runs["damaged"]
    assert resolve_run("no/such/folder", tmp_path) == Path("no/such/folder").resolve()  # its reader refuses it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("83bb0ee0", r"a piece of one run's name; found 83bb0ee0 in a/2026.*, a/2025"),
        ("ee0", "a run ee0 in"),
        ("", "a run  in"),
        ("a", "run=latest:a is the newest"),
        ("latest:", "a run latest: in"),
        ("zzzzzzzz", "job=runs lists; run=latest is the newest"),
    ],
)
def test_what_names_no_run_or_several_is_refused(
    runs: dict[str, Path], tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_run(text, tmp_path)


def test_checks_lie_apart_and_their_folders_names_are_no_experiments(tmp_path: Path) -> None:
    cfg = compose(f"runs_dir={tmp_path}/runs", f"cache_dir={tmp_path}/cache", "job=data")
    with run_folder(cfg, check="data") as folder:
        folder.write_manifest(cfg, {})
    assert folder.final.parent == tmp_path / "runs" / "checks" / "data"
    manifest = json.loads((folder.final / "manifest.json").read_text())
    assert (manifest["job"], manifest["experiment"], manifest["overrides"]) == ("data", "baseline", None)
    assert asked_for(OmegaConf.create({"experiment_name": "x"}))["job"] is None
    for name in ("checks", "sweeps", "compare"):
        with pytest.raises(ConfigError, match="experiment_name other than checks, sweeps, compare"):
            check_experiment_name(name)
