"""One pool of worker processes for a whole search: starting one costs seconds of imports."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar

from quantlab.core.errors import InstallationError
from quantlab.learning.workers import one_thread_each

Call = TypeVar("Call")
Result = TypeVar("Result")


class Map(Protocol):
    """Calls a function on every item and gives the results in their order."""

    def __call__(self, work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]: ...


def _here(work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]:
    return [work(call) for call in calls]


@contextmanager
def pool_map(workers: int) -> Iterator[Map]:
    """A map over `workers` spawned processes, or over none where there is 1.

    What a call gives must be small, because it is sent back; what it needs is best mapped from files.

    Raises
    ------
    InstallationError
        If a process died without an exception, for example for want of memory.
    """
    if workers == 1:
        yield _here
        return
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), ProcessPoolExecutor(workers, mp_context=context) as pool:

        def there(work: Callable[[Call], Result], calls: Sequence[Call]) -> list[Result]:
            return list(pool.map(work, calls))

        try:
            yield there
        except BrokenProcessPool as error:
            pool.shutdown(wait=True, cancel_futures=True)
            raise InstallationError(
                "every worker process to finish its task",
                found="one that died without a word",
                mend="this is mostly too little memory: lower workers or use fewer symbols",
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
