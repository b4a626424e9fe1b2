"""The processes that open HDF5 files: what follows an error, a crash, a hang, an interruption; none stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from foundation.errors import ReadError
from foundation.readers.arrays import hdf5

_CLIENT = """
import sys
from pathlib import Path
from foundation.readers.arrays.hdf5 import Hdf5File
for path in sys.argv[1:]:
    with Hdf5File(Path(path)) as file:
        print(file._worker.pid, flush=True)
sys.stdin.read()
"""


_FORK = """
import os, sys
from pathlib import Path
from foundation.readers.arrays import hdf5

def tell():
    with hdf5.Hdf5File(Path(sys.argv[1])) as file:
        print(file._worker.pid if file.keys() == ["H"] else 0, flush=True)

tell()
child = os.fork()
if child == 0:
    tell()
    hdf5._end_idle()
    os._exit(0)
os.waitpid(child, 0)
tell()
"""


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with h5py.File(tmp_path / "a", "w") as file:
        file["H"] = np.arange(6.0)
    yield tmp_path / "a"
    hdf5._end_idle()


@pytest.fixture
def damaged(tmp_path: Path, path: Path) -> Path:
    (tmp_path / "damaged").write_bytes(path.read_bytes()[:-1000])
    return tmp_path / "damaged"


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """The library waits for ever to open it: nobody writes into this pipe."""
    os.mkfifo(tmp_path / "endless")
    return tmp_path / "endless"


def worker_of(file: hdf5.Hdf5File) -> int:
    assert file._worker is not None
    return file._worker.pid


def child_of(worker: int) -> int:
    (child,) = psutil.Process(worker).children()
    return child.pid


def is_gone(group: int) -> bool:
    """Whether no process of a group is left, waiting for it a while."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def check_reads(path: Path) -> int:
    """The worker that reads the intact file."""
    with hdf5.Hdf5File(path) as file:
        assert file.read("H", [(1, 3)]).tolist() == [1, 2]
        return worker_of(file)


def test_one_worker_serves_one_file_after_another(path: Path) -> None:
    assert check_reads(path) == check_reads(path)


def test_after_an_error_the_worker_goes_on_with_a_new_child(path: Path, damaged: Path) -> None:
    with hdf5.Hdf5File(path) as file:
        worker, child = worker_of(file), child_of(worker_of(file))
    with pytest.raises(ReadError, match=r"damaged: is truncated or damaged \(.*truncated file"), hdf5.Hdf5File(damaged):
        pass
    with pytest.raises(ReadError, match=r"a: is truncated or damaged \(.*object 'absent'"), hdf5.Hdf5File(path) as file:
        file.read("absent", [])
    assert check_reads(path) == worker
    assert child_of(worker) != child


def test_an_error_of_the_caller_leaves_the_worker_and_its_child(path: Path) -> None:
    with pytest.raises(KeyError), hdf5.Hdf5File(path) as file:
        worker, child = worker_of(file), child_of(worker_of(file))
        raise KeyError
    assert check_reads(path) == worker
    assert child_of(worker) == child


@pytest.mark.parametrize("whole", [False, True])
def test_a_crash_is_an_error_and_the_next_file_is_read(path: Path, whole: bool) -> None:
    crashed = pytest.raises(ReadError, match=r"a: is truncated or damaged \(the HDF5 library crashed or hung on it\)")
    with crashed, hdf5.Hdf5File(path) as file:
        worker = worker_of(file)
        (os.killpg if whole else os.kill)(worker if whole else child_of(worker), signal.SIGSEGV)
        file.about("H")
    assert is_gone(worker)
    check_reads(path)


def test_a_hang_is_an_error_and_the_next_file_is_read(
    path: Path, endless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = check_reads(path)
    monkeypatch.setattr(hdf5, "_TIMEOUT_S", 0.1)
    with pytest.raises(ReadError, match=r"endless: .* \(the HDF5 library crashed or hung on it\)"):
        hdf5.Hdf5File(endless).__enter__()
    monkeypatch.undo()
    assert is_gone(worker)
    check_reads(path)


def test_an_interruption_within_an_answer_ends_the_worker(path: Path, endless: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    worker = check_reads(path)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            hdf5.Hdf5File(endless).__enter__()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert is_gone(worker)
    check_reads(path)


@pytest.mark.parametrize("hangs", [False, True])
def test_nothing_outlives_a_client_that_is_killed(path: Path, endless: Path, hangs: bool) -> None:
    command = [sys.executable, "-c", _CLIENT, str(path), *[str(endless)] * hangs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        worker = int(client.stdout.readline())
        time.sleep(0.2)  # for it to open the other
        client.kill()
    assert is_gone(worker)


def test_two_files_are_open_at_a_time_and_one_worker_stays(path: Path) -> None:
    with hdf5.Hdf5File(path) as file, hdf5.Hdf5File(path) as other:
        workers = {worker_of(file), worker_of(other)}
        assert file.keys() == other.keys() == ["H"]
    kept = check_reads(path)
    assert len(workers) == 2 and kept in workers
    assert is_gone((workers - {kept}).pop())


def test_a_forked_process_has_a_worker_of_its_own(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FORK, str(path)], capture_output=True, text=True, timeout=60)
    parent, child, again = map(int, done.stdout.split())
    assert parent == again != child


def test_a_worker_takes_no_more_memory_than_it_needs(tmp_path: Path) -> None:
    """A file of a few kilobytes may claim an array of 2 GiB."""
    with h5py.File(tmp_path / "claims", "w") as file:
        file.create_dataset("H", (2**28,), "f8", chunks=(2**16,))
    with pytest.raises(ReadError, match="damaged"), hdf5.Hdf5File(tmp_path / "claims") as file:
        file.read("H", [(0, 2**28)])
    hdf5._end_idle()
