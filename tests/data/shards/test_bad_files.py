"""Raw files that cannot be read: left out, named, and the same bytes however the build is cut, stopped and resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.signals import make_signal
from helpers.tiny import snapshot

from foundation.cli import main
from foundation.data.shards import write
from foundation.data.shards.array_build import merge_parts, write_part
from foundation.data.shards.bad_files import limit
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.spec import Dataset, DefinitionError
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import common, open_dataset
from foundation.datasets.common import from_files, parts
from foundation.errors import ReadError, ShardError
from foundation.signal import Signal

FILES = 40
SMALL: Any = {"shard_bytes": 60_000}


def _read(path: Path) -> Iterator[Signal]:
    """A file gives three signals; a damaged one fails before the first, or after the second."""
    values = np.load(path)
    for index, each in enumerate(values):
        if not np.isfinite(each).all():
            raise ReadError(f"{path}: record {index} is damaged; copy it again.")
        yield make_signal(values=each, times=4, session=path.stem, labels={"activity": path.stem[-1]})


def _dataset(raw: Path) -> Dataset:
    files = sorted(raw.glob("*.npy"))
    part = {path.stem: "test" if index % 4 == 0 else "train" for index, path in enumerate(files)}
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: {"main": parts(part)},
        name="toy",
        title="",
        licence="",
        citation="",
        homepage="",
        tasks={"activity": "classification"},
    )


@pytest.fixture(params=[1000, 7], ids=["a file a piece", "files share pieces"])
def raw(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(common, "PIECES", request.param)
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(FILES):
        values = np.random.default_rng(number).normal(size=(3, 4, 2, 16)) + 1j
        values[2, 0, 0, 0] = np.nan if number in (17, 18) else 1
        np.save(folder / f"s{number:02d}.npy", values)
    (folder / "s00.npy").write_bytes(b"")
    (folder / "s21.npy").write_bytes(b"not an array at all")
    return folder


BAD = ["s00.npy", "s17.npy", "s18.npy", "s21.npy"]


def _check(out: Path) -> None:
    manifest = Manifest.load(out)
    assert [each.file for each in manifest.left_out] == BAD
    reasons = [each.reason for each in manifest.left_out]
    assert reasons[1] == "record 2 is damaged; copy it again"
    assert "EOFError" in reasons[0]
    assert "ValueError" in reasons[3]
    assert manifest.count == 3 * (FILES - len(BAD))
    assert "s00" not in manifest.splits["main"]["test"]
    assert verify(out) == []


@pytest.mark.filterwarnings("ignore:.*the splits are without:UserWarning")
def test_the_same_bytes_by_workers_parts_and_after_a_stop(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    write_shards(_dataset(raw), whole, **SMALL)
    _check(whole)
    write_shards(_dataset(raw), tmp_path / "workers", workers=2, **SMALL)
    for part in range(3):
        write_part(_dataset(raw), tmp_path / "parts", part, 3, **SMALL)
    merge_parts(tmp_path / "parts")
    moved = Path(shutil.move(raw, tmp_path / "elsewhere"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(write, "_finish", stop)
        write_shards(_dataset(moved), tmp_path / "resumed", **SMALL)
    write_shards(_dataset(moved), tmp_path / "resumed", **SMALL)
    for out in ("workers", "parts", "resumed"):
        assert snapshot(tmp_path / out) == snapshot(whole), out
    assert write_shards(_dataset(moved), whole, **SMALL).count == 3 * (FILES - len(BAD)), "it is built already"


def test_more_than_allowed_stop_it_and_the_limit_can_be_raised(raw: Path, tmp_path: Path) -> None:
    for allowed in (3, 0, 0.09):
        with pytest.raises(ShardError, match=r"\d of 40 raw files cannot be read, and --max-bad allows .; the first"):
            write_shards(_dataset(raw), tmp_path / "out", max_bad=allowed, **SMALL)
    with pytest.raises(ShardError, match="--max-bad allows 0"):
        write_part(_dataset(raw), tmp_path / "part", 0, 1, max_bad=0, **SMALL)
    with pytest.warns(UserWarning, match="the splits are without 4 sessions left out: s00, s17, s18, s21"):
        write_shards(_dataset(raw), tmp_path / "out", max_bad=0.1, **SMALL)
    _check(tmp_path / "out")
    assert [limit(files, None) for files in (1, 999, 1000, 2001)] == [10, 10, 10, 21]


@pytest.mark.filterwarnings("ignore:.*the splits are without:UserWarning")
def test_pipes_and_links_that_lead_nowhere(raw: Path, tmp_path: Path) -> None:
    (raw / "s05.npy").unlink()
    os.mkfifo(raw / "s05.npy")
    manifest = write_shards(_dataset(raw), tmp_path / "out", **SMALL)
    assert {"s05.npy": "is a pipe or a device; expected a file"}.items() <= {
        each.file: each.reason for each in manifest.left_out
    }.items()
    (raw / "s06.npy").unlink()
    (raw / "s06.npy").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ShardError, match=r"s06\.npy: No such file or directory; restore the file"):
        _dataset(raw)


def test_nothing_left_is_an_error_that_names_a_file(raw: Path, tmp_path: Path) -> None:
    for path in raw.glob("*.npy"):
        if path.stem not in ("s00", "s17"):
            path.unlink()
    with pytest.raises(ShardError, match=r"no samples \(2 files left out, first s00\.npy: EOFError"):
        write_shards(_dataset(raw), tmp_path / "out", **SMALL)


def _labelled(path: Path, **labels: str) -> Iterator[Signal]:
    yield make_signal(session=path.stem, labels=labels)


@pytest.mark.parametrize(("label", "task"), [("activty", "activity"), ("Activity", "activity"), ("room", "rooms")])
def test_a_label_spelt_unlike_its_task_is_refused_at_once(raw: Path, tmp_path: Path, label: str, task: str) -> None:
    files = {path: partial(_labelled, path, **{label: "x"}) for path in sorted(raw.glob("*.npy"))}
    about = dict.fromkeys(("title", "licence", "citation", "homepage"), "")
    dataset = from_files(raw, files, dict, name="toy", tasks={task: "classification"}, **about)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match=f"label '{label}' but none for the task '{task}'; spell the two alike"):
        write_shards(dataset, tmp_path / "out")


def test_a_label_that_is_no_task_is_told(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {path: partial(_labelled, path, activity="x", mood="y") for path in sorted(raw.glob("*.npy"))[:3]}
    about = dict.fromkeys(("title", "licence", "citation", "homepage"), "")
    dataset = from_files(raw, files, dict, name="toy", tasks={"activity": "classification"}, **about)  # type: ignore[arg-type]
    write_shards(dataset, tmp_path / "out")
    assert "label 'mood' is left out: the tasks are activity" in " ".join(capsys.readouterr().err.split())


def test_amplitudes_are_not_complex_csi(tmp_path: Path) -> None:
    raw = tmp_path / "a.npy"
    raw.touch()
    about = dict.fromkeys(("title", "licence", "citation", "homepage"), "")
    for changes in ({"values": np.abs(make_signal().values)}, {"values": make_signal().values.real, "is_real": True}):
        signals = partial(list, [make_signal(**changes)])
        dataset = from_files(tmp_path, {raw: signals}, dict, name="toy", tasks={"activity": "classification"}, **about)  # type: ignore[arg-type]
        with pytest.raises(ShardError, match=r"kind 'csi', which is complex, .* declare kind='csi-amplitude'"):
            write_shards(dataset, tmp_path / "out")


OWN = """
import numpy as np
from functools import partial
from foundation.datasets.common import from_files
from foundation.data.shards.spec import raw_files
def build(raw):
    files = raw_files(raw, "*.npz", name="own", homepage="disk")
    lengths = {path: length(path) for path in files}
def length(path):
    return len(np.load(path)["csi"])
"""


def test_a_file_that_a_set_of_ones_own_cannot_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_set_20.py").write_text(OWN)
    raw = tmp_path / "raw"
    raw.mkdir()
    np.savez(raw / "good.npz", csi=np.ones(3))
    (raw / "other.npz").write_bytes(b"no zip")
    with pytest.raises(ShardError, match=rf"build\(\.\.\.\) failed at {raw}/other\.npz \(ValueError"):
        open_dataset(str(tmp_path / "own_set_20.py"), raw=raw)
    command = ["shards", "build", "simulated", "--count", "64", "--out", str(tmp_path / "out")]
    for wrong in ("-1", "x", "1.5", "-5%", "nan%"):
        with pytest.raises(SystemExit):
            main([*command, f"--max-bad={wrong}"])
        assert "expected a number of files" in capsys.readouterr().err
    assert main([*command, "--max-bad", "2%"]) == 0
