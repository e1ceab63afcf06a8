"""A folder whose every file and every folder is accounted for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quantlab.core.errors import ArtifactError
from quantlab.core.sealed_json import read_sealed, write_sealed
from quantlab.learning.artifacts.sealed_folder import FORMAT, MANIFEST, seal_folder, verify_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    seal_folder(tmp_path, {"fact": 1})
    return tmp_path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda folder: (folder / "empty").mkdir(), "the folder empty that holds no file"),
        (lambda folder: (folder / "model" / "deep" / "er").mkdir(), "the folder model/deep/er that holds no file"),
        (lambda folder: (folder / "c").write_text(""), "c not in the manifest"),
        (lambda folder: (folder / "b").unlink(), "b missing"),
        (lambda folder: (folder / "b").write_text("3"), "b altered"),
        (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
    ],
)
def test_whatever_came_went_or_changed_is_named(folder: Path, change: Callable[[Path], object], found: str) -> None:
    assert verify_folder(folder) == {"fact": 1}
    change(folder)
    with pytest.raises(ArtifactError, match=found):
        verify_folder(folder)


def test_another_format_is_no_damage(folder: Path) -> None:
    content = read_sealed(folder / MANIFEST, FORMAT, "")
    write_sealed(folder / MANIFEST, content, FORMAT + 1)
    with pytest.raises(ArtifactError, match=f"format {FORMAT}; found format {FORMAT + 1}"):
        verify_folder(folder)
