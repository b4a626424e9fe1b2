"""The stream: one order whoever shares it, resumed to the bit by anyone, of the asked part alone, loud about damage."""

from __future__ import annotations

import functools
import http.server
import io
import itertools
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import tiny_config

from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.shuffle import Mixture, Order
from foundation.data.stream import BAD_SAMPLES, ShardStream
from foundation.data.tokens import Batch, tokenize
from foundation.errors import ShardError
from foundation.signal import Signal
from foundation.simulate.corpus import corpus
from foundation.transforms.augment import device_response

CONFIG = tiny_config()
BATCH = 20
STEPS = 24
Drawn = tuple[Batch, int]


def _stream(directory: Path | str, **changes: object) -> ShardStream:
    where = {name: changes.pop(name, default) for name, default in (("split", "room"), ("part", "train"))}
    fields: dict[str, object] = {
        "parts": [CorpusSection(shards=directory, **where)],  # type: ignore[arg-type]
        "spec": CONFIG,
        "batch_size": BATCH,
        "seed": 0,
        "steps": STEPS,
    }
    return ShardStream(**{**fields, **changes})  # type: ignore[arg-type]


def _rows(drawn: Iterable[Drawn]) -> list[bytes]:
    """One fingerprint per sample."""
    return [row.numpy().tobytes() for batch, _ in drawn for row in batch["values"][:, :2]]


def _prints(drawn: Iterable[Drawn]) -> list[bytes]:
    """One fingerprint per batch, of every tensor and of the position behind it."""
    return [b"".join(tensor.numpy().tobytes() for tensor in batch.values()) + b"%d" % end for batch, end in drawn]


def _interleaved(ranks: list[list[Drawn]]) -> list[bytes]:
    """Samples of several ranks, in the order of the steps."""
    return [row for step in zip(*ranks, strict=True) for drawn in step for row in _rows([drawn])]


@pytest.fixture(scope="module")
def by_session(shards_dir: Path) -> dict[str, list[bytes]]:
    """Fingerprints of the samples of every session, read without the stream."""
    found: dict[str, list[bytes]] = {}
    for signal in read_part(shards_dir):
        found.setdefault(signal.session, []).extend(_rows([(tokenize([signal], CONFIG), 0)]))
    return found


@pytest.fixture
def copy(shards_dir: Path, tmp_path: Path) -> Path:
    """Shards that a test may damage."""
    return Path(shutil.copytree(shards_dir, tmp_path / "copy"))


def _wanted(directory: Path, by_session: dict[str, list[bytes]], part: str = "train") -> set[bytes]:
    return {row for session in Manifest.load(directory).sessions("room", part) for row in by_session[session]}


def test_an_epoch_gives_every_sample_once_and_the_next_another_order(
    shards_dir: Path, by_session: dict[str, list[bytes]]
) -> None:
    wanted = _wanted(shards_dir, by_session)
    size = len(wanted)
    rows = _rows(_stream(shards_dir, batch_size=1, steps=2 * size))
    assert set(rows[:size]) == set(rows[size:]) == wanted
    assert rows[:size] != rows[size:]
    assert rows == _rows(_stream(shards_dir, batch_size=1, steps=2 * size))
    assert rows[:40] != _rows(_stream(shards_dir, batch_size=1, steps=40, seed=5))


def test_batches_are_mixed_over_sessions(shards_dir: Path, by_session: dict[str, list[bytes]]) -> None:
    session_of = {row: session for session, rows in by_session.items() for row in rows}
    assert all(len({session_of[row] for row in _rows([drawn])}) > 5 for drawn in _stream(shards_dir))


