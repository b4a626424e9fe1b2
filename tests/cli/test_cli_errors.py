"""What a user gets wrong at the command line: one sentence, exit status 2, no traceback, nothing overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import pretrain_recipe, snapshot, wfm, write_recipe

from foundation.cli import main
from foundation.config import PretrainRecipe, load_recipe
from foundation.train.directory.ownership import take_ownership

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run `wfm ARGS`, expect a refusal that leaves `tmp_path` as it is, and return its sentence.

    In this process, since a start takes seconds; the tests that call `wfm` themselves see a process of its own.
    """

    def run(*args: object) -> str:
        before = snapshot(tmp_path)
        capfd.readouterr()
        assert main([str(arg) for arg in args]) == 2
        sentence = _sentence(capfd.readouterr().err)
        assert snapshot(tmp_path) == before
        return sentence

    return run


def _sentence(stderr: str) -> str:
    """All that stands on stderr: one sentence, no traceback, no noise of a library."""
    (sentence,) = stderr.splitlines()
    assert sentence.startswith("wfm: ")
    assert sentence.endswith(".")
    return sentence


@pytest.fixture
def damaged(shards_dir: Path, tmp_path: Path) -> Path:
    """A copy of the shards that a test may harm."""
    return Path(shutil.copytree(shards_dir, tmp_path / "shards"))


def _config(folder: Path, shards: Path, **train: object) -> Path:
    return write_recipe(folder / "tiny.yaml", pretrain_recipe(shards, folder / "run", **train))


def _owned(config: Path) -> Path:
    """The recipe of a run that has begun: its directory holds the resolved recipe, so nothing is left to write."""
    take_ownership(load_recipe(config, PretrainRecipe))
    return config


def test_a_truncated_capture(refused: Refused, tmp_path: Path) -> None:
    path = written(tmp_path / "a.dat", intel_record(random_csi(0), 0))
    path.write_bytes(path.read_bytes()[:-50])
    assert str(path) in refused("inspect", path)


def test_an_empty_capture(refused: Refused, tmp_path: Path) -> None:
    path = written(tmp_path / "a.dat")
    assert "is empty (0 bytes)" in refused("inspect", path)


def test_a_capture_of_nothing_but_nan(refused: Refused, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((56, 100), np.nan, np.float32))
    assert str(tmp_path / "a.npy") in refused("inspect", tmp_path / "a.npy")


def test_a_misspelt_key_names_the_nearest_also_in_a_process_of_its_own(shards_dir: Path, tmp_path: Path) -> None:
    config = _config(tmp_path, shards_dir)
    done = wfm("pretrain", "--config", config, "train.learning_rat=1e-3")
    assert done.returncode == 2
    assert "'train.learning_rat'; did you mean 'learning_rate'?" in _sentence(done.stderr)


def test_a_value_of_the_wrong_type(refused: Refused, shards_dir: Path, tmp_path: Path) -> None:
    config = _config(tmp_path, shards_dir)
    assert "train.steps" in refused("pretrain", "--config", config, "train.steps=many")


def test_a_missing_shard(refused: Refused, damaged: Path, tmp_path: Path) -> None:
    config = _owned(_config(tmp_path, damaged))
    (damaged / "simulated-000000.tar").unlink()
    assert "shard simulated-000000.tar of the manifest is missing" in refused("pretrain", "--config", config)


def test_a_flipped_byte_in_a_shard(damaged: Path, tmp_path: Path) -> None:
    path = damaged / "simulated-000003.tar"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = snapshot(tmp_path)
    done = wfm("shards", "verify", damaged)
    assert done.returncode == 2
    assert "simulated-000003.tar: its bytes changed" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(f"wfm: {damaged}: ")
    assert "Traceback" not in done.stderr
    assert snapshot(tmp_path) == before


def test_building_over_another_data_set(refused: Refused, damaged: Path) -> None:
    told = refused("shards", "build", "simulated", "--out", damaged, "--count", "400", "--seed", "1")
    assert "nothing was changed" in told


