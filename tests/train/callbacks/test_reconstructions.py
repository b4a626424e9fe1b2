"""Pictures of reconstructions during training: content, destinations, and no effect on training."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from helpers.signals import make_signal, mixed_signals, tiny_config
from helpers.tiny import environment, pretrain_recipe, wfm, write_recipe

from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe, load_recipe
from foundation.errors import ShardError
from foundation.generate.figure import reconstruction_picture
from foundation.generate.imputation import impute
from foundation.models import WfmForMaskedModeling
from foundation.results.figure_style import BLANK
from foundation.results.reconstruction_figure import reconstruction, reconstructions
from foundation.signal import Link, Signal
from foundation.train.callbacks import reconstructions as pictures
from foundation.train.callbacks.reconstructions import samples
from foundation.train.module import PretrainModule
from foundation.train.pretrain import FINAL, pretrain


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints" / FINAL)[1]


def _same(one: Path, two: Path) -> bool:
    first, second = _weights(one), _weights(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "pictures").glob("*"))


@pytest.fixture(scope="module")
def with_pictures(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pictures") / "run"
    pretrain(pretrain_recipe(shards_dir, out, picture_every=3))
    return out


def test_pictures_change_no_weight(with_pictures: Path, trained: Path) -> None:
    assert _names(with_pictures) == ["step=3.png", "step=6.png"]
    assert not (trained / "pictures").exists()
    assert _same(with_pictures, trained)


def test_drawing_draws_no_random_number_of_the_training(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run")
    module = PretrainModule(recipe).train()
    before = torch.get_rng_state(), random.getstate()
    assert pictures.Reconstructions(recipe, 1)._draw(module, 1)[:4] == b"\x89PNG"
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert all(part.training for part in module.modules())


def test_a_picture_has_three_windows_of_three_panels_and_changes_as_the_model_learns(with_pictures: Path) -> None:
    one, two = (matplotlib.image.imread(with_pictures / "pictures" / f"step={step}.png") for step in (3, 6))
    assert one.shape == two.shape
    blank = np.array([int(BLANK[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    left, middle, right = np.array_split(one[..., :3], 3, axis=1)
    hidden = [np.mean(np.all(np.abs(part - blank) < 0.01, axis=2)) for part in (left, middle, right)]
    assert hidden[1] > 0.3
    assert max(hidden[0], hidden[2]) < 0.1
    differs = [np.mean(part) for part in np.array_split(np.any(one != two, axis=2), 3, axis=1)]
    assert differs[2] > 5 * max(differs[:2]), "the same samples and masks, another reconstruction"


def test_pictures_are_drawn_in_bf16(shards_dir: Path, tmp_path: Path) -> None:
    pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=2, picture_every=2, precision="bf16-mixed"))
    assert _names(tmp_path / "run") == ["step=2.png"]


def test_a_damaged_sample_is_said_and_ends_no_run(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stand_in_damage(recipe: PretrainRecipe) -> list[Signal]:
        raise ShardError("shard-0.tar:a: is torn.")

    monkeypatch.setattr(pictures, "samples", stand_in_damage)
    run = pretrain(pretrain_recipe(shards_dir, tmp_path / "run", steps=2, picture_every=2))
    assert run.checkpoint.name == "final.ckpt"
    assert "no picture at step 2: shard-0.tar:a: is torn." in capsys.readouterr().out


def test_wandb_gets_the_pictures_and_the_resolved_recipe(shards_dir: Path, tmp_path: Path) -> None:
    config = write_recipe(tmp_path / "tiny.yaml", pretrain_recipe(shards_dir, tmp_path / "run", steps=4))
    done = wfm("pretrain", "--config", config, "logger=wandb", "train.picture_every=2", env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    (log,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(log)]
    read = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    records = [json.loads(line) for line in read.stdout.splitlines()]
    (sent,) = (record["run"]["config"]["update"] for record in records if record["type"] == "run")
    resolved = load_recipe(tmp_path / "run" / "recipe.yaml", PretrainRecipe).model_dump(mode="json")
    assert {name: sent[name] for name in resolved} == resolved, "defaults too"
    rows = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert {"loss", "gradient_norm", "loss_spikes", "memory_gb", "mfu"} <= {name for row in rows for name in row}
    shown = [log.parent / "files" / name for row in rows for name in row.get("reconstruction.filenames", [])]
    ours = [tmp_path / "run" / "pictures" / f"step={step}.png" for step in (2, 4)]
    assert [path.read_bytes() for path in shown] == [path.read_bytes() for path in ours]


def test_tensorboard_gets_scalars_and_pictures(shards_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=4, picture_every=2)
    recipe.logger = "tensorboard"
    pretrain(recipe)
    (folder,) = (tmp_path / "run" / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"loss", "gradient_norm", "loss_spikes", "memory_gb", "mfu"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2, 3]
    images = events.Images("reconstruction")
    assert [event.step for event in images] == [2, 4]
    ours = matplotlib.image.imread(tmp_path / "run" / "pictures" / "step=2.png")
    (tmp_path / "theirs.png").write_bytes(images[0].encoded_image_string)
    np.testing.assert_array_equal(matplotlib.image.imread(tmp_path / "theirs.png")[..., :3], ours[..., :3])


def test_samples_are_of_other_sessions_and_of_every_corpus(shards_dir: Path, tmp_path: Path) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run")
    found = samples(recipe)
    assert len({signal.session for signal in found}) == 3
    again = samples(recipe)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(found, again, strict=True))
    parts = ["train", "test", "train", "test"]
    corpora = [{"shards": str(shards_dir), "split": "room", "part": part} for part in parts]
    mixture = PretrainRecipe.model_validate(recipe.model_dump() | {"data": {"corpora": corpora}})
    rooms = [signal.session.split("/")[0] for signal in samples(mixture)]
    seen = {signal.session.split("/")[0] for signal in found}
    assert len(rooms) == 4
    assert not seen & {rooms[1], rooms[3]}, "every second corpus holds the rooms that the first does not"


def _fingerprint() -> Signal:
    values = np.random.default_rng(0).normal(-60, 5, (1, 30, 1)).astype(np.complex64)
    links, axes = tuple(Link(0, i) for i in range(30)), {"time_s": np.zeros(1), "frequency_hz": np.zeros(1)}
    return Signal(values=values, links=links, kind="rssi", is_real=True, carrier_hz=2.4e9, **axes)


@pytest.mark.parametrize("number", range(7))
def test_every_kind_of_signal_is_drawn_as_it_is(number: int) -> None:
    iq = make_signal(7, times=200, links=1, responses=1, kind="iq")
    signal = [*mixed_signals(), iq, _fingerprint()][number]
    torch.manual_seed(0)
    views = dict.fromkeys(("csi", "cir", "rssi", "iq"), "field")
    model = WfmForMaskedModeling(tiny_config(views=views)).eval()
    (imputed,) = impute(model, [signal], "random", torch.Generator().manual_seed(0), (0.75, 0.75))
    shown = reconstruction_picture(imputed)
    assert 0 < shown.visible_mask.mean() < 1, "something to see and something to compare"
    measured = np.where(signal.mask, signal.values, np.nan)
    measured = measured.real if signal.is_real else measured
    shapes = [measured[:, :, 0]] if number == 6 else [measured[:, i] for i in range(len(signal.links))]
    assert any(np.array_equal(shown.truth, each, equal_nan=True) for each in shapes)
    seen = shown.visible_mask & np.isfinite(shown.truth)
    assert np.array_equal(shown.prediction[seen], shown.truth[seen])
    assert (shown.unit == "dBm") == (signal.kind == "rssi")
    assert set(shown.nmse) == {"model", "linear interpolation"}
    assert reconstruction(shown)[:4] == reconstructions([shown, shown], "two")[:4] == b"\x89PNG"
