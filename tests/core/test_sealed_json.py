"""A file that says what it is: read back as it was written, or refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantlab.core.errors import ArtifactError
from quantlab.core.sealed_json import read_sealed, write_sealed

CONTENT = {"b": [1, 2.5, None], "a": {"ü": "x"}}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_sealed(tmp_path / "f.json", CONTENT, 3)
    assert read_sealed(tmp_path / "f.json", 3, "restore it") == CONTENT
    assert json.loads((tmp_path / "f.json").read_text())["format"] == 3


def test_another_format_is_refused_by_its_number(tmp_path: Path) -> None:
    write_sealed(tmp_path / "f.json", CONTENT, 4)
    with pytest.raises(ArtifactError, match=r"in format 3; found format 4\. Read it with the quantlab that wrote it"):
        read_sealed(tmp_path / "f.json", 3, "restore it")


def test_every_altered_byte_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_sealed(path, CONTENT, 1)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ArtifactError, match="Restore it"):
            read_sealed(path, 1, "restore it")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "{}", '{"sha256": 1}', "[" * 100_000, '{"format": 1, "sha256": "x"}', " {}"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match="as it was written"):
        read_sealed(path, 1, "restore it")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_sealed(tmp_path / "nowhere.json", 1, "restore it")
