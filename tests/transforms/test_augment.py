"""Random subsets of signals: exact values on physical axes, reproducible by the seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.signals import make_signal, tiny_config

from foundation.config import CorpusSection
from foundation.data.layout import layout_of
from foundation.data.stream import ShardStream
from foundation.nn.patches import cut
from foundation.signal import Link, Signal
from foundation.transforms.augment import EXCHANGEABLE, random_subset

DELAYS = {"kind": "cir", "frequency_hz": None, "delay_s": np.arange(24) * 1e-9}


def _signal(**changes: object) -> Signal:
    lost = np.random.default_rng(1).random((80, 6, 24)) > 0.2
    links = tuple(Link(tx, rx, rx_position_m=(tx, rx, 0.0)) for tx in range(2) for rx in range(3))
    lost = changes.pop("valid", lost)
    fields = {"valid": lost, "links": links, "time_s": 5 + np.cumsum(np.random.default_rng(2).random(80) + 0.1)}
    signal = make_signal(3, times=80, links=6, responses=24, **changes).with_(**fields)
    return signal.with_(clean=signal.values * 2)


def _indices(found: Signal, whole: Signal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the remaining times, links and responses, from the axes and the antenna positions."""
    offsets = [whole.time_s[k] for k in (0, 1)]
    times = next(t for t in (np.searchsorted(whole.time_s, found.time_s + o) for o in offsets) if t.max() < 80)
    by_position = [link.rx_position_m for link in whole.links]
    links = np.array([by_position.index(link.rx_position_m) for link in found.links])
    return times, links, np.searchsorted(whole.response, found.response)


@pytest.mark.parametrize("changes", [{}, DELAYS, {"kind": "channel"}, {"kind": "iq"}])
def test_values_are_an_exact_subset_on_their_own_axes(changes: dict[str, object]) -> None:
    whole = _signal(**changes)
    shapes = Counter[tuple[bool, ...]]()
    for seed in range(60):
        found = random_subset(whole, seed, 1.0)
        start = (
            1 if len(found.time_s) < 80 and not np.allclose(found.time_s[1], whole.time_s[2] - whole.time_s[0]) else 0
        )
        step = 80 // len(found.time_s)
        np.testing.assert_array_equal(found.time_s, whole.time_s[start::step] - whole.time_s[start])
        _, links, responses = _indices(found, whole)
        np.testing.assert_array_equal(found.response, whole.response[responses])
        kept = np.ix_(np.arange(80)[start::step], links, responses)
        for name in ("values", "mask", "clean"):
            np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[kept])
        shapes[tuple(a < b for a, b in zip(found.values.shape, whole.values.shape, strict=True))] += 1
        if whole.domain == "delay":
            assert found.response[0] == 0
            assert np.allclose(np.diff(found.response), 1e-9)
    times = {False} if whole.kind == "iq" else {False, True}
    assert {shape[0] for shape in shapes} == times
    assert {shape[1] for shape in shapes} == {shape[2] for shape in shapes} == {False, True}


def test_the_bandwidth_is_that_of_the_remaining_responses() -> None:
    whole = _signal()
    spacing = np.diff(whole.response)[0]
    seen = set()
    for seed in range(60):
        found = random_subset(whole, seed, 1.0)
        steps = np.diff(found.response)
        stride = round(steps[0] / spacing)
        assert np.allclose(steps, stride * spacing)
        seen.add(stride)
        share = 1.0 if stride == 2 else len(found.response) / 24
        assert found.bandwidth_hz == pytest.approx(20e6 * share)
        assert found.carrier_hz == whole.carrier_hz
    assert seen == {1, 2}


def test_antennas_are_renumbered_only_where_their_numbering_is_arbitrary() -> None:
    for kind in ("csi", "channel"):
        whole = _signal(kind=kind)
        renumbered = set()
        for seed in range(30):
            links = random_subset(whole, seed, 1.0).links
            maps = [{(link.rx_position_m[end], (link.tx, link.rx)[end]) for link in links} for end in (0, 1)]  # type: ignore[index]
            for one in maps:  # one new number for each old one
                assert len({old for old, _ in one}) == len({new for _, new in one}) == len(one)
            renumbered.add(any(old != new for one in maps for old, new in one))
        assert renumbered == ({True, False} if kind in EXCHANGEABLE else {False})


def test_the_share_and_the_seed_decide() -> None:
    whole = _signal()
    assert random_subset(whole, 0, 0.0) is whole
    changed = [random_subset(whole, seed, 0.3) is not whole for seed in range(300)]
    assert 0.2 < np.mean(changed) < 0.4
    one, two = random_subset(whole, 5, 1.0), random_subset(whole, 5, 1.0)
    assert one.links == two.links
    np.testing.assert_array_equal(one.values, two.values)


def test_a_small_or_mostly_lost_signal_stays_whole() -> None:
    single = make_signal(0, times=1, links=1, responses=1)
    assert all(random_subset(single, seed, 1.0).values.shape == (1, 1, 1) for seed in range(20))
    one = np.zeros((80, 6, 24), bool)
    one[0, 0, 0] = True
    assert all(random_subset(_signal(valid=one), seed, 1.0).mask.any() for seed in range(40))


def test_a_part_has_no_more_tokens_than_the_whole() -> None:
    config = tiny_config(patch_shapes=[[16, 8], [4, 8], [1, 16]])
    for times in (20, 63, 64, 65, 130):
        whole = make_signal(0, times=times, links=3, responses=30)
        most = layout_of(whole.values.shape, config).tokens
        assert all(layout_of(random_subset(whole, s, 1.0).values.shape, config).tokens <= most for s in range(12))


def test_the_stream_goes_on_with_the_same_parts(shards_dir: Path) -> None:
    def prints(position: int, start: int) -> list[bytes]:
        stream = ShardStream(
            [CorpusSection(shards=shards_dir)],
            tiny_config(),
            8,
            0,
            6,
            position=position,
            start=start,
            augment=lambda signal, seed: random_subset(signal, seed, 0.5),
        )
        return [cut(batch)["values"].numpy().tobytes() for batch, _ in stream]

    assert prints(0, 0)[3:] == prints(24, 3)
