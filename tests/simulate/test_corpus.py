"""Simulated corpus: ranges of its parameters, reproducibility by seed, and physical plausibility of its signals."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from foundation.data.layout import layout_of
from foundation.data.shards.verify import verify
from foundation.data.shards.write import write_shards
from foundation.datasets import open_dataset
from foundation.errors import RecipeError
from foundation.models import WfmConfig
from foundation.signal import KINDS, Signal, encode
from foundation.simulate.channel import static_response
from foundation.simulate.corpus import corpus, corpus_splits
from foundation.simulate.corpus.draw import MOST_TOKENS, TOKENS, draw_room, tokens_of
from foundation.simulate.corpus.modulation import MODULATIONS, modulated
from foundation.simulate.corpus.rays import frequency_response, main_lobe, static_rays, uniform
from foundation.simulate.facts import MOTION_TASKS

#: kind -> quantity -> (at most, at least): 2400 windows must reach below the first number and above the second.
TABLE: dict[str, dict[str, tuple[float, float]]] = {
    "csi": {
        "carrier_hz": (1e9, 60e9),
        "rate_hz": (20, 2500),
        "bandwidth_hz": (2e6, 8e8),
        "times": (1, 100),
        "links": (1, 20),
        "responses": (1, 400),
    },
    "csi-amplitude": {"carrier_hz": (1e9, 60e9), "rate_hz": (10, 2000), "times": (1, 100), "responses": (1, 250)},
    "channel": {"carrier_hz": (1e9, 60e9), "times": (1, 14), "links": (1, 50), "responses": (4, 1000)},
    "iq": {"carrier_hz": (1e9, 60e9), "rate_hz": (0.3e6, 80e6), "times": (80, 900), "links": (1, 7)},
    "spectrogram": {"carrier_hz": (1e9, 60e9), "rate_hz": (10, 1e6), "times": (12, 50), "responses": (32, 128)},
    "radar": {"carrier_hz": (24e9, 76e9), "rate_hz": (6, 1500), "links": (1, 20), "responses": (10, 70)},
    "cir": {"carrier_hz": (3.5e9, 9e9), "bandwidth_hz": (3e8, 1.5e9), "times": (1, 30), "responses": (40, 400)},
    "rssi": {"carrier_hz": (0.9e9, 5e9), "links": (3, 55), "times": (1, 1)},
}
#: Of all kinds together.
WHOLE = {"carrier_hz": (0.9e9, 75e9), "links": (1, 55), "times": (1, 900), "responses": (1, 1000)}


@pytest.fixture(scope="module")
def windows() -> list[Signal]:
    return list(corpus(2400, seed=3))


def test_the_ranges_of_every_kind_are_covered(windows: list[Signal]) -> None:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for signal in windows:
        for name, value in _quantities(signal).items():
            found[signal.kind][name].append(value)
            found["all"][name].append(value)
    assert set(found) - {"all"} == set(KINDS)
    for kind, quantities in {**TABLE, "all": WHOLE}.items():
        for name, (low, high) in quantities.items():
            values = found[kind][name]
            assert min(values) <= low, (kind, name, min(values))
            assert max(values) >= high, (kind, name, max(values))


def _quantities(signal: Signal) -> dict[str, float]:
    times, links, responses = signal.values.shape
    out: dict[str, float] = {"times": times, "links": links, "responses": responses}
    if times > 1:
        out["rate_hz"] = 1 / signal.interval_s
    for name in ("carrier_hz", "bandwidth_hz"):
        if getattr(signal, name):
            out[name] = getattr(signal, name)
    return out


def test_samples_are_small_at_the_default_patches(windows: list[Signal]) -> None:
    config = WfmConfig()
    tokens = [layout_of(signal.values.shape, config).tokens for signal in windows]
    assert max(tokens) <= MOST_TOKENS
    assert np.mean(np.array(tokens) > TOKENS) < 0.1
    assert 20 < np.mean(tokens) < 80
    for signal in windows[:200]:
        assert tokens_of(*signal.values.shape) == layout_of(signal.values.shape, config).tokens


def test_no_two_sessions_share_a_room(windows: list[Signal]) -> None:
    assert len({signal.session for signal in windows}) == len({signal.environment for signal in windows}) == 600
    places = {s.session: s.links[0].tx_position_m for s in windows if s.kind == "csi"}
    assert len(set(places.values())) == len(places) >= 100


def test_windows_depend_on_seed_and_number_alone() -> None:
    whole, part = list(corpus(70, seed=5)), list(corpus(11, seed=5, first=45))
    for a, b in zip(whole[45:56], part, strict=True):
        assert encode(a) == encode(b)
    assert encode(next(corpus(1, seed=6))) != encode(whole[0])
    assert len({signal.values.tobytes() for signal in whole}) == len(whole)
    with pytest.raises(RecipeError, match="seed is -1"):
        corpus(1, seed=-1)


def test_a_room_in_eleven_is_held_out(windows: list[Signal]) -> None:
    parts = corpus_splits(2400)["room"]
    assert (len(parts["train"]), len(parts["valid"])) == (546, 54)
    assert set(parts["train"]) | set(parts["valid"]) == {signal.session for signal in windows}
    kinds = {signal.kind for signal in windows if signal.session in parts["valid"]}
    assert kinds == set(KINDS)
    with pytest.raises(RecipeError, match="no room to hold out"):
        corpus_splits(8)


def test_labels_go_with_the_kind(windows: list[Signal]) -> None:
    named = {kind: {label for s in windows if s.kind == kind for label in s.labels} for kind in KINDS}
    motion = set(MOTION_TASKS)
    assert named["csi"] == named["csi-amplitude"] == motion
    assert named["channel"] == {"position", "visibility"}
    assert named["cir"] == {"visibility", "distance"}
    assert named["iq"] == {"modulation", "snr"}
    assert named["radar"] == motion
    assert named["rssi"] == {"position"}


def test_the_rays_sum_to_the_response_of_the_simulator() -> None:
    carrier, frequency = 28e9, uniform(64, 400e6)
    room = draw_room(np.random.default_rng(0), 1, 2, carrier, tx=2, rx=3)
    sight, rest = static_response(room, carrier, frequency)
    field = frequency_response(static_rays(room, carrier), carrier, frequency).reshape(6, 64)
    assert np.abs(field - sight - rest).max() < 1e-4 * np.abs(sight + rest).max()


def test_a_hann_window_has_the_lobe_that_is_written_down() -> None:
    count = 64
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    offsets = np.array([0.0, 0.25, 0.5, 1.0, 1.7, 2.0])
    tone = np.exp(2j * np.pi * np.outer(offsets, np.arange(count)) / count)
    assert np.allclose(np.abs(tone @ window) * 2 / count, np.abs(main_lobe(offsets)), atol=2e-3)


def test_first_paths_lie_at_zero_delay_and_stand_out(windows: list[Signal]) -> None:
    cirs = [signal for signal in windows if signal.kind == "cir"]
    ratio = []
    for signal in cirs:
        power = np.mean(np.abs(signal.values) ** 2, axis=(0, 1))
        before, near = signal.response < -3e-9 - 4 / signal.bandwidth_hz, np.abs(signal.response) < 10e-9
        if before.any():
            ratio.append(power[near].max() / power[before].mean())
    assert len(ratio) > 100
    assert np.median(ratio) > 30
    first = {v: np.mean([_first(s) for s in cirs if s.labels["visibility"] == v]) for v in ("LOS", "NLOS")}
    assert first["LOS"] > first["NLOS"] + 0.1


def _first(signal: Signal) -> float:
    """Power of the first path relative to the strongest."""
    power = np.mean(np.abs(signal.values) ** 2, axis=(0, 1))
    return float(power[np.abs(signal.response) < 1e-9 + 1 / signal.bandwidth_hz].max() / power.max())


def test_who_moves_is_seen_and_an_empty_room_is_still(windows: list[Signal]) -> None:
    """The Doppler spectrogram of an empty room, with static paths removed, is noise."""
    share: dict[str, list[float]] = defaultdict(list)
    for signal in windows:
        if signal.kind == "spectrogram" and "torso_speed" in signal.labels:
            power, walks = signal.values.real, np.mean(signal.labels["torso_speed"]) > 0.4
            what = "walks" if walks else "empty" if signal.labels["people"] == 0 else "other"
            share[what].append(float(power.max() / np.median(power)))
    assert min(len(share["empty"]), len(share["walks"])) >= 3
    assert np.median(share["walks"]) > 3 * np.median(share["empty"])


def test_strength_falls_with_distance(windows: list[Signal]) -> None:
    slopes = []
    for signal in windows:
        places = [link.rx_position_m or link.tx_position_m for link in signal.links]
        heard = signal.mask[0, :, 0]
        if signal.kind == "rssi" and places[0] is not None and heard.sum() > 8:
            away = np.linalg.norm(np.array(places)[:, :2] - signal.labels["position"], axis=1)  # type: ignore[arg-type]
            slopes.append(np.polyfit(np.log10(away[heard] + 1), signal.values[0, heard, 0].real, 1)[0])
    assert len(slopes) > 10
    assert np.median(slopes) < -10


def test_it_is_built_and_verified_as_shards(tmp_path: Path) -> None:
    dataset = open_dataset("simulated-corpus", count=128, seed=2)
    pickle.dumps(dataset.pieces)  # workers read them
    manifest = write_shards(dataset, tmp_path)
    assert verify(tmp_path) == []
    assert set(manifest.summary.kinds) == set(KINDS)
    assert manifest.summary.parts["room"] == {"train": 120, "valid": 8}
    assert set(manifest.summary.labels) == {"activity", "people", "visibility", "modulation"}


@pytest.mark.parametrize("name", MODULATIONS)
def test_waveforms_have_power_near_one(name: str) -> None:
    rng = np.random.default_rng(0)
    powers = [np.mean(np.abs(modulated(rng, name, 700)) ** 2) for _ in range(20)]
    assert 0.4 < np.median(powers) < 2.5
    assert len(modulated(rng, name, 333)) == 333