def test_an_unknown_data_set(refused: Refused, tmp_path: Path) -> None:
    told = refused("shards", "build", "simulate", "--out", tmp_path / "out")
    assert "did you mean 'simulated'?" in told


def test_a_data_set_without_its_raw_folder(refused: Refused, tmp_path: Path) -> None:
    assert "raw" in refused("shards", "build", "polyu-csi-ips", "--out", tmp_path / "out")


def test_raw_folder_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    told = refused("shards", "build", "polyu-csi-ips", "--raw", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert str(tmp_path / "nowhere") in told


def test_resuming_with_another_network(refused: Refused, trained: Path, tmp_path: Path) -> None:
    told = refused("pretrain", "--config", trained / "recipe.yaml", "model.hidden_size=64")
    assert "model.hidden_size: 32 there, 64 here" in told


def test_resuming_from_a_checkpoint_of_another_network(
    refused: Refused, trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    """The recipe fits the directory, but somebody copied a checkpoint into it."""
    recipe = pretrain_recipe(shards_dir, tmp_path / "run")
    recipe.model.hidden_size = 64
    config = _owned(write_recipe(tmp_path / "tiny.yaml", recipe))
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir()
    shutil.copy(trained / "checkpoints" / "step=6.ckpt", folder)
    assert str(folder / "step=6.ckpt") in refused("pretrain", "--config", config)


def test_resuming_from_a_truncated_checkpoint(
    refused: Refused, trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    config = _owned(_config(tmp_path, shards_dir))
    folder = tmp_path / "run" / "checkpoints"
    folder.mkdir()
    data = (trained / "checkpoints" / "step=6.ckpt").read_bytes()
    (folder / "step=6.ckpt").write_bytes(data[: len(data) // 2])
    assert str(folder / "step=6.ckpt") in refused("pretrain", "--config", config)


def _tune(folder: Path, shards: Path, checkpoint: Path, label: str = "activity") -> Path:
    fields = {
        "name": "tune",
        "out": str(folder / "adapter"),
        "checkpoint": str(checkpoint),
        "task": {"shards": str(shards), "label": label, "split": "room"},
        "tune": {"steps": 1},
    }
    return write_recipe(folder / "tune.yaml", fields)


def test_finetuning_a_folder_that_is_no_export(refused: Refused, shards_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    assert str(other) in refused("finetune", "--config", _tune(tmp_path, shards_dir, other))


def test_finetuning_a_missing_checkpoint(refused: Refused, shards_dir: Path, tmp_path: Path) -> None:
    missing = tmp_path / "run" / "model"
    told = refused("finetune", "--config", _tune(tmp_path, shards_dir, missing))
    assert f"{missing}: no such folder" in told


def test_an_unknown_label_names_the_known_ones(
    refused: Refused, trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    config = _tune(tmp_path, shards_dir, trained / "model", label="activities")
    told = refused("finetune", "--config", config)
    assert "'activities'; did you mean 'activity'? known: activity, lift_speed, limb_speed" in told


def test_a_truncated_checkpoint_in_a_process_of_its_own(trained: Path, tmp_path: Path) -> None:
    """Torch, Lightning and transformers are loaded here: none of them writes to stderr."""
    data = (trained / "checkpoints" / "final.ckpt").read_bytes()
    (tmp_path / "final.ckpt").write_bytes(data[: len(data) // 2])
    done = wfm("hub", "export", tmp_path / "final.ckpt", tmp_path / "model")
    assert done.returncode == 2
    assert str(tmp_path / "final.ckpt") in _sentence(done.stderr)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "missing"])
def test_exporting_what_is_no_checkpoint(damage: str, refused: Refused, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "final.ckpt"
    data = (trained / "checkpoints" / "final.ckpt").read_bytes()
    if damage != "missing":
        path.write_bytes(data[: len(data) // 2] if damage == "truncated" else b"GIF89a" + data[:100])
    assert str(path) in refused("hub", "export", path, tmp_path / "model")


def test_pushing_a_folder_that_is_not_there(refused: Refused, tmp_path: Path) -> None:
    assert "no such folder" in refused("hub", "push", tmp_path / "model", "lab/tiny")
