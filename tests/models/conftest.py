"""A small model for the tests of the network, made once per module."""

from __future__ import annotations

import pytest
from helpers.models import build

from foundation.models import WfmForMaskedModeling


@pytest.fixture(scope="module")
def model() -> WfmForMaskedModeling:
    return build()
