"""A real SLURM cluster on this one machine: slurmctld and two slurmd, brought up and taken down by the tests.

Debian's packages (slurm-wlm, munge) suffice: they are built to run several slurmd on one host. Everything lies in a
temporary folder, with munge's key and socket, and listens on free ports, so neither another cluster on this machine
nor a second test process is in the way. No cgroups, no database; the GPU of each node is pretended (`/dev/null`).
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from helpers import ROOT
from helpers.tiny import environment

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
NODES = ("one", "two")
PATIENCE = 300  # seconds; the machine may be busy

# Short times, so that tests of failure need not wait. cred_expire is also how long a requeued job stays back; less than
# 5 s is refused.
CONF = """
ClusterName=wfm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
FirstJobId={first}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
SlurmdTimeout=10
SlurmctldTimeout=10
KillWait=3
MessageTimeout=10
MinJobAge=3600
ReturnToService=2
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
GresTypes=gpu
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """Daemons, and what the tests ask of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        # Node names do not resolve; Lightning takes the port of a job from its number.
        self.env = environment(
            SLURM_CONF=str(self.conf), MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo", PYTHONPATH=str(ROOT)
        )

    def start(self) -> None:
        (self.folder / "munge").mkdir(mode=0o755)
        (self.folder / "state").mkdir()
        ports = _free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=2000 Gres=gpu:1"
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        self.conf.write_text(
            CONF.format(
                host=host,
                port=ports[0],
                user=getpass.getuser(),
                first=1000 + ports[0] % 4000,  # two clusters on one machine must not give jobs, and so ports, alike
                folder=self.folder,
                nodes="\n".join(nodes),
            )
        )
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        self._start_munge()
        self.run("slurmctld")
        for node in NODES:
            self.back(node)
        self.wait(lambda: self.run("sinfo", "-h", "-N", "-o", "%t").split() == ["idle"] * len(NODES), "idle nodes")

    def _start_munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        self.run("munged", "--force", *(f"--{option}={folder / name}" for option, name in files.items()))

    def run(self, *command: str) -> str:
        """What it printed; it has to succeed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}{self.logs()}"
        return done.stdout

    def state(self, job: str) -> str:
        """Such as PENDING; of a whole array, the states that its tasks are in."""
        return " ".join(sorted(set(self.run("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%T").split())))

    def wait(self, ready: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, f"no {what} after {seconds} s{self.logs()}"
            time.sleep(0.2)

    def wait_for(self, job: str, state: str, log: Path | None = None) -> None:
        """Until a job is in a state; fails at once where it has ended in another one."""

        def there() -> bool:
            now = self.state(job)
            said = log.read_text(errors="replace")[-3000:] if log is not None and log.exists() else ""
            assert (
                now == state
                or not {"FAILED", "TIMEOUT", "CANCELLED", "COMPLETED"} & set(now.split())
                or ("RUNNING" in now or "PENDING" in now or "COMPLETING" in now)
            ), f"job {job} is {now}, not {state}: {said}"
            return now == state

        self.wait(there, f"{state} of job {job}")

    def crash(self, node: str) -> None:
        """As a power cut would: its slurmd, its slurmstepds and its tasks are gone at once."""
        victims = [int((self.folder / f"slurmd-{node}.pid").read_text())]
        for pid, env in _environments():
            if f"SLURMD_NODENAME={node}" in env and f"SLURM_CONF={self.conf}" in env:
                victims += [pid, *_parents(pid, "slurmstepd")]
        _kill(victims)
        (self.folder / f"slurmd-{node}.pid").unlink()

    def back(self, node: str) -> None:
        self.run("slurmd", "-N", node)

    def processes(self, job: str) -> list[int]:
        """Of the tasks of a job, by rank."""
        ranks = {}
        for pid, env in _environments():
            if {f"SLURM_JOB_ID={job}", f"SLURM_CONF={self.conf}"} <= env and "foundation.cli" in _command(pid):
                ranks.update({int(text.split("=")[1]): pid for text in env if text.startswith("SLURM_PROCID=")})
        return [ranks[rank] for rank in sorted(ranks)]

    def logs(self) -> str:
        """The last lines of the daemons."""
        texts = ((path.name, path.read_text(errors="replace")[-1500:]) for path in self.folder.glob("*.log"))
        return "".join(f"\n--- {name}\n{text}" for name, text in texts)

    def stop(self) -> None:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("scancel", "--me")
        ours = [int(path.read_text()) for path in [*self.folder.glob("*.pid"), self.folder / "munge" / "pid"]]
        ours += [pid for pid, env in _environments() if f"SLURM_CONF={self.conf}" in env and _is_of_a_job(pid, env)]
        _kill(ours)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _environments() -> Iterator[tuple[int, set[str]]]:
    """Every process that we may look into, with its environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process.pid, {f"{name}={value}" for name, value in process.environ().items()}


def _command(pid: int) -> str:
    with suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def _is_of_a_job(pid: int, env: set[str]) -> bool:
    return "slurmstepd" in _command(pid) or any(text.startswith("SLURM_JOB_ID=") for text in env)


def _parents(pid: int, name: str) -> list[int]:
    """The parent, if it has that name."""
    with suppress(psutil.Error):
        parent = psutil.Process(pid).ppid()
        return [parent] if name in _command(parent) else []
    return []


def _kill(pids: list[int]) -> None:
    """All at once: stopped first, or one that is still there would report the end of another to the controller."""
    for how in (signal.SIGSTOP, signal.SIGKILL):
        for pid in dict.fromkeys(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, how)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two idle nodes, or a skip that says what is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where Debian has the daemons
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or sys.platform != "linux":
        pytest.skip(f"no SLURM here ({', '.join(missing)}); on Debian: apt-get install slurm-wlm munge")
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
