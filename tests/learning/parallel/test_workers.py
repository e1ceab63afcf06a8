"""One set of processes for all of a study's work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from worker_fakes import pid_of, threads_of, write_pid

from quantlab.core.errors import InstallationError
from quantlab.learning.parallel.workers import worker_processes


class RecordedProgress:
    """The last share that was told of every call."""

    def __init__(self) -> None:
        self.shares: dict[int, float] = {}

    def __call__(self, index: int, share: float) -> None:
        assert share >= self.shares.get(index, 0.0), "a share never falls"
        self.shares[index] = share


def test_the_processes_that_map_are_those_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with worker_processes(2, 3) as workers:
        mapped = set(workers.map(pid_of, [0.3] * 4))
        assert 1 <= len(mapped) <= 2
        assert os.getpid() not in mapped
        assert workers.map(threads_of, [0]) == ["1"]
        for _ in range(2):  # the second time over a board that the first has filled
            recorded = RecordedProgress()
            workers.run(write_pid, [(name, tmp_path) for name in "abc"], recorded)
            assert recorded.shares == {0: 1.0, 1: 1.0, 2: 1.0}
        ran = {int(path.read_text()) for path in tmp_path.iterdir()}
        assert len(mapped | ran) <= 2
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    recorded = RecordedProgress()
    with worker_processes(1, 1) as workers:
        assert workers.map(pid_of, [0.0]) == [os.getpid()]
        workers.run(write_pid, [("a", tmp_path)], recorded)
    assert (tmp_path / "a").read_text() == str(os.getpid())
    assert recorded.shares == {0: 1.0}


def test_an_error_names_its_call_and_a_death_is_said(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught, worker_processes(2, 2) as workers:
        workers.run(write_pid, [("bad", tmp_path), ("a", tmp_path)], RecordedProgress())
    assert caught.value.__notes__ == ["in bad"]
    with pytest.raises(InstallationError, match="died without a word"), worker_processes(2, 2) as workers:
        workers.run(write_pid, [("dead", tmp_path), ("a", tmp_path)], RecordedProgress())
    with pytest.raises(InstallationError, match="died without a word"), worker_processes(2, 1) as workers:
        workers.map(os._exit, [9])
