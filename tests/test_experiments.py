"""The records in ``experiments/``: each says which commit it belongs to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

_COMMIT = re.compile(r"Belongs to commit `([0-9a-f]{7})`")


def pages(repository: Path) -> list[Path]:
    """The page of every record."""
    return sorted((repository / "experiments").glob("*/README.md"))


def test_every_record_has_a_page_that_names_one_commit(repository: Path) -> None:
    found = pages(repository)
    assert {page.parent for page in found} == {path for path in (repository / "experiments").iterdir() if path.is_dir()}
    for page in found:
        assert len(_COMMIT.findall(page.read_text())) == 1, page


def test_the_commits_that_records_name_are_in_the_history(repository: Path) -> None:
    shallow = subprocess.run(
        ["git", "rev-parse", "--is-shallow-repository"], cwd=repository, capture_output=True, text=True, check=False
    )
    if shallow.stdout.strip() != "false":
        pytest.skip("needs the whole git history: this is no clone of it, or a shallow one")
    for page in pages(repository):
        (commit,) = _COMMIT.findall(page.read_text())
        done = subprocess.run(
            ["git", "merge-base", "--is-ancestor", commit, "HEAD"], cwd=repository, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{page}: {commit}"
