"""More rows in one evaluation: baselines, supervised networks, checkpoints, pooling by training sessions, CORAL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.signals import make_signal

from foundation.adapt import fit_supervised, predict
from foundation.adapt.select_pooling import POOLINGS, pick_pooling
from foundation.checkpoints.load import load_masked
from foundation.config import BaselineSection, EvaluateRecipe, TuneSection, load_recipe
from foundation.data.images import FieldSet
from foundation.data.labelled import Target
from foundation.errors import RecipeError
from foundation.evaluate.baselines.classifiers import METHODS
from foundation.evaluate.baselines.coral import coral
from foundation.evaluate.baselines.features import FEATURES
from foundation.evaluate.cache import Outcomes, load_outcome
from foundation.evaluate.run import evaluate
from foundation.models import SupervisedNetwork
from foundation.models.config import DEFAULT_VIEWS
from foundation.results.rows import Row
from foundation.results.tables import pivot
from foundation.signal import Signal

DOCUMENT = ROOT / "docs" / "guide" / "own-data.md"


def _recipe(shards: Path, keep: Path, **changes: Any) -> EvaluateRecipe:
    fields = {
        "name": "tiny",
        "set": "simulated",
        "task": {"shards": str(shards), "label": "activity", "split": "room"},
        "fractions": [0.3],
        "seeds": [0, 1],
        "tune": {"steps": 2, "batch_size": 8},
        "keep": str(keep),
    }
    return EvaluateRecipe.model_validate(fields | changes)


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
            assert set(outcome.pooling.split("+")) <= {*POOLINGS}
        else:
            assert outcome.pooling is None


def test_a_recipe_of_ten_lines_is_enough_for_new_shards(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml[^\n]*\n(name: mine\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(text.splitlines()) == 10
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
    assert set(get_args(fields["features"].annotation)) == set(FEATURES)
    assert set(get_args(fields["method"].annotation)) == {name for names in METHODS.values() for name in names}


@pytest.mark.parametrize("rows", [30, 300])
def test_coral_gives_the_training_features_the_covariance_of_the_test_features(rows: int) -> None:
    rng = np.random.default_rng(0)
    train = rng.standard_normal((rows, 40)) @ rng.standard_normal((40, 40)) + 5
    test = rng.standard_normal((rows + 7, 40)) * np.arange(1, 41) - 3
    train[:, 4] = test[:, 4] = 2.0
    aligned, target = coral(train, test)
    scaled = (train - train.mean(0)) / np.where(train.std(0) > 1e-9, train.std(0), 1)

    def power(x: np.ndarray, exponent: float) -> np.ndarray:
        """Of the whole matrix, as the paper writes it."""
        values, vectors = np.linalg.eigh(np.cov(x, rowvar=False) + np.eye(x.shape[1]))
        return (vectors * values**exponent) @ vectors.T

    np.testing.assert_allclose(aligned, scaled @ power(scaled, -0.5) @ power(target, 0.5), atol=1e-8)
    np.testing.assert_array_equal(aligned[:, 4], 0)
    before, after = (np.abs(np.cov(x, rowvar=False) - np.cov(target, rowvar=False)).max() for x in (scaled, aligned))
    assert after < before


def test_pooling_is_the_one_that_holds_in_sessions_left_out() -> None:
    rng = np.random.default_rng(0)
    targets, sessions = np.tile([0, 1], 60), np.repeat(np.arange(6), 20)
    noise = rng.standard_normal((120, 4))
    honest = noise + 2.0 * np.eye(4)[targets]
    # Perfect within a session, of which every one has places of its own.
    learnt_by_heart = noise * 0.01 + rng.standard_normal((6, 2, 4))[sessions, targets]
    names = [f"s{i}" for i in sessions]
    features = {"moments": learnt_by_heart.astype(np.float32), "columns": honest.astype(np.float32)}

    def picked(targets: np.ndarray, outputs: int) -> str:
        return pick_pooling(("moments", "columns"), features.__getitem__, targets, outputs, names, seed=0)[0]

    assert picked(targets, 2) == "columns"
    assert picked(targets[:, None].astype(np.float32), 1) == "columns"
    features["moments"] = features["columns"]
    assert picked(targets, 2) == "moments", "of equals the first"
    told = features["columns"]
    features["moments"] = np.concatenate([told, np.zeros_like(told)], axis=1)
    assert picked(targets, 2) == "columns", "of equals the one of fewest numbers"


def test_pooling_that_cannot_be_chosen_is_noted() -> None:
    features = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    picked = pick_pooling(("moments", "columns"), lambda _: features, np.array([0, 1]), 2, ["a", "a"], seed=0)
    assert picked == ("moments", "moments, too few labels to choose by")


def _moving(count: int) -> list[Signal]:
    """Windows of two kinds: one fades in its first half, one in its second."""
    signals = []
    for seed in range(count):
        signal = make_signal(seed)
        fade = np.ones((32, 1, 1))
        fade[slice(0, 16) if seed % 2 else slice(16, 32)] = 0.3
        signals.append(signal.with_(values=signal.values * fade))
    return signals


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_supervised_networks_learn_and_never_read_what_is_invalid(name: Any) -> None:
    signals = _moving(48)
    target = Target.of(signals, "activity")
    data = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals)
    targets = target.encode(signals)
    tune = TuneSection(steps=40, batch_size=16, full_learning_rate=2e-3)
    model = fit_supervised(name, data, np.arange(32), targets, target, tune, 0)
    assert np.mean(predict(model, data)[32:].argmax(1) == targets[32:]) > 0.85
    again = fit_supervised(name, data, np.arange(32), targets, target, tune, 0)
    np.testing.assert_array_equal(predict(again, data), predict(model, data))
    valid = np.ones((32, 2, 16), bool)
    valid[3:7] = False
    gone = [s.with_(values=np.where(valid, s.values, value), valid=valid) for s in signals[:2] for value in (0, 1e6)]
    answers = predict(model, FieldSet(gone, dict(DEFAULT_VIEWS), like=signals))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


def test_supervised_networks_take_steps_enough_from_few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = _moving(4)
    target, taken = Target.of(signals, "activity"), []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *args: (taken.append(1), step(self, *args)))
    data = FieldSet(signals, dict(DEFAULT_VIEWS), like=signals)
    fit_supervised("cnn", data, np.arange(4), target.encode(signals), target, TuneSection(steps=2, max_epochs=3), 0)
    assert len(taken) == 300, "three epochs of four samples are one"


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 1, 160), (32, 60, 32), (3, 700, 2), (2, 50, 56)])
@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_supervised_networks_take_any_axes(name: Any, shape: tuple[int, int, int]) -> None:
    model = SupervisedNetwork(name, shape, outputs=5, dropout=0.0).eval()
    assert model(torch.randn(2, *shape), torch.ones(2, *shape, dtype=torch.bool)).shape == (2, 5)


def test_the_resnet_is_as_large_as_published() -> None:
    model = SupervisedNetwork("resnet", (3, 32, 32), outputs=10, dropout=0.0)
    body = sum(p.numel() for p in model.encoder.parameters())
    assert body + 64 * 10 + 10 == pytest.approx(0.27e6, rel=0.02)


def test_windows_of_another_shape_are_brought_together_in_time_alone() -> None:
    views, train = dict(DEFAULT_VIEWS), [make_signal(times=32)]
    long, short = make_signal(times=40), make_signal(times=20)
    batch = FieldSet([long, short], views, like=train).batch(np.arange(2))
    assert batch["field"].shape == batch["measured"].shape == (2, 2, 32, 16)
    assert batch["measured"].sum((1, 2, 3)).tolist() == [2 * 32 * 16, 2 * 20 * 16]
    complex_views = views | {"csi": "field"}
    assert FieldSet(train, complex_views, like=train).batch(np.arange(1))["field"].shape == (1, 4, 32, 16)
    with pytest.raises(RecipeError, match="2 links x 16 real responses, session 'session-0' 3 links x 16"):
        FieldSet([make_signal(links=3)], views, like=train)
