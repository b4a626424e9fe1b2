"""The provenance record of a run, written before the first step; paths inside a checkpoint are never opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny import pretrain_recipe

from foundation.checkpoints.export import export
from foundation.checkpoints.layout import FINAL
from foundation.checkpoints.load import content_hashes, load_encoder, provenance
from foundation.checkpoints.provenance import PENDING, PROVENANCE, Record, load_record, save_record
from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe, load_recipe
from foundation.data.shards.content_hashes import FILE_NAME, load_hashes, load_sources
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.stated_hashes import FILE_NAME as STATED
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.errors import CheckpointError, ShardError
from foundation.evaluate.leakage import refuse_overlap
from foundation.redaction import published
from foundation.train.directory import provenance as provenance_module
from foundation.train.directory.provenance import finish_record, write_record
from foundation.train.pretrain import pretrain


def test_a_resumed_run_hashes_nothing_and_another_corpus_is_hashed_again(shards_dir: Path, tmp_path: Path) -> None:
    write_record(pretrain_recipe(shards_dir, tmp_path), begun=False)
    hashes, record = tmp_path / FILE_NAME, tmp_path / PROVENANCE
    written = hashes.stat().st_mtime_ns, record.stat().st_mtime_ns
    write_record(pretrain_recipe(shards_dir, tmp_path), begun=True)
    assert (hashes.stat().st_mtime_ns, record.stat().st_mtime_ns) == written
    write_record(pretrain_recipe(shards_dir, tmp_path, "room/test"), begun=False)
    summary = Manifest.load(shards_dir).summary
    assert len(load_hashes(hashes)) == load_record(record).datasets[0].samples == summary.parts["room"]["test"]


def test_until_it_has_taken_steps_a_run_may_begin_with_another_model(
    trained: Path, shards_dir: Path, tmp_path: Path
) -> None:
    plain = pretrain_recipe(shards_dir, tmp_path, "room/test")
    onward = plain.model_copy(update={"init": str(trained / "model")})
    parts = Manifest.load(shards_dir).summary.parts["room"]
    for recipe, samples, sets in (
        (plain, parts["test"], 1),
        (onward, sum(parts.values()), 2),
        (plain, parts["test"], 1),
    ):
        write_record(recipe, begun=False)
        assert len(load_hashes(tmp_path / FILE_NAME)) == samples
        assert len(load_record(tmp_path / PROVENANCE).datasets) == sets
    (tmp_path / PROVENANCE).unlink()  # as an earlier version left a run that goes on from a model
    write_record(onward, begun=True)
    assert len(load_hashes(tmp_path / FILE_NAME)) == sum(parts.values())
    assert len(load_record(tmp_path / PROVENANCE).datasets) == 2


def test_the_record_names_the_steps_that_a_run_was_given_last(shards_dir: Path, tmp_path: Path) -> None:
    write_record(pretrain_recipe(shards_dir, tmp_path, steps=80), begun=False)
    before = load_record(tmp_path / PROVENANCE)
    write_record(pretrain_recipe(shards_dir, tmp_path, steps=12), begun=True)
    after = load_record(tmp_path / PROVENANCE)
    assert (after.recipe["train"]["steps"], after.datasets) == (12, before.datasets)


def test_what_weights_and_run_both_read_is_recorded_once(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    first, begun = load_record(trained / PROVENANCE), load_recipe(trained / "recipe.yaml", PretrainRecipe)
    onward = begun.model_copy(update={"init": str(trained / "model"), "out": tmp_path})
    write_record(onward, begun=False)
    assert load_record(tmp_path / PROVENANCE).datasets == first.datasets


def test_the_record_is_found_by_a_bare_name_and_a_link(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.ckpt").symlink_to(trained / "checkpoints" / FINAL)
    monkeypatch.chdir(trained / "checkpoints")
    assert provenance(FINAL) == provenance(tmp_path / "link.ckpt") == provenance(trained / "model")
    assert provenance(FINAL) is not None


def test_a_misspelt_checkpoint_is_said_at_once(shards_dir: Path) -> None:
    for wrong in ("wfm-smal", "runs/my/model"):
        with pytest.raises(CheckpointError, match=f"{wrong}: no such folder; give an exported folder"):
            refuse_overlap(wrong, shards_dir, "room", ["test"])


def test_a_run_does_not_go_on_upon_shards_that_were_built_anew(shards_dir: Path, tmp_path: Path) -> None:
    write_record(pretrain_recipe(shards_dir, tmp_path), begun=False)
    before = (tmp_path / FILE_NAME).read_bytes()
    write_shards(open_dataset("simulated", count=320, seed=1), tmp_path / "anew")
    with pytest.raises(CheckpointError, match="its shards are not those that it began with"):
        write_record(pretrain_recipe(tmp_path / "anew", tmp_path), begun=True)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_finished_run_of_an_earlier_version_gets_its_record_and_can_be_exported(
    shards_dir: Path, tmp_path: Path
) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=1)
    checkpoint = pretrain(recipe).checkpoint
    (tmp_path / "run" / PROVENANCE).unlink()
    with pytest.raises(CheckpointError, match="call 'wfm pretrain' with its recipe once more"):
        export(checkpoint, tmp_path / "model")
    before = load_checkpoint(checkpoint)[1]
    again = load_checkpoint(pretrain(recipe).checkpoint)[1]
    assert all(torch.equal(again[name], weights) for name, weights in before.items()), "nothing was trained"
    record = provenance(export(checkpoint, tmp_path / "model"))
    assert record is not None
    assert [seen.name for seen in record.datasets] == ["simulated"]


def test_hashes_that_take_long_are_prepared_beside_the_run(
    trained: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path)
    monkeypatch.setattr(provenance_module, "MOST_AT_START", 10)
    process = write_record(recipe, begun=False)
    assert process is not None
    assert load_record(tmp_path / PROVENANCE).datasets, "the record is there before the first step"
    finish_record(recipe, process)
    assert process.exitcode == 0
    assert not (tmp_path / PENDING).exists()
    assert np.array_equal(load_hashes(tmp_path / FILE_NAME), load_hashes(trained / FILE_NAME))
    assert write_record(recipe, begun=True) is None, "a resumed run keeps them"


def test_until_its_hashes_are_ready_a_run_is_not_evaluated(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = pretrain_recipe(shards_dir, run, steps=1)
    checkpoint = pretrain(recipe).checkpoint
    (run / PENDING).write_text(load_sources(run / FILE_NAME))  # as a run on many samples that was killed leaves it
    (run / FILE_NAME).unlink()
    with pytest.raises(CheckpointError, match="are not ready, so overlaps cannot be checked; wait"):
        refuse_overlap(str(checkpoint), shards_dir, "room", ["test"])
    with pytest.raises(CheckpointError, match="are not ready"):
        export(checkpoint, tmp_path / "model")
    with pytest.raises(CheckpointError, match="its shards are not those that it began with"):
        write_record(pretrain_recipe(shards_dir, run, "room/test"), begun=True)
    assert pretrain(recipe).checkpoint == checkpoint, "the same command again prepares them"
    assert np.array_equal(load_hashes(run / FILE_NAME), load_hashes(trained / FILE_NAME))
    refuse_overlap(str(checkpoint), shards_dir, "room", ["test"])


def test_what_fails_beside_the_run_is_said_at_its_end(
    shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(shards_dir, tmp_path / "copy"))
    recipe = pretrain_recipe(copy, tmp_path / "run")
    (copy / STATED).write_bytes(b"nothing")
    monkeypatch.setattr(provenance_module, "MOST_AT_START", 10)
    process = write_record(recipe, begun=False)
    with pytest.raises(ShardError, match=r"content_hashes\.npy: its bytes are not those"):
        finish_record(recipe, process)


def _elsewhere(trained: Path, tmp_path: Path, **data: Any) -> Path:
    """The checkpoint of a run as a stranger may send it: alone, with a recipe of their making."""
    content = torch.load(trained / "checkpoints" / FINAL, map_location="cpu", weights_only=True)
    content["recipe"]["data"] = {"shards": "x", "split": "room", "part": "train", "corpora": []} | data
    torch.save(content, tmp_path / "sent.ckpt")
    return tmp_path / "sent.ckpt"


@pytest.mark.parametrize("place", ["pipe:touch {}; cat /dev/null", "http://127.0.0.1:9/{}"])
def test_no_address_in_a_checkpoint_is_opened(place: str, trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    """A checkpoint may be a stranger's: neither commands (`pipe:`, of webdataset) nor requests come of it."""
    proof = tmp_path / "proof"
    checkpoint = _elsewhere(trained, tmp_path, shards=place.format(proof))
    assert (provenance(checkpoint), content_hashes(checkpoint)) == (None, None)
    with pytest.warns(UserWarning, match=r"sent\.ckpt: nothing is on record of what it was pretrained on"):
        refuse_overlap(str(checkpoint), shards_dir, "room", ["test"])
    load_encoder(checkpoint)
    with pytest.raises(CheckpointError, match=r"its run has no pretraining\.json"):
        export(checkpoint, tmp_path / "model")
    assert not proof.exists()


