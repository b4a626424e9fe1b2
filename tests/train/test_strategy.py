"""Training strategies on two real ranks: equal losses and weights, exact resume, other numbers of ranks, guards."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers import ROOT
from helpers.tiny import environment, pretrain_recipe, write_recipe

from foundation.checkpoints.integrity import integrity_problem
from foundation.checkpoints.load import load_encoder, load_masked
from foundation.checkpoints.training import load_checkpoint
from foundation.cli import main
from foundation.config import PretrainRecipe
from foundation.errors import CheckpointError

# One process of xdist, or every run would be trained in each.
pytestmark = [pytest.mark.distributed, pytest.mark.slow, pytest.mark.xdist_group("strategies")]

#: Name of a run -> what its recipe says of machines. All take the same 96 samples in the same 6 steps.
RUNS: dict[str, dict[str, Any]] = {
    "one process": {"devices": 1, "accumulate": 2},
    "ddp": {"strategy": "ddp", "activation_checkpointing": True, "log_every": 2},
    "fsdp": {"strategy": "fsdp", "activation_checkpointing": True},
    "zero-0": {"strategy": "zero-0"},
    "zero-1": {"strategy": "zero-1", "offload": "optimizer"},
    "zero-2": {"strategy": "zero-2"},
    "zero-2, one process": {"strategy": "zero-2", "devices": 1, "accumulate": 2},
    "zero-3": {"strategy": "zero-3"},
    "zero-3, offload": {"strategy": "zero-3", "offload": "parameters", "activation_checkpointing": True},
}
REFERENCE = "one process"
RESUMED = ("fsdp", "zero-0", "zero-2", "zero-3")
TAKEN_UP = ("ddp", "fsdp", "zero-0", "zero-1", "zero-2", "zero-3")
Train = Callable[[str], Path]


def _recipe(shards: Path, out: Path, name: str, **train: Any) -> PretrainRecipe:
    numbers = {"steps": 6, "checkpoint_every": 3, "picture_every": 3, "devices": 2, **RUNS[name], **train}
    return pretrain_recipe(shards, out, **numbers)


def _train(recipes: dict[str, PretrainRecipe]) -> dict[str, Path]:
    """Train all in the same processes; each recipe must ask for as many."""
    configs = [write_recipe(recipe.out.with_suffix(".yaml"), recipe) for recipe in recipes.values()]
    command = [sys.executable, ROOT / "tests" / "helpers" / "pretrain_all.py", *configs]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: recipe.out for name, recipe in recipes.items()}


@pytest.fixture(scope="module")
def finished(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """The directory of a run of that name; trained once. Read, do not write."""
    folder = tmp_path_factory.mktemp("strategies")
    recipes = {name: _recipe(shards_dir, folder / name.replace(", ", "-"), name) for name in RUNS}

    @cache
    def of_as_many(devices: int) -> dict[str, Path]:
        return _train({name: recipe for name, recipe in recipes.items() if recipe.train.devices == devices})

    return lambda name: of_as_many(recipes[name].train.devices)[name]


@pytest.fixture(scope="module")
def resumed(finished: Train, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of two processes that stopped at step 3 and were taken up by two others."""
    folder = tmp_path_factory.mktemp("resumed")
    halfway = {name: _halfway(finished(name), folder / name) for name in RESUMED}
    return _train({name: _recipe(shards_dir, out, name) for name, out in halfway.items()})


