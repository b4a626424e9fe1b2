"""The documentation site builds without a warning, and its generated pages hold what they are generated from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from foundation.config import PretrainRecipe


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return out


@pytest.mark.slow
def test_every_key_of_a_section_stands_on_the_page_of_recipe_keys(site: Path) -> None:
    page = (site / "reference" / "recipes" / "index.html").read_text(encoding="utf-8")
    section = PretrainRecipe.model_fields["train"].annotation
    assert section is not None
    keys = set(re.findall(r"<td><code>(\w+)</code></td>", page))
    assert {*PretrainRecipe.model_fields, *section.model_fields} <= keys


@pytest.mark.slow
def test_python_pages_hold_the_public_functions(site: Path) -> None:
    page = (site / "reference" / "python" / "adapt" / "index.html").read_text(encoding="utf-8")
    assert 'id="foundation.adapt.fit.fit"' in page
    assert (site / "reference" / "data-sets" / "index.html").is_file()


@pytest.mark.slow
def test_every_fence_becomes_a_code_block(site: Path) -> None:
    pages = [page for page in site.rglob("index.html") if "```" in page.read_text(encoding="utf-8")]
    assert pages == []
