"""Every code block of README, docs/ and shards/README.md: run in order in a fresh folder at tiny size, or parsed."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from helpers.documents import DOCUMENTS, Block, Shell, blocks_of, with_overrides
from helpers.intel5300 import intel_record, random_csi, written
from helpers.tiny import MODEL

from foundation.cli import _parser, main
from foundation.config import AdaptRecipe, EvaluateRecipe, FinetuneRecipe, PretrainRecipe, load_recipe
from foundation.config.study import StudyRecipe
from foundation.config.suite import SuiteRecipe, load_suite
from foundation.datasets import DATASETS

BLOCKS = {document: blocks_of(document) for document in DOCUMENTS if blocks_of(document)}
#: What makes a command of a document small enough for a test.
TINY = {
    "pretrain": [*(f"model.{key}={value}" for key, value in MODEL.items()), "train.steps=4", "train.batch_size=8"],
    "adapt": ["steps=2", "batch_size=8"],
    "finetune": ["tune.steps=2", "tune.batch_size=8"],
    "evaluate": [
        *("tune.steps=2", "tune.batch_size=8", "tune.pooling=moments", "seeds=[0]", "fractions=[0.1]", "workers=1"),
        "modes=[baseline, probe, lora]",  # tests/evaluate runs all of them
    ],
}
#: The same for what a Python block simulates.
FEWER = {"simulate(60, ": "simulate(30, "}
RECIPES = (PretrainRecipe, AdaptRecipe, FinetuneRecipe, EvaluateRecipe, SuiteRecipe)
COUNT = 320  # simulated windows, whatever a document says
#: Pages that start from nothing; all others find shards and a tiny pretraining run.
FROM_NOTHING = ("first-hour.md", "own-data.md")
#: Blocks that are parsed and not run. A new one needs a reason, and this number.
NOT_RUN = 29

pytestmark = [pytest.mark.xdist_group("docs"), pytest.mark.slow]


def _run(command: list[str]) -> int:
    """A program of a block, at tiny size."""
    program, *arguments = command
    if program == "python" and arguments[:1] == ["-m"]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", arguments[1:])
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    assert program == "wfm", f"{program}: only wfm and python -m are run; mark the block with no_run"
    if "--count" in arguments:
        arguments[arguments.index("--count") + 1] = str(COUNT)
    if "--config" in arguments and arguments[0] in TINY and "--dry-run" not in arguments:
        arguments = with_overrides(arguments, TINY[arguments[0]])
    return main(arguments)


def _check(command: list[str]) -> int:
    """A program of a block that is not run: its options parse, and its recipes, keys and targets exist."""
    program, *arguments = command
    if program == "make":
        return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True).returncode
    if program == "python" and arguments[0] == "-m":
        return int(importlib.util.find_spec(arguments[1]) is None)
    if program == "python":
        return int(not (ROOT / arguments[0]).is_file())
    if program != "wfm":
        return 0
    if arguments[:2] == ["shards", "build"]:
        assert arguments[2] in DATASETS or arguments[2].endswith(".py"), f"{arguments[2]}: no such data set"
    depth = 3 if arguments[:2] == ["slurm", "submit"] else 1
    if not {"--leaderboard", "--suite"} & set(arguments[:2]) and (arguments[0] in TINY or depth == 3):
        return main(arguments if "--dry-run" in arguments else [*arguments[:depth], "--dry-run", *arguments[depth:]])
    options = _parser().parse_args(arguments)
    if arguments[:2] == ["evaluate", "--suite"]:
        load_suite(options.suite, options.overrides)  # --dry-run would look for the shards, as of a study
    if arguments[0] == "study":
        study = load_recipe(options.study, StudyRecipe, options.overrides)
        for _, words, _ in study.cells:
            load_recipe(options.study.parent / study.pretrain, PretrainRecipe, [*study.overrides, *words])
    return 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recipes and a capture of an Intel 5300, in which the blocks of one document run."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    records = [intel_record(random_csi(number, rx=1), 10_000 * number) for number in range(230)]
    written(tmp_path / "capture.dat", *records)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("WFM_DATA", str(tmp_path / "data"))
    return tmp_path


def _prepare(folder: Path, text: str, request: pytest.FixtureRequest) -> None:
    """What the other pages take for granted: shards (but those that they build) and a pretraining run."""
    for path, fixture in (("runs/shards/simulated", "shards_dir"), ("runs/quickstart/pretrain", "trained")):
        (folder / path).parent.mkdir(parents=True)
        if f"--out {path}" not in text:
            (folder / path).symlink_to(request.getfixturevalue(fixture))


@pytest.mark.parametrize("document", BLOCKS, ids=lambda document: str(document.relative_to(ROOT)))
def test_the_blocks_of_a_document_run_in_order(
    document: Path, folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if document.name not in FROM_NOTHING:
        _prepare(folder, document.read_text(), request)
    run, check = Shell(folder, _run), Shell(folder, _check)
    names: dict[str, object] = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in BLOCKS[document]:
            _one(block, folder, run, check, names)


def _one(block: Block, folder: Path, run: Shell, check: Shell, names: dict[str, object]) -> None:
    if block.title:
        (folder / block.title).write_text(block.text)
    elif block.language == "bash":
        shell = check if block.no_run else run
        shell.bash(block)
    elif block.language == "python":
        text = block.text
        for many, few in FEWER.items():
            text = text.replace(many, few)
        code = compile(text, str(block), "exec")
        if not block.no_run:
            exec(code, names)
    elif block.language == "yaml":
        assert any(set(yaml.safe_load(block.text)) <= set(recipe.model_fields) for recipe in RECIPES), f"{block}: keys"
    else:
        assert block.language == "text", f"{block}: expected bash, python, yaml or text"


def test_blocks_that_are_not_run_are_counted() -> None:
    skipped = [block for blocks in BLOCKS.values() for block in blocks if block.no_run]
    assert len(skipped) == NOT_RUN, [f"{block}: {block.no_run}" for block in skipped]
