"""Release notes are one section of the changelog, and the files of the forge are valid and name what exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from types import ModuleType

import pytest
import yaml
from helpers import ROOT

import foundation

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-01\n### Added\n- b\n\n## [0.1.0]\n- a\n"
FORGE = sorted([*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml"])


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`.ci/release_notes.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("release_notes", ROOT / ".ci" / "release_notes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_section_ends_where_the_next_begins(script: ModuleType) -> None:
    assert script.notes(CHANGELOG, "0.2.0") == "### Added\n- b"
    assert script.notes(CHANGELOG, "0.1.0") == "- a"


@pytest.mark.parametrize(("version", "message"), [("0.1", r"no section \[0.1\]"), ("Unreleased", "is empty")])
def test_a_missing_or_empty_section_is_refused(script: ModuleType, version: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        script.notes(CHANGELOG, version)


def test_the_changelog_has_notes_for_what_comes_next(script: ModuleType) -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert len(script.notes(text, "Unreleased")) > 100
    assert script.package_version((ROOT / "foundation" / "__init__.py").read_text()) == foundation.__version__


def test_a_tag_of_another_version_stops_the_release() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "release_notes.py"), "99.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == f"release_notes: the tag says 99.0.0, foundation/__init__.py says {foundation.__version__}"
    )


@pytest.mark.parametrize("path", FORGE, ids=lambda path: path.name)
def test_what_the_forge_runs_exists(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    for script_file in re.findall(r"(?<![\w/])(\.ci/\w+(?:\.py)?)", text):
        assert (ROOT / script_file).is_file(), script_file
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"run: make ([a-z]+)", text)) <= targets
