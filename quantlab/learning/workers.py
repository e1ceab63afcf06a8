"""Worker processes that start clean, run one thread each, and never fail unseen."""

from __future__ import annotations

import multiprocessing
import operator
import os
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from quantlab.core.errors import InstallationError
from quantlab.learning.watching import Told

#: Read by the numeric libraries when they are loaded. A member's own thread count, fixed by its
#: configuration, is an explicit argument and stands above these.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


#: Seconds between two looks at the board.
_LOOK_EVERY_S = 0.25

#: In a worker process: the share of every call that is done, in memory that all processes see.
_board: MutableSequence[float] = []


def run_in_processes(
    work: Callable[..., None], calls: Sequence[tuple[Any, ...]], workers: int, seen: Callable[[int, float], None]
) -> None:
    """Call ``work(*arguments, told)`` for every item of `calls`, in at most `workers` processes.

    The processes are spawned, not forked: they inherit no threads, locks or state of this one. On the
    first failure nothing new is started.

    Parameters
    ----------
    work : callable
        Found by its name in the new process; leaves its results in files, and tells ``told`` the share of
        its work that is done.
    calls : sequence of tuples
    workers : int
    seen : callable
        Hears the index of a call and the share of it that is done, now and then; 1 when it has ended well.

    Raises
    ------
    InstallationError
        If a process died without an exception, for example for want of memory.
    Exception
        Whatever a call raised, with the call named in a note.
    """
    context = multiprocessing.get_context("spawn")
    # One number for each call, written by the one process that runs it: nothing to lock, queue or lose.
    board = context.RawArray("d", len(calls))
    with (
        one_thread_each(),
        ProcessPoolExecutor(min(workers, len(calls)), mp_context=context, initializer=_join, initargs=(board,)) as pool,
    ):
        futures: dict[Future[None], int] = {
            pool.submit(_work, work, index, call): index for index, call in enumerate(calls)
        }
        try:
            while futures:
                ended, _ = wait(futures, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for index in futures.values():
                    seen(index, board[index])
                for future in ended:
                    index = futures.pop(future)
                    _outcome(future, str(calls[index][0]))
                    seen(index, 1.0)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _join(board: MutableSequence[float]) -> None:
    """Run once in every new process; a board can't travel with a call."""
    global _board
    _board = board


def _work(work: Callable[..., None], index: int, call: tuple[Any, ...]) -> None:
    told: Told = partial(operator.setitem, _board, index)
    work(*call, told)


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
def one_thread_each() -> Iterator[None]:
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
