"""`wfm study`: two variants and a tiny grid, end to end; resuming, refusing, and which parts are never read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.tiny import MODEL, TRAIN, pretrain_recipe, snapshot, write_recipe

from foundation.cli import main
from foundation.config import PretrainRecipe, load_recipe
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.errors import RecipeError
from foundation.models import WfmForMaskedModeling
from foundation.models.config import model_config
from foundation.results.rows import load_rows
from foundation.study import runs as study_runs
from foundation.study.heldout import ALL
from foundation.study.plan import Study
from foundation.study.probes import Labelled

RECIPES = ROOT / "recipes"


@pytest.fixture(scope="module")
def folder(shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretraining recipe, an evaluation recipe and a study of two variants, not run yet."""
    folder = tmp_path_factory.mktemp("study")
    write_recipe(folder / "pretrain.yaml", pretrain_recipe(shards_dir, folder / "unused", picture_every=None))
    task = {"shards": str(shards_dir), "label": "activity", "split": "room"}
    evaluated = {"name": "x", "set": "simulated", "checkpoint": "nowhere", "task": task}
    write_recipe(folder / "activity.yaml", evaluated)
    write_recipe(folder / "study.yaml", study_fields(folder, shards_dir))
    return folder


def study_fields(folder: Path, shards_dir: Path, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "tiny",
        "question": "Does denoising cost anything?",
        "pretrain": "pretrain.yaml",
        "variants": {"both": [], "masked": ["objective.denoising_weight=0.0"]},
        "seeds": [3],
        "held_out": {"shards": str(shards_dir), "split": "room", "part": "test", "samples": 16},
        "tasks": [{"recipe": "activity.yaml", "samples": 80}],
        "cache": str(folder / "runs"),
    }
    return fields | changes


@pytest.fixture(scope="module")
def done(folder: Path) -> Path:
    """The study run to its end by two shares and a last call, with its file and its page."""
    command = ["study", str(folder / "study.yaml")]
    for share in ("0/2", "1/2"):
        assert main([*command, "--array", share]) == 0
    assert main([*command, "--json", str(folder / "out.json"), "--html", str(folder / "out.html")]) == 0
    return folder


