"""Shards: written deterministically and atomically, resumed, never overwritten, and every kind of damage is found."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import webdataset
from helpers.manifests import edit_manifest, rewrite_tar
from helpers.signals import make_signal
from helpers.small_set import COUNT, SHARD_BYTES, _dataset, _samples

from foundation.data.shards.journal import JOURNAL_NAME
from foundation.data.shards.manifest import Manifest
from foundation.data.shards.spec import Dataset
from foundation.data.shards.verify import info, print_info, verify
from foundation.data.shards.write import write_shards
from foundation.errors import ShardError
from foundation.signal import Signal, decode


def _bytes(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


@pytest.fixture
def built(tmp_path: Path) -> Path:
    write_shards(_dataset(), tmp_path / "toy", shard_bytes=SHARD_BYTES)
    return tmp_path / "toy"


def test_manifest_counts_what_was_written(built: Path) -> None:
    manifest = Manifest.load(built)
    assert manifest.count == COUNT == sum(shard.count for shard in manifest.shards)
    assert len(manifest.shards) > 2
    assert manifest.bytes == sum((built / shard.file).stat().st_size for shard in manifest.shards)
    assert manifest.shards[0].sessions == {"s0": 5, "s1": manifest.shards[0].count - 5}
    assert list(manifest.splits["main"]) == ["train", "test"]
    assert manifest.sessions("main", "test") == ["s3"]
    summary = manifest.summary
    assert summary.parts == {"main": {"train": 15, "test": 5}}
    assert summary.labels == {"activity": {"still": 10, "walk": 10}}
    assert summary.ranges == {"place": [(0.0, 9.5), (1.0, 1.0)]}
    assert (summary.shapes, summary.clean, summary.kinds) == ({"32x2x16": COUNT}, 5, {"csi": COUNT})
    assert summary.carrier_hz == (5.18e9, 5.18e9)
    assert not (built / JOURNAL_NAME).exists()
    assert verify(built) == []


def test_plain_tar_reads_back_the_same_signals(built: Path) -> None:
    found: dict[str, dict[str, bytes]] = {}
    for shard in Manifest.load(built).shards:
        with tarfile.open(built / shard.file) as tar:
            for member in tar:
                assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                key, _, extension = member.name.partition(".")
                found.setdefault(key, {})[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
    expected = dict(_samples())
    assert list(found) == list(expected)
    for key, signal in expected.items():
        back = decode(found[key])
        np.testing.assert_array_equal(back.values, signal.values)
        assert (back.clean is None) == (signal.clean is None)
        assert (back.session, dict(back.labels)) == (signal.session, dict(signal.labels))


def test_plain_webdataset_reads_it(built: Path) -> None:
    urls = [str(built / shard.file) for shard in Manifest.load(built).shards]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    expected = dict(_samples())
    assert [sample["__key__"] for sample in samples] == list(expected)
    for sample in samples:
        signal = expected[sample["__key__"]]
        np.testing.assert_array_equal(sample["signal.npy"], signal.values)
        assert sample["meta.json"]["labels"]["activity"] == signal.labels["activity"]
        assert ("clean.npy" in sample) == (signal.clean is not None)


def test_two_builds_are_byte_identical(built: Path, tmp_path: Path) -> None:
    write_shards(_dataset(), tmp_path / "again", shard_bytes=SHARD_BYTES)
    assert _bytes(built) == _bytes(tmp_path / "again")


def _dying(alive: int) -> Dataset:
    """The same set, of which only the first pieces can be read."""

    def killed() -> Iterator[tuple[str, Signal]]:
        raise RuntimeError("killed")
        yield

    pieces = _dataset().pieces
    return _dataset(*pieces[:alive], *[killed] * (len(pieces) - alive))


@pytest.mark.parametrize("alive", [0, 1, 3, 6])
def test_a_dead_build_has_no_manifest_and_resumes_to_the_same_bytes(built: Path, tmp_path: Path, alive: int) -> None:
    out = tmp_path / "dead"
    with pytest.raises(RuntimeError, match="killed"):
        write_shards(_dying(alive), out, shard_bytes=SHARD_BYTES)
    with pytest.raises(ShardError, match="no finished build"):
        Manifest.load(out)
    kept = {path: path.stat().st_ino for path in out.glob("*.tar")}
    assert bool(kept) == (alive >= 3)
    write_shards(_dataset(), out, shard_bytes=SHARD_BYTES)
    assert _bytes(out) == _bytes(built)
    assert all(path.stat().st_ino == inode for path, inode in kept.items()), "finished shards must be kept"


def test_a_damaged_shard_of_a_dead_build_is_not_kept(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "dead"
    with pytest.raises(RuntimeError):
        write_shards(_dying(5), out, shard_bytes=SHARD_BYTES)
    (out / "toy-000000.tar").write_bytes(b"half")
    write_shards(_dataset(), out, shard_bytes=SHARD_BYTES)
    assert _bytes(out) == _bytes(built)


def test_the_same_build_again_does_nothing(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def never() -> Iterator[tuple[str, Signal]]:
        raise AssertionError("no sample may be asked for")
        yield

    before = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    assert write_shards(_dataset(*[never] * 7), built, shard_bytes=SHARD_BYTES).count == COUNT
    assert {path: path.stat().st_mtime_ns for path in built.iterdir()} == before
    assert "already built" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("changes", [{"parameters": {"seed": 1}}, {"name": "other"}, {"version": 2}, {"splits": dict}])
def test_another_build_is_refused_and_nothing_changes(built: Path, changes: dict[str, object]) -> None:
    before = _bytes(built)
    with pytest.raises(ShardError, match="nothing was changed"):
        write_shards(_dataset(**changes), built, shard_bytes=SHARD_BYTES)
    assert _bytes(built) == before


def test_another_unfinished_build_and_foreign_tars_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_shards(_dying(5), tmp_path, shard_bytes=SHARD_BYTES)
    before = _bytes(tmp_path)
    with pytest.raises(ShardError, match="unfinished build with parameters"):
        write_shards(_dataset(parameters={"seed": 1}), tmp_path, shard_bytes=SHARD_BYTES)
    assert _bytes(tmp_path) == before
    (tmp_path / JOURNAL_NAME).unlink()
    with pytest.raises(ShardError, match=r"toy-000000\.tar but no manifest"):
        write_shards(_dataset(), tmp_path, shard_bytes=SHARD_BYTES)


def _with(*items: tuple[str, dict[str, object]]) -> Callable[[], Iterator[tuple[str, Signal]]]:
    fields = {"session": "s0", "labels": {}}
    return lambda: iter(
        [(key, make_signal(index, **{**fields, **changes})) for index, (key, changes) in enumerate(items)]
    )


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (_with(("a", {}), ("a", {})), "keys must increase"),
        (_with(("b", {}), ("a", {})), "keys must increase"),
        (_with(("../a", {})), "a key has 1 to 80"),
        (_with(("a.b", {})), "a key has 1 to 80"),
        (_with(("a", {}), ("b", {"session": "s1"}), ("c", {})), "keep a session together"),
        (_with(("a", {"session": ""})), "its session is empty"),
        (_with(("a", {"labels": {"mood": "good"}})), "not among the data set's tasks"),
        (_with(("a", {"labels": {"activity": 0.5}})), "needs a name or an integer"),
        (_with(("a", {"labels": {"place": "here"}})), "needs a number"),
        (_with(("a", {"labels": {"place": 1.0}}), ("b", {"labels": {"place": (1.0, 2.0)}})), "has 2 components"),
        (_with(("a", {"labels": {"place": (1.0, float("nan"))}})), "leave the label out where it is not known"),
        (_with(("a", {})), "session s9 of train has no samples"),
        (lambda: iter(()), "no samples"),
    ],
)
def test_bad_data_sets_are_named(
    samples: Callable[[], Iterator[tuple[str, Signal]]], message: str, tmp_path: Path
) -> None:
    dataset = _dataset(samples, splits=lambda: {"main": {"train": ["s9"]}})
    with pytest.raises(ShardError, match=message):
        write_shards(dataset, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_leaking_split_is_refused_before_any_work(tmp_path: Path) -> None:
    dataset = _dataset(splits=lambda: {"main": {"train": ["s0", "s1"], "test": ["s1"]}})
    with pytest.raises(ShardError, match="session s1 leaks"):
        write_shards(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("at", [0, 700, 5_000, -1])
def test_verify_finds_a_flipped_byte(built: Path, at: int) -> None:
    path = built / "toy-000001.tar"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert any("toy-000001.tar" in problem and "sha256" in problem for problem in verify(built))


@pytest.mark.parametrize("keep", [0, 300, 5_000, 20_000])
def test_verify_finds_a_truncated_tar(built: Path, keep: int) -> None:
    path = built / "toy-000000.tar"
    path.write_bytes(path.read_bytes()[:keep])
    problems = verify(built)
    assert any(f"has {keep} bytes" in problem for problem in problems)
    assert any("readable samples" in problem for problem in problems)


def test_verify_finds_missing_and_extra_shards(built: Path) -> None:
    (built / "toy-000001.tar").rename(built / "toy-000009.tar")
    problems = verify(built)
    assert "toy-000001.tar: is missing; copy it again or rebuild." in problems
    assert any(problem.startswith("toy-000009.tar: is not in the manifest") for problem in problems)
    assert any("count is 20 but the shards hold" in problem for problem in problems)


def test_verify_finds_duplicate_keys_and_contents(built: Path) -> None:
    first = built / "toy-000000.tar"
    rewrite_tar(first, lambda members: members + members[:3])
    assert any("s0-0000: the key is a duplicate" in problem for problem in verify(built))
    rewrite_tar(first, lambda members: [*members, *((f"copy.{n.partition('.')[2]}", d) for n, d in members[:3])])
    with pytest.warns(UserWarning, match=r"copy \(session s0\): has the same values as s0-0000 \(session s0\)"):
        problems = verify(built)
    assert not any("has the same values" in problem for problem in problems)


def test_verify_finds_undecodable_samples_and_unsafe_members(built: Path) -> None:
    def spoil(members: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        members[0] = (members[0][0], b"not an array")
        return [*members, ("../../evil.signal.npy", b""), ("/etc/evil.signal.npy", b"")]

    rewrite_tar(built / "toy-000000.tar", spoil)
    problems = verify(built)
    assert any("toy-000000.tar: s0-0000: cannot be decoded" in problem for problem in problems)
    assert any("'../../evil.signal.npy' is not a plain file" in problem for problem in problems)
    assert any("'/etc/evil.signal.npy' is not a plain file" in problem for problem in problems)


def test_verify_finds_leaks_and_wrong_counts(built: Path) -> None:
    def leak(raw: dict) -> None:
        raw["splits"]["main"]["test"] += ["s0", "s3", "s8"]
        raw["count"] += 1

    edit_manifest(built, leak)
    problems = verify(built)
    assert "split main: session s0 leaks: it is in train and in test." in problems
    assert "split main: session s3 is listed twice in test." in problems
    assert any(
        problem.startswith("split main: session s8 of test has no samples in any shard;") for problem in problems
    )
    assert "manifest: count is 21 but its shards add up to 20." in problems


@pytest.mark.parametrize("name", ["../evil-000000.tar", "/etc/x-000000.tar", "a/b-000000.tar", "toy-000000.tar\n", ""])
def test_a_manifest_cannot_lead_out_of_its_directory(built: Path, name: str) -> None:
    edit_manifest(built, lambda raw: raw["shards"][0].update(file=name))
    with pytest.raises(ShardError, match=r"shards\.0\.file"):
        Manifest.load(built)


def test_manifest_errors_say_what_to_do(built: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(built)
    with pytest.raises(ShardError, match="did you mean 'main'"):
        manifest.sessions("mian", "train")
    with pytest.raises(ShardError, match="did you mean 'train'"):
        manifest.sessions("main", "trian")
    with pytest.raises(ShardError, match="no such shard directory"):
        Manifest.load(tmp_path / "nowhere")
    edit_manifest(built, lambda raw: raw.update(schema_version=99))
    with pytest.raises(ShardError, match="newer"):
        Manifest.load(built)
    (built / "manifest.json").write_text("{")
    with pytest.raises(ShardError, match="not valid JSON"):
        Manifest.load(built)


def test_info_is_plain_and_printable(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = json.loads(json.dumps(info(built)))
    assert (described["count"], described["sessions"], described["summary"]["clean"]) == (COUNT, 4, 5)
    print_info(built)
    assert "CC0" in capsys.readouterr().out
