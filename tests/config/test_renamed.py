"""Recipes, options and weights of earlier versions: one sentence that names what is called differently now."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.tiny import MODEL
from safetensors.torch import load_file, save_file

from foundation.checkpoints.exported import load_exported
from foundation.checkpoints.load import load_encoder
from foundation.cli import main
from foundation.config import EvaluateRecipe, FinetuneRecipe, PretrainRecipe, Section, load_recipe
from foundation.config.renamed import DELETED, KEYS, OPTIONS, RECIPES, VALUES
from foundation.errors import CheckpointError, RecipeError
from foundation.models import WfmConfig, WfmForMaskedModeling
from foundation.models.weights import RENAMED

TASK = "task: {shards: d, label: activity, split: s}"
RECIPE = {
    PretrainRecipe: "{name: a, out: b, data: {shards: d}, train: {steps: 1}}",
    EvaluateRecipe: f"{{name: a, set: b, checkpoint: c, {TASK}}}",
    FinetuneRecipe: f"{{name: a, out: b, checkpoint: c, {TASK}}}",
}
#: Old key -> a recipe that had it, and an override that sets it.
OLD_KEYS = {
    "floors": (EvaluateRecipe, "floors=[{features: doppler}]"),
    "keep": (EvaluateRecipe, "keep=runs/fits"),
    "in_part": (PretrainRecipe, "data.in_part=0.3"),
    "sketch_weight": (PretrainRecipe, "objective.sketch_weight=1"),
    "blend_share": (PretrainRecipe, "objective.blend_share=0.5"),
    "flow_weight": (PretrainRecipe, "objective.flow_weight=0"),
}
REMOVED = {
    "ObjectiveSection.flow_share": (PretrainRecipe, "objective.flow_share=0.25"),
    "ObjectiveSection.flow_levels": (PretrainRecipe, "objective.flow_levels=2"),
    "ModelSection.flow_width": (PretrainRecipe, "model.flow_width=192"),
    "ModelSection.flow_depth": (PretrainRecipe, "model.flow_depth=3"),
    "ObjectiveSection.static_weight": (PretrainRecipe, "objective.static_weight=0.5"),
    "TuneSection.lora_alpha": (FinetuneRecipe, "tune.lora_alpha=16"),
    "ModelSection.dropout": (PretrainRecipe, "model.dropout=0.1"),
    "ModelSection.kinds": (PretrainRecipe, "model.kinds=32"),
}
OLD_VALUES = {
    "floor": (EvaluateRecipe, "modes=[floor]"),
    "naming-a": (EvaluateRecipe, "task.split=naming-a"),
    "naming-b": (FinetuneRecipe, "task.split=[naming-b]"),
}


def refusal(folder: Path, kind: type[Section], override: str) -> str:
    """The sentence about a recipe with an override, which is the same where the file itself has the key."""
    path = folder / "old.yaml"
    path.write_text(RECIPE[kind])
    with pytest.raises(RecipeError) as by_override:
        load_recipe(path, kind, [override])
    key, _, value = override.partition("=")
    *sections, last = key.split(".")
    text = f"{{{last}: {value}}}"
    for section in reversed(sections):
        text = f"{{{section}: {text}}}"
    (folder / "base.yaml").write_text(RECIPE[kind])
    path.write_text(f"{text[:-1]}, extends: base.yaml}}")
    with pytest.raises(RecipeError) as in_file:
        load_recipe(path, kind)
    assert str(in_file.value) == str(by_override.value)
    return str(in_file.value)


def test_every_renamed_name_is_tested() -> None:
    assert (OLD_KEYS.keys(), REMOVED.keys(), OLD_VALUES.keys()) == (KEYS.keys(), DELETED.keys(), VALUES.keys())


@pytest.mark.parametrize("old", KEYS)
def test_an_old_key_is_named_with_the_new_one(old: str, tmp_path: Path) -> None:
    kind, override = OLD_KEYS[old]
    dotted = override.partition("=")[0]
    assert refusal(tmp_path, kind, override) == (
        f"{tmp_path / 'old.yaml'}: key {dotted!r} is now called {KEYS[old]!r}; rename it."
    )


@pytest.mark.parametrize("old", DELETED)
def test_a_removed_key_is_named_with_the_reason(old: str, tmp_path: Path) -> None:
    kind, override = REMOVED[old]
    dotted = override.partition("=")[0]
    assert refusal(tmp_path, kind, override).endswith(f"key {dotted!r} was removed, {DELETED[old]}; delete it.")


@pytest.mark.parametrize("old", VALUES)
def test_an_old_value_is_named_with_the_new_one(old: str, tmp_path: Path) -> None:
    kind, override = OLD_VALUES[old]
    assert f"{old!r} is now called {VALUES[old]!r}" in refusal(tmp_path, kind, override)


def test_a_removed_key_of_another_section_is_just_unknown(tmp_path: Path) -> None:
    assert "unknown key 'train.kinds'" in refusal(tmp_path, PretrainRecipe, "train.kinds=32")


@pytest.mark.parametrize("old", OPTIONS)
def test_an_old_option_is_named_with_the_new_one(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([old, "recipe.yaml"], [f"{old}=recipe.yaml"]):
        assert main(["evaluate", *words]) == 2
        assert capsys.readouterr().err == f"wfm: {old} is now called {OPTIONS[old]}.\n"


@pytest.mark.parametrize("old", RECIPES)
def test_an_old_recipe_file_is_named_with_the_new_one(
    old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=f"no such recipe; it is now called recipes/{RECIPES[old]}"):
        load_recipe(Path("recipes") / old, EvaluateRecipe)


def _old_name(name: str) -> str:
    """What a weight was called by earlier versions."""
    for before, now in RENAMED.items():
        if name.startswith(now):
            return before + name.removeprefix(now)
    return name


def test_an_export_with_old_weight_names_is_named_with_the_new_ones(tmp_path: Path) -> None:
    WfmForMaskedModeling(WfmConfig(**MODEL)).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    assert load_exported(tmp_path, WfmForMaskedModeling) is not None
    save_file({_old_name(name): weight for name, weight in weights.items()}, path, metadata={"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"earlier version: weight encoder\.sketch\.tell\.\w+ is now called encoder"
    ):
        load_exported(tmp_path, WfmForMaskedModeling)


def test_a_training_checkpoint_with_old_weight_names_is_named_with_the_new_ones(trained: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "final.ckpt", weights_only=True)
    state = checkpoint["state_dict"]
    checkpoint["state_dict"] = {f"model.{_old_name(name.removeprefix('model.'))}": w for name, w in state.items()}
    assert checkpoint["state_dict"].keys() != state.keys()
    torch.save(checkpoint, tmp_path / "final.ckpt")
    with pytest.raises(CheckpointError, match=r"earlier version: weight .* is now called"):
        load_encoder(tmp_path / "final.ckpt")
