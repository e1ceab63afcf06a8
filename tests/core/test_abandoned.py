"""What killed processes leave half written is removed; what may still be written is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantlab.core import files
from quantlab.core.errors import InstallationError


def dead_pid() -> int:
    """Of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pass
    return process.pid


def test_partial_names_say_who_writes_them(tmp_path: Path) -> None:
    with files.staged_folder(tmp_path / "one") as partial:
        assert partial.name.startswith(files.partial_prefix("one"))
        assert f"-{os.getpid()}-one-" in partial.name


def test_only_what_dead_processes_of_this_host_left_is_removed(tmp_path: Path) -> None:
    own = files.partial_prefix("x")
    of_the_dead = own.replace(str(os.getpid()), str(dead_pid()))
    names = {
        f"{own}1": True,
        f"{of_the_dead}2": False,
        f"exp/{own}3": True,
        f"exp/{of_the_dead}4": False,
        "exp/.partial-another_host-1-x-5": True,
        ".partial-without-owner": True,
        f"exp/deep/{of_the_dead}6": True,  # nothing of ours is written there
        "exp/run": True,
    }
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("1")
    (tmp_path / f"{of_the_dead}7").write_text("a file")
    (tmp_path / f"{of_the_dead}8").symlink_to(tmp_path / "exp")
    files.remove_abandoned(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names
    assert not list(tmp_path.glob(f"{of_the_dead}*"))
    assert (tmp_path / "exp" / "run" / "file").exists()


def test_there_may_be_nothing_to_look_in(tmp_path: Path) -> None:
    files.remove_abandoned(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    files.remove_abandoned(tmp_path / "file")


def test_a_writable_folder_is_left_as_it_was(tmp_path: Path) -> None:
    files.require_writable("runs_dir", tmp_path / "not" / "there" / "yet")
    files.require_writable("runs_dir", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/below", "link", "link/below"):
        with pytest.raises(InstallationError, match=r"runs_dir as a folder .* is not a folder"):
            files.require_writable("runs_dir", tmp_path / name)

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", read_only)
    with pytest.raises(InstallationError, match="Permission denied"):
        files.require_writable("cache_dir", tmp_path)
