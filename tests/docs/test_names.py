"""What the documents name exists: recipe keys, paths, linked files, and the table of who may import whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import pytest
from helpers import ROOT
from helpers.documents import DOCUMENTS

from foundation.config import AdaptRecipe, FinetuneRecipe, PretrainRecipe, Section
from foundation.config.evaluation import EvaluateRecipe
from tests.test_imports import ALLOWED

#: `train.steps` in the text, but not files such as `task.json`.
KEY = re.compile(r"`((?:train|tune|model|data|objective|task)\.(?!(?:py|json|safetensors)\b)[a-z_]+)[\w.=:]*[^`]*`")
FOLDERS = "foundation|recipes|tests|benchmarks|shards|slurm|docs"
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]+\.(?:py|yaml|json|md|sbatch))")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def _keys(recipe: type[Section]) -> Iterator[str]:
    for name, field in recipe.model_fields.items():
        for section in (field.annotation, *get_args(field.annotation)):
            if isinstance(section, type) and issubclass(section, Section):
                yield from (f"{name}.{key}" for key in section.model_fields)


KEYS = {key for recipe in (PretrainRecipe, AdaptRecipe, FinetuneRecipe, EvaluateRecipe) for key in _keys(recipe)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_recipe_keys_and_files_that_a_document_names_exist(document) -> None:
    text = document.read_text(encoding="utf-8")
    assert {key for key in KEY.findall(text) if key not in KEYS} == set()
    assert {path for path in PATH.findall(text) if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_outside_the_site_lead_to_files(name: str) -> None:
    links = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_is_short_and_keeps_its_two_commands() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120
    for command in ("make pretrain ", "make test "):
        assert any(line.startswith(command) for line in lines)


def test_the_architecture_page_shows_who_may_import_whom() -> None:
    text = (ROOT / "docs" / "research" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", text, re.MULTILINE)
    assert {package: set(re.findall(r"`(\w+)`", allowed)) for package, allowed in table} == ALLOWED


def test_the_readme_lists_the_examples_that_there_are() -> None:
    examples = {path.name for path in (ROOT / "examples").glob("[a-z]*.py")}
    if not examples:
        pytest.skip("this checkout has no examples/")
    listed = re.findall(r"^\| `(\w+\.py)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == examples
