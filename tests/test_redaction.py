"""Credentials in addresses: gone at every door, whatever stands around the address."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from foundation.config import CorpusSection, PretrainRecipe, load_recipe
from foundation.config.section import dump_recipe
from foundation.errors import ShardError, WfmError
from foundation.redaction import published

SECRETS = [
    "https://me:hunter2@host/a",
    "https://hunter2@host/a",
    "https://me:hun@ter2/x@host/a",
    "https://host/a?X-Amz-Signature=hunter2",
    "s3://bucket/a;token=hunter2",
    "https://host/a#hunter2",
    "https:/me:hunter2@host/a",  # as `pathlib` writes it
    "HTTPS://me:hunter2@host/a?b=hunter2#hunter2",
    "simplecache::https://me:hunter2@host/a",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "x={}", "'{}' and {}", "({}), see https://host/b", "[{}]: cannot be fetched"])
def test_nothing_of_it_is_left(secret: str, around: str) -> None:
    text = around.replace("{}", secret)
    shown = published(text)
    assert "hunter" not in shown
    assert "ter2" not in shown
    assert published(shown) == shown
    assert "host" in shown or "bucket" in shown
    assert "hunter" not in str(published({"a": [secret, {secret: 1}]}))
    for kind in (WfmError, ShardError):
        error = kind(text)
        assert str(error) == str(pickle.loads(pickle.dumps(error))) == shown


@pytest.mark.parametrize(
    "text",
    [
        "12 of 13 files; what? nothing#1; see a/b@c",
        "https://host/a/b.tar: cannot be read; upload it again.",
        "runs/shards/a?b;c#d",
        "C:/Users/me@home/x?y",
        "doi:10.1/abc;def",
        "out=runs/x; https://host/, and https://host",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert published(text) == text
    assert str(WfmError(text)) == text


def test_a_recipe_is_dumped_without_and_read_with_it() -> None:
    recipe = load_recipe(Path("recipes/quickstart.yaml"), PretrainRecipe, [f"data.shards={SECRETS[0]}"])
    assert recipe.data.shards == SECRETS[0]
    assert recipe.data.sources[0].shards == SECRETS[0]
    for text in (dump_recipe(recipe), recipe.model_dump_json(), str(recipe.model_dump())):
        assert "hunter" not in text
    assert "hunter" not in CorpusSection(shards=SECRETS[3]).model_dump_json()
