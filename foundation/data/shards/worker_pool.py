"""Parallel map over processes, with results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from foundation.errors import ShardError

T = TypeVar("T")
R = TypeVar("R")

LOOK_AHEAD = 3  # items per worker submitted before the oldest result is consumed


def in_order(call: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Map `call` over items in `workers` processes (in this one if 1); results come in the order of the items.

    Processes are spawned, not forked: they share no file, no lock and no thread with this one, so `call` and the items
    must pickle. They end with this process, even if it is killed.

    Raises:
        ShardError: `workers` is not positive, or a worker was killed. Exceptions of `call` are raised here.
    """
    if workers < 1:
        raise ShardError(f"workers is {workers}; expected at least 1.")
    if workers == 1:
        yield from map(call, items)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), begin_worker)
    try:
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= LOOK_AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ShardError(
            "a worker process was killed, most likely because memory ran out; run it again with fewer workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def begin_worker() -> None:
    """Initialise a process that works for this one, and ends with it."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the processes are the parallelism; numpy is not loaded yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent does: a pool leaves its workers waiting forever if its process is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
