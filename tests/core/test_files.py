"""Files are whole or not there."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from quantlab.core import files


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    files.write_text(target, "old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        files.write_text(target, "new")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_is_strict_and_sorted() -> None:
    assert files.to_json({"b": 1, "a": None}) == '{\n  "a": null,\n  "b": 1\n}\n'
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON"):
            files.to_json({"x": bad})


def test_a_staged_folder_appears_only_when_whole(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "one"
    with files.staged_folder(final) as partial:
        (partial / "x").write_text("1")
        assert not final.exists()
    assert (final / "x").read_text() == "1"
    with pytest.raises(FileExistsError), files.staged_folder(final):
        pass


def test_a_staged_folder_vanishes_on_an_error(tmp_path: Path) -> None:
    final = tmp_path / "runs" / "one"
    with pytest.raises(KeyboardInterrupt), files.staged_folder(final) as partial:
        (partial / "x").write_text("1")
        raise KeyboardInterrupt
    assert list((tmp_path / "runs").iterdir()) == []
