"""ZeRO-2 on two CPU processes: the losses of DDP, a checkpoint that resumes and exports; and on one process."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny import MODEL, TRAIN, pretrain_recipe, wfm, write_recipe

from foundation.hub.load import load_encoder, load_masked
from foundation.train.checkpoint import load_checkpoint

pytest_plugins = ["tiny"]
pytestmark = pytest.mark.distributed

ROOT = Path(__file__).resolve().parents[1]


def _losses(run: Path, version: int = 0) -> dict[int, float]:
    """Step -> loss; `version` counts the starts of the run."""
    with (run / "logs" / f"version_{version}" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row["loss"]}


def _pretrain(shards: Path, out: Path, strategy: str, devices: int) -> Path:
    """The quickstart's recipe, made small by overrides."""
    train = TRAIN | {"strategy": strategy, "devices": devices, "steps": 6, "checkpoint_every": 4, "picture_every": 3}
    done = wfm(
        "pretrain",
        "--config",
        ROOT / "recipes" / "quickstart.yaml",
        f"data.shards={shards}",
        f"out={out}",
        *(f"model.{name}={value}" for name, value in MODEL.items()),
        *(f"train.{name}={value}" for name, value in train.items()),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def ddp(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pretrain(shards_dir, tmp_path_factory.mktemp("ddp") / "run", "ddp", 2)


@pytest.fixture(scope="module")
def zero(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _pretrain(shards_dir, tmp_path_factory.mktemp("zero") / "run", "zero-2", 2)


def test_zero_2_has_the_losses_and_weights_of_ddp(zero: Path, ddp: Path) -> None:
    one, two = _losses(zero), _losses(ddp)
    assert one.keys() == two.keys() == set(range(6))
    assert all(abs(one[step] - two[step]) < 1e-4 for step in one)
    assert len({round(loss, 3) for loss in one.values()}) > 1
    weights, expected = (load_checkpoint(run / "checkpoints" / "final.ckpt")[1] for run in (zero, ddp))
    assert weights.keys() >= dict(load_masked(ddp / "model").named_parameters()).keys()
    for name, value in weights.items():
        assert torch.allclose(value, expected[name], atol=1e-4), name


def test_one_rank_draws_and_no_rank_waits_for_it(zero: Path, ddp: Path) -> None:
    for run in (zero, ddp):
        assert sorted(path.name for path in (run / "pictures").iterdir()) == ["step=3.png", "step=6.png"]


def test_ranks_read_different_samples(ddp: Path, trained: Path) -> None:
    """Two ranks of batch 8 are not one process of batch 8 that does its work twice."""
    alone = _losses(trained)
    assert any(abs(loss - alone[step]) > 1e-3 for step, loss in _losses(ddp).items())


def test_a_zero_checkpoint_is_exported_by_the_run_and_by_the_command(zero: Path, tmp_path: Path) -> None:
    checkpoint = zero / "checkpoints" / "final.ckpt"
    assert checkpoint.is_dir(), "each rank writes its own part"
    done = wfm("hub", "export", checkpoint, tmp_path / "model")
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_checkpoint(checkpoint)[1]
    exported = safetensors.torch.load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(exported[name], weights[name]) for name in exported)
    for folder in (zero / "model", tmp_path / "model"):
        assert torch.equal(
            load_encoder(folder).tokenizer.content[0].weight, weights["encoder.tokenizer.content.0.weight"]
        )


def test_an_interrupted_zero_run_resumes_to_the_same_weights(zero: Path, shards_dir: Path, tmp_path: Path) -> None:
    """Its end is taken away, which leaves the checkpoint of step 4."""
    (zero / "checkpoints" / "final.ckpt").rename(tmp_path / "final.ckpt")
    (zero / "model").rename(tmp_path / "model")
    _pretrain(shards_dir, zero, "zero-2", 2)
    whole, resumed = (load_checkpoint(path)[1] for path in (tmp_path / "final.ckpt", zero / "checkpoints/final.ckpt"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert set(_losses(zero, version=1)) == {4, 5}


def test_zero_2_in_one_process_trains_as_plain_does(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run", strategy="zero-2"))
    done = wfm("pretrain", "--config", config)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = _losses(tmp_path / "run"), _losses(trained)
    assert one.keys() == two.keys() == set(range(8))
    assert all(abs(one[step] - two[step]) < 1e-4 for step in one)
