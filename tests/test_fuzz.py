"""A short run of the mutation scripts under tests/fuzz; the long one is `python tests/fuzz/readers.py DATA`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.readers import HEADERLESS, READERS

SCRIPT = Path(__file__).parent / "fuzz" / "readers.py"


@pytest.mark.real
def test_every_reader_survives_mutated_captures(data_root: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(data_root), "--count", "30", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    survived = re.findall(r"^(\w+): 30 mutated files, 0 failures", done.stdout, re.MULTILINE)
    assert survived == [*READERS, *HEADERLESS]
