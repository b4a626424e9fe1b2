"""The stream: one order for any number of ranks and workers, exact resume at any step, only the requested part."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.streams import BATCH, STEPS, Drawn, prints_of, rows_of, stream_of

from foundation.config import CorpusSection
from foundation.data.loader import Loader
from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.data.shuffle import Mixture, Order
from foundation.errors import ShardError
from foundation.signal import Signal
from foundation.simulate.corpus import corpus
from foundation.transforms.augment import device_response


def _interleaved(ranks: list[list[Drawn]]) -> list[bytes]:
    """Samples of several ranks, in the order of the steps."""
    return [row for step in zip(*ranks, strict=True) for drawn in step for row in rows_of([drawn])]


def _wanted(directory: Path, by_session: dict[str, list[bytes]], part: str = "train") -> set[bytes]:
    return {row for session in Manifest.load(directory).sessions("room", part) for row in by_session[session]}


def test_an_epoch_gives_every_sample_once_and_the_next_another_order(
    shards_dir: Path, by_session: dict[str, list[bytes]]
) -> None:
    wanted = _wanted(shards_dir, by_session)
    size = len(wanted)
    rows = rows_of(stream_of(shards_dir, batch_size=1, steps=2 * size))
    assert set(rows[:size]) == set(rows[size:]) == wanted
    assert rows[:size] != rows[size:]
    assert rows == rows_of(stream_of(shards_dir, batch_size=1, steps=2 * size))
    assert rows[:40] != rows_of(stream_of(shards_dir, batch_size=1, steps=40, seed=5))


def test_batches_are_mixed_over_sessions(shards_dir: Path, by_session: dict[str, list[bytes]]) -> None:
    session_of = {row: session for session, rows in by_session.items() for row in rows}
    assert all(len({session_of[row] for row in rows_of([drawn])}) > 5 for drawn in stream_of(shards_dir))


@pytest.mark.parametrize(("split", "part"), [("room", "train"), ("room", "test"), ("recording", "test"), (None, None)])
def test_only_sessions_of_the_part_are_read(
    shards_dir: Path, by_session: dict[str, list[bytes]], split: str | None, part: str | None
) -> None:
    manifest = Manifest.load(shards_dir)
    wanted = set(by_session) if split is None or part is None else set(manifest.sessions(split, part))
    allowed = {row for session in wanted for row in by_session[session]}
    rows = rows_of(stream_of(shards_dir, split=split, part=part, batch_size=8, steps=-(-len(allowed) // 8)))
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
    loader = Loader(stream_of(shards_dir), workers)
    assert prints_of(loader) == prints_of(stream_of(shards_dir))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_one_order(shards_dir: Path, world: int) -> None:
    alone = rows_of(stream_of(shards_dir, batch_size=12 * world))
    together = [list(stream_of(shards_dir, rank=rank, world=world, batch_size=12)) for rank in range(world)]
    assert _interleaved(together) == alone


@pytest.mark.parametrize("at", [1, 7, STEPS - 1])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_goes_on_to_the_bit_from_any_step(shards_dir: Path, at: int, workers: int) -> None:
    whole = prints_of(stream_of(shards_dir))
    resumed = stream_of(shards_dir, position=at * BATCH, start=at)
    assert len(resumed) == STEPS
    assert prints_of(Loader(resumed, workers)) == whole[at:]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 2)])
def test_another_number_of_ranks_reads_every_remaining_sample_once(
    shards_dir: Path, by_session: dict[str, list[bytes]], before: int, after: int
) -> None:
    wanted = _wanted(shards_dir, by_session)
    first = [list(stream_of(shards_dir, rank=r, world=before, batch_size=7, steps=9)) for r in range(before)]
    position = 9 * 7 * before
    steps = -(-(len(wanted) - position) // (5 * after))
    then = [
        list(stream_of(shards_dir, rank=r, world=after, batch_size=5, steps=steps, position=position))
        for r in range(after)
    ]
    rows = [*_interleaved(first), *_interleaved(then)]
    assert set(rows[: len(wanted)]) == wanted, "the epoch in which the world changed gave every sample once"
    assert rows == rows_of(stream_of(shards_dir, batch_size=1, steps=len(rows)))


def test_augmentation_is_part_of_the_deterministic_order(shards_dir: Path) -> None:
    def augment(signal: Signal, seed: int) -> Signal:
        return device_response(signal, seed, 0.3)

    plain, changed = prints_of(stream_of(shards_dir)), prints_of(stream_of(shards_dir, augment=augment))
    assert not set(plain) & set(changed)
    assert prints_of(stream_of(shards_dir, augment=augment, position=4 * BATCH, start=4)) == changed[4:]


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
        return rows_of(stream_of(shards_dir, parts=weighed, temperature=temperature, batch_size=50, steps=20))

    for rows, share in (
        (drawn(1.0), len(test) / (len(test) + len(train))),
        (drawn(1e9), 0.5),
        (drawn(1e9, (1.0, 3.0)), 0.75),
    ):
        from_test = [row for row in rows if row in test]
        assert len(from_test) / len(rows) == pytest.approx(share, abs=0.005)
        assert len(set(from_test[: len(test)])) == min(len(test), len(from_test))
    whole = rows_of(stream_of(shards_dir, parts=parts))
    assert rows_of(stream_of(shards_dir, parts=parts, position=5 * BATCH, start=5)) == whole[5 * BATCH :]


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
        stream_of(shards_dir, **changes)


def test_no_directory_and_no_manifest_say_what_to_build(tmp_path: Path) -> None:
    for directory, message in ((tmp_path / "nowhere", "no such shard directory"), (tmp_path, "no finished build")):
        for read in (read_part, stream_of):
            with pytest.raises(ShardError, match=message):
                read(directory)
