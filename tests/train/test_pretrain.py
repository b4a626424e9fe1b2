"""Pretraining from the command line: outputs, exact resume and determinism."""

from __future__ import annotations

import csv
import itertools
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.tiny import cut_off_at, environment, pretrain_recipe, python, snapshot, write_recipe
from helpers.weights import same_weights, weights_of

from foundation.checkpoints.layout import FINAL, numbered
from foundation.cli import main
from foundation.config import CorpusSection, PretrainRecipe, load_recipe
from foundation.data.shards.corpus import read_part
from foundation.data.stream import ShardStream
from foundation.data.tokens import tokenize
from foundation.models.config import model_config
from foundation.nn.patches import cut
from foundation.train.module import PretrainModule
from foundation.train.pretrain import pretrain

FEW = "recording/test"  # 56 samples, so that an epoch is over soon


def _metrics(run: Path, version: int = 0) -> list[dict[str, float]]:
    """Rows of the CSV log; `version` counts the starts of the run; empty cells are left out."""
    with (run / "logs" / f"version_{version}" / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_a_run_directory_holds_recipe_checkpoints_logs_and_model(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "recipe.yaml",
        "content_hashes.safetensors",
        "pretraining.json",
        "checkpoints",
        "logs",
        "model",
    }
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {FINAL, "step=3.ckpt", "step=6.ckpt"}
    assert load_recipe(trained / "recipe.yaml", PretrainRecipe).train.steps == 8


def test_every_step_logs_finite_loss_and_throughput(trained: Path) -> None:
    rows = _metrics(trained)
    assert [row["step"] for row in rows] == list(range(8))
    for row in rows:
        assert {"loss", "mse", "denoising", "samples_per_s", "tokens_per_s", "mfu"} <= row.keys()
        assert all(math.isfinite(value) for value in row.values())
        assert row["tokens_per_s"] > row["samples_per_s"] > 0
        assert 0 < row["mfu"] < 1


def test_training_lowers_the_loss_of_recordings_it_never_saw(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=60, learning_rate=3e-3, checkpoint_every=1000)
    pretrain(recipe)
    torch.manual_seed(0)
    module = PretrainModule(recipe).eval()
    batch = tokenize(read_part(shards_dir, "room", "test"), module.model.config)

    @torch.no_grad()
    def loss() -> float:
        """Over the same eight masks before and after."""
        draws = (torch.Generator().manual_seed(seed) for seed in range(8))
        return sum(float(module.objective(module.model, batch, draw)[0]) for draw in draws) / 8

    before = loss()
    module.model.load_state_dict(weights_of(tmp_path / "run"))
    assert loss() < 0.9 * before


def test_the_second_call_says_it_is_done_and_changes_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(trained)
    assert main(["pretrain", "--config", str(trained / "recipe.yaml")]) == 0
    assert "already trained to step 8; nothing to do" in capsys.readouterr().out
    assert snapshot(trained) == before


def _run_killed_at(step: int, config: Path) -> None:
    """`wfm pretrain` in a process that is killed (kill -9) when it begins `step`; the checkpoint before is written."""
    program = f"""
import os, signal, sys
from foundation.train.failed_step import replay
from foundation.train.module import PretrainModule
plain = PretrainModule.training_step
def killed(self, batch, batch_idx):
    if self.global_step == {step}:
        self.trainer.strategy.checkpoint_io.finish()
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, batch, batch_idx)
PretrainModule.training_step = killed
from foundation.cli import main
sys.exit(main(["pretrain", "--config", {str(config)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-3000:]


@pytest.mark.parametrize("batch_tokens", [None, 400])
def test_a_checkpoint_says_how_far_the_stream_is(shards_dir: Path, tmp_path: Path, batch_tokens: int | None) -> None:
    """The position means the same to any number of ranks (`test_stream`), so a run goes on with another one."""
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", FEW, batch_size=14, steps=9, batch_tokens=batch_tokens)
    first = pretrain(recipe)
    state = torch.load(first.checkpoint, weights_only=True)["Shards"]
    split, part = FEW.split("/")
    config = model_config(recipe)
    drawn = list(
        ShardStream(
            [CorpusSection(shards=shards_dir, split=split, part=part)], config, 14, 0, 9, batch_tokens=batch_tokens
        )
    )
    assert state == {"position": drawn[-1][1], "step": 9}
    assert (state["position"] == 9 * 14) == (batch_tokens is None)


def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, run))
    _run_killed_at(5, config)
    assert [path.name for path in numbered(run / "checkpoints")] == ["step=3.ckpt"]
    assert not (run / "checkpoints" / FINAL).exists()
    assert main(["pretrain", "--config", str(config)]) == 0
    resumed = {row["step"] for row in _metrics(run, version=1)}
    assert resumed == {3, 4, 5, 6, 7}, "it must go on at the checkpoint, not from the start"
    assert same_weights(weights_of(run), weights_of(trained))


@pytest.mark.parametrize("checkpoint_every", [4, 5], ids=["at the end of an epoch", "within an epoch"])
def test_resuming_in_a_later_epoch_is_exact(checkpoint_every: int, shards_dir: Path, tmp_path: Path) -> None:
    """An epoch is 4 batches; the stand-in power cut comes in the second one, and training ends in the third."""
    whole, broken = (_three_epochs(shards_dir, tmp_path / name, checkpoint_every) for name in ("whole", "broken"))
    pretrain(whole)
    cut_off_at(6, broken)
    pretrain(broken)
    assert {row["step"] for row in _metrics(broken.out, version=1)} == set(range(checkpoint_every, 9))
    assert same_weights(weights_of(broken.out), weights_of(whole.out))


@pytest.mark.slow
def test_resuming_with_loader_workers_is_exact(shards_dir: Path, tmp_path: Path) -> None:
    whole, broken = (_three_epochs(shards_dir, tmp_path / name, 4, workers=2) for name in ("whole", "broken"))
    configs = [str(write_recipe(tmp_path / f"{recipe.out.name}.yaml", recipe)) for recipe in (whole, broken)]
    _run_killed_at(6, Path(configs[1]))
    # In a process of its own: loader workers of a finished run take seconds to leave a living one.
    python("from foundation.cli import main\n" + "".join(f"main(['pretrain', '--config', {c!r}])\n" for c in configs))
    assert {row["step"] for row in _metrics(broken.out, version=1)} == set(range(4, 9))
    assert same_weights(weights_of(broken.out), weights_of(whole.out))


def _three_epochs(shards: Path, out: Path, checkpoint_every: int, workers: int = 0) -> PretrainRecipe:
    """9 steps of 4 batches an epoch."""
    recipe = pretrain_recipe(shards, out, FEW, batch_size=14, steps=9, checkpoint_every=checkpoint_every)
    recipe.data.workers = workers
    return recipe


def test_every_epoch_reads_every_batch_in_another_order(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", FEW, batch_size=14, steps=12)
    seen: list[torch.Tensor] = []
    plain = PretrainModule.training_step

    def remember(self: PretrainModule, drawn: Any, batch_idx: int) -> Any:
        seen.append(cut(drawn[0][0])["values"].sum((1, 2)))
        return plain(self, drawn, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainModule, "training_step", remember)
        pretrain(recipe)
    epochs = [torch.cat(seen[start : start + 4]) for start in (0, 4, 8)]
    for one, two in itertools.pairwise(epochs):
        assert not torch.equal(one, two)
        assert torch.equal(one.sort()[0], two.sort()[0])


def test_seeds_change_the_weights(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    other = pretrain_recipe(shards_dir, tmp_path / "run").model_copy(update={"seed": 1})
    pretrain(other)
    assert not same_weights(weights_of(tmp_path / "run"), weights_of(trained))


def test_dry_run_prints_the_resolved_recipe_and_writes_nothing(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run"))
    before = snapshot(tmp_path)
    assert main(["pretrain", "--config", str(config), "--dry-run", "train.steps=3", "objective.mean_share=0.4"]) == 0
    printed = capsys.readouterr().out
    assert snapshot(tmp_path) == before
    again = write_recipe(tmp_path / "again.yaml", yaml.safe_load(printed))
    recipe = load_recipe(again, PretrainRecipe)
    assert (recipe.train.steps, recipe.objective.mean_share, recipe.train.weight_decay) == (3, 0.4, 0.05)
    assert recipe == load_recipe(config, PretrainRecipe, ["train.steps=3", "objective.mean_share=0.4"])
