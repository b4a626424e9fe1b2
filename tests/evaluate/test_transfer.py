"""Zero-shot transfer between configurations: what is fitted, what is tested, and the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.tiny import write_recipe
from pydantic import ValidationError

from foundation.adapt import fit_stack, pooled_features
from foundation.adapt.select_pooling import possible_poolings
from foundation.checkpoints.load import load_encoder, load_masked
from foundation.cli import main
from foundation.config import EvaluateRecipe, TaskSection, load_recipe
from foundation.data.labelled import TokenSet, label_subset
from foundation.data.origins import origins
from foundation.errors import RecipeError
from foundation.evaluate.cache import Outcomes
from foundation.evaluate.fits import Bench
from foundation.evaluate.task import Problem
from foundation.evaluate.transfer import reconfigured, reference_of
from foundation.results.rows import load_rows
from foundation.study.plan import Study
from foundation.transforms.subsample import half_rate

RECIPES = ROOT / "recipes"
CONFIGURATIONS = ["rate-x0.5", "rate-x2", "half-subcarriers", "half-band", "one-antenna"]


@pytest.fixture(scope="module")
def index_positions(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of `trained` in a network that counts samples."""
    out = tmp_path_factory.mktemp("index") / "model"
    model = load_masked(trained / "model")
    model.config.positions = "index"
    model.save_pretrained(out)
    return out


def _fields(trained: Path, shards: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "set": "simulated",
        "checkpoints": {"physical": str(trained / "model")},
        "task": {"shards": str(shards), "label": "activity", "split": "room"},
        "modes": ["probe"],
        "fractions": [0.5],
        "seeds": [0, 1],
        "configurations": CONFIGURATIONS,
        "tune": {"pooling": "moments"},
        "cache": str(trained.with_name("configurations")),
    } | changes


def test_the_command_writes_rows_a_loss_and_a_figure(
    trained: Path, index_positions: Path, shards_dir: Path, tmp_path: Path
) -> None:
    checkpoints = {"physical": str(trained / "model"), "index": str(index_positions)}
    config = write_recipe(tmp_path / "c.yaml", _fields(trained, shards_dir, checkpoints=checkpoints))
    out = ["--json", str(tmp_path / "rows.json"), "--html", str(tmp_path / "page.html")]
    assert main(["evaluate", "--config", str(config), *out]) == 0
    rows = {(r.split, r.method, r.mode, r.metric): r for r in load_rows(tmp_path / "rows.json")}
    shown = [f"room @ {name}" for name in CONFIGURATIONS]
    assert {split for split, *_, metric in rows if metric == "accuracy_lost"} == set(shown)
    assert {split for split, *_, metric in rows if metric == "accuracy"} == {
        "room",
        "room @ fitted at half rate",
        "room @ pooled for any shape",
        *shown,
    }
    for name in CONFIGURATIONS:
        before = {"rate-x0.5": "room", "rate-x2": "room @ fitted at half rate"}.get(name, "room @ pooled for any shape")
        for method in checkpoints:
            was, now, lost = (
                rows[split, method, "probe", metric].mean
                for split, metric in (
                    (before, "accuracy"),
                    (f"room @ {name}", "accuracy"),
                    (f"room @ {name}", "accuracy_lost"),
                )
            )
            assert lost == pytest.approx(was - now, abs=1e-5)
    assert rows["room @ rate-x2", "physical", "probe", "accuracy_lost"].seeds == 2
    page = (tmp_path / "page.html").read_text()
    assert "accuracy lost, points" in page and "rate-x0.5" in page


