"""Content hashes of pretraining samples: an evaluation set that overlaps is refused, however its shards are named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import pretrain_recipe

from foundation.checkpoints.export import export
from foundation.checkpoints.load import content_hashes
from foundation.config import CorpusSection
from foundation.data.shards.content_hashes import FILE_NAME, hashes_of, load_hashes, save_hashes
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.spec import Dataset, Sample
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.errors import CheckpointError, RecipeError
from foundation.evaluate.leakage import refuse_overlap
from foundation.train.pretrain import pretrain


def _renamed(dataset: Dataset, factor: float = 1.0) -> Dataset:
    """The same recordings as somebody else would publish them: other name, keys, sessions, environments."""
    splits = {
        "theirs": {
            part: [f"other/{name}" for name in names]
            for part, names in dataset.splits()[next(iter(dataset.splits()))].items()
        }
    }
    return replace(
        dataset,
        name="other",
        pieces=[partial(_samples, piece, factor) for piece in dataset.pieces],
        splits=lambda: splits,
    )


def _samples(piece: object, factor: float) -> Iterator[Sample]:
    for key, signal in piece():  # type: ignore[operator]
        yield (
            f"z{key}",
            signal.with_(
                values=signal.values * np.float32(factor),
                clean=None,
                session=f"other/{signal.session}",
                environment="elsewhere",
                source="other",
            ),
        )


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards of `tiny.shards_dir` again, under other names."""
    out = tmp_path_factory.mktemp("other") / "other"
    write_shards(_renamed(open_dataset("simulated", count=400, seed=0)), out)
    return out


def _refuse(checkpoint: Path, shards: Path, split: str, test: str) -> None:
    refuse_overlap(str(checkpoint), shards, split, [test])


def test_the_record_is_of_the_training_part(trained: Path, shards_dir: Path) -> None:
    seen = load_hashes(trained / FILE_NAME)
    parts = Manifest.load(shards_dir).summary.parts["room"]
    assert len(seen) == parts["train"]
    assert np.isin(hashes_of([CorpusSection(shards=shards_dir, split="room", part="train")]), seen).all()
    assert not np.isin(hashes_of([CorpusSection(shards=shards_dir, split="room", part="test")]), seen).any()
    assert np.array_equal(content_hashes(trained / "model"), seen)
    assert np.array_equal(content_hashes(trained / "checkpoints" / "final.ckpt"), seen)
    assert (trained / FILE_NAME).stat().st_size < 8 * len(seen) + 1000


@pytest.mark.parametrize("checkpoint", ["model", "checkpoints/final.ckpt"])
def test_what_was_seen_is_refused_under_another_name(trained: Path, other: Path, checkpoint: str) -> None:
    """The training part of `other` is what `trained` saw, in other shards and sessions; its test part is not."""
    seen = Manifest.load(other).summary.parts["theirs"]["train"]
    with pytest.raises(RecipeError, match=rf"was pretrained on {seen} of {seen} samples of .*other, part 'train'"):
        _refuse(trained / checkpoint, other, "theirs", "train")
    _refuse(trained / checkpoint, other, "theirs", "test")


def test_what_was_not_seen_is_accepted(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    _refuse(trained / "model", shards_dir, "room", "test")
    write_shards(_renamed(open_dataset("simulated", count=400, seed=1)), tmp_path / "fresh")
    _refuse(trained / "model", tmp_path / "fresh", "theirs", "train")


def test_scaled_copies_are_left_to_verify(trained: Path, tmp_path: Path) -> None:
    """Said in the docs of `refuse_overlap`: equal values are found, copies are not."""
    write_shards(_renamed(open_dataset("simulated", count=400, seed=0), factor=0.5), tmp_path / "scaled")
    _refuse(trained / "model", tmp_path / "scaled", "theirs", "train")


def test_an_export_without_a_record_goes_by_sessions(
    trained: Path, shards_dir: Path, other: Path, tmp_path: Path
) -> None:
    old = tmp_path / "model"
    old.mkdir()
    for path in (trained / "model").iterdir():
        if path.name != FILE_NAME:
            (old / path.name).symlink_to(path)
    assert content_hashes(old) is None
    _refuse(old, other, "theirs", "train")
    with pytest.raises(RecipeError, match="was pretrained on session"):
        _refuse(old, shards_dir, "room", "train")


def test_a_continued_model_remembers_what_it_began_with(
    trained: Path, shards_dir: Path, other: Path, tmp_path: Path
) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", "room/test", steps=1)
    recipe.init = str(trained / "model")
    model = export(pretrain(recipe).checkpoint, tmp_path / "model")
    seen = content_hashes(model)
    assert seen is not None
    assert len(seen) == Manifest.load(shards_dir).count
    for part in ("train", "test"):
        with pytest.raises(RecipeError, match="samples of"):
            _refuse(model, other, "theirs", part)


def test_a_damaged_record_is_an_error(trained: Path, tmp_path: Path) -> None:
    whole = (trained / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-5])
    with pytest.raises(CheckpointError, match="is no record of what pretraining saw"):
        load_hashes(tmp_path / FILE_NAME)
    save_hashes(tmp_path / FILE_NAME, np.zeros((2, 2), np.uint64))
    with pytest.raises(CheckpointError, match="expected sorted 64-bit hashes"):
        load_hashes(tmp_path / FILE_NAME)


@pytest.mark.real
def test_the_same_recordings_built_again_are_refused(data_root: Path, tmp_path: Path) -> None:
    """Real windows: what a run on the executions e01 to e08 of D1 saw, and the same files under another name."""
    dataset = open_dataset("stability-csi-har", raw=data_root / "stability-csi-har")
    write_shards(dataset, tmp_path / "ours")
    write_shards(_renamed(dataset), tmp_path / "theirs")
    seen = hashes_of([CorpusSection(shards=tmp_path / "ours", split="drift", part="train")])
    for part, count in (("train", 404), ("test-D2", 0)):
        assert (
            np.isin(hashes_of([CorpusSection(shards=tmp_path / "theirs", split="theirs", part=part)]), seen).sum()
            == count
        )
