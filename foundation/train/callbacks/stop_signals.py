"""What SLURM tells a job, as a flag. Imports nothing slow: handlers are in place before torch is, which takes seconds
to minutes on a busy file system, and a signal without a handler would end the process."""

from __future__ import annotations

import os
import signal
from types import FrameType

ASKED = "WFM_REQUEUE"  # set by slurm/pretrain.sbatch
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)  # #SBATCH --signal before the time limit; preemption, scancel

_told = False
_process: int | None = None


def listen() -> bool:
    """Install the handlers, or install them again; False, and nothing done, outside a SLURM job that asks for it."""
    global _process
    if "SLURM_JOB_ID" not in os.environ or os.environ.get(ASKED) != "1":
        return False
    _process = os.getpid()
    for name in SIGNALS:
        signal.signal(name, _on_signal)
    return True


def told_to_stop() -> bool:
    """This process has had one of the signals."""
    return _told


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _told
    _told |= os.getpid() == _process  # SLURM signals forked data workers, too
