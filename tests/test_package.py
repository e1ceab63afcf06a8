"""An installed package runs from any folder: the configuration travels in the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from quantlab.jobs.new.template import KINDS


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and unpacked as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        ".",
    ]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m quantlab`` of the unpacked wheel."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "quantlab", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=True)


def test_the_wheel_holds_every_yaml_and_page_and_the_lock(installed: Path, repository: Path) -> None:
    package = installed / "quantlab"
    for path in (repository / "conf").rglob("*.yaml"):
        assert (package / "_conf" / path.relative_to(repository / "conf")).read_text() == path.read_text()
    for name in (
        "report/page.html",
        "report/page.css",
        "report/page.js",
        "report/table.js",
        "report/table.css",
        "sweep/page.css",
    ):
        assert (package / "evaluation" / name).is_file()
    for kind in KINDS.values():
        assert (package / "_guides" / kind.guide).read_text() == (repository / "docs" / kind.guide).read_text()
    lock = (package / "_conf" / "requirements.lock").read_text()
    assert lock == (repository / "requirements.lock").read_text()


def test_the_installed_package_composes_from_any_folder(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import quantlab; print(quantlab.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(installed))
    assert "ensemble_v2" in run(installed, tmp_path, "--help").stdout
    assert "experiment_name: ensemble_v2" in run(
        installed, tmp_path, "experiment=ensemble_v2", "--cfg", "job"
    ).stdout.replace("${hydra:runtime.choices.experiment}", "ensemble_v2")
    assert list(tmp_path.iterdir()) == []


def requirements(path: Path) -> dict[str, Version]:
    """Versions that a lock pins, by name."""
    pinned = [line.split(";")[0].strip(" \\\n") for line in path.read_text().splitlines() if "==" in line]
    return {canonicalize_name(one.split("==")[0]): Version(one.split("==")[1]) for one in pinned}


def test_lower_bounds_are_versions_that_were_tested_together(repository: Path) -> None:
    """An older version may resolve, and nobody has tried it."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    lock = requirements(repository / "requirements.lock")
    texts = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"]
    texts += project["build-system"]["requires"]
    assert len(texts) > 30
    for requirement in map(Requirement, texts):
        (bound,) = (spec for spec in requirement.specifier if spec.operator == ">=")
        found = lock[canonicalize_name(requirement.name)]
        assert found.release[:2] == Version(bound.version).release[:2], str(requirement)
        assert requirement.specifier.contains(found), str(requirement)


def test_the_hashed_locks_hold_every_package_with_hashes(repository: Path) -> None:
    files = {kind: repository / f"requirements.{kind}hashed.lock" for kind in ("", "torch-cpu.", "torch-cuda.")}
    lock, hashed, cpu, cuda = (requirements(path) for path in (repository / "requirements.lock", *files.values()))
    assert {**hashed, **cpu} == lock
    assert not hashed.keys() & {*cpu, *cuda}
    assert cuda["torch"] == lock["torch"]
    assert len(cuda) > 10
    for path in files.values():
        packages = re.split(r"\n(?=\S)", path.read_text())[1:]
        for package in packages:
            assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", package), package
            assert "://" not in package
    one, other = (
        set(re.findall("sha256:([0-9a-f]{64})", files[kind].read_text())) for kind in ("torch-cpu.", "torch-cuda.")
    )
    assert not one & other, "pip takes the build that it is allowed to take"
