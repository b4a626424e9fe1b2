"""The stream: deterministic, disjoint, resumed bit for bit, of the asked part alone, and loud about damage."""

from __future__ import annotations

import io
import itertools
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_config
from torchdata.stateful_dataloader import StatefulDataLoader

from foundation.data.augment import device_response
from foundation.data.manifest import Manifest
from foundation.data.stream import BAD_SAMPLES, ShardStream, read_part
from foundation.data.tokens import Batch, tokenize
from foundation.errors import ShardError
from foundation.signal import Signal

pytest_plugins = ["tiny"]

CONFIG = tiny_config()
BATCH = 20


def _stream(directory: Path, **changes: object) -> ShardStream:
    fields: dict[str, object] = {
        "directory": directory,
        "spec": CONFIG,
        "split": "room",
        "part": "train",
        "batch_size": BATCH,
        "seed": 0,
    }
    return ShardStream(**{**fields, **changes})  # type: ignore[arg-type]


def _prints(batches: Iterable[Batch]) -> list[bytes]:
    """One fingerprint per batch: equal exactly where every tensor is equal to the bit."""
    return [b"".join(tensor.numpy().tobytes()[-256:] for tensor in batch.values()) + _sum(batch) for batch in batches]


def _sum(batch: Batch) -> bytes:
    return batch["values"].double().sum((1, 2)).numpy().tobytes()


def _rows(batches: Iterable[Batch]) -> list[bytes]:
    """One fingerprint per sample."""
    return [row.numpy().tobytes() for batch in batches for row in batch["values"][:, :2]]


@pytest.fixture(scope="module")
def by_session(shards_dir: Path) -> dict[str, list[bytes]]:
    """Fingerprints of the samples of every session, read without the stream."""
    found: dict[str, list[bytes]] = {}
    for signal in read_part(shards_dir):
        found.setdefault(signal.session, []).extend(_rows([tokenize([signal], CONFIG)]))
    return found


@pytest.fixture
def copy(shards_dir: Path, tmp_path: Path) -> Path:
    """Shards that a test may damage."""
    return Path(shutil.copytree(shards_dir, tmp_path / "copy"))


def test_the_order_is_a_function_of_seed_and_epoch(shards_dir: Path) -> None:
    one, two = _stream(shards_dir), _stream(shards_dir)
    first, second = _prints(one), _prints(one)
    assert len(first) == len(one) == len(second)
    assert (first, second) == (_prints(two), _prints(two))
    assert first != second
    assert len(set(first + second)) == 2 * len(one)
    assert _prints(_stream(shards_dir, seed=5)) != first
    later = _stream(shards_dir)
    later.load_state_dict({"epoch": 1, "delivered": 0})
    assert _prints(later) == second


def test_an_epoch_is_mixed_over_shards_and_gives_no_sample_twice(
    shards_dir: Path, by_session: dict[str, list[bytes]]
) -> None:
    session_of = {row: session for session, rows in by_session.items() for row in rows}
    batches = list(_stream(shards_dir))
    rows = _rows(batches)
    assert len(rows) == len(set(rows))
    assert all(len({session_of[row] for row in _rows([batch])}) > 5 for batch in batches)


@pytest.mark.parametrize(("split", "part"), [("room", "train"), ("room", "test"), ("recording", "test"), (None, None)])
def test_only_sessions_of_the_part_are_read(
    shards_dir: Path, by_session: dict[str, list[bytes]], split: str | None, part: str | None
) -> None:
    manifest = Manifest.load(shards_dir)
    wanted = set(by_session) if split is None or part is None else set(manifest.sessions(split, part))
    allowed = {row for session in wanted for row in by_session[session]}
    stream = _stream(shards_dir, split=split, part=part, batch_size=8)
    rows = [row for _ in range(3) for row in _rows(stream)]
    assert set(rows) <= allowed
    assert len(stream) == len(allowed) // 8
    assert len(set(rows)) > 0.98 * len(allowed), "what one epoch leaves over comes in another"
    assert {signal.session for signal in read_part(shards_dir, split, part)} == wanted


def test_read_part_gives_every_signal_once_in_shard_order(shards_dir: Path) -> None:
    manifest = Manifest.load(shards_dir)
    signals = read_part(shards_dir, "room", "test")
    assert len(signals) == manifest.summary.parts["room"]["test"]
    sessions = [session for shard in manifest.shards for session in shard.sessions]
    wanted = [session for session in dict.fromkeys(sessions) if session in manifest.sessions("room", "test")]
    assert [session for session, _ in itertools.groupby(signal.session for signal in signals)] == wanted
    assert all(signal.clean is not None and "activity" in signal.labels for signal in signals)
    both = read_part(shards_dir, "room", ["test", "train"])
    assert len(both) == manifest.count


