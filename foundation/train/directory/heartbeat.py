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

from foundation.files import write_atomically

FILE_NAME = "running.json"


@dataclass(frozen=True)
class Mark:
    """Who trains. `begun`: clock ticks after boot at which the process began, "" where the system does not tell;
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
    try:
        os.kill(mark.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's, but there
        pass
    return _begun(mark.pid) == mark.begun


def _begun(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks
    return "" if fields[0] == "Z" else fields[19]  # proc(5): state, and starttime; a zombie trains no more
