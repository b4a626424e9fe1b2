"""`wfm evaluate` on tiny shards: rows of every mode, caching, and refusal of checkpoints that saw the test part."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.tiny import pretrain_recipe, snapshot, wfm, write_recipe

from foundation.checkpoints.export import export
from foundation.cli import main
from foundation.config import BaselineSection, EvaluateRecipe
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError
from foundation.evaluate import leakage as overlap
from foundation.evaluate.cache import Outcome, Outcomes, hashed_files
from foundation.evaluate.fits import Bench
from foundation.evaluate.jobs import Job, jobs_of
from foundation.evaluate.run import evaluate
from foundation.results.rows import Row, load_rows
from foundation.train.pretrain import pretrain

MODES = ["baseline", "untrained", "probe", "knn", "lora", "full", "scratch"]
SPACED = "baselines=[{features: invariant, method: logistic}]"
SCHEMA = {"set", "split", "method", "mode", "fraction", "metric", "mean", "low", "high", "seeds", "n", "command"}


def _recipe(trained: Path, shards: Path, label: str = "activity", **changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "set": "simulated",
        "checkpoint": str(trained / "model"),
        "task": {"shards": str(shards), "label": label, "split": "room"},
        "modes": MODES,
        "fractions": [0.1, 1.0],
        "seeds": [0, 1],
        "tune": {"steps": 3, "batch_size": 8},
        "cache": str(trained.with_name("fits")),
    } | changes


def _evaluate(recipe: dict[str, Any]) -> list[Row]:
    return evaluate(EvaluateRecipe.model_validate(recipe), "command")


@pytest.fixture(scope="module")
def written(trained: Path, shards_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows that the command line wrote with two worker processes."""
    folder = tmp_path_factory.mktemp("evaluate")
    config = write_recipe(folder / "eval.yaml", _recipe(trained, shards_dir, workers=2))
    done = wfm("evaluate", "--config", config, SPACED, "--json", folder / "rows.json", "--html", folder / "page.html")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_mode_and_fraction_has_its_rows(written: Path, shards_dir: Path) -> None:
    raw = json.loads((written / "rows.json").read_text())
    assert all(set(row) == SCHEMA for row in raw)
    rows = load_rows(written / "rows.json")
    metrics = {row.metric for row in rows}
    assert "accuracy" in metrics
    found = {(row.mode, row.fraction, row.metric) for row in rows}
    assert found == {(mode, fraction, metric) for mode in MODES for fraction in (0.1, 1.0) for metric in metrics}
    tested = Manifest.load(shards_dir).summary.parts["room"]["test"]
    for row in rows:
        assert (row.set, row.split, row.n) == ("simulated", "room", tested)
        assert 0 <= row.mean <= 1
        assert row.low <= row.mean <= row.high
        assert row.seeds == 2 or (row.seeds == 1 and row.fraction == 1), "equal answers of every seed are one run"
        assert row.command == f"wfm evaluate --config {written / 'eval.yaml'} '{SPACED}'", "a shell takes it as it is"
    assert {row.method for row in rows if row.mode == "baseline"} == {"invariant features, logistic"}


def test_the_page_shows_the_rows(written: Path) -> None:
    page = (written / "page.html").read_text()
    assert "tiny on simulated" in page
    assert all(mode in page for mode in MODES)


def test_one_process_gives_the_rows_of_two(written: Path, trained: Path, shards_dir: Path) -> None:
    found = {row.key: row for row in _evaluate(_recipe(trained, shards_dir))}
    for row in load_rows(written / "rows.json"):
        alone = found[row.key]
        assert (alone.mean, alone.low, alone.high) == pytest.approx((row.mean, row.low, row.high), rel=1e-5), row.key


