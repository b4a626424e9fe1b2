"""The test session itself: what its speed stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def shared(worker_id: str) -> Iterator[str]:
    yield worker_id


@pytest.mark.parametrize("number", range(4))
def test_tests_that_share_a_fixture_of_their_module_run_in_one_process(
    shared: str, number: int, request: pytest.FixtureRequest
) -> None:
    """Else every process makes what is costly anew; pytest-xdist marks such tests by an `@` in their names."""
    assert shared == "master" or request.node.nodeid.endswith("@tests/test_conftest.py")
