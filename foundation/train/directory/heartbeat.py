"""A mark in a run directory while a process trains there, so that `wfm runs` can say what lives.

The mark names host, process and start of the process: a number that the system has given to another process since then
is not taken for it. A killed process leaves its mark behind; that nothing lives under it says enough.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from foundation.files import write_atomically

FILE_NAME = "running.json"


@dataclass(frozen=True)
class Mark:
    """Who trains. `begun`: hundredths of a second after boot at which the process began, "" where not known;
    `job`: of SLURM, "" outside."""

    host: str
    pid: int
    begun: str
    job: str


def set_mark(directory: Path) -> None:
    """Say that this process trains in `directory`."""
    pid = os.getpid()
    mark = Mark(socket.gethostname(), pid, _begun(pid), os.environ.get("SLURM_JOB_ID", ""))
    write_atomically(directory / FILE_NAME, json.dumps(asdict(mark)))


def clear_mark(directory: Path) -> None:
    """Take the mark away."""
    (directory / FILE_NAME).unlink(missing_ok=True)


def read_mark(directory: Path) -> Mark | None:
    """The mark, None where there is none.

    Raises:
        ValueError: it cannot be read.
    """
    path = directory / FILE_NAME
    try:
        mark = Mark(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError) as error:
        raise ValueError(f"{FILE_NAME}: {error}") from None
    if not isinstance(mark.pid, int) or mark.pid < 1:
        raise ValueError(f"{FILE_NAME}: pid is {mark.pid!r}")
    return mark


def lives(mark: Mark) -> bool | None:
    """Whether the process is there; None on another machine than its own, where nobody can tell."""
    if mark.host != socket.gethostname():
        return None
    return bool(mark.begun) and _begun(mark.pid) == mark.begun


def _begun(pid: int) -> str:
    """Hundredths of a second from boot to the start of the process, which setting the clock does not change; "" where
    it does not run, or is a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return str(round(100 * (process.create_time() - psutil.boot_time())))
    except (psutil.Error, OverflowError):
        return ""
