"""Builds by several workers and jobs: the bytes of one process, also after kills; errors where parts do not fit."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.small_set import COUNT, SHARD_BYTES, _dataset, _samples
from helpers.tiny import snapshot

from foundation.cli import main
from foundation.data.shards import array_build as array
from foundation.data.shards import build_plan as plan
from foundation.data.shards import journal, pieces, write
from foundation.data.shards.array_build import PART_NAME, merge_parts, write_part
from foundation.data.shards.build_plan import LOCK_NAME
from foundation.data.shards.journal import JOURNAL_NAME
from foundation.data.shards.spec import Dataset
from foundation.data.shards.verify import verify
from foundation.data.shards.worker_pool import in_order
from foundation.data.shards.write import PIECES_NAME, write_shards
from foundation.datasets import DATASETS, open_dataset
from foundation.errors import ShardError, WfmError

SMALL: Any = {"shard_bytes": SHARD_BYTES}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of one build by one process."""
    out = tmp_path_factory.mktemp("whole")
    write_shards(_dataset(), out, **SMALL)
    return snapshot(out)


def _parts(out: Path, parts: int, dataset: Dataset | None = None) -> list[Path | None]:
    return [write_part(dataset or _dataset(), out, part, parts, **SMALL) for part in range(parts)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_do_not_change_a_byte(whole: dict[str, bytes], tmp_path: Path, workers: int) -> None:
    write_shards(_dataset(), tmp_path, workers=workers, **SMALL)
    assert snapshot(tmp_path) == whole
    assert verify(tmp_path, workers=workers) == []


def test_neither_does_the_way_a_set_is_cut_into_pieces(whole: dict[str, bytes], tmp_path: Path) -> None:
    for name, cuts in {"one": [0, COUNT], "each": range(COUNT + 1), "empty": [0, 0, 11, 11, COUNT]}.items():
        spans = zip(list(cuts)[:-1], list(cuts)[1:], strict=True)
        write_shards(_dataset(*(partial(_samples, *span) for span in spans)), tmp_path / name, **SMALL)
        assert snapshot(tmp_path / name) == whole


@pytest.mark.parametrize("parts", [1, 2, 3, 9])
def test_parts_merge_to_the_bytes_of_a_whole_build(whole: dict[str, bytes], tmp_path: Path, parts: int) -> None:
    folders = _parts(tmp_path, parts)
    assert len(set(folders)) == parts
    assert not (tmp_path / "manifest.json").exists()
    merge_parts(tmp_path)
    assert snapshot(tmp_path) == whole
    assert _parts(tmp_path, parts) == [None] * parts, "a merged set is not built again"
    assert snapshot(tmp_path) == whole


def test_one_process_merges_at_a_time(whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it removes the parts: another would find half of them."""
    _parts(tmp_path, 2)
    remove, refused = array._remove, []

    def remove_while_another_merges(folder: Path) -> None:
        (folder / PART_NAME).rename(folder / "away")
        with pytest.raises(WfmError, match="is writing it; wait until that has ended"):
            merge_parts(tmp_path)
        (folder / "away").rename(folder / PART_NAME)
        refused.append(folder)
        remove(folder)

    monkeypatch.setattr(array, "_remove", remove_while_another_merges)
    merge_parts(tmp_path)
    assert len(refused) == 2
    assert snapshot(tmp_path) == whole


def test_missing_unfinished_damaged_and_foreign_parts_are_refused(whole: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="holds no parts"):
        merge_parts(tmp_path)
    first, second, third = (folder for folder in _parts(tmp_path, 3) if folder)

    shutil.move(second, tmp_path / "elsewhere")
    with pytest.raises(ShardError, match=r"part 1 of 3 is missing; .* --array 1/3"):
        merge_parts(tmp_path)
    shutil.copytree(first, second)
    with pytest.raises(ShardError, match="are both part 0"):
        merge_parts(tmp_path)
    shutil.rmtree(second)
    shutil.move(tmp_path / "elsewhere", second)

    other = write_part(_dataset(parameters={"seed": 1}), tmp_path / "other", 1, 3, **SMALL)
    assert other is not None
    shutil.copytree(other, tmp_path / "part-other-of-other")
    with pytest.raises(ShardError, match="parts of different builds"):
        merge_parts(tmp_path)
    (tmp_path / "part-other-of-other" / PART_NAME).unlink()
    with pytest.raises(ShardError, match=r"has no part\.json"):
        merge_parts(tmp_path)
    shutil.rmtree(tmp_path / "part-other-of-other")

    with pytest.raises(ShardError, match="holds a part with parameters"):
        write_part(_dataset(parameters={"seed": 1}), tmp_path, 1, 3, **SMALL)
    record = json.loads((third / PART_NAME).read_text())
    (third / PART_NAME).write_text(json.dumps(record | {"finished": False}))
    with pytest.raises(ShardError, match=r"is not finished; .* --array 2/3"):
        merge_parts(tmp_path)
    (third / PART_NAME).write_text(json.dumps(record))

    damaged = third / "000005.blocks"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(ShardError, match=r"000005\.blocks: is missing or damaged; .* --array"):
        merge_parts(tmp_path)
    write_part(_dataset(), tmp_path, 2, 3, **SMALL)
    foreign = pieces.PieceFile(other, 4)
    shutil.copy(foreign.path, first / "000006.json")
    shutil.copy(foreign.blocks, first / "000006.blocks")
    with pytest.raises(ShardError, match=r"000006\.blocks: belongs to another build"):
        merge_parts(tmp_path)
    _parts(tmp_path, 3)
    merge_parts(tmp_path)
    shutil.rmtree(tmp_path / "other")
    assert snapshot(tmp_path) == whole


def test_there_are_as_many_parts_as_were_asked_for(tmp_path: Path) -> None:
    for part, parts in [(3, 3), (-1, 3), (0, 0)]:
        with pytest.raises(ShardError, match="parts count from 0"):
            write_part(_dataset(), tmp_path, part, parts)
    assert not list(tmp_path.iterdir())


class _Stop(BaseException):
    """As sudden as an exception can be: nothing in the library catches it."""


class _Countdown:
    """Stops the process in front of its n-th change of the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for module, name in [
            (journal, "write_atomically"),
            (os, "fsync"),
            (pieces, "write_atomically"),
            (array, "write_atomically"),
            (Path, "replace"),
            (Path, "unlink"),
            (Path, "rmdir"),
            (shutil, "rmtree"),
        ]:
            monkeypatch.setattr(module, name, self._counted(getattr(module, name)))

    def _counted(self, call: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise _Stop
            return call(*args, **options)

        return counted


@pytest.mark.parametrize("parts", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_before_any_change_of_the_disk_it_goes_on(
    whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    countdown = _Countdown(monkeypatch)

    def build(out: Path) -> None:
        if not parts:
            write_shards(_dataset(), out, **SMALL)
            return
        _parts(out, parts)
        merge_parts(out)

    stopped, at = True, 0
    while stopped:
        at += 1
        out, countdown.left, stopped = tmp_path / str(at), at, False
        try:
            build(out)
        except _Stop:
            stopped = True
            countdown.left = -1
            if at % 2:
                (out / LOCK_NAME).touch()  # left behind by a process that was killed
            build(out)
        assert snapshot(out) == whole, f"stopped before change {at}"
    assert at > 25


@pytest.mark.parametrize("place", [0, 2, 6])
def test_pieces_that_a_killed_build_left_are_used_if_they_are_whole(
    whole: dict[str, bytes], tmp_path: Path, place: int
) -> None:
    for change in ("none", "flipped", "cut", "no blocks", "foreign"):
        out = tmp_path / change
        dataset = _dataset(parameters={"seed": 1}) if change == "foreign" else _dataset()
        description = plan.Plan.of(dataset, SHARD_BYTES)
        file = pieces.PieceFile(out / PIECES_NAME, place)
        job = pieces.Job(file, dataset.pieces[place], "toy", dataset.tasks, description.build)
        pieces.make_piece(job)
        if change == "flipped":
            data = bytearray(file.blocks.read_bytes())
            data[700] ^= 1
            file.blocks.write_bytes(data)
        elif change == "cut":
            file.blocks.write_bytes(file.blocks.read_bytes()[:-512])
        elif change == "no blocks":
            file.blocks.unlink()
        write_shards(_dataset(), out, **SMALL)
        assert snapshot(out) == whole, change


def _stopped(out: Path) -> list[str]:
    """The journal of a build that was stopped with all shards written and no manifest."""

    def stop(*_: Any) -> None:
        raise _Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Stop):
        patch.setattr(write, "_finish", stop)
        write_shards(_dataset(), out, **SMALL)
    return (out / JOURNAL_NAME).read_text().splitlines()


def test_raw_files_that_changed_under_a_dead_build_are_noticed(tmp_path: Path) -> None:
    *before, last = _stopped(tmp_path)
    entry = json.loads(last)
    entry["after"].update(piece=4, offset=2)
    (tmp_path / JOURNAL_NAME).write_text("\n".join([*before, json.dumps(entry), ""]))
    with pytest.raises(ShardError, match="the raw files changed"):
        write_shards(_dataset(), tmp_path, **SMALL)


def test_a_journal_may_be_torn_at_its_end_but_not_before(whole: dict[str, bytes], tmp_path: Path) -> None:
    text = "\n".join(_stopped(tmp_path / "0")) + "\n"
    line = text.index("\n") + 1
    for cut in (line, line + 1, line + 100, len(text) - 1, len(text)):
        out = Path(shutil.copytree(tmp_path / "0", tmp_path / str(cut)))
        (out / JOURNAL_NAME).write_text(text[:cut])
        write_shards(_dataset(), out, **SMALL)
        assert snapshot(out) == whole
    for damaged in ("", text[:50], text[:line] + "{}\n" + text[line:]):
        (tmp_path / "0" / JOURNAL_NAME).write_text(damaged)
        with pytest.raises(ShardError, match="cannot be read; delete"):
            write_shards(_dataset(), tmp_path / "0", **SMALL)


def test_verification_by_workers_tells_the_same(tmp_path: Path) -> None:
    write_shards(_dataset(), tmp_path, **SMALL)
    shards = sorted(tmp_path.glob("*.tar"))
    shutil.copy(shards[1], shards[0])
    shards[2].write_bytes(shards[2].read_bytes()[:-6000])
    problems = verify(tmp_path)
    assert len(problems) > 5
    assert verify(tmp_path, workers=2) == problems


def test_two_processes_do_not_build_in_one_place(tmp_path: Path) -> None:
    with (tmp_path / LOCK_NAME).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(WfmError, match="is writing it; wait until that has ended"):
            write_shards(_dataset(), tmp_path, **SMALL)
    write_shards(_dataset(), tmp_path, **SMALL)


def _kill_at_two(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _fail_at_two(number: int) -> int:
    if number == 2:
        raise ShardError("two is bad.")
    time.sleep(0.01 * (number % 3))
    return number


def test_a_worker_that_is_killed_or_fails_is_told() -> None:
    with pytest.raises(ShardError, match="a worker process was killed"):
        list(in_order(_kill_at_two, range(5), 2))
    for workers in (1, 2):
        with pytest.raises(ShardError, match="two is bad"):
            list(in_order(_fail_at_two, range(5), workers))
    assert list(in_order(_fail_at_two, range(3, 40), 2)) == list(range(3, 40))
    with pytest.raises(ShardError, match="expected at least 1"):
        list(in_order(_fail_at_two, range(5), 0))


def test_a_failing_worker_leaves_a_build_that_goes_on(whole: dict[str, bytes], tmp_path: Path) -> None:
    good = list(_dataset().pieces)
    with pytest.raises(ShardError, match="two is bad"):
        write_shards(_dataset(*good[:5], partial(_fail_at_two, 2), good[6]), tmp_path, workers=2, **SMALL)  # type: ignore[arg-type]
    write_shards(_dataset(), tmp_path, workers=2, **SMALL)
    assert snapshot(tmp_path) == whole


@pytest.mark.real
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_pieces_of_every_data_set_can_be_sent_to_workers(data_root: Path) -> None:
    present = [name for name in sorted(DATASETS) if (data_root / name).is_dir()]
    assert len(present) >= 3
    for name in present:
        pieces = open_dataset(name, raw=data_root / name).pieces
        sent = pickle.loads(pickle.dumps(pieces[-1]))
        assert next(iter(sent()))[0] == next(iter(pieces[-1]()))[0], name


def test_the_command_line_builds_parts_and_merges_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, out = str(tmp_path / "whole"), str(tmp_path / "out")
    build = ["shards", "build", "simulated", "--count", "320", "--seed", "2", "--out"]
    assert main([*build, whole]) == 0
    for part in ("1/2", "0/2"):
        assert main([*build, out, "--array", part, "--workers", "2"]) == 0
        assert "is finished" in capfd.readouterr().out
    assert main(["shards", "merge", out]) == 0
    assert "320 samples of simulated" in capfd.readouterr().out
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")
    for wrong in ("2", "a/b", "1/2/3", "-1/2"):
        with pytest.raises(SystemExit) as stopped:
            main([*build, out, f"--array={wrong}"])
        assert stopped.value.code == 2
        assert "expected i/n, such as 3/16" in capfd.readouterr().err
    assert main(["shards", "verify", out, "--against", whole]) == 2
    told = capfd.readouterr().out
    assert "320 samples of" in told
    assert "the values are equal" in told
