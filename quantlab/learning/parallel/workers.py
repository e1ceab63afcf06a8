"""Worker processes that start clean, run one thread each, and never fail unseen.

Starting one costs seconds of imports, so a study starts them once, when the first work comes, and keeps them
until it has asked everything.
"""

from __future__ import annotations

import multiprocessing
import operator
import os
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from quantlab.core.errors import InstallationError
from quantlab.core.ports import ProgressCallback

Call = TypeVar("Call")
Result = TypeVar("Result")

#: Read by the numeric libraries when they are loaded. A member's own thread count, fixed by its
#: configuration, is an explicit argument and stands above these.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

#: Seconds between two looks at the shares.
_POLL_EVERY_S = 0.25

#: In a worker process: the share of every call that is done, in memory that all processes see.
_shares: MutableSequence[float] = []


@dataclass(frozen=True, eq=False)
class Workers:
    """Worker processes of one study; made by :func:`worker_processes`.

    Parameters
    ----------
    count : int
        Processes at most; 1 does everything in this one.
    pool : ProcessPoolExecutor
        Starts a process when there is work and none is idle.
    shares : sequence of float
        One number for each call of :meth:`run`, written by the one process that runs it: nothing to lock,
        queue or lose.
    """

    count: int
    pool: ProcessPoolExecutor
    shares: MutableSequence[float]

    def map(self, work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]:
        """``work(call)`` for every call, in their order.

        What a call gives must be small, because it is sent back; what it needs is best mapped from files.

        Raises
        ------
        InstallationError
            If a process died without an exception, for example for want of memory.
        """
        if self.count == 1:
            return [work(call) for call in calls]
        with _worker_death_as_error(), _single_threaded_environment():
            return list(self.pool.map(work, calls))

    def run(
        self, work: Callable[..., None], calls: Sequence[tuple[Any, ...]], on_progress: Callable[[int, float], None]
    ) -> None:
        """``work(*arguments, on_progress)`` for every item of `calls`, each of which leaves its results in files.

        Parameters
        ----------
        work : callable
            Found by its name in another process; reports the share of its work that is done to ``on_progress``.
        calls : sequence of tuples
            No more than `shares` has numbers.
        on_progress : callable
            Gets the index of a call and the share of it that is done, now and then; 1 when it has ended well.

        Raises
        ------
        InstallationError
            If a process died without an exception, for example for want of memory.
        Exception
            Whatever a call raised, with the call named in a note.
        """
        if self.count == 1:
            for index, call in enumerate(calls):
                work(*call, partial(on_progress, index))
                on_progress(index, 1.0)
            return
        for index in range(len(calls)):
            self.shares[index] = 0.0
        with _single_threaded_environment():
            futures = {self.pool.submit(_run_call, work, index, call): index for index, call in enumerate(calls)}
        while futures:
            ended, _ = wait(futures, timeout=_POLL_EVERY_S, return_when=FIRST_COMPLETED)
            for index in futures.values():
                on_progress(index, self.shares[index])
            for future in ended:
                index = futures.pop(future)
                _raise_failure(future, str(calls[index][0]))
                on_progress(index, 1.0)


@contextmanager
def worker_processes(count: int, calls: int) -> Iterator[Workers]:
    """Processes to work in until the block ends.

    They are spawned, not forked: they inherit no threads, locks or state of this one. Whatever is raised inside
    the block ends what runs, and nothing new is started.

    Parameters
    ----------
    count : int
        Processes at most, >= 1; none is started for 1.
    calls : int
        Of :meth:`Workers.run` at once, at most.
    """
    context = multiprocessing.get_context("spawn")
    shares = context.RawArray("d", max(calls, 1))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_share_progress, initargs=(shares,)) as pool:
        try:
            yield Workers(count, pool, shares)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _share_progress(shares: MutableSequence[float]) -> None:
    """Run once in every new process; shared memory can't travel with a call."""
    global _shares
    _shares = shares


def _run_call(work: Callable[..., None], index: int, call: tuple[Any, ...]) -> None:
    on_progress: ProgressCallback = partial(operator.setitem, _shares, index)
    work(*call, on_progress)


def _raise_failure(future: Future[None], name: str) -> None:
    try:
        with _worker_death_as_error():
            future.result()
    except InstallationError:
        raise
    except Exception as error:
        error.add_note(f"in {name}")
        raise


@contextmanager
def _worker_death_as_error() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise InstallationError(
            "every worker process to finish its task",
            found="one that died without a word",
            fix="this is mostly too little memory: lower workers or use fewer symbols",
        ) from error


@contextmanager
def _single_threaded_environment() -> Iterator[None]:
    """Environment of the processes that are started inside the block."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
