"""Worker processes that start clean, run one thread each, and never fail unseen."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from quantlab.core.errors import InstallationError

#: Read by the numeric libraries when they are loaded. A member's own thread count, fixed by its
#: configuration, is an explicit argument and stands above these.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def run_in_processes(
    work: Callable[..., None], calls: Sequence[tuple[Any, ...]], workers: int, done: Callable[[int], None]
) -> None:
    """Call ``work(*arguments)`` for every item of `calls`, in at most `workers` processes.

    The processes are spawned, not forked: they inherit no threads, locks or state of this one. On the
    first failure nothing new is started.

    Parameters
    ----------
    work : callable
        Found by its name in the new process; leaves its results in files.
    calls : sequence of tuples
    workers : int
    done : callable
        Told the index of each call that ended well, as it ends.

    Raises
    ------
    InstallationError
        If a process died without an exception, for example for want of memory.
    Exception
        Whatever a call raised, with the call named in a note.
    """
    context = multiprocessing.get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(min(workers, len(calls)), mp_context=context) as pool:
        futures: dict[Future[None], int] = {pool.submit(work, *call): index for index, call in enumerate(calls)}
        try:
            for future in as_completed(futures):
                _outcome(future, str(calls[futures[future]][0]))
                done(futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _outcome(future: Future[None], name: str) -> None:
    try:
        future.result()
    except BrokenProcessPool as error:
        raise InstallationError(
            "every worker process to finish its task",
            found="one that died without a word",
            mend="this is mostly too little memory: lower workers or use fewer symbols",
        ) from error
    except Exception as error:
        error.add_note(f"in {name}")
        raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
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
