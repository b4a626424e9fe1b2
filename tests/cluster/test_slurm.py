"""Jobs on a real SLURM cluster of two nodes: they finish, survive signals and crashes, and end instead of hanging."""

from __future__ import annotations

import csv
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.slurm_cluster import NODES, Cluster
from helpers.tiny import pretrain_recipe, snapshot, wfm, write_recipe

from foundation.checkpoints.layout import FINAL, numbered
from foundation.checkpoints.training import load_checkpoint
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset

pytest_plugins = ["helpers.slurm_cluster"]
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.distributed, pytest.mark.xdist_group("slurm")]

STEPS = 40  # some seconds, so that what happens after the first checkpoint happens within training


@dataclass(frozen=True)
class Training:
    """A pretraining job: its number, its run directory and its output."""

    job: str
    run: Path
    log: Path

    def has_checkpoint(self) -> bool:
        return bool(numbered(self.run / "checkpoints"))

    def said(self) -> str:
        return self.log.read_text(errors="replace").replace("\r", "\n")

    def steps(self, start: int) -> list[int]:
        """Logged by the start of that number, from 0 on."""
        with (self.run / "logs" / f"version_{start}" / "metrics.csv").open() as file:
            return [int(row["step"]) for row in csv.DictReader(file)]


def submit(cluster: Cluster, *args: object) -> list[tuple[str, Path]]:
    """`wfm slurm submit ARGS`: numbers and outputs of the jobs."""
    done = wfm("slurm", "submit", *args, env=cluster.env)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"^job (\d+): \S+ submitted; its output goes to (\S+)\.$", done.stdout, re.MULTILINE)
    return [(job, Path(log.replace("%j", job).replace("%A", job))) for job, log in said]


def pretrain(cluster: Cluster, shards: Path, folder: Path, **train: Any) -> Training:
    """Submit the tiny recipe; `train` changes its numbers."""
    numbers = {"steps": STEPS, "checkpoint_every": 4, "nodes": 1, **train}
    config = write_recipe(folder / "tiny.yaml", pretrain_recipe(shards, folder / "run", **numbers))
    [(job, log)] = submit(cluster, "pretrain", "--config", config, "--cpus", 1, "--logs", folder / "logs")
    return Training(job, folder / "run", log)


