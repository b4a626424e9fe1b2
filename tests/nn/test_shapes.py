"""Shapes in signatures: checked while the tests of the network run once more, and by nothing at run time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

#: Neither what compiles, nor what takes many steps of training that all call alike, nor what starts another process.
SHORT = (
    "not learns and not compiled and not overfitted and not gives_back_the_distribution and not fresh_process "
    "and not exported_as_a_graph"
)


@pytest.mark.slow
def test_the_network_keeps_the_shapes_of_its_signatures() -> None:
    tests = [str(ROOT / "tests" / name) for name in ("nn", "models", "objectives", "helpers/wrong_shapes.py")]
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-k", SHORT, f"--ignore={__file__}"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    environment = {**os.environ, "WFM_CHECK_SHAPES": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


def test_nothing_is_checked_at_run_time(tmp_path: Path) -> None:
    code = (
        "import sys, torch\n"
        "from foundation.models.masked_loss import weighted_mean_square\n"
        "weighted_mean_square(torch.zeros(5, 2), torch.ones(5, 1))\n"
        "assert not {'beartype', 'typeguard'} & {name.split('.')[0] for name in sys.modules}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