@pytest.mark.parametrize(("split", "part"), [("room", "train"), ("room", "test"), ("recording", "test"), (None, None)])
def test_only_sessions_of_the_part_are_read(
    shards_dir: Path, by_session: dict[str, list[bytes]], split: str | None, part: str | None
) -> None:
    manifest = Manifest.load(shards_dir)
    wanted = set(by_session) if split is None or part is None else set(manifest.sessions(split, part))
    allowed = {row for session in wanted for row in by_session[session]}
    rows = _rows(_stream(shards_dir, split=split, part=part, batch_size=8, steps=-(-len(allowed) // 8)))
    assert set(rows) == allowed
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


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_change_nothing(shards_dir: Path, workers: int) -> None:
    loader = Loader(_stream(shards_dir), workers)
    assert _prints(loader) == _prints(_stream(shards_dir))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_one_order(shards_dir: Path, world: int) -> None:
    alone = _rows(_stream(shards_dir, batch_size=12 * world))
    together = [list(_stream(shards_dir, rank=rank, world=world, batch_size=12)) for rank in range(world)]
    assert _interleaved(together) == alone


@pytest.mark.parametrize("at", [1, 7, STEPS - 1])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_to_the_bit_from_any_step(shards_dir: Path, at: int, workers: int) -> None:
    whole = _prints(_stream(shards_dir))
    resumed = _stream(shards_dir, position=at * BATCH, start=at)
    assert len(resumed) == STEPS
    assert _prints(Loader(resumed, workers)) == whole[at:]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_another_number_of_ranks_reads_every_remaining_sample_once(
    shards_dir: Path, by_session: dict[str, list[bytes]], before: int, after: int
) -> None:
    wanted = _wanted(shards_dir, by_session)
    first = [list(_stream(shards_dir, rank=r, world=before, batch_size=7, steps=9)) for r in range(before)]
    position = 9 * 7 * before
    steps = -(-(len(wanted) - position) // (5 * after))
    then = [
        list(_stream(shards_dir, rank=r, world=after, batch_size=5, steps=steps, position=position))
        for r in range(after)
    ]
    rows = [*_interleaved(first), *_interleaved(then)]
    assert set(rows[: len(wanted)]) == wanted, "the epoch in which the world changed gave every sample once"
    assert rows == _rows(_stream(shards_dir, batch_size=1, steps=len(rows)))


def test_augmentation_is_part_of_the_deterministic_order(shards_dir: Path) -> None:
    def augment(signal: Signal, seed: int) -> Signal:
        return device_response(signal, seed, 0.3)

    plain, changed = _prints(_stream(shards_dir)), _prints(_stream(shards_dir, augment=augment))
    assert not set(plain) & set(changed)
    assert _prints(_stream(shards_dir, augment=augment, position=4 * BATCH, start=4)) == changed[4:]


def test_a_mixture_holds_its_shares_and_reads_each_corpus_once_before_again(
    shards_dir: Path, by_session: dict[str, list[bytes]]
) -> None:
    train, test = (_wanted(shards_dir, by_session, part) for part in ("train", "test"))
    parts = [
        CorpusSection(shards=shards_dir, split="room", part="train", weight=1.0),
        CorpusSection(shards=shards_dir, split="room", part="test", weight=3.0),
    ]

    def drawn(temperature: float, weights: tuple[float, float] = (1.0, 1.0)) -> list[bytes]:
        weighed = [p.model_copy(update={"weight": w}) for p, w in zip(parts, weights, strict=True)]
        return _rows(_stream(shards_dir, parts=weighed, temperature=temperature, batch_size=50, steps=20))

    for rows, share in (
        (drawn(1.0), len(test) / (len(test) + len(train))),
        (drawn(1e9), 0.5),
        (drawn(1e9, (1.0, 3.0)), 0.75),
    ):
        from_test = [row for row in rows if row in test]
        assert len(from_test) / len(rows) == pytest.approx(share, abs=0.005)
        assert len(set(from_test[: len(test)])) == min(len(test), len(from_test))
    whole = _rows(_stream(shards_dir, parts=parts))
    assert _rows(_stream(shards_dir, parts=parts, position=5 * BATCH, start=5)) == whole[5 * BATCH :]


def test_the_order_mixes_nearly_as_well_as_a_permutation() -> None:
    """How far apart two neighbours of a shard end up, over 64 shards; a window of 16 must keep a quarter of it."""
    counts = [100] * 64
    order = Order(counts, seed=0)
    epoch = [order.at(position) for position in range(order.total)]
    assert Counter(epoch) == Counter((shard, sample) for shard in range(64) for sample in range(100))
    place = {pair: position for position, pair in enumerate(epoch)}
    apart = np.mean([abs(place[s, k] - place[s, k + 1]) for s in range(64) for k in range(99)])
    assert apart > 0.9 * 16 * 100 / 3, "two random places of a window are a third of it apart"
    runs = [len(list(run)) for _, run in itertools.groupby(epoch, key=lambda pair: pair[0])]
    assert np.mean(runs) < 1.2, "hardly ever two of a shard in a row"


def test_every_block_of_a_mixture_holds_the_shares() -> None:
    mixture = Mixture([1.0, 2.0, 0.0001], seed=0)
    seen = [mixture.at(position) for position in range(3 * mixture.size)]
    for sequence in range(3):
        assert [at for which, at in seen if which == sequence] == list(range(3 * int(mixture.counts[sequence])))
    for block in range(3):
        part = seen[block * mixture.size : (block + 1) * mixture.size]
        assert sum(which == 1 for which, _ in part) == pytest.approx(2 / 3 * mixture.size, abs=2)
        assert sum(which == 2 for which, _ in part) == 1, "no corpus is left out for good"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(shards_dir: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(shards_dir))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_shards_behind_urls_give_the_same_batches(shards_dir: Path, served: str) -> None:
    expected = _prints(_stream(shards_dir))
    assert _prints(_stream(served)) == expected
    assert _prints(_stream(f"pipe:cat {shards_dir}")) == expected
    with pytest.raises(ShardError, match=r"nowhere/manifest\.json: cannot be fetched"):
        _stream(f"{served}/nowhere")


def test_a_smooth_device_response_changes_gain_and_phase_but_not_time(shards_dir: Path) -> None:
    signal = read_part(shards_dir, "room", "test")[0]
    ratio = device_response(signal, 1, 0.3).values / np.where(signal.mask, signal.values, 1)
    alive = signal.mask.all((1, 2))
    np.testing.assert_allclose(ratio[alive], np.broadcast_to(ratio[alive][:1], ratio[alive].shape), rtol=1e-3)
    assert np.abs(np.diff(np.log(np.abs(ratio[alive][0])))).max() < 0.2, "smooth over frequency"
    assert np.std(np.log(np.abs(ratio[alive][0]))) > 0.01
    assert device_response(signal, 1, 0.0) is signal


def test_a_device_shifts_received_strengths_by_one_gain() -> None:
    """They are in dBm: a factor would move the weak ones by tens of decibels."""
    signal = next(signal for signal in corpus(60, seed=0) if signal.kind == "rssi")
    heard = signal.mask
    shift = (device_response(signal, 1, 0.5).values - signal.values).real
    assert np.allclose(shift[heard], shift[heard][0], atol=1e-4)
    assert 0.01 < abs(shift[heard][0]) < 20
    assert not shift[~heard].any()


def test_a_missing_shard_is_named_at_once(copy: Path) -> None:
    shard = Manifest.load(copy).shards[0].file
    (copy / shard).unlink()
    for read in (_stream, read_part):
        with pytest.raises(ShardError, match=rf"shard {shard} of the manifest is missing; restore it or rebuild"):
            read(copy)


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
    stream = _stream(copy, split=None, part=None, batch_size=10, steps=40)
    rows = _rows(stream)
    assert len(set(rows)) == len(rows) == 397
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
    stream = _stream(copy, split=None, part=None, batch_size=10, steps=40)
    assert len(_rows(stream)) == 399
    assert stream.skipped == 1
    with pytest.raises(ShardError, match=rf":{key}: Signal\.time_s has shape"):
        read_part(copy)


def test_too_many_corrupt_samples_stop_the_stream(copy: Path) -> None:
    _spoil(copy, lambda number: number % 2 == 0)
    with pytest.raises(ShardError, match=f"more than {BAD_SAMPLES} samples cannot be decoded"):
        list(_stream(copy))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 401, "split": None, "part": None}, r"400 samples for 1 ranks.*lower train\.batch_size"),
        ({"world": 2, "batch_size": 200}, r"for 2 ranks"),
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


def test_no_directory_and_no_manifest_say_what_to_build(tmp_path: Path) -> None:
    for directory, message in ((tmp_path / "nowhere", "no such shard directory"), (tmp_path, "no finished build")):
        for read in (read_part, _stream):
            with pytest.raises(ShardError, match=message):
                read(directory)