def test_two_ranks_are_disjoint_and_together_cover_their_shards(
    shards_dir: Path, by_session: dict[str, list[bytes]]
) -> None:
    ranks = [_stream(shards_dir, rank=rank, world=2, batch_size=4) for rank in range(2)]
    assert len(ranks[0]) == len(ranks[1]), "ranks with unequal epochs would wait for each other for ever"
    seen = [set(), set()]  # type: list[set[bytes]]
    for rank, stream in enumerate(ranks):
        for _ in range(3):
            rows = _rows(stream)
            assert len(rows) == len(set(rows)) == 4 * len(stream)
            seen[rank].update(rows)
    assert not seen[0] & seen[1]
    wanted = set(Manifest.load(shards_dir).sessions("room", "train"))
    everything = {row for session in wanted for row in by_session[session]}
    assert seen[0] | seen[1] <= everything
    assert len(seen[0] | seen[1]) > 0.9 * len(everything)
    first = [shard for shard in Manifest.load(shards_dir).shards if wanted & set(shard.sessions)][::2]
    of_first = {row for shard in first for session in shard.sessions for row in by_session[session]}
    assert seen[0] <= of_first


def _take(loader: Iterable[Batch], count: int, length: int, done: int = 0) -> Iterator[tuple[bytes, dict]]:
    """The next batches and the state after each, over epochs, counting to `length` as Lightning does."""
    while True:
        for batch in itertools.islice(iter(loader), length - done):
            yield _prints([batch])[0], loader.state_dict()  # type: ignore[attr-defined]
            count -= 1
            if count == 0:
                return
        done = 0


def _loader(directory: Path, workers: int) -> StatefulDataLoader:
    stream = _stream(directory, part="test", batch_size=10, workers=workers)
    return StatefulDataLoader(stream, batch_size=None, num_workers=workers, persistent_workers=workers > 0)