@pytest.fixture(scope="module")
def whole(cluster: Cluster, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A run on both nodes that nothing disturbed."""
    training = pretrain(cluster, shards_dir, tmp_path_factory.mktemp("whole"), nodes=len(NODES))
    cluster.wait_for(training.job, "COMPLETED", training.log)
    return training


def test_a_job_on_two_nodes_finishes_and_exports(whole: Training) -> None:
    assert "start 1 of job" in whole.said()
    assert (whole.run / "model" / "model.safetensors").exists()
    assert whole.steps(0) == list(range(STEPS))


def test_a_signalled_run_goes_back_into_the_queue_and_ends_at_the_same_weights(
    cluster: Cluster, whole: Training, shards_dir: Path, tmp_path: Path
) -> None:
    broken = pretrain(cluster, shards_dir, tmp_path, nodes=len(NODES))
    cluster.wait(broken.has_checkpoint, "checkpoint")
    cluster.run("scancel", "--signal=USR1", broken.job)  # as SLURM does before the time limit
    cluster.wait_for(broken.job, "PENDING", broken.log)
    stopped = int(re.findall(r"step (\d+): told to stop", broken.said())[0])
    assert stopped < STEPS
    assert f"job {broken.job} is back in the queue." in broken.said()
    assert not (broken.run / "checkpoints" / FINAL).exists()
    cluster.wait_for(broken.job, "COMPLETED", broken.log)
    assert broken.steps(1) == list(range(stopped, STEPS)), "it goes on with the very next step"
    one, two = (load_checkpoint(run.run / "checkpoints" / FINAL)[1] for run in (whole, broken))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not list(broken.run.glob("checkpoints/last-*")), "a second 'last' would be resumed from too early"


def test_a_job_whose_node_crashes_waits_again_and_goes_on_elsewhere(
    cluster: Cluster, shards_dir: Path, tmp_path: Path
) -> None:
    training = pretrain(cluster, shards_dir, tmp_path)
    cluster.wait(training.has_checkpoint, "checkpoint")
    node = cluster.run("squeue", "-h", "-j", training.job, "-o", "%N").strip()
    cluster.crash(node)
    try:
        cluster.wait_for(training.job, "PENDING", training.log)
        cluster.wait_for(training.job, "COMPLETED", training.log)
    finally:
        cluster.back(node)
    assert "start 2 of job" in training.said()
    assert 0 < training.steps(1)[0] < STEPS
    assert training.steps(1)[-1] == STEPS - 1
    cluster.wait(lambda: "idle" in cluster.run("sinfo", "-h", "-n", node, "-o", "%t"), f"{node} in service")


def test_a_cancelled_run_saves_and_stays_cancelled(cluster: Cluster, shards_dir: Path, tmp_path: Path) -> None:
    long = 100 * STEPS  # on a busy machine the two commands below take longer than STEPS
    training = pretrain(cluster, shards_dir, tmp_path, steps=long, checkpoint_every=long)
    logged = training.run / "logs" / "version_0" / "metrics.csv"
    cluster.wait(lambda: logged.exists() and training.steps(0), "first step")
    shown = wfm("slurm", "status", env=cluster.env).stdout
    assert re.search(rf"^{training.job} +wfm-pretrain-tiny +RUNNING ", shown, re.MULTILINE)
    assert wfm("slurm", "cancel", training.job, env=cluster.env).returncode == 0
    cluster.wait_for(training.job, "CANCELLED", training.log)
    assert training.has_checkpoint()
    assert "told to stop" in training.said()
    assert "back in the queue" not in training.said()


def test_a_rank_that_stands_still_ends_the_job(cluster: Cluster, shards_dir: Path, tmp_path: Path) -> None:
    training = pretrain(cluster, shards_dir, tmp_path, devices=2, timeout_s=20)
    cluster.wait(training.has_checkpoint, "checkpoint")
    _, second = cluster.processes(training.job)
    os.kill(second, signal.SIGSTOP)
    cluster.wait_for(training.job, "FAILED", training.log)
    assert "Timed out waiting 20000ms" in training.said()
    assert not (training.run / "checkpoints" / FINAL).exists()


def test_an_array_of_parts_and_its_merge_give_the_bytes_of_one_build(cluster: Cluster, tmp_path: Path) -> None:
    one, parts = tmp_path / "one", tmp_path / "parts"
    options = ("--parts", 3, "--cpus", 1, "--logs", tmp_path / "logs")
    (array, _), (merge, log) = submit(cluster, "shards", *options, "simulated", "--out", parts, "--count", 320)
    cluster.wait_for(merge, "COMPLETED", log)
    assert cluster.state(array) == "COMPLETED"
    write_shards(open_dataset("simulated", count=320), one)
    assert snapshot(parts) == snapshot(one)


def test_a_part_that_fails_takes_the_merge_out_of_the_queue(cluster: Cluster, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("a file where the folder should be")
    options = ("--parts", 2, "--cpus", 1, "--logs", tmp_path / "logs")
    (array, _), (merge, _) = submit(cluster, "shards", *options, "simulated", "--out", out, "--count", 320)
    cluster.wait_for(merge, "CANCELLED")
    assert cluster.state(array) == "FAILED"


def test_fine_tuning_every_domain_and_an_evaluation(
    cluster: Cluster, whole: Training, shards_dir: Path, tmp_path: Path
) -> None:
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    fields = {"name": "tiny", "checkpoint": str(whole.run / "model"), "task": task}
    tune = {"steps": 2}
    recipe = write_recipe(tmp_path / "tune.yaml", {**fields, "out": str(tmp_path / "tuned"), "tune": tune})
    judge = {**fields, "set": "simulated", "modes": ["baseline"], "fractions": [1.0], "seeds": [0]}
    judged = write_recipe(tmp_path / "judge.yaml", {**judge, "cache": str(tmp_path / "fits")})
    common = ("--cpus", 1, "--gpus", 1, "--logs", tmp_path / "logs")  # the one GPU of a node is pretended
    domains = ("--domain", "all", "--domain", "half", "fraction=0.5")
    [(array, log)] = submit(cluster, "finetune", "--config", recipe, *common, *domains)
    [(evaluation, said)] = submit(cluster, "evaluate", "--config", judged, *common, "--json", tmp_path / "rows.json")
    cluster.wait_for(array, "COMPLETED", Path(str(log).replace("%a", "0")))
    cluster.wait_for(evaluation, "COMPLETED", said)
    assert {path.name for path in (tmp_path / "tuned").iterdir()} == {"all", "half"}
    assert (tmp_path / "rows.json").exists()
    again = wfm("slurm", "submit", "finetune", "--config", recipe, *common, *domains, env=cluster.env)
    assert again.returncode == 2
    assert "exist already" in again.stderr


def test_a_refused_job_and_an_unknown_one_are_one_sentence_each(cluster: Cluster, tmp_path: Path) -> None:
    common = ("--logs", tmp_path / "logs", "--partition", "nowhere")
    refused = wfm("slurm", "submit", "shards", "--parts", 2, *common, "simulated", "--out", "x", env=cluster.env)
    unknown = wfm("slurm", "cancel", "999999", env=cluster.env)
    assert (refused.returncode, unknown.returncode) == (2, 2)
    assert re.fullmatch(r"wfm: sbatch: .*invalid partition.*\n", refused.stderr)
    assert re.fullmatch(r"wfm: squeue: .*Invalid job id.*\n", unknown.stderr)
