"""Writing: whole or not at all, one process at a time, nothing overwritten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.errors import CheckpointError, WfmError
from foundation.files import exclusive, new_folder, write_atomically

COUNT = """
import sys
from pathlib import Path
from foundation.files import exclusive
counter = Path(sys.argv[1])
for _ in range(int(sys.argv[2])):
    with exclusive(counter, wait_s=120):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_processes_that_read_and_write_one_file_lose_nothing(tmp_path: Path) -> None:
    """The lock is removed each time: one who waited for a lock file that has gone must not believe that it holds it."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    children = [subprocess.Popen([sys.executable, "-c", COUNT, str(counter), "100"]) for _ in range(4)]
    assert [child.wait(timeout=120) for child in children] == [0] * 4
    assert counter.read_text() == "400"
    assert list(tmp_path.iterdir()) == [counter]


def test_the_second_is_told_who_holds_it_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    code = "import sys, time\nfrom pathlib import Path\nfrom foundation.files import exclusive\n"
    code += f"with exclusive(Path({str(tmp_path / 'out')!r})):\n    print('held', flush=True)\n    time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(WfmError, match=f"process {child.pid} on .* is writing it"), exclusive(tmp_path / "out"):
        pass
    child.kill()
    child.wait()
    with exclusive(tmp_path / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "made", CheckpointError) as partial:
        (partial / "file").write_text("text")
        assert not (tmp_path / "a" / "made").exists()
    assert (tmp_path / "a" / "made" / "file").read_text() == "text"
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "b", CheckpointError) as partial:
        raise ZeroDivisionError
    with (
        pytest.raises(CheckpointError, match="exists and is left alone"),
        new_folder(tmp_path / "a" / "made", CheckpointError),
    ):
        pass
    with pytest.raises(CheckpointError, match="exists and is left alone"), new_folder(tmp_path / "c", CheckpointError):
        (tmp_path / "c" / "of another").mkdir(parents=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


def test_files_have_the_permissions_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
