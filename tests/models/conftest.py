"""A small model for the tests of the network, made once per module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from foundation.models import WfmForMaskedModeling


@pytest.fixture(scope="module")
def model() -> WfmForMaskedModeling:
    # Not above: pytest loads this file before it sets the number of threads and the check of shapes.
    from helpers.models import build

    return build()
