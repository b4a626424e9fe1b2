"""Callback that saves a checkpoint and ends training after a signal, and puts a SLURM job back into the queue.

Lightning's `SLURMEnvironment(auto_requeue=True)` saves inside the signal handler, wherever each rank happens to be.
Saving is a collective, so ranks at different points deadlock (Lightning issues #21406 and #21407; the broadcast in its
SIGTERM handler too). Here the handler only sets a flag, and all ranks agree on it at the end of a step.
"""

from __future__ import annotations

import os
import signal
import subprocess

import lightning as L
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from foundation.errors import TrainingError
from foundation.train.callbacks.base import Stepwise
from foundation.train.callbacks.checkpointing import Checkpointing
from foundation.train.callbacks.stop_signals import is_requeued, listen, told_to_stop
from foundation.train.module import PretrainModule


def slurm_environment() -> SLURMEnvironment | None:
    """Trainer plugin for SLURM, without Lightning's requeueing; None if srun did not start this process."""
    by_srun = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return SLURMEnvironment(auto_requeue=False) if by_srun else None


#: Steps between two times that ranks with accelerators agree on whether to stop.
AGREE_EVERY = 10


class Stop(Stepwise):
    """Saves a checkpoint and stops at the end of the step after a signal; of a requeued SLURM job, rank 0 requeues it.

    Attributes:
        signal: number of the signal that stopped training before its last step; 0 if none did.
    """

    def __init__(self, checkpointing: Checkpointing) -> None:
        self.checkpointing, self.signal = checkpointing, 0
        self._active = listen()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        listen()  # again: Lightning has just replaced our SIGTERM handler

    def after_step(self, trainer: L.Trainer, module: PretrainModule) -> None:
        if not self._active or trainer.global_step >= trainer.max_steps:
            return
        # To agree, ranks wait for one another and for their accelerators.
        if trainer.strategy.root_device.type != "cpu" and trainer.global_step % AGREE_EVERY:
            return
        if trainer.strategy.reduce_boolean_decision(told_to_stop() != 0, all=False):
            self.checkpointing.save(trainer)
            self.signal = told_to_stop() or signal.SIGTERM  # another rank was told
            trainer.should_stop = True

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.signal:
            return
        if trainer.is_global_zero and is_requeued():
            print(f"step {trainer.global_step}: told to stop; its checkpoint is saved.", flush=True)
            _requeue()
        trainer.strategy.barrier()  # no rank may end the job before it is requeued


def _requeue() -> None:
    """Requeue this job, unless it is ending anyway (cancelled, or requeued by SLURM).

    Raises:
        TrainingError: SLURM refuses.
    """
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
    if _slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T") != "RUNNING":
        return
    _slurm("scontrol", "requeue", job)
    print(f"job {job} is back in the queue.", flush=True)


def _slurm(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        # SLURM may terminate the tasks of a requeued job, scontrol among them, before scontrol returns.
        problem = None if done.returncode in (0, -signal.SIGTERM) else done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem is not None:
        raise TrainingError(
            f"{' '.join(command)}: {' '.join(problem.split())}; a checkpoint is saved: submit the same job again to "
            "resume."
        )
    return done.stdout.strip()