def test_twice_the_rate_is_a_head_fitted_to_half_of_it(trained: Path, shards_dir: Path) -> None:
    """Against the same fit by hand."""
    recipe = EvaluateRecipe.model_validate(_fields(trained, shards_dir, seeds=[0]))
    outcomes = Outcomes(recipe)
    (job,) = [job for job in outcomes.plan().values() if job.fitted == "fitted at half rate"]
    found = Bench(recipe, "room", job.fitted).outcome(job).parts
    assert set(found) == {"test @ rate-x2", "test @ fitted at half rate"}

    encoder, problem = load_encoder(trained / "model"), Problem.load(recipe.task, "room")
    targets = problem.target.encode(problem.train)
    rows = label_subset(targets, 0.5, 0)
    train = TokenSet([half_rate(signal) for signal in problem.train], encoder.config)
    features = {"moments": pooled_features(encoder, train, ["moments"])["moments"][rows]}
    head = fit_stack(features, targets[rows], problem.target.size, origins(problem.train[i] for i in rows), 0).head
    for part, signals in (
        ("test @ rate-x2", problem.tests["test"]),
        ("test @ fitted at half rate", [half_rate(signal) for signal in problem.tests["test"]]),
    ):
        asked = pooled_features(encoder, TokenSet(signals, encoder.config), ["moments"])["moments"]
        with torch.no_grad():
            np.testing.assert_array_equal(found[part][1], head(torch.from_numpy(asked)).numpy().argmax(1))


def test_every_configuration_has_its_reference() -> None:
    assert reference_of("test") is None
    assert reference_of("test-D2 @ fitted at half rate") is None
    assert reference_of("test-D2 @ rate-x0.5") == "test-D2"
    assert reference_of("test-D2 @ half-band") == "test-D2 @ pooled for any shape"
    assert reference_of("test @ rate-x2") == "test @ fitted at half rate"


def test_a_seed_may_name_a_pretraining(trained: Path, shards_dir: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        (tmp_path / f"model-{seed}").symlink_to(trained / "model")
    fields = _fields(trained, shards_dir, checkpoints={"physical": str(tmp_path / "model-{seed}")}, fractions=[1.0])
    recipe = EvaluateRecipe.model_validate(fields)
    jobs = list(Outcomes(recipe).plan().values())
    assert {job.seed for job in jobs} == {0, 1}, "a probe with all labels draws nothing, but each seed has its weights"


def test_columns_are_left_out_only_where_the_shape_changes(trained: Path, shards_dir: Path) -> None:
    recipe = EvaluateRecipe.model_validate(_fields(trained, shards_dir, tune={"pooling": "auto"}))
    encoder = load_encoder(trained / "model")
    for fitted in recipe.fittings:
        problem = Bench(recipe, "room", fitted).problem
        possible = possible_poolings((s.values.shape for s in problem.signals), encoder.config)
        assert ("columns" in possible) == (fitted != "pooled for any shape")


def test_recordings_without_such_a_configuration_are_refused(shards_dir: Path) -> None:
    problem = Problem.load(TaskSection(shards=shards_dir, label="activity", split="room"), "room")
    single = Problem(problem.target, problem.train, {"test": [s.window(0, 2) for s in problem.tests["test"][:2]]})
    with pytest.raises(RecipeError, match=r"configurations: rate-x0\.5: half_rate needs .* Leave it out\."):
        reconfigured(single, "as recorded", ["rate-x0.5"])


def test_baselines_of_one_shape_are_refused(trained: Path, shards_dir: Path) -> None:
    with pytest.raises(ValidationError, match="configurations: mode cnn takes recordings of one shape only"):
        EvaluateRecipe.model_validate(_fields(trained, shards_dir, modes=["cnn", "probe"]))


def test_the_published_recipe_compares_positions_at_an_equal_budget() -> None:
    recipe = load_recipe(RECIPES / "evaluate" / "configurations.yaml", EvaluateRecipe)
    assert recipe.configurations == CONFIGURATIONS
    study = Study.load(RECIPES / "studies" / "positions.yaml")
    made = {}
    for name, source in recipe.sources.items():
        run = next(run for run in study.runs if run.trained and (run.variant, run.seed) == (name, recipe.seeds[0]))
        last = run.folder / "checkpoints" / f"step={run.pretrain.train.steps}.ckpt"
        assert str(last) == source.format(seed=run.seed, split="room")
        assert run.pretrain.model.positions == name
        made[name] = run.pretrain.model_dump(exclude={"name", "out"}) | {
            "model": run.pretrain.model.model_dump(exclude={"positions"})
        }
    assert made["physical"] == made["index"]
