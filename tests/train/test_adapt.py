"""`wfm adapt`: the masked loss on the domain falls, LoRA alone changes, and what was seen is on record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.tiny import adapt_recipe, snapshot, write_recipe

from foundation.adapt import merge_domain
from foundation.adapt.domain import read_domain
from foundation.adapt.lora import LORA_MODULES
from foundation.checkpoints.load import content_hashes, load_encoder, provenance
from foundation.cli import main
from foundation.config import AdaptRecipe, SamplesSection
from foundation.data.shards.content_hashes import hashes_of
from foundation.errors import RecipeError, TrainingError
from foundation.evaluate.leakage import refuse_overlap
from foundation.train.adapt import adapt, split_sessions


def test_the_held_out_loss_falls_and_only_the_adapted_matrices_change(domain: Path, trained: Path) -> None:
    facts = read_domain(domain)
    assert facts.after < facts.before
    base = load_encoder(trained / "model")
    merged = merge_domain(base, domain).state_dict()
    assert list(merged) == list(base.state_dict())
    changed = {name for name, value in base.state_dict().items() if not torch.equal(value, merged[name])}
    assert changed
    assert {name.split(".")[-2] for name in changed} <= set(LORA_MODULES)
    assert {name.split(".")[-1] for name in changed} == {"weight"}


def test_what_was_seen_is_on_record_and_refused_where_it_is_tested(domain: Path, shards_dir: Path) -> None:
    seen = SamplesSection(shards=str(shards_dir), split="room", part="train", samples=48)
    assert np.array_equal(content_hashes(domain), hashes_of([seen]))
    record = provenance(domain)
    assert record is not None
    assert record.datasets[0].samples == 48
    refuse_overlap(domain, shards_dir, "room", ["test"], "adapted to")
    with pytest.raises(RecipeError, match="was adapted to session"):
        refuse_overlap(domain, shards_dir, "room", ["train"], "adapted to")


def test_fine_tuning_refuses_a_domain_adapter_that_saw_its_test_recordings(
    domain: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {"shards": str(shards_dir), "label": "activity", "split": "recording"}
    fields = {"name": "a", "out": str(tmp_path / "a"), "checkpoint": "wfm-small", "task": task}
    config = write_recipe(tmp_path / "tune.yaml", {**fields, "domain": str(domain)})
    assert main(["finetune", "--config", str(config)]) == 2
    assert "was adapted to" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_folder_appears_whole_or_not_at_all_and_is_never_overwritten(
    trained: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = adapt_recipe(shards_dir, trained / "model", tmp_path / "out")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("foundation.train.adapt.write_seen", interrupted)
        adapt(AdaptRecipe.model_validate(fields))
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    config = write_recipe(tmp_path / "adapt.yaml", fields)
    before = snapshot(tmp_path)
    assert main(["adapt", "--config", str(config)]) == 2
    assert "exists and is left alone" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


def test_an_adapter_that_does_not_lower_the_loss_is_not_saved(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    fields = adapt_recipe(shards_dir, trained / "model", tmp_path / "out", learning_rate=50.0, steps=4, check_every=2)
    with pytest.raises(TrainingError, match=r"never fell below the base's .* no adapter is saved"):
        adapt(AdaptRecipe.model_validate(fields))
    assert not list(tmp_path.iterdir())


def test_too_few_recordings_are_refused_in_a_sentence(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    fields = adapt_recipe(shards_dir, trained / "model", tmp_path / "out")
    fields["data"]["samples"] = 1
    with pytest.raises(TrainingError, match="too few to adapt to"):
        adapt(AdaptRecipe.model_validate(fields))


def test_the_record_holds_the_resolved_recipe(domain: Path) -> None:
    recipe = json.loads((domain / "pretraining.json").read_text())["recipe"]
    assert recipe["rank"] == 4
    assert recipe["data"]["part"] == "train"


def test_the_end_of_every_session_is_held_out() -> None:
    rows, held = split_sessions(["b"] * 10 + ["a"] * 10, 0.2)
    assert held.tolist() == [8, 9, 18, 19]
    assert sorted([*rows, *held]) == list(range(20))


def test_of_sessions_of_one_sample_every_fifth_is_held_out() -> None:
    _, held = split_sessions([f"{number:03}" for number in range(50)], 0.2)
    assert len(held) == 10
    assert len(set(np.diff(held))) == 1