def test_continuing_needs_the_same_configuration(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    """Weights of equal shapes are no proof: another patch size or view reads the same signal differently."""
    fields = pretrain_recipe(shards_dir, tmp_path / "run", steps=1).model_dump(mode="json")
    fields["init"] = str(trained / "model")
    fields["model"]["heads"] = 4
    with pytest.raises(CheckpointError, match=r"init: .*heads: 2 there, 4 here"):
        pretrain(PretrainRecipe.model_validate(fields))


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:key@host.example/a/b.tar", "https://(left out)@host.example/a/b.tar"),
        ("https://host.example/a?X-Amz-Signature=key", "https://host.example/a?(left out)"),
        ("https://me:k@e/y@host.example/a", "https://(left out)@host.example/a"),
        ("s3://host.example/a;token=key", "s3://host.example/a;(left out)"),
        ("https://host.example/a#sig=key", "https://host.example/a#(left out)"),
        ("data.shards=https://me:key@host.example/a", "data.shards=https://(left out)@host.example/a"),
        ("runs/shards/what?", "runs/shards/what?"),
    ],
)
def test_a_record_says_no_secret_of_an_address(address: str, shown: str, tmp_path: Path) -> None:
    assert published({"data": [{"shards": address}]}) == {"data": [{"shards": shown}]}
    save_record(tmp_path / PROVENANCE, Record(recipe={"data": {"shards": address}}, datasets=[]))
    assert json.loads((tmp_path / PROVENANCE).read_text())["recipe"]["data"]["shards"] == shown


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / PROVENANCE).write_text('{"datasets": [{"name": 3}]}')
    with pytest.raises(CheckpointError, match="is not a provenance record"):
        load_record(tmp_path / PROVENANCE)
