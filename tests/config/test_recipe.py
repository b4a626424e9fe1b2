"""Recipes: strict about keys and types, kind about mistakes, and the same after being written out."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from foundation.config import EvaluateRecipe, FinetuneRecipe, PretrainRecipe, dump_recipe, load_recipe
from foundation.errors import RecipeError

PRETRAIN = """
name: tiny
out: runs/tiny
data: {shards: data/simulated, split: room, part: train}
train: {steps: 10, learning_rate: 5e-4}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "pretrain.yaml").write_text(PRETRAIN)
    return tmp_path / "pretrain.yaml"


def _load(path: Path, *overrides: str) -> PretrainRecipe:
    return load_recipe(path, PretrainRecipe, overrides)


def test_a_recipe_fills_in_its_defaults(path: Path) -> None:
    recipe = _load(path)
    assert (recipe.train.steps, recipe.train.batch_size, recipe.seed) == (10, 64, 0)
    assert recipe.train.learning_rate == 5e-4, "YAML 1.1 reads 5e-4 as text"
    assert recipe.data.shards == "data/simulated"
    assert recipe.model.patch_shapes[0] == (16, 8)


@pytest.mark.parametrize(
    ("override", "named", "nearest"),
    [
        ("sed=1", "sed", "seed"),
        ("train.step=1", "train.step", "steps"),
        ("train.learningrate=1", "train.learningrate", "learning_rate"),
        ("model.hidden=1", "model.hidden", "hidden_size"),
        ("data.shard=x", "data.shard", "shards"),
        ("objective.ratios=1", "objective.ratios", "ratio"),
        ("trian.steps=5", "trian", "train"),
        ("data.corpora=[{shard: x}]", "data.corpora.0.shard", "shards"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(path: Path, override: str, named: str, nearest: str) -> None:
    with pytest.raises(RecipeError, match=rf"pretrain\.yaml: unknown key '{named}'; did you mean '{nearest}'\?"):
        _load(path, override)


def test_an_unknown_key_is_told_before_the_missing_one_that_it_explains(path: Path) -> None:
    path.write_text(PRETRAIN.replace("steps: 10", "stepps: 10"))
    with pytest.raises(RecipeError, match=r"unknown key 'train\.stepps'; did you mean 'steps'"):
        _load(path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps=many", r"train\.steps: .*integer.*'many'"),
        ("train.steps=0", r"train\.steps: .*greater than 0"),
        ("train.steps=1.5", r"train\.steps: .*integer"),
        ("train.precision=16-mixed", r"train\.precision: .*'32-true'"),
        ("train.strategy=zero-9", r"train\.strategy: .*'zero-1'"),
        ("model.patch_shapes=[[4]]", r"model\.patch_shapes\.0"),
        ("objective.masks={box: 1}", r"objective\.masks\.box.*'random'"),
        ("train=5", r"train: "),
        ("logger=mlflow", r"logger: .*'csv'"),
    ],
)
def test_a_wrong_value_is_named_with_its_path_and_what_was_given(path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=rf"pretrain\.yaml: {message}"):
        _load(path, override)


@pytest.mark.parametrize(
    ("offload", "strategy"), [("optimizer", "ddp"), ("optimizer", "zero-0"), ("parameters", "zero-2")]
)
def test_offload_needs_a_stage_that_cuts_up(path: Path, offload: str, strategy: str) -> None:
    with pytest.raises(RecipeError, match=f"offload={offload} needs strategy zero-. or above, not {strategy}"):
        load_recipe(path, PretrainRecipe, [f"train.offload={offload}", f"train.strategy={strategy}"])


def test_a_missing_key_is_named(path: Path) -> None:
    path.write_text("name: tiny\nout: x\ntrain: {steps: 1}\n")
    with pytest.raises(RecipeError, match=r"pretrain\.yaml: data: Field required"):
        _load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such recipe"),
        (b"a: [1", "is not valid YAML"),
        (b"\xff\xfe\x00", "is not valid YAML"),
        (b"- 1\n- 2\n", "expected a mapping"),
        (b"", "expected a mapping"),
        (b"name: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe_is_said_to_be_none(path: Path, content: bytes | None, message: str) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"pretrain\.yaml: {message}"):
        _load(path)


def test_extends_merges_section_by_section(path: Path) -> None:
    child = path.with_name("child.yaml")
    child.write_text("extends: pretrain.yaml\nname: child\ntrain: {steps: 99}\nmodel: {depth: 2}\n")
    grandchild = path.with_name("grandchild.yaml")
    grandchild.write_text("extends: child.yaml\ntrain: {batch_size: 8}\n")
    recipe = _load(grandchild, "train.steps=100", "seed=7")
    assert (recipe.name, recipe.seed, recipe.model.depth) == ("child", 7, 2)
    assert (recipe.train.steps, recipe.train.batch_size, recipe.train.learning_rate) == (100, 8, 5e-4)
    assert recipe.data.split == "room"
    assert _load(path).train.steps == 10


def test_extends_is_looked_up_beside_the_recipe_that_says_it(path: Path) -> None:
    folder = path.parent / "deeper"
    folder.mkdir()
    (folder / "child.yaml").write_text("extends: ../pretrain.yaml\nname: child\n")
    assert _load(folder / "child.yaml").train.steps == 10
    (folder / "child.yaml").write_text("extends: pretrain.yaml\n")
    with pytest.raises(RecipeError, match=r"deeper/pretrain\.yaml: no such recipe"):
        _load(folder / "child.yaml")


def test_a_circle_of_extends_is_refused(path: Path) -> None:
    path.write_text("extends: pretrain.yaml\n")
    with pytest.raises(RecipeError, match=r"pretrain\.yaml: extends itself"):
        _load(path)
    path.write_text("extends: other.yaml\n")
    path.with_name("other.yaml").write_text("extends: ./pretrain.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        _load(path)


@pytest.mark.parametrize("text", ["1e-3", "0.001", "1.0e-3", ".001"])
def test_an_override_reads_numbers_as_people_type_them(path: Path, text: str) -> None:
    assert _load(path, f"train.learning_rate={text}").train.learning_rate == 1e-3


def test_overrides_reach_lists_mappings_nulls_and_absent_sections(path: Path) -> None:
    recipe = _load(
        path,
        "data.split=null",
        "data.part=null",
        "model.patch_shapes=[[8, 4], [1, 8]]",
        "objective.masks={time: 1}",
        "name=a=b",
        "model.views.csi=field",
    )
    assert recipe.data.split is None
    assert recipe.model.patch_shapes == [(8, 4), (1, 8)]
    assert recipe.objective.masks == {"time": 1.0}
    assert recipe.name == "a=b"
    assert recipe.model.views == {"csi": "field"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.steps", "expected key=value"),
        ("=5", "expected key=value"),
        ("name.x=5", "name is a value, not a section"),
        ("model.patch_shapes=[[1", "is not valid YAML"),
    ],
)
def test_a_malformed_override_is_quoted(path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        _load(path, override)
    assert repr(override) in str(caught.value)


@pytest.mark.parametrize("kind", [PretrainRecipe, FinetuneRecipe, EvaluateRecipe])
def test_a_dumped_recipe_reads_back_the_same(path: Path, kind: type) -> None:
    if kind is not PretrainRecipe:
        path.write_text(
            "name: t\ncheckpoint: runs/tiny/model\ntask: {shards: d, label: activity, split: [a, b]}\n"
            + ("out: runs/t\n" if kind is FinetuneRecipe else "set: polyu\n")
        )
    recipe = load_recipe(path, kind)
    again = path.with_name("again.yaml")
    again.write_text(dump_recipe(recipe))
    assert load_recipe(again, kind) == recipe
    assert dump_recipe(load_recipe(again, kind)) == again.read_text()


def test_a_dump_spells_out_every_default(path: Path) -> None:
    text = dump_recipe(_load(path))
    for line in ("weight_decay: 0.05", "strategy: auto", "hidden_size: 128", "gate_share: 0.25", "logger: csv"):
        assert line in text


def test_sections_refuse_unknown_keys_also_without_a_file() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        PretrainRecipe.model_validate({"name": "x", "out": "y", "data": {"shards": "z"}, "train": {"steps": 1}, "q": 1})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds=[]", "seeds: .*at least 1"),
        ("fractions=[]", "fractions: .*at least 1"),
        ("fractions=[2]", r"fractions\.0: .*less than or equal to 1"),
        ("fractions=[0]", r"fractions\.0: .*greater than 0"),
        ("task.tests=[]", r"task\.tests: .*at least 1"),
        ("task.tests=[train]", r"task: .*part 'train' is the training part"),
        ("task.tests=[test, test]", r"task: .*tests: test, test names one twice"),
        ("task.split=[f, g, f]", r"task: .*split: f, g, f names one twice"),
        ("modes=[]", "modes: none is given; choose from baseline, statistics, cnn"),
        ("checkpoint='runs/{fold}/model'", r"runs/\{fold\}/model: only \{split\} and \{seed\} are known"),
        ("checkpoint='{split.name}'", r"only \{split\} and \{seed\} are known"),
        ("checkpoint='{seed[0]}'", r"only \{split\} and \{seed\} are known"),
        ("seeds=[-1]", r"seeds\.0: .*greater than or equal to 0"),
    ],
)
def test_an_evaluation_of_nothing_is_refused(path: Path, override: str, message: str) -> None:
    path.write_text("{name: a, set: b, checkpoint: c, task: {shards: d, label: e, split: f}}")
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, EvaluateRecipe, [override])


def test_several_corpora_stand_in_place_of_one(path: Path) -> None:
    corpora = "data.corpora=[{shards: a, weight: 2}, {shards: 's3://bucket/b', split: room, part: train}]"
    recipe = _load(path, "data.shards=null", "data.split=null", "data.part=null", corpora)
    assert [(source.shards, source.part, source.weight) for source in recipe.data.sources] == [
        ("a", None, 2.0),
        ("s3://bucket/b", "train", 1.0),
    ]
    assert [source.shards for source in _load(path).data.sources] == ["data/simulated"]
    for overrides in ([corpora], ["data.shards=null"], ["data.shards=null", corpora]):
        with pytest.raises(RecipeError, match="give either shards"):
            _load(path, *overrides)
