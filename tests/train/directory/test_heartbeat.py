"""The heartbeat file of a run: which process trains, and whether it still runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil

from foundation.train.directory.heartbeat import (
    TOLERANCE_S,
    Heartbeat,
    clear_heartbeat,
    is_running,
    read_heartbeat,
    set_heartbeat,
)


def test_a_heartbeat_identifies_its_process(tmp_path: Path) -> None:
    set_heartbeat(tmp_path)
    heartbeat = read_heartbeat(tmp_path)
    assert heartbeat is not None
    assert (heartbeat.host, heartbeat.pid) == (socket.gethostname(), os.getpid())
    assert is_running(heartbeat) is True
    reused = replace(heartbeat, begun=heartbeat.begun - 2 * TOLERANCE_S)
    assert is_running(reused) is False, "the process id now belongs to another process"
    assert is_running(replace(heartbeat, host="another-host")) is None
    clear_heartbeat(tmp_path)
    assert read_heartbeat(tmp_path) is None


def test_a_process_that_has_ended_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        begun = psutil.Process(process.pid).create_time() - psutil.boot_time()
        heartbeat = Heartbeat(socket.gethostname(), process.pid, begun, "")
        assert is_running(heartbeat) is True
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_running(heartbeat) is False, "a zombie does not train"
    assert is_running(heartbeat) is False
    assert is_running(replace(heartbeat, pid=1 << 40)) is False
