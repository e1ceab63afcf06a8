"""Killed or out of disk while saving: what served before serves, and what is half written is not there."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from registry_fakes import Contract, new_registry, register

from quantlab.core.errors import InstallationError
from quantlab.learning.registry import inspection as registry_module

FEATURES = Contract()
#: Registers and promotes in forks of itself; fork k is killed by the k-th event of the file system.
SCRIPT = """
import os, signal, sys
sys.path[:0] = {path!r}
from pathlib import Path
from registry_fakes import Contract, new_registry, register
from quantlab.learning.registry import inspection as module
module.prove = lambda *_: None
EVENTS = ("open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir")

def work(root, kill_at):
    seen = 0
    def hook(event, _):
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    registry = new_registry(Path(root), {stamp})
    sys.addaudithook(hook)
    registry.promote(register(registry, "a", "b", seed=20), Contract(), "new")
    os._exit(min(seen, 255))

def child(root, kill_at):
    pid = os.fork()
    if pid == 0:
        work(root, kill_at)
    return os.waitpid(pid, 0)[1]

total = os.waitstatus_to_exitcode(child(sys.argv[1] + "/whole", 0))
points = int(sys.argv[2])
print("total", total)
for i in range(points):
    status = child(f"{{sys.argv[1]}}/{{i}}", 1 + i * total // points)
    print(i, -os.waitstatus_to_exitcode(status))
"""
LATER_MS = 1_742_212_800_000


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry in which a pair serves."""
    monkeypatch.setattr(registry_module, "prove", lambda *_: None)
    registry = new_registry(tmp_path / "served")
    registry.promote(register(registry, "a", "b"), FEATURES, "first")
    return registry.folder


def kill_while_saving(served: Path, tmp_path: Path, points: int) -> None:
    """Real ``kill -9``, spread evenly over everything that registering and promoting do to files."""
    for name in ("whole", *map(str, range(points))):
        shutil.copytree(served, tmp_path / "killed" / name)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(path=[p for p in sys.path if p], stamp=LATER_MS))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "killed"), str(points)],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    lines = [line.split() for line in done.stdout.splitlines()]
    assert int(lines[0][1]) > 30, "the events of the file system are seen"
    assert [line[1] for line in lines[1:]] == [str(int(signal.SIGKILL))] * points
    old = new_registry(served).active()
    ends = set()
    for i in range(points):
        registry = new_registry(tmp_path / "killed" / str(i), LATER_MS + 3_600_000)
        active = registry.active()
        assert active == old or {v.rpartition("_v")[2] for v in active.values()} == {"20250317_120001"}
        for version in registry.versions():
            registry.load(version, FEATURES)
        ends.add((len(registry.versions()), active == old))
        after = registry.promote(register(registry, "a", "b", seed=30), FEATURES, "goes on")
        assert registry.active() == after != active
        assert not list(registry.folder.glob(".partial-*")), "what was half written is cleared by the next one"
    assert (2, True) in ends, "some were killed before anything counted"


def test_killed_at_five_points_while_saving(served: Path, tmp_path: Path) -> None:
    kill_while_saving(served, tmp_path, 5)


@pytest.mark.slow
def test_killed_at_fifty_points_while_saving(served: Path, tmp_path: Path) -> None:
    kill_while_saving(served, tmp_path, 50)


@pytest.mark.parametrize("owner", ["os.fsync", "os.write", "pathlib.Path.rename", "pathlib.Path.replace", "numpy.save"])
def test_a_full_disk_at_every_step_leaves_what_was(served: Path, monkeypatch: pytest.MonkeyPatch, owner: str) -> None:
    """The n-th call fails, for every n that a registration and promotion make."""
    registry = new_registry(served, LATER_MS)
    old, versions = registry.active(), registry.versions()
    target: Any = {"os": os, "pathlib.Path": Path, "numpy": np}[owner.rpartition(".")[0]]
    name, refusals = owner.rpartition(".")[2], []
    for n in range(1, 60):
        full = _Full(getattr(target, name), n)
        with monkeypatch.context() as patch:
            patch.setattr(target, name, full.call)
            try:
                found = register(registry, "a", "b", seed=n)
                versions = registry.versions()
                old = registry.promote(found, FEATURES, "new")
            except InstallationError as error:
                refusals.append(str(error))
        assert registry.active() == old
        assert registry.versions() == versions
        assert {path.name for path in served.iterdir() if path.is_dir()} == set(versions)
        if full.calls < n:
            break
    assert full.calls < n, "every call was made to fail once"
    # Only the folder's sync after the pointer's rename comes too late to undo anything: twice, in two moves.
    assert len(refusals) == n - 1 - 2 * (owner == "os.fsync")
    assert all("No space left" in refusal for refusal in refusals)


class _Full:
    """Fails at its n-th call."""

    def __init__(self, real: Any, n: int) -> None:
        self.real, self.n, self.calls = real, n, 0

    @property
    def call(self) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == self.n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.real(*arguments, **options)

        return call
