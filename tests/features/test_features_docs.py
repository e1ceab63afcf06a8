"""The pages say what the code does: one is generated, the other is followed literally."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantlab.features import NAMES, WARMUP
from quantlab.jobs.config.composition import build, compose

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_page_of_the_49_is_up_to_date(repository: Path):
    path = repository / "tests" / "tools" / "write_feature_docs.py"
    spec = importlib.util.spec_from_file_location("write_feature_docs", path)
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    page = (repository / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == writer.page(), "run: make docs"
    for column, name in enumerate(NAMES):
        assert f"| {column} | `{name}` |" in page


@pytest.fixture
def followed(repository: Path, tmp_path: Path, monkeypatch) -> Path:
    """A folder in which every file of the page has been written, block after block."""
    text = (repository / "docs" / "add-a-feature.md").read_text(encoding="utf-8")
    written = set()
    for _, name, content in BLOCK.findall(text):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            with (tmp_path / name).open("a", encoding="utf-8") as file:
                file.write(content)
            written.add(name)
    assert written == {"my_features.py", "test_my_features.py", "my_conf/features/mine.yaml"}
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_features", None)


def pipeline_of(folder: Path, choice: str):
    return build(compose(f"features={choice}", f"hydra.searchpath=[file://{folder}/my_conf]").features)


def test_the_five_steps_give_a_feature(followed: Path, random_bars):
    mine, unified = (pipeline_of(followed, choice) for choice in ("mine", "unified49"))
    assert mine.names == (*NAMES, "close_in_range_12")
    assert mine.fingerprint != unified.fingerprint
    bars = random_bars(3, WARMUP + 30, 2)
    features = mine.transform(bars)
    assert features.values[:, :, :49].tobytes() == unified.transform(bars).values.tobytes()
    _, high, low, close, _ = np.moveaxis(bars.ohlcv, -1, 0)
    places = np.lib.stride_tricks.sliding_window_view((close - low) / (high - low), 12, axis=0).mean(axis=-1)
    np.testing.assert_allclose(
        features.column("close_in_range_12")[features.ready], places[WARMUP - 12 :].ravel(), rtol=1e-6
    )


def test_the_check_of_the_third_step_passes(followed: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_features.py"],
        cwd=followed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_command_of_the_fifth_step_runs(followed: Path):
    page = (followed / "my_features.py").parent
    (page / "runs").mkdir()
    extra = ["history.bars=4500", "history.symbols=2", "job.restarts=10", "job.horizon=1600"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "quantlab",
            "features=mine",
            "job=warmup",
            *extra,
            "hydra.searchpath=[file://my_conf]",
        ],
        cwd=page,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = json.loads(next((page / "runs").rglob("warmup.json")).read_text())
    assert {n["name"]: n["most"] for n in kept["needs"]}["close_in_range_12"] == 12