def test_rows_are_merged_into_an_existing_file(
    written: Path, trained: Path, shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.json"
    rows.write_bytes((written / "rows.json").read_bytes())
    changes = {"name": "other", "modes": ["knn"], "fractions": [1.0]}
    config = write_recipe(tmp_path / "eval.yaml", _recipe(trained, shards_dir, **changes))
    assert main(["evaluate", "--config", str(config), "--json", str(rows)]) == 0
    assert "accuracy" in capsys.readouterr().out.lower()
    before, after = load_rows(written / "rows.json"), load_rows(rows)
    assert {row.key for row in after} > {row.key for row in before}
    assert {row.method for row in after} - {row.method for row in before} == {"other"}
    assert main(["evaluate", "--config", str(config), "--json", str(rows)]) == 0
    new = len(after) - len(before)
    assert f"{new} rows written, {new} of them in place of earlier ones" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "place", "told"),
    [
        ("--json", ".", "is a folder; give the name of a file"),
        ("--html", "file/page.html", "nothing can be written into"),
        ("--json", "file", "file: not a JSON file of rows"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_fit(
    option: str,
    place: str,
    told: str,
    trained: Path,
    shards_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("notes of mine")
    config = write_recipe(tmp_path / "eval.yaml", _recipe(trained, shards_dir, modes=["knn"]))
    monkeypatch.setattr(Bench, "outcome", lambda *_: pytest.fail("nothing is fitted"))
    monkeypatch.setattr(overlap, "refuse_overlap", lambda *_: pytest.fail("nothing is read"))
    assert main(["evaluate", "--config", str(config), option, str(tmp_path / place)]) == 2
    assert told in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "notes of mine"


def test_a_stopped_evaluation_goes_on_and_gives_the_same_rows(
    trained: Path, shards_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(trained, shards_dir, modes=["baseline", "knn"], cache=str(tmp_path / "kept"))
    whole = _evaluate(recipe | {"cache": str(tmp_path / "other")})
    done: list[str] = []

    def until_the_third(bench: Bench, job: Job) -> Outcome:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job.mode)
        return outcome(bench, job)

    outcome = Bench.outcome
    monkeypatch.setattr(Bench, "outcome", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        _evaluate(recipe)
    assert len(list((tmp_path / "kept").glob("*.safetensors"))) == 3
    monkeypatch.setattr(Bench, "outcome", outcome)
    assert _evaluate(recipe) == whole
    monkeypatch.setattr(Bench, "outcome", lambda *_: pytest.fail("everything is there already"))
    assert _evaluate(recipe) == whole
    monkeypatch.setattr(overlap, "refuse_overlap", _refused)
    with pytest.raises(RecipeError, match="was pretrained on it"):
        _evaluate(recipe)


def _refused(*_: object) -> None:
    raise RecipeError("was pretrained on it")


def test_what_computes_an_outcome_is_part_of_its_name() -> None:
    """Every module of the package that a fit imports is hashed; what only reads and shows is not."""
    hashed = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in hashed_files()}
    # Where weights are read from, how recipes, rows and errors are written, and on which device a fit runs changes none
    # but by rounding: weights and job are named.
    aside = (
        "errors",
        "files",
        "json_file",
        "machine",
        "progress",
        "redaction",
        "released",
        "checkpoints",
        "config",
        "results",
    )
    reached, ahead = set[str](), ["foundation.evaluate.fits"]
    while ahead:
        name = ahead.pop()
        file = ROOT / f"{name.replace('.', '/')}.py"
        if name in reached or name.split(".")[1] in aside or not file.is_file():
            continue
        reached.add(name)
        imports = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        ahead += [str(node.module) for node in imports if str(node.module).startswith("foundation.")]
    assert reached - hashed == set()
    assert len(reached) > 20


def _kept(recipe: EvaluateRecipe, mode: str, **changes: Any) -> Path:
    """Where the first job of a mode has its outcome."""
    job = next(job for job in jobs_of(recipe) if job.mode == mode)
    return Outcomes(recipe).path(replace(job, **changes))


def test_no_outcome_of_other_settings_is_read(trained: Path, shards_dir: Path) -> None:
    recipe = EvaluateRecipe.model_validate(_recipe(trained, shards_dir))
    path = _kept(recipe, "lora")
    again = recipe.model_copy(update={"name": "other", "workers": 2, "seeds": [0]})
    assert _kept(again, "lora") == path, "what does not change the outcome does not change its name"
    tuned = recipe.model_copy(update={"tune": recipe.tune.model_copy(update={"steps": 4})})
    assert len({_kept(tuned, "lora"), _kept(recipe, "lora", seed=5), _kept(recipe, "full"), path}) == 4
    assert _kept(tuned, "baseline") == _kept(recipe, "baseline"), "a baseline knows nothing of tuning"
    other = recipe.model_copy(update={"baselines": [BaselineSection(features="doppler")]})
    assert _kept(other, "baseline") != _kept(recipe, "baseline")


def test_positions_are_a_regression_in_metres(trained: Path, shards_dir: Path) -> None:
    changes = {"modes": ["baseline", "probe", "knn", "lora"], "fractions": [1.0], "baselines": [{"method": "ridge"}]}
    rows = _evaluate(_recipe(trained, shards_dir, "position", **changes))
    assert {row.mode for row in rows} == {"baseline", "probe", "knn", "lora"}
    assert "accuracy" not in {row.metric for row in rows}
    errors = {row.mode: row.mean for row in rows if row.metric == "mean_error_m"}
    assert errors.keys() == {"baseline", "probe", "knn", "lora"}
    assert all(0 < error < 20 for error in errors.values()), "rooms are at most 9 m long"


def test_a_baseline_method_of_the_wrong_kind_is_refused(trained: Path, shards_dir: Path) -> None:
    with pytest.raises(RecipeError, match="logistic"):
        _evaluate(_recipe(trained, shards_dir, "position", modes=["baseline"]))


def test_folds_are_scored_together(trained: Path, shards_dir: Path) -> None:
    task = {"shards": str(shards_dir), "label": "activity", "split": ["room", "recording"]}
    (row,) = (
        row
        for row in _evaluate(_recipe(trained, shards_dir, modes=["baseline"], fractions=[1.0], task=task))
        if row.metric == "accuracy"
    )
    parts = Manifest.load(shards_dir).summary.parts
    assert (row.split, row.n) == ("2 folds", parts["room"]["test"] + parts["recording"]["test"])


def test_the_baseline_beats_chance_in_rooms_it_never_saw(written: Path) -> None:
    (row,) = (row for row in load_rows(written / "rows.json") if (row.mode, row.fraction) == ("baseline", 1.0))
    assert row.mean > 1.5 / 7, "seven activities"


def test_a_checkpoint_that_saw_the_test_part_is_refused(
    shards_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=1)
    recipe.data.split = recipe.data.part = None
    model = export(pretrain(recipe).checkpoint, tmp_path / "run" / "model")
    fields = _recipe(tmp_path / "run", shards_dir, modes=["knn"])
    config = write_recipe(tmp_path / "eval.yaml", fields)
    before = snapshot(tmp_path)
    assert main(["evaluate", "--config", str(config), "--json", str(tmp_path / "rows.json")]) == 2
    told = capsys.readouterr().err
    assert f"{model} was pretrained on session" in told
    assert "'test'" in told
    assert snapshot(tmp_path) == before


def test_the_training_checkpoint_itself_is_no_way_around(shards_dir: Path, tmp_path: Path) -> None:
    """A .ckpt file has its record in the directory of its run."""
    recipe = pretrain_recipe(shards_dir, tmp_path / "run", steps=1)
    recipe.data.split = recipe.data.part = None
    checkpoint = pretrain(recipe).checkpoint
    with pytest.raises(RecipeError, match="was pretrained on session"):
        _evaluate(_recipe(tmp_path, shards_dir, modes=["knn"], checkpoint=str(checkpoint)))
