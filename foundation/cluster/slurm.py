"""Call sbatch, squeue and scancel, and report their errors in one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from foundation.cluster.jobs import PREFIX, Job
from foundation.errors import ClusterError

SECONDS = 60  # a scheduler that is restarting answers late


class QueuedJob(NamedTuple):
    """A line of squeue. `reason` is why it is pending, or the nodes it runs on."""

    id: str
    name: str
    state: str
    time: str
    limit: str
    nodes: str
    reason: str


def submit(job: Job, after: str | None = None) -> str:
    """Submit the script with sbatch and return the job id.

    Args:
        after: id of a job (or array) that has to succeed first. If it fails, this one is cancelled.

    Raises:
        ClusterError: sbatch does not exist or refuses the job.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)  # sbatch does not, and the job would fail without a word
    wait = [] if after is None else [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
    return _run(["sbatch", "--parsable", *wait], job.script).strip().split(";")[0]


def queue() -> list[QueuedJob]:
    """Jobs of wfm that are pending or running, and those that ended within the last minutes (SLURM's MinJobAge).

    Raises:
        ClusterError: squeue does not exist, or does not answer.
    """
    lines = _run(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%j|%T|%M|%l|%D|%R"]).splitlines()
    jobs = [QueuedJob(*line.split("|", 6)) for line in lines]
    return [job for job in jobs if job.name.startswith(PREFIX)]


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs by id; a pretraining run saves a checkpoint first and stays resumable.

    Raises:
        ClusterError: scancel does not exist, or one of the jobs is unknown; none is cancelled then.
    """
    for job in ids:
        _run(["squeue", "--noheader", f"--jobs={job}"])  # scancel says nothing where there is no such job
    _run(["scancel", *ids])


def _run(command: list[str], text: str | None = None) -> str:
    program = command[0]
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS)
    except FileNotFoundError:
        raise ClusterError(
            f"{program} is not on the PATH; run this where SLURM is installed (a login node), or look at the script "
            "with 'wfm slurm submit ... --dry-run'."
        ) from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{program} gave no answer in {SECONDS} s; does 'scontrol ping' find slurmctld?") from None
    said = " ".join(done.stderr.split())
    if done.returncode:
        raise ClusterError(f"{program}: {said or f'ended with status {done.returncode}'}")
    return done.stdout
