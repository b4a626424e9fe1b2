"""The heartbeat file: which process trains in a run directory, so that `wfm runs` can tell running from stopped.

It names host, process id and start time of the process: an id that the system has given to another process since then
is not mistaken for it. A killed process leaves the file behind; the process it names is then gone.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from foundation.files import write_atomically
from foundation.json_file import load_json

FILE_NAME = "running.json"
TOLERANCE_S = 2.0  # the boot time is in whole seconds and may be rounded differently later


@dataclass(frozen=True)
class Heartbeat:
    """The process that trains.

    Attributes:
        host: host name.
        pid: process id on that host.
        begun: start time of the process in seconds after boot, which setting the clock does not change.
        job: id of the SLURM job, "" outside one.
    """

    host: str
    pid: int
    begun: float
    job: str


def set_heartbeat(directory: Path) -> None:
    """Record this process as the one that trains in `directory`."""
    process = psutil.Process()
    heartbeat = Heartbeat(socket.gethostname(), process.pid, _begun(process), os.environ.get("SLURM_JOB_ID", ""))
    write_atomically(directory / FILE_NAME, json.dumps(asdict(heartbeat)))


def clear_heartbeat(directory: Path) -> None:
    """Remove the heartbeat, if any."""
    (directory / FILE_NAME).unlink(missing_ok=True)


def read_heartbeat(directory: Path) -> Heartbeat | None:
    """The heartbeat of a run directory; None if there is none.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        found = Heartbeat(**load_json(directory / FILE_NAME))
    except FileNotFoundError:
        return None
    except (OSError, TypeError) as error:
        raise ValueError(f"{FILE_NAME}: {error}") from None
    if not isinstance(found.pid, int) or found.pid < 1:
        raise ValueError(f"{FILE_NAME}: pid is {found.pid!r}")
    return found


def is_running(heartbeat: Heartbeat) -> bool | None:
    """Whether the process still runs; None if it started on another host, which cannot be queried from here.

    Raises:
        ValueError: the start time is not a number, or the system does not tell.
    """
    if heartbeat.host != socket.gethostname():
        return None
    begun = float(heartbeat.begun)
    try:
        process = psutil.Process(heartbeat.pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(_begun(process) - begun) <= TOLERANCE_S
    except (psutil.NoSuchProcess, OverflowError):
        return False
    except psutil.Error as error:
        raise ValueError(f"{FILE_NAME}: {error}") from None


def _begun(process: psutil.Process) -> float:
    return float(process.create_time() - psutil.boot_time())
