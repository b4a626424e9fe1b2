"""Jobs of an evaluation with several checkpoints, supervised networks, alignment and a choice of poolings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import safetensors.numpy
import torch
from helpers import ROOT

from foundation.adapt.select_pooling import POOLINGS
from foundation.checkpoints.load import load_masked
from foundation.config import BaselineSection, EvaluateRecipe, load_recipe
from foundation.config.evaluation import Feature
from foundation.evaluate.baselines.classifiers import METHODS
from foundation.evaluate.baselines.features import FEATURES
from foundation.evaluate.cache import Outcome, Outcomes, load_outcome, save_outcome
from foundation.evaluate.run import evaluate
from foundation.results.rows import Row
from foundation.results.tables import pivot

DOCUMENT = ROOT / "docs" / "guide" / "own-data.md"


def _recipe(shards: Path, keep: Path, **changes: Any) -> EvaluateRecipe:
    fields = {
        "name": "tiny",
        "set": "simulated",
        "task": {"shards": str(shards), "label": "activity", "split": "room"},
        "fractions": [0.3],
        "seeds": [0, 1],
        "tune": {"steps": 2, "batch_size": 8},
        "cache": str(keep),
    }
    return EvaluateRecipe.model_validate(fields | changes)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """Supervised networks take 300 steps at least; here what is run and kept counts, not what is learned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foundation.adapt.supervised.STEPS", 2)
        yield


@pytest.fixture(scope="module")
def other(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second checkpoint of the same network, with other weights."""
    model = load_masked(trained / "model")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    folder = tmp_path_factory.mktemp("other") / "model"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whole(trained: Path, other: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> EvaluateRecipe:
    """Everything at once."""
    return _recipe(
        shards_dir,
        tmp_path_factory.mktemp("whole"),
        checkpoints={"ours": str(trained / "model"), "peer": str(other)},
        modes=["baseline", "cnn", "resnet", "untrained", "probe", "knn", "lora", "scratch"],
        baselines=[{"features": "doppler", "method": name} for name in ("logistic", "extra-trees", "svm", "knn")],
        align="coral",
        tune={"steps": 2, "batch_size": 8, "pooling": "auto"},
        seeds=[0],
    )


@pytest.fixture(scope="module")
def rows(whole: EvaluateRecipe) -> list[Row]:
    return evaluate(whole, "command")


def test_labels_alone_have_rows_once_and_every_checkpoint_its_own(rows: list[Row]) -> None:
    found = {(row.method, row.mode) for row in rows}
    baselines = {f"doppler features, {name}" for name in ("logistic", "extra-trees", "svm", "knn")}
    expected = {(baseline, mode) for baseline in baselines for mode in ("baseline", "baseline+coral")}
    expected |= {("supervised CNN", "cnn"), ("ResNet-20", "resnet")}
    expected |= {(name, mode) for name in ("ours", "peer") for mode in ("probe", "knn", "lora")}
    expected |= {(name, f"{mode}+coral") for name in ("ours", "peer") for mode in ("probe", "knn")}
    # Two checkpoints of one network start from the same random weights: the first has the rows.
    expected |= {("ours", mode) for mode in ("untrained", "untrained+coral", "scratch")}
    assert found == expected
    ours, peer = ({(row.mode, row.metric): row.mean for row in rows if row.method == name} for name in ("ours", "peer"))
    assert any(ours[each] != mean for each, mean in peer.items()), "each is judged by its own weights"


def test_what_has_seen_test_recordings_stands_in_tables_of_its_own(rows: list[Row]) -> None:
    tables = pivot(rows)
    told = ["WITH unlabelled test recordings" in table.title for table in tables]
    assert sorted(told) == [False, True]
    for table, with_target in zip(tables, told, strict=True):
        assert {mode.endswith("+coral") for _, mode, *_ in table.body} == {with_target}


def test_the_choice_of_pooling_is_kept_with_every_fit_of_an_encoder(whole: EvaluateRecipe, rows: list[Row]) -> None:
    for path, job in Outcomes(whole).plan().items():
        outcome = load_outcome(path)
        assert outcome is not None
        if job.method in whole.checkpoints:
            assert outcome.pooling is not None
            assert set(outcome.pooling.split("+")) <= {
                *POOLINGS,
                "leaving out each room",
                "too few labels to choose by",
            }
        else:
            assert outcome.pooling is None


def test_a_recipe_of_ten_lines_is_enough_for_new_shards(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml[^\n]*\n(name: mine\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(text.splitlines()) <= 10
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    where = [f"task.shards={shards_dir}", "task.split=room", f"checkpoint={trained / 'model'}", f"cache={tmp_path}"]
    small = ["tune.steps=1", "seeds=[0]", "fractions=[0.1]"]
    found = evaluate(load_recipe(path, EvaluateRecipe, [*where, *small]), "command")
    assert {row.mode for row in found} == {"baseline", "cnn", "untrained", "probe", "knn", "lora", "scratch"}
    assert {row.set for row in found} == {"my-recordings"}


def test_labels_alone_need_no_checkpoint_and_the_others_say_that_they_do(shards_dir: Path, tmp_path: Path) -> None:
    recipe = _recipe(shards_dir, tmp_path, modes=["baseline"], baselines=[{"method": "knn"}], seeds=[0])
    assert [row.mode for row in evaluate(recipe, "command")] == ["baseline"]
    with pytest.raises(ValueError, match="checkpoint: probe needs one"):
        _recipe(shards_dir, tmp_path, modes=["baseline", "probe"])
    with pytest.raises(ValueError, match="either checkpoint, or checkpoints"):
        _recipe(shards_dir, tmp_path, checkpoint="a", checkpoints={"b": "c"})


def test_a_recipe_offers_the_features_and_methods_that_there_are() -> None:
    fields = BaselineSection.model_fields
    assert set(get_args(Feature)) == set(FEATURES)
    simple = {name for names in METHODS.values() for name in names}
    assert set(get_args(fields["method"].annotation)) == {"kernel", "stack"} | simple


@pytest.mark.parametrize("damage", ["cut", "text", "part missing", "unequal", "empty"])
def test_a_damaged_kept_fit_is_named_and_done_again(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.safetensors"
    outcome = Outcome({"test": (np.arange(4), np.arange(4), np.zeros(4, np.int64))}, "moments")
    save_outcome(path, outcome)
    again = load_outcome(path)
    assert again is not None
    np.testing.assert_array_equal(again.parts["test"][0], np.arange(4))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "text":
        path.write_text("not a fit")
    else:
        short = {"part missing": 4, "unequal": 3, "empty": 0}[damage]
        arrays = {"truth/test": np.arange(short), "predicted/test": np.arange(4), "block/test": np.zeros(4, np.int64)}
        if damage == "part missing":
            del arrays["block/test"]
        safetensors.numpy.save_file(arrays, path)
    with pytest.warns(UserWarning, match=r"fit\.safetensors: a kept fit is damaged .* it is done again"):
        assert load_outcome(path) is None
