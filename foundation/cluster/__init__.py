"""Commands of `wfm` as SLURM jobs: templates in `slurm/` -> scripts -> sbatch, squeue, scancel."""

from foundation.cluster.jobs import Job, evaluate_job, finetune_job, pretrain_job, shards_jobs, suite_jobs
from foundation.cluster.render import Options
from foundation.cluster.slurm import QueuedJob, cancel, queue, submit

__all__ = [
    "Job",
    "Options",
    "QueuedJob",
    "cancel",
    "evaluate_job",
    "finetune_job",
    "pretrain_job",
    "queue",
    "shards_jobs",
    "submit",
    "suite_jobs",
]