@pytest.mark.parametrize("at", [1, 7, -1])
def test_a_stream_resumes_mid_epoch_to_the_bit(shards_dir: Path, at: int) -> None:
    length = len(_stream(shards_dir))
    at %= length
    whole = list(_take(_stream(shards_dir), 2 * length, length))
    resumed = _stream(shards_dir)
    resumed.load_state_dict(whole[at - 1][1])
    assert [p for p, _ in _take(resumed, 2 * length - at, length, done=at)] == [p for p, _ in whole[at:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_resumes_to_the_bit_from_any_batch_of_an_epoch(shards_dir: Path, workers: int) -> None:
    length = len(_loader(shards_dir, workers).dataset)  # type: ignore[arg-type]
    assert length == (8 if workers else 9), "few enough to try every point of resumption"
    whole = list(_take(_loader(shards_dir, workers), 3 * length, length))
    assert len({p for p, _ in whole}) == 3 * length, "epochs differ"
    for at in range(1, 2 * length if workers == 0 else length + 1):
        resumed = _loader(shards_dir, workers)
        resumed.load_state_dict(whole[at - 1][1])
        left = 3 * length - at if workers == 0 else length + 2
        found = [p for p, _ in _take(resumed, left, length, done=at % length)]
        assert found == [p for p, _ in whole[at : at + left]], f"resumed after batch {at} of {length} an epoch"


def test_workers_share_an_epoch_evenly(shards_dir: Path) -> None:
    assert [len(_stream(shards_dir, part="test", batch_size=10, workers=n)) for n in range(5)] == [9, 9, 8, 9, 8]


def test_two_workers_read_disjoint_samples(shards_dir: Path) -> None:
    loader = _loader(shards_dir, 2)
    rows = _rows(itertools.islice(iter(loader), len(loader.dataset) // 2))  # type: ignore[arg-type]
    assert len(rows) == len(set(rows))


def test_a_broken_off_iteration_starts_its_epoch_again(shards_dir: Path) -> None:
    stream = _stream(shards_dir)
    first = _prints(itertools.islice(iter(stream), 3))
    assert _prints(stream)[:3] == first


def test_augmentation_is_part_of_the_deterministic_order(shards_dir: Path) -> None:
    def augment(signal: Signal, seed: int) -> Signal:
        return device_response(signal, seed, 0.3)

    def epochs(**changes: object) -> tuple[list[bytes], list[bytes]]:
        stream = _stream(shards_dir, **changes)
        return _prints(stream), _prints(stream)

    plain, changed = epochs(), epochs(augment=augment)
    assert changed == epochs(augment=augment)
    assert not set(plain[0]) & set(changed[0])
    stream = _stream(shards_dir, augment=augment)
    stream.load_state_dict({"epoch": 1, "delivered": 4})
    assert _prints(stream) == changed[1][4:]


def test_a_smooth_device_response_changes_gain_and_phase_but_not_time(shards_dir: Path) -> None:
    signal = read_part(shards_dir, "room", "test")[0]
    ratio = device_response(signal, 1, 0.3).values / np.where(signal.mask, signal.values, 1)
    alive = signal.mask.all((1, 2))
    np.testing.assert_allclose(ratio[alive], np.broadcast_to(ratio[alive][:1], ratio[alive].shape), rtol=1e-3)
    assert np.abs(np.diff(np.log(np.abs(ratio[alive][0])))).max() < 0.2, "smooth over frequency"
    assert np.std(np.log(np.abs(ratio[alive][0]))) > 0.01
    assert device_response(signal, 1, 0.0) is signal


def test_a_missing_shard_is_named_at_once(copy: Path) -> None:
    shard = Manifest.load(copy).shards[0].file
    (copy / shard).unlink()
    with pytest.raises(ShardError, match=rf"shard {shard} of the manifest is missing; restore it or rebuild"):
        _stream(copy)
    with pytest.raises(ShardError, match=rf"{shard}.*run 'wfm shards verify"):
        read_part(copy)


def _cut(data: bytes, at: int) -> bytes:
    return data[:at]


def _garbage(data: bytes, at: int) -> bytes:
    return data[:at] + b"\x55" * 1024 + data[at + 1024 :]


@pytest.mark.parametrize(
    ("damage", "at"), [(_cut, 0), (_cut, 100), (_cut, 5000), (_cut, 2**20), (_garbage, 0), (_garbage, -1)]
)
def test_a_damaged_tar_is_an_error_that_says_what_to_run(copy: Path, damage: Callable, at: int) -> None:
    shard = Manifest.load(copy).shards[0].file
    path = copy / shard
    if at == -1:  # the header of a member in the middle, which tarfile takes for the end of the archive
        with tarfile.open(path) as tar:
            at = tar.getmembers()[9].offset
    path.write_bytes(damage(path.read_bytes(), at))
    for read in (lambda: read_part(copy), lambda: list(_stream(copy))):
        with pytest.raises(ShardError, match=rf"{copy}.*run 'wfm shards verify {copy}'"):
            read()


def _spoil(directory: Path, chosen: Callable[[int], bool], content: bytes = b"not an array") -> list[str]:
    """Replace the arrays of some samples by rubbish, in tars that are otherwise in order; their keys."""
    spoilt, number = [], 0
    for shard in Manifest.load(directory).shards:
        path = directory / shard.file
        with tarfile.open(path) as tar:
            members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
        with tarfile.open(path, "w") as tar:
            for member, data in members:
                if member.name.endswith(".signal.npy"):
                    number += 1
                    if chosen(number):
                        spoilt.append(member.name.removesuffix(".signal.npy"))
                        data = content
                member.size = len(data)
                tar.addfile(member, fileobj=io.BytesIO(data))
    return spoilt


def test_a_corrupt_sample_is_skipped_counted_and_named(
    copy: Path, by_session: dict[str, list[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    keys = _spoil(copy, lambda number: number in (5, 77, 200))
    stream = _stream(copy, split=None, part=None, batch_size=10)
    rows = _rows(itertools.islice(iter(stream), 39))
    assert len(set(rows)) == 390
    assert set(rows) <= {row for of_session in by_session.values() for row in of_session}
    assert stream.skipped == 3
    said = capsys.readouterr().out
    assert all(f":{key}: cannot be decoded" in said for key in keys)
    with pytest.raises(ShardError, match=rf":{keys[0]}: cannot be decoded"):
        read_part(copy)


def test_a_sample_that_contradicts_itself_is_corrupt_too(copy: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 2, 32), np.complex64))
    (key,) = _spoil(copy, lambda number: number == 5, buffer.getvalue())
    stream = _stream(copy, split=None, part=None, batch_size=10)
    assert len(list(itertools.islice(iter(stream), 39))) == 39
    assert stream.skipped == 1
    with pytest.raises(ShardError, match=rf":{key}: Signal\.time_s has shape"):
        read_part(copy)


def test_too_many_corrupt_samples_stop_the_stream(copy: Path) -> None:
    _spoil(copy, lambda number: number % 2 == 0)
    stream = _stream(copy)
    with pytest.raises(ShardError, match=f"more than {BAD_SAMPLES} samples cannot be decoded"):
        for _ in range(10):
            list(stream)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 401, "split": None, "part": None}, r"\[400\] samples for the 1 ranks.*lower train\.batch_size"),
        ({"world": 2, "batch_size": 200}, r"for the 2 ranks"),
        ({"world": 64, "rank": 63, "batch_size": 1}, r"smaller shards"),
        ({"split": "rooom"}, "did you mean 'room'"),
        ({"part": "tset"}, "did you mean 'test'"),
        ({"part": None}, "split is 'room' but part is None; give both"),
        ({"split": None}, "split is None but part is 'train'; give both"),
    ],
)
def test_what_cannot_be_streamed_is_said_before_training_starts(
    shards_dir: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ShardError, match=message):
        _stream(shards_dir, **changes)


def test_more_workers_than_shards_are_refused(shards_dir: Path) -> None:
    stream = _stream(shards_dir, rank=0, world=12, batch_size=1)
    loader = StatefulDataLoader(stream, batch_size=None, num_workers=3)
    with pytest.raises(ShardError, match=r"2 shards for 3 workers of rank 0; lower data\.workers"):
        next(iter(loader))


def test_no_directory_and_no_manifest_say_what_to_build(tmp_path: Path) -> None:
    for directory, message in ((tmp_path / "nowhere", "no such shard directory"), (tmp_path, "no finished build")):
        for read in (read_part, _stream):
            with pytest.raises(ShardError, match=message):
                read(directory)
