"""Handlers of the signals that stop a training run: they set a flag, and the run ends after its step.

Imports only the standard library, so that handlers are installed before torch is imported: that takes seconds to
minutes on a busy file system, and an unhandled signal would end the process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

VARIABLE = "WFM_REQUEUE"  # set to 1 by slurm/pretrain.sbatch
BY_SLURM = (signal.SIGUSR1, signal.SIGTERM)  # #SBATCH --signal before the time limit; preemption, scancel
BY_HAND = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C; kill

_received = 0
_process: int | None = None
_before: dict[signal.Signals, Any] = {}


def is_requeued() -> bool:
    """Whether this process belongs to a SLURM job that goes back into the queue when it is stopped."""
    return "SLURM_JOB_ID" in os.environ and os.environ.get(VARIABLE) == "1"


def listen() -> bool:
    """(Re)install the handlers; False, without any effect, outside the main thread, where Python allows none."""
    global _process
    _process = os.getpid()
    for name in BY_SLURM if is_requeued() else BY_HAND:
        try:
            before = signal.signal(name, _on_signal)
        except ValueError:
            return False
        if before is not _on_signal:
            _before.setdefault(name, before or signal.SIG_DFL)  # None: of a library in C
    return True


def release() -> None:
    """Put back the handlers of before, and forget what was received."""
    global _received
    _received = 0
    while _before:
        signal.signal(*_before.popitem())


@contextmanager
def listening() -> Iterator[None]:
    """Listen within a block, and put back the handlers of before."""
    listen()
    try:
        yield
    finally:
        release()


def told_to_stop() -> int:
    """Number of the signal that this process has received; 0 if none."""
    return _received


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _received
    if os.getpid() != _process:  # a data worker: it goes on until its batch is there
        return
    if _received == number and not is_requeued():  # told twice: at once, as if nothing had been installed
        signal.signal(number, _before.get(signal.Signals(number), signal.SIG_DFL))
        os.kill(os.getpid(), number)
        return
    if number == signal.SIGINT and os.environ.get("LOCAL_RANK", "0") == "0":
        os.write(2, b"\nwfm: stopping after this step, with a checkpoint; Ctrl-C again stops at once.\n")
    _received = number
