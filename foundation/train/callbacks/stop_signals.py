"""Handlers of SLURM's stop signals that set a flag.

Imports only the standard library, so that handlers are installed before torch is imported: that takes seconds to
minutes on a busy file system, and an unhandled signal would end the process.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

VARIABLE = "WFM_REQUEUE"  # set to 1 by slurm/pretrain.sbatch
SIGNALS = (signal.SIGUSR1, signal.SIGTERM)  # #SBATCH --signal before the time limit; preemption, scancel

_received = False
_process: int | None = None


def listen() -> bool:
    """(Re)install the handlers; False, without any effect, outside a SLURM job that sets WFM_REQUEUE=1."""
    global _process
    if "SLURM_JOB_ID" not in os.environ or os.environ.get(VARIABLE) != "1":
        return False
    _process = os.getpid()
    for name in SIGNALS:
        signal.signal(name, _on_signal)
    return True


def told_to_stop() -> bool:
    """Whether this process has received one of the signals."""
    return _received


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _received
    _received |= os.getpid() == _process  # SLURM signals forked data workers, too
