"""sbatch, squeue and scancel, and what they say in one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from foundation.cluster.jobs import PREFIX, Job
from foundation.errors import ClusterError

SECONDS = 60  # a scheduler that is restarting answers late


class QueuedJob(NamedTuple):
    """A line of squeue. `reason` is why it waits, or where it runs."""

    id: str
    name: str
    state: str
    time: str
    limit: str
    nodes: str
    reason: str


def submit(job: Job, after: str | None = None) -> str:
    """Give the script to sbatch and return the number of the job.

    Args:
        after: number of a job that has to succeed first (all of it, if it is an array). If it fails, this one goes too.

    Raises:
        ClusterError: there is no sbatch, or it refuses the job.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)  # sbatch does not, and the job would fail without a word
    wait = [] if after is None else [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
    return _run(["sbatch", "--parsable", *wait], job.script).strip().split(";")[0]


def queue() -> list[QueuedJob]:
    """Our jobs that wait or run, and those that ended within the last minutes (SLURM's MinJobAge).

    Raises:
        ClusterError: there is no squeue, or no answer.
    """
    lines = _run(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%j|%T|%M|%l|%D|%R"]).splitlines()
    jobs = [QueuedJob(*line.split("|", 6)) for line in lines]
    return [job for job in jobs if job.name.startswith(PREFIX)]


def cancel(ids: Sequence[str]) -> None:
    """Cancel jobs by number; a pretraining run saves first and stays resumable.

    Raises:
        ClusterError: there is no scancel, or one of the jobs is unknown; none is cancelled then.
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