def test_a_study_measures_every_variant_and_the_untrained_network(done: Path) -> None:
    rows = load_rows(done / "out.json")
    assert {row.method for row in rows} == {"statistics", "untrained", "both", "masked"}
    scores = {row.metric for row in rows if row.method == "statistics"}
    assert scores == {"accuracy"}, "the closed form has no masked loss"
    assert {(row.metric, row.split, row.fraction) for row in rows} == {
        *(("masked_mse", kind, 1.0) for kind in (ALL, "random", "time", "response", "link")),
        *(("accuracy", "room, left-out training sessions", fraction) for fraction in (0.1, 1.0)),
    }
    raw = json.loads((done / "out.json").read_text())
    assert raw["study"]["variants"] == {"both": [], "masked": ["objective.denoising_weight=0.0"]}
    facts = {run["variant"]: run["facts"] for run in raw["runs"]}
    assert facts["untrained"]["steps"] == facts["untrained"]["tokens"] == 0
    model = WfmForMaskedModeling(model_config(load_recipe(done / "pretrain.yaml", PretrainRecipe)))
    assert facts["both"]["parameters"] == sum(p.numel() for p in model.encoder.parameters())
    assert facts["both"]["steps"] == TRAIN["steps"]
    assert facts["both"]["samples_seen"] == TRAIN["steps"] * TRAIN["batch_size"]
    tokens = 2 * (128 // 16 * 32 // 8 + 32 // 8)  # of a window: patches and static tokens of two links
    assert facts["both"]["tokens"] == facts["both"]["samples_seen"] * tokens
    assert facts["both"]["train_s"] > 0
    assert {each["verdict"] for each in raw["differences"]} == {"one seed: no interval"}
    page = (done / "out.html").read_text()
    assert "Does denoising cost anything?" in page
    assert page.count("<img") >= 3, "scores, losses, and the loss over steps"


def test_a_study_that_is_done_reads_what_it_kept(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot(done)
    monkeypatch.setattr(study_runs, "pretrain", lambda _: pytest.fail("everything is pretrained already"))
    monkeypatch.setattr(study_runs, "Judge", lambda _: pytest.fail("everything is measured already"))
    assert main(["study", str(done / "study.yaml"), "--json", str(done / "out.json")]) == 0
    assert snapshot(done) == before


def test_another_way_to_measure_keeps_the_pretraining_and_the_old_measurement(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(done)
    monkeypatch.setattr(study_runs, "pretrain", lambda _: pytest.fail("everything is pretrained already"))
    command = ["study", str(done / "study.yaml"), "fractions=[0.5]", "held_out=null"]
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to measure") == 4
    assert main(command) == 0
    after = snapshot(done)
    assert len(after) == len(before) + 4
    assert {name: after[name] for name in before} == before


def test_a_device_is_that_of_training_and_measuring(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, path = snapshot(done), str(done / "study.yaml")
    assert {run.pretrain.train.accelerator for run in Study.load(Path(path)).runs} == {TRAIN["accelerator"]}
    assert {run.pretrain.train.accelerator for run in Study.load(Path(path), ["device=mps"]).runs} == {"mps"}
    assert main(["study", path, "device=auto"]) == 0, "another device does not change what is trained"
    assert snapshot(done) == before
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(study_runs, "Judge", lambda _: pytest.fail("nothing is read for a device that is not there"))
    capsys.readouterr()
    assert main(["study", path, "device=mps", "fractions=[0.5]"]) == 2
    assert "device: mps is not there: torch finds 0 mps devices; use auto or cpu." in capsys.readouterr().err
    assert snapshot(done) == before


def test_a_changed_recipe_is_refused_before_anything_is_run(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(done)
    assert main(["study", str(done / "study.yaml"), "overrides=[train.steps=9]", "seeds=[3, 4]"]) == 2
    message = capsys.readouterr().err
    assert "both-3 was pretrained with another recipe (train.steps: 8 there, 9 here)" in message
    assert "another name=" in message
    assert snapshot(done) == before


def test_what_is_held_out_may_not_be_trained_on(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(done)
    assert main(["study", str(done / "study.yaml"), "held_out.part=train", "name=leak"]) == 2
    assert "variant 'both' trains on session 'room-" in capsys.readouterr().err
    write_shards(replace(open_dataset("simulated", count=400, seed=0), name="other"), tmp_path / "other")
    leak = [f"held_out.shards={tmp_path / 'other'}", "held_out.part=train", "name=leak"]
    assert main(["study", str(done / "study.yaml"), *leak]) == 2
    assert "variant 'both' trains on 16 of the 16 samples" in capsys.readouterr().err
    assert snapshot(done) == before


def test_a_file_of_something_else_is_left_alone(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = done / "other.json"
    other.write_text("[]")
    assert main(["study", str(done / "study.yaml"), "--json", str(other)]) == 2
    assert "is not of study 'tiny'; it was left alone" in capsys.readouterr().err
    assert other.read_text() == "[]"


def test_the_untrained_row_is_what_pretraining_starts_from(done: Path) -> None:
    """A variant that does not learn measures as the untrained network of its seed."""
    still = ["variants={still: [train.learning_rate=1.0e-30, train.weight_decay=0.0]}", "name=still"]
    assert main(["study", str(done / "study.yaml"), *still, "--json", str(done / "still.json")]) == 0
    found = {run["variant"]: run for run in json.loads((done / "still.json").read_text())["runs"]}
    assert found["still"]["losses"] == pytest.approx(found["untrained"]["losses"], rel=1e-5)
    assert found["still"]["scores"] == found["untrained"]["scores"]


def test_a_set_that_is_left_out_is_judged_by_an_encoder_that_has_not_seen_it(
    folder: Path, shards_dir: Path, tmp_path: Path
) -> None:
    write_shards(open_dataset("simulated", count=200, seed=7), tmp_path / "other")
    seen = {"shards": str(shards_dir), "split": "room", "part": "train"}
    data = f"data={json.dumps({'corpora': [seen, {'shards': str(tmp_path / 'other')}]})}"
    changes = {"name": "leave", "leave_out": True, "overrides": [data], "fractions": [1.0], "held_out": None}
    path = write_recipe(folder / "leave.yaml", study_fields(folder, shards_dir, **changes))
    without = next(run for run in Study.load(path).runs if run.left_out)
    assert without.variant == f"without-{shards_dir.name}"
    assert [source.shards for source in without.pretrain.data.corpora] == [str(tmp_path / "other")]
    assert main(["study", str(path), "--json", str(folder / "leave.json")]) == 0
    raw = json.loads((folder / "leave.json").read_text())
    assert {run["variant"] for run in raw["runs"]} == {"statistics", "untrained", "both", "masked", without.variant}
    pairs = {(each["variant"], each["first"]) for each in raw["differences"]}
    assert pairs >= {(without.variant, "both"), (without.variant, "statistics")}


def test_probes_hold_out_training_sessions_and_read_no_others(folder: Path, shards_dir: Path) -> None:
    study = Study.load(folder / "study.yaml")
    labelled = Labelled.load(study.tasks[0])
    train = set(Manifest.load(shards_dir).sessions("room", "train"))
    sessions = np.array([signal.session for signal in labelled.signals])
    assert set(sessions) <= train
    assert len(labelled.signals) == 80
    for known, asked in labelled.folds:
        assert not set(sessions[known]) & set(sessions[asked])
    assert sorted(np.concatenate([asked for _, asked in labelled.folds])) == list(range(80))


def _recipe(shards_dir: Path) -> dict[str, Any]:
    return {"name": "x", "out": "x", "data": {"shards": str(shards_dir)}, "model": MODEL, "train": {"steps": 1}}


def test_a_grid_has_laws_and_a_figure_per_axis(folder: Path, shards_dir: Path) -> None:
    corpora = [{"shards": str(shards_dir), "split": "room", "part": "train"}]
    grid = {
        "parameters": {f"h{size}": [f"model.hidden_size={size}"] for size in (8, 16, 32)},
        "samples": {f"n{count}": [f"data.corpora.0.samples={count}"] for count in (16, 48, 144)},
    }
    data = f"data={json.dumps({'corpora': corpora})}"
    changes = {"name": "grid", "variants": {}, "grid": grid, "tasks": [], "overrides": [data, "train.steps=2"]}
    write_recipe(folder / "grid.yaml", study_fields(folder, shards_dir, **changes))
    out = folder / "grid.json"
    assert main(["study", str(folder / "grid.yaml"), "--json", str(out), "--html", str(folder / "grid.html")]) == 0
    raw = json.loads(out.read_text())
    trained = [run for run in raw["runs"] if run["facts"]["steps"]]
    assert [run["variant"] for run in trained][:2] == ["h8_n16", "h8_n48"]
    assert {run["facts"]["samples"] for run in trained} == {16, 48, 144}
    assert sum(run["variant"].startswith("untrained-") for run in raw["runs"]) == 3, "one for each network"
    assert raw["law"]["data"] == "samples"
    assert {"E", "A", "B", "alpha", "beta"} <= set(raw["law"])
    assert {each["axis"] for each in raw["trends"]} >= {"parameters", "samples"}
    page = (folder / "grid.html").read_text()
    assert "Held-out masked loss = " in page
    assert page.count("Losses and errors over") == 4, "a figure and its caption for both axes"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"variants": {}}, "give either variants, or a grid of axes"),
        ({"variants": {"a/b": []}}, "expected letters, digits"),
        ({"variants": {"untrained": []}}, "names of rows of their own"),
        ({"variants": {"without-radar": []}}, "names of rows of their own"),
        ({"leave_out": True}, "no task reads a set of the mixture of 'both'"),
        ({"leave_out": True, "tasks": []}, "leave_out: give variants, of which the first is taken, and tasks"),
        ({"held_out": None, "tasks": []}, "without either nothing is measured"),
        ({"variants": {"a": ["model.hiden_size=3"]}}, "variant 'a': .*unknown key 'model.hiden_size'; did you mean"),
        ({"overrides": ["train.devices=2"]}, "share the runs out with --array"),
        ({"tasks": [{"recipe": "activity.yaml", "overrides": ["task.split=[a, b]"]}]}, "has 2 splits"),
        ({"tasks": [{"recipe": "activity.yaml"}] * 2}, "two tasks would both have rows named simulated"),
    ],
)
def test_a_study_that_cannot_be_is_refused(
    folder: Path, shards_dir: Path, changes: dict[str, Any], sentence: str
) -> None:
    path = write_recipe(folder / "wrong.yaml", study_fields(folder, shards_dir, **changes))
    with pytest.raises(RecipeError, match=sentence):
        Study.load(path)


@pytest.mark.parametrize(
    "name", ["objectives", "masks", "positions", "experts", "scaling", "diversity", "targets", "leave-out", "compute"]
)
def test_studies_train_on_nothing_that_the_corpus_recipe_leaves_out(name: str) -> None:
    study = Study.load(RECIPES / "studies" / f"{name}.yaml")
    corpus = load_recipe(RECIPES / "pretrain" / "corpus.yaml", PretrainRecipe)
    allowed = {(source.shards, source.split, source.part) for source in corpus.data.sources}
    for run in study.runs:
        assert {(source.shards, source.split, source.part) for source in run.pretrain.data.sources} <= allowed
    held_out = study.recipe.held_out
    assert held_out is not None
    assert (held_out.shards, held_out.split, held_out.part) not in allowed
    assert len({run.folder for run in study.runs}) == len(study.runs)
