"""A set of one's own, as `docs/guide/own-data.md` shows it: one file outside this project, and its possible errors."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.signals import make_signal
from helpers.small_set import _dataset
from helpers.tiny import wfm

from foundation.data.shards.manifest import Manifest
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.datasets.common import from_files, windows
from foundation.errors import ShardError
from foundation.signal import Signal

DOCUMENT = ROOT / "docs" / "guide" / "own-data.md"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two rooms, two activities; lost packets, a long gap, and one recording shorter than a window."""
    folder, rng = tmp_path / "recordings", np.random.default_rng(0)
    for room in ("lab", "home"):
        for activity in ("sit down", "walk"):
            path = folder / room / "ann" / activity / "take 1.npz"
            path.parent.mkdir(parents=True)
            csi = rng.normal(size=(440, 3, 30)) + 1j * rng.normal(size=(440, 3, 30))
            csi[7] = np.nan
            csi[: 200 if room == "home" else 0] = np.nan
            np.savez(path, csi=csi)
            np.savez(path.with_name("take 2.npz"), csi=csi[-20:])
    return folder


def test_the_example_of_the_guide_builds_with_any_number_of_workers(recordings: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```python[^\n]*\n(\"\"\"my_set\.py.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "my_set.py").write_text(text)
    for workers in (1, 2):
        out = tmp_path / f"built-{workers}"
        done = wfm(
            *("shards", "build", "my_set.py", "--raw", "recordings", "--out", out, "--workers", workers), cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert "left out times 0 to 199, where nothing was measured" in " ".join(done.stderr.split())
    one, two = (Manifest.load(tmp_path / f"built-{workers}") for workers in (1, 2))
    assert one.fingerprint() == two.fingerprint()
    assert one.summary.labels == {"activity": {"sit down": 3, "walk": 3}}
    assert one.summary.parts == {"room-home": {"train": 4, "test": 2}, "room-lab": {"train": 2, "test": 4}}


def test_a_file_that_is_no_data_set_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    with pytest.raises(ShardError, match=r"absent\.py: no such file"):
        open_dataset(str(tmp_path / "absent.py"))
    for name, text, message in [
        ("json.py", "", "rename the file"),
        ("two.dots.py", "", "rename the file"),
        ("set_without_build.py", "", "has no function build"),
        ("set_of_nothing.py", "def build(raw): return raw", "build.* returns PosixPath; expected"),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ShardError, match=message):
            open_dataset(str(tmp_path / name), raw=tmp_path)


def _broken(times: int) -> Iterator[Signal]:
    yield make_signal(times=times)
    yield make_signal(times=times).with_(time_s=np.zeros(times))


def test_an_error_of_a_signal_says_which_file_or_sample_it_is(tmp_path: Path) -> None:
    path = tmp_path / "take-3.npz"
    path.touch()
    described = {"name": "mine", "title": "", "licence": "", "citation": "", "homepage": "", "tasks": {}}
    dataset = from_files(tmp_path, {path: partial(_broken, 8)}, dict, **described)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match=r"mine: .*take-3\.npz: Signal\.time_s does not increase"):
        write_shards(dataset, tmp_path / "files")
    piece = _dataset(lambda: ((f"s{index}", signal.with_(labels={})) for index, signal in enumerate(_broken(8))))
    with pytest.raises(ShardError, match=r"a sample, the one after s0: Signal\.time_s does not increase"):
        write_shards(piece, tmp_path / "pieces")


def test_another_code_is_another_build(recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    (text,) = re.findall(r"```python[^\n]*\n(\"\"\"my_set\.py.*?)```", DOCUMENT.read_text(), re.DOTALL)
    path, out = tmp_path / "coded_set.py", tmp_path / "built"
    path.write_text(text)
    write_shards(open_dataset(str(path), raw=recordings), out)
    write_shards(open_dataset(str(path), raw=recordings), out)
    path.write_text(text + "# windows are cut otherwise now\n")
    with pytest.raises(ShardError, match=r"built holds a finished build with .*code"):
        write_shards(open_dataset(str(path), raw=recordings), out)
    (tmp_path / "wrong_set.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ShardError, match=r"wrong_set\.py: cannot be imported \(ModuleNotFound.*correct it first"):
        open_dataset(str(tmp_path / "wrong_set.py"), raw=recordings)


def test_a_recording_shorter_than_a_window_is_left_out_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="left out, 32 times are fewer than a window of 33"):
        assert list(windows(make_signal(), 33)) == []


def test_windows_in_which_nothing_was_measured_are_left_out_with_a_warning() -> None:
    valid = np.ones((32, 2, 16), bool)
    valid[8:16] = False
    with pytest.warns(UserWarning, match="left out times 8 to 15"):
        found = list(windows(make_signal().with_(valid=valid), 8))
    assert len(found) == 3
    assert all(window.mask.all() for window in found)
