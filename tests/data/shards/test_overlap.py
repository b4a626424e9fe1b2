"""Overlap of shard directories: equal samples and near duplicates are found, different recordings are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.data.shards.near_duplicates import NearDuplicateIndex, Signs
from foundation.data.shards.overlap import overlaps, sentences
from foundation.data.shards.spec import Dataset
from foundation.data.shards.write import write_shards
from foundation.errors import ShardError
from foundation.signal import Signal
from foundation.simulate.generate import simulate

COUNT = 96


@pytest.fixture(scope="module")
def rooms() -> list[Signal]:
    return list(simulate(COUNT, 0))


@pytest.fixture(scope="module")
def index(rooms: list[Signal]) -> NearDuplicateIndex:
    return NearDuplicateIndex([Signs.of(signal) for signal in rooms])


def _changed(signal: Signal, values: np.ndarray) -> Signal:
    return signal.with_(values=values.astype(np.complex64), clean=None)


def _found(index: NearDuplicateIndex, signals: list[Signal]) -> list[int | None]:
    return [copy and copy.row for copy in (index.find(Signs.of(signal)) for signal in signals)]


COPIES: dict[str, Callable[[Signal, np.random.Generator], Signal]] = {
    "scaled": lambda signal, _: _changed(signal, signal.values * 3.7e-3),
    "gain control": lambda s, rng: _changed(s, s.values * np.exp(rng.normal(0, 1, (len(s.time_s), 1, 1)))),
    "static response": lambda s, rng: _changed(s, s.values * np.exp(rng.normal(0, 1, (1, *s.values.shape[1:])))),
    "turned": lambda s, rng: _changed(s, s.values * np.exp(2j * np.pi * rng.random(s.values.shape))),
    "half precision": lambda s, _: _changed(s, (s.values * 100).real.astype(np.float16) + 100j * s.values.imag),
    "first packets": lambda s, _: s.window(0, 20),
    "last packets": lambda s, _: s.window(108, 20),
    "a few packets": lambda s, rng: s.window(int(rng.integers(0, 118)), 10),
    "a little noise": lambda s, rng: _changed(
        s, s.values + 0.005 * np.sqrt(np.mean(np.abs(s.values) ** 2)) * rng.normal(size=s.values.shape)
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_every_copy_is_found(name: str, rooms: list[Signal], index: NearDuplicateIndex) -> None:
    rng = np.random.default_rng(5)
    assert _found(index, [COPIES[name](signal, rng) for signal in rooms]) == list(range(COUNT))


def test_windows_cut_elsewhere_say_by_how_much(rooms: list[Signal], index: NearDuplicateIndex) -> None:
    copy = index.find(Signs.of(rooms[3].window(40, 30)))
    assert copy is not None
    assert (copy.row, copy.shift, copy.disagreement) == (3, 40, 0.0)
    longer = NearDuplicateIndex([Signs.of(rooms[3].window(40, 30))])
    back = longer.find(Signs.of(rooms[3]))
    assert back is not None
    assert back.shift == -40


def test_other_rooms_and_other_moments_are_no_copies(rooms: list[Signal], index: NearDuplicateIndex) -> None:
    assert set(_found(index, list(simulate(400, 1)))) == {None}
    assert set(_found(index, list(simulate(160, 0, first=COUNT)))) == {None}, "the same rooms, later"
    half = NearDuplicateIndex([Signs.of(signal) for signal in rooms[::2]])
    assert set(_found(half, rooms[1::2])) == {None}, "the same recordings, later"

    def clean(seed: int) -> list[Signal]:
        return [signal.with_(values=signal.clean, clean=None) for signal in simulate(200, seed)]

    smooth = NearDuplicateIndex([Signs.of(signal) for signal in clean(0)])
    assert set(_found(smooth, clean(1))) == {None}, "without noise, smooth fields agree by chance"


def test_snapshots_are_copies_only_if_nearly_equal() -> None:
    rng = np.random.default_rng(0)
    place = rng.normal(size=(1, 1, 160)) + 1j * rng.normal(size=(1, 1, 160))

    def capture(noise: float) -> Signal:
        values = place + noise * (rng.normal(size=place.shape) + 1j * rng.normal(size=place.shape))
        delays = {"frequency_hz": None, "delay_s": np.arange(160) * 1e-9, "kind": "cir"}
        return make_signal(times=1, links=1, responses=160, values=values.astype(np.complex64), **delays)

    known = [capture(0.1) for _ in range(20)]
    index = NearDuplicateIndex([Signs.of(signal) for signal in known])
    assert set(_found(index, [capture(0.1) for _ in range(20)])) == {None}, "captures of one place are not copies"
    cut = [s.with_(values=s.values[:, :, 12:] * 2, valid=None, delay_s=s.delay_s[12:]) for s in known]  # type: ignore[index]
    assert _found(index, cut) == list(range(20))


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 40, 1), (2, 1, 1), (500, 1, 1), (2, 3, 4), (3, 1, 300), (40, 1, 2)], ids=str
)
def test_any_shape_has_signs(shape: tuple[int, int, int]) -> None:
    times, links, responses = shape
    signals = [make_signal(seed, times=times, links=links, responses=responses) for seed in range(3)]
    index = NearDuplicateIndex([Signs.of(signal) for signal in signals])
    found = _found(index, [_changed(signal, 2 * signal.values) for signal in signals])
    assert found == ([0, 1, 2] if times * links * responses >= 500 else [None] * 3)


def test_what_was_not_measured_or_never_changes_has_no_signs() -> None:
    still = make_signal(values=np.ones((32, 2, 16)))
    assert NearDuplicateIndex([Signs.of(still)]).find(Signs.of(still)) is None
    lost = make_signal(3, times=64, valid=(np.arange(64) % 8 != 0)[:, None, None])
    copy = NearDuplicateIndex([Signs.of(make_signal(3, times=64))]).find(Signs.of(lost))
    assert copy is not None
    assert NearDuplicateIndex([]).find(Signs.of(lost)) is None


def _samples(signals: list[Signal]) -> Iterator[tuple[str, Signal]]:
    for number, signal in enumerate(signals):
        yield f"k{number:04d}", signal.with_(session="s0", labels={})


def _write(out: Path, signals: list[Signal]) -> Path:
    dataset = Dataset(
        name="toy",
        title="",
        licence="",
        citation="",
        homepage="",
        tasks={},
        pieces=[partial(_samples, signals)],
        splits=lambda: {"main": {"all": ["s0"]}},
    )
    write_shards(dataset, out, shard_bytes=500_000)
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_directories_are_compared(rooms: list[Signal], tmp_path: Path, workers: int) -> None:
    corpus = _write(tmp_path / "corpus", rooms[:40])
    evaluation = _write(tmp_path / "evaluation", [rooms[7], rooms[50], rooms[60], rooms[8].window(30, 64)])
    apart = _write(tmp_path / "apart", rooms[70:90])
    found = overlaps(corpus, [apart, evaluation], workers=workers)
    assert [(same.key, same.other, same.other_key) for same in found] == [
        ("k0007", evaluation, "k0000"),
        ("k0008", evaluation, "k0003"),
    ]
    assert found[0].how == "the values are equal"
    assert found[1].how.startswith("a near duplicate shifted by -30 steps, 0.0%")
    told = sentences(corpus, found)
    assert told[0] == f"{evaluation}: 2 samples of {corpus} are in it; leave them out of one of the two."
    assert len(told) == 3
    assert overlaps(corpus, [apart], workers=workers) == []
    with pytest.raises(ShardError, match="cannot be compared with itself"):
        overlaps(corpus, [tmp_path / "apart" / ".." / "corpus"])
    with pytest.raises(ShardError, match="no such shard directory"):
        overlaps(corpus, [tmp_path / "nowhere"])


@pytest.mark.real
def test_windows_that_lie_over_each_other_are_found_in_real_recordings(data_root: Path) -> None:
    """The windows of stability-csi-har overlap their neighbours by half, and each was smoothed by itself."""
    from foundation.datasets import open_dataset

    signals = [signal for _, signal in open_dataset("stability-csi-har", raw=data_root / "stability-csi-har").samples()]
    index = NearDuplicateIndex([Signs.of(signal) for signal in signals[::2]])
    found = [(number, index.find(Signs.of(signals[number]))) for number in range(1, len(signals), 2)]
    copies = [(number, copy) for number, copy in found if copy is not None]
    assert len(copies) > len(found) / 2
    assert all(abs(2 * copy.row - number) == 1 and abs(copy.shift) == 25 for number, copy in copies)
