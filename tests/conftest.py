"""What every test has: one thread, and the folder of real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.shapes import check_shapes

pytest_plugins = ["helpers.fitted", "helpers.hub_server", "helpers.tiny"]


def pytest_configure() -> None:
    """One thread, before torch is loaded: what one process computes is compared to the bit with what another does, and
    test processes side by side would wait for one another on few cores. `tests/nn/test_shapes.py` asks for checked
    shapes, which take a fifth of the time of a test."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if os.environ.get("WFM_CHECK_SHAPES"):
        check_shapes()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that share a fixture of their module share a process: else each process would make it anew."""
    found = getattr(item, "_fixtureinfo", None)
    scopes = {each.scope for definitions in found.name2fixturedefs.values() for each in definitions} if found else set()
    if "module" in scopes and item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings, or a skip that says how to provide it."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    root = Path(os.environ.get("WFM_DATA", default)).resolve()
    if not (root / "README.md").exists():
        pytest.skip(f"real recordings are absent: no {root}; set WFM_DATA to the folder that holds them")
    return root


@pytest.fixture(scope="session")
def cases_root(data_root: Path) -> Path:
    """The folder of small failing cases beside that of real recordings, or a skip that says so."""
    root = data_root.parent / "cases"
    if not root.is_dir():
        pytest.skip(f"small cases are absent: no {root}")
    return root
