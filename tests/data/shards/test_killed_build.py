"""Builds that are killed at random moments."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers import ROOT

KILLER = ROOT / "tests" / "fuzz" / "kill_build.py"


@pytest.mark.slow
def test_killed_again_and_again_it_writes_the_same_bytes() -> None:
    command = [sys.executable, str(KILLER), "--kills", "3", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "3 kills" in done.stdout