@pytest.fixture(scope="module")
def alone(finished: Train, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of two processes that stopped at step 3 and were taken up by one, and a run of one in bf16.

    Nobody says that one process has to take two batches in a step; that step 3 is odd shows who counts batches.
    """
    folder, one = tmp_path_factory.mktemp("alone"), {"devices": 1, "log_every": 1}
    halfway = {name: _halfway(finished(name), folder / name) for name in TAKEN_UP}
    recipes = {name: _recipe(shards_dir, out, name, **one) for name, out in halfway.items()}
    return _train(
        {**recipes, "bf16": _recipe(shards_dir, folder / "bf16", "zero-1", **one, accumulate=2, precision="bf16-mixed")}
    )


def _curve(run: Path) -> dict[int, list[float]]:
    """Step -> loss and gradient norm of the first start of a run. Adam does not notice a gradient that is twice what it
    should be, the norm does; DeepSpeed does not tell that of stage 0."""
    with (run / "logs" / "version_0" / "metrics.csv").open() as file:
        columns = ("loss", "gradient_norm")
        return {int(row["step"]): [float(row[name]) for name in columns if name in row] for row in csv.DictReader(file)}


def _told(name: str) -> int:
    """How many numbers of the curve a run tells."""
    return 1 if name == "zero-0" else 2


def _weights(run: Path, name: str = "final.ckpt") -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / name)[1]


def _close(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(value, two[name], atol=1e-4) for name, value in one.items())


@pytest.mark.parametrize("name", [name for name in RUNS if name != REFERENCE])
def test_every_strategy_has_the_losses_and_weights_of_one_process(finished: Train, name: str) -> None:
    run, reference = finished(name), finished(REFERENCE)
    every = RUNS[name].get("log_every", 1)
    curve = _curve(reference)
    assert set(curve) == set(range(6))
    expected = {step: pytest.approx(curve[step][: _told(name)], rel=1e-5) for step in range(every - 1, 6, every)}
    assert _curve(run) == expected
    assert len({round(loss, 3) for loss, _ in curve.values()}) == 6
    weights = _weights(run)
    assert weights.keys() >= dict(load_masked(reference / "model").named_parameters()).keys()
    assert _close(weights, _weights(reference))


@pytest.mark.parametrize("name", ["ddp", "fsdp", "zero-2", "zero-3"])
def test_one_rank_draws_and_no_rank_waits_for_it(finished: Train, name: str) -> None:
    """Under FSDP and ZeRO-3 no rank holds the whole network."""
    drawn = {path.name for path in (finished(name) / "pictures").glob("*")}
    assert drawn == (set() if name in ("fsdp", "zero-3") else {"step=3.png", "step=6.png"})


@pytest.mark.parametrize("name", ["zero-1", "zero-2", "zero-3"])
def test_a_zero_checkpoint_is_exported(finished: Train, name: str, tmp_path: Path) -> None:
    run = finished(name)
    weights = _weights(run)
    assert main(["hub", "export", str(run / "checkpoints" / "final.ckpt"), str(tmp_path / "model")]) == 0
    for folder in (run / "model", tmp_path / "model"):
        exported = safetensors.torch.load_file(folder / "model.safetensors")
        assert exported.keys() == weights.keys()
        assert all(torch.equal(exported[key], weights[key]) for key in exported)
        assert torch.equal(
            load_encoder(folder).tokenizer.content[0].weight, weights["encoder.tokenizer.content.0.weight"]
        )


def test_a_zero_checkpoint_without_a_rank_is_refused(finished: Train, tmp_path: Path) -> None:
    checkpoint = tmp_path / "final.ckpt"
    shutil.copytree(finished("zero-2") / "checkpoints" / "final.ckpt", checkpoint)
    assert integrity_problem(checkpoint) is None
    next(checkpoint.glob("checkpoint/*rank_1*optim_states.pt")).unlink()
    assert "lacks checkpoint/" in (integrity_problem(checkpoint) or "")
    with pytest.raises(CheckpointError, match="Expected 2 of"):
        load_checkpoint(checkpoint)


def _halfway(run: Path, to: Path) -> Path:
    """A copy of a run as it stood at step 3."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("final.ckpt", "step=6.ckpt", "model", "logs"))
    return to


@pytest.mark.parametrize("name", RESUMED)
def test_an_interrupted_run_resumes_to_the_same_weights(finished: Train, resumed: dict[str, Path], name: str) -> None:
    run = resumed[name]
    assert set(_curve(run)) == {3, 4, 5}
    weights, whole, halfway = _weights(run), _weights(finished(name)), _weights(run, "step=3.ckpt")
    assert all(torch.equal(whole[key], weights[key]) for key in whole)
    assert not all(torch.equal(whole[key], halfway[key]) for key in whole)


@pytest.mark.parametrize("name", TAKEN_UP)
def test_one_process_goes_on_where_two_stopped(finished: Train, alone: dict[str, Path], name: str) -> None:
    """And takes the samples that were left, each once: or the losses could not be those of the whole run."""
    run = alone[name]
    whole = _curve(finished(REFERENCE))
    assert _curve(run) == {step: pytest.approx(whole[step][: _told(name)], rel=1e-5) for step in (3, 4, 5)}
    assert _close(_weights(run), _weights(finished(REFERENCE)))
    assert not list((run / "checkpoints").glob("*.partial"))


def test_zero_in_bf16_keeps_positions_exact(finished: Train, alone: dict[str, Path]) -> None:
    run = alone["bf16"]
    assert _curve(run) == {step: pytest.approx(curve, rel=0.05) for step, curve in _curve(finished(REFERENCE)).items()}
    rates = "encoder.tokenizer.place.position.rates"
    assert torch.equal(_weights(run)[rates], _weights(finished(REFERENCE))[rates])


def test_under_zero_one_bad_gradient_of_one_process_stops_all_before_the_step(shards_dir: Path, tmp_path: Path) -> None:
    """From the third step on, the second process adds a root whose slope is infinite where it stands."""
    config = write_recipe(tmp_path / "a.yaml", _recipe(shards_dir, tmp_path / "run", "zero-2", checkpoint_every=1))
    script = tmp_path / "run_with_a_pole.py"
    script.write_text(f"""
import sys
from foundation.cli import main
from foundation.objectives import MaskedObjective
from foundation.train.module import PretrainModule
plain = PretrainModule.training_step
def with_a_pole(self, drawn, batch_idx):
    out = plain(self, drawn, batch_idx)
    if self.global_step == 2 and self.global_rank == 1:
        weight = self.model.decoder.predict.weight
        out["loss"] = out["loss"] + (weight - weight.detach()).square().sum().sqrt()
    return out
PretrainModule.training_step = with_a_pole
sys.exit(main(["pretrain", "--config", {str(config)!r}]))
""")
    done = subprocess.run([sys.executable, script], env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "a gradient is nan at step 2; the optimizer did not step" in done.stderr
    assert {path.name for path in (tmp_path / "run" / "dumps").iterdir()} >= {"step=2-batch=1.safetensors"}
    assert (tmp_path / "run" / "checkpoints" / "step=2.ckpt").exists()
    assert not (tmp_path / "run" / "checkpoints" / "step=3.ckpt").exists()
