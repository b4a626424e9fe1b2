"""Simulator: closed-form channels, reproducibility by seed, splits, and statistics of its impairments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foundation.errors import RecipeError
from foundation.signal import SPEED_OF_LIGHT, Signal, decode, encode
from foundation.simulate import SimulationConfig, simulate, simulated_splits
from foundation.simulate.channel import moving_response, shadow, static_response
from foundation.simulate.config import ACTIVITIES
from foundation.simulate.facts import motion_profiles
from foundation.simulate.impairments import draw_packets, make_device
from foundation.simulate.people import MARGIN_M, MOTIONS, make_person, move
from foundation.simulate.rooms import Room, images, make_room

CARRIER = 5.18e9
CONFIG = SimulationConfig()


def bare_room(**changes: object) -> Room:
    """Free space: no reflections, no furniture."""
    room = Room(
        size_m=np.array([6.0, 5.0, 3.0]),
        reflection=np.zeros((3, 2)),
        los_gain=1.0,
        tx_m=np.array([[1.0, 1.0, 1.0]]),
        rx_m=np.array([[4.0, 3.0, 1.5]]),
        clutter_m=np.zeros((0, 3)),
        clutter_rcs_m2=np.zeros(0),
    )
    return replace(room, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def windows() -> list[Signal]:
    return list(simulate(1000, seed=3))


def test_same_seed_same_windows_whatever_the_count() -> None:
    few, many = list(simulate(11, seed=5)), list(simulate(20, seed=5))
    assert (len(few), len(many)) == (11, 20)
    for a, b in zip(few, many, strict=False):
        assert encode(a) == encode(b)
    other = next(iter(simulate(1, seed=6)))
    assert not np.array_equal(other.values, few[0].values)
    assert list(simulate(0, seed=5)) == []


def test_a_room_a_device_and_a_person_outlive_a_session(windows: list[Signal]) -> None:
    for field in ("device", "environment"):
        assert len({getattr(s, field) for s in windows}) > 1
    by_room: dict[str, set] = {}
    for s in windows:
        by_room.setdefault(s.environment, set()).add((s.links, s.session.split("/")[0]))
    assert all(places == {next(iter(places))} and len(places) == 1 for places in by_room.values())
    assert len({next(iter(p))[0] for p in by_room.values()}) == CONFIG.rooms
    for session in {s.session for s in windows}:
        same = [s for s in windows if s.session == session]
        assert len({(s.device, s.carrier_hz, s.environment) for s in same}) == 1
        assert len({s.subject for s in same} - {""}) <= 1


def test_no_window_is_recorded_twice(windows: list[Signal]) -> None:
    assert len({s.values.tobytes() for s in windows}) == len(windows)
    # Nor is one motion dressed in other noise: that would leak across a split by recording.
    moving = [s.labels["position"] for s in windows if "position" in s.labels]
    assert len(set(moving)) == len(moving) > 500
    for room in {s.environment for s in windows}:
        recordings = {s.session: (s.device, s.carrier_hz) for s in windows if s.environment == room}
        assert len(set(recordings.values())) > 1


def test_a_single_path_has_the_closed_form() -> None:
    room = bare_room()
    sight, rest = static_response(room, CARRIER, CONFIG.frequency_hz)
    distance = np.sqrt(3**2 + 2**2 + 0.5**2)
    frequency = CARRIER + CONFIG.frequency_hz
    expected = np.exp(-2j * np.pi * frequency * distance / SPEED_OF_LIGHT)
    expected *= SPEED_OF_LIGHT / CARRIER / (4 * np.pi * distance)
    np.testing.assert_allclose(sight[0], expected, rtol=1e-6)
    assert not rest.any()


def test_images_are_where_the_mirrors_put_them() -> None:
    reflection = -np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    places, gains = images(np.array([[1.0, 2.0, 0.5]]), np.array([6.0, 5.0, 3.0]), reflection, order=2)
    assert len(places) == 1 + 6 + 18
    found = {tuple(np.round(p[0], 6)): g for p, g in zip(places, gains, strict=True)}
    assert found[(1.0, 2.0, 0.5)] == 1
    assert found[(-1.0, 2.0, 0.5)] == pytest.approx(-0.1)
    assert found[(1.0, 8.0, 0.5)] == pytest.approx(-0.4)
    assert found[(11.0, -2.0, 0.5)] == pytest.approx(0.2 * 0.3)
    assert found[(-11.0, 2.0, 0.5)] == pytest.approx(0.1 * 0.2)  # off the high wall, then off the low one


@pytest.mark.parametrize("bandwidth", [20e6, 160e6])
def test_moving_points_equal_the_direct_sum_over_paths(bandwidth: float) -> None:
    rng = np.random.default_rng(0)
    room = make_room(0, 1, CONFIG)
    config = replace(CONFIG, bandwidth_hz=bandwidth)
    points = rng.uniform(0.2, 0.8, (2, 3, 4, 5)) * room.size_m[:, None, None]
    rcs = rng.uniform(0.1, 1, (2, 4))
    got = moving_response(room, points, rcs, CARRIER, config.frequency_hz)
    to, to_gain = images(room.tx_m, room.size_m, room.reflection, order=1)
    back, back_gain = images(room.rx_m, room.size_m, room.reflection, order=1)
    expected = np.zeros(got.shape, complex)
    pairs = [(i, 0) for i in range(7)] + [(0, j) for j in range(1, 7)]
    for link in range(2):
        for i, j in pairs:
            d1 = np.linalg.norm(points - to[i, 0][:, None, None], axis=1)
            d2 = np.linalg.norm(points - back[j, link][:, None, None], axis=1)
            wavelength = SPEED_OF_LIGHT / CARRIER
            a = wavelength * np.sqrt(rcs)[..., None] * to_gain[i] * back_gain[j] / ((4 * np.pi) ** 1.5 * d1 * d2)
            turns = (CARRIER + config.frequency_hz) * (d1 + d2)[..., None] / SPEED_OF_LIGHT
            expected[:, :, link] += (a[..., None] * np.exp(-2j * np.pi * turns)).sum(axis=1)
    assert np.abs(got - expected).max() < 3e-4 * np.abs(expected).max()


def test_doppler_of_an_approaching_point_is_2v_over_lambda() -> None:
    room = bare_room(rx_m=np.array([[1.0, 1.0, 1.0]]))
    speed, t = 1.1, np.arange(400) * 1e-3
    point = np.array([5.0, 4.0, 1.0])
    away = (point - room.tx_m[0]) / np.linalg.norm(point - room.tx_m[0])
    way = point[:, None] - speed * away[:, None] * t
    field = moving_response(room, way[None, :, None], np.ones((1, 1)), CARRIER, CONFIG.frequency_hz)
    phase = np.unwrap(np.angle(field[0, :, 0, 16].astype(complex)))
    doppler = np.polyfit(t, phase, 1)[0] / (2 * np.pi)
    assert doppler == pytest.approx(2 * speed * (CARRIER + CONFIG.frequency_hz[16]) / SPEED_OF_LIGHT, rel=1e-3)


def test_a_body_shadows_the_line_of_sight_only_where_it_stands_in_it() -> None:
    room = bare_room()
    middle = (room.tx_m[0] + room.rx_m[0]) / 2
    torso = np.stack([middle, middle + np.array([0, 1.5, 0]), room.tx_m[0] - np.array([0.9, 0.6, 0])], axis=-1)[None]
    factor = shadow(room, torso)
    assert factor.shape == (1, 3, 1)
    assert factor[0, 0, 0] == pytest.approx(0.3, abs=1e-3)
    assert np.all(factor[0, 1:, 0] > 0.99)


def test_people_stay_inside_the_room_and_move_as_fast_as_they_say() -> None:
    size = np.array([9.0, 8.0, 2.8])
    names = [a for a in MOTIONS for _ in range(40)]
    person = make_person(0, 0)
    points, rcs = move(np.random.default_rng(1), names, person, size, CONFIG)
    assert points.shape == (len(names), 3, 6, CONFIG.times) and rcs.shape == (len(names), 6)
    # A hand reaches further than the margin that the torso keeps.
    reach = 0.75
    assert np.all(points > -(reach - MARGIN_M)) and np.all(points[:, :2] < size[:2, None, None] + reach - MARGIN_M)
    torso = points[:, :, :2].mean(axis=2)
    travelled = np.linalg.norm(np.diff(torso[:, :2], axis=2), axis=1).sum(axis=1) / (127 * CONFIG.interval_s)
    mean = {a: travelled[[n == a for n in names]] for a in MOTIONS}
    assert np.all(mean["still"] < 0.05) and np.all(mean["turn"] < 0.4)
    assert np.all((mean["walk"] > 0.35) & (mean["walk"] < 1.8)) and np.all(mean["run"] > 1.5)
    # Who stands does not turn on the spot either: the line between the two sides of the chest keeps its direction.
    across = points[:, :2, 0] - points[:, :2, 1]
    turned = np.ptp(np.unwrap(np.arctan2(across[:, 1], across[:, 0])), axis=1)
    for name in ("still", "wave", "sit_down"):
        assert np.all(turned[[n == name for n in names]] < 1e-6)
    assert np.all(turned[[n == "turn" for n in names]] > 1.0)
    lowered = torso[:, 2, 0] - torso[:, 2, -1]
    assert np.all(lowered[[n == "sit_down" for n in names]] > 0.15)
    assert np.all(np.abs(lowered[[n == "still" for n in names]]) < 0.01)


def test_labels_are_the_torsos_position_and_velocity(windows: list[Signal]) -> None:
    sizes = {f"room-{r}": make_room(3, r, CONFIG).size_m for r in range(CONFIG.rooms)}
    for s in windows:
        if s.labels["activity"] == "empty":
            assert s.labels["people"] == 0 and "position" not in s.labels and s.subject == ""
            continue
        position, velocity = s.labels["position"], s.labels["velocity"]
        assert isinstance(position, tuple) and isinstance(velocity, tuple)
        assert np.all(np.array(position) > 0) and np.all(np.array(position) < sizes[s.environment][:2])
        if s.labels["activity"] == "still":
            assert np.hypot(*velocity) < 0.05
    assert {s.labels["activity"] for s in windows} == set(ACTIVITIES)
    runs = [np.hypot(*s.labels["velocity"]) for s in windows if s.labels["activity"] == "run"]  # type: ignore[misc]
    assert 1.5 < np.median(runs) < 3.5


def test_profiles_of_motion_tell_the_activities_apart(windows: list[Signal]) -> None:
    def mean(activity: str, name: str) -> float:
        return float(np.mean([np.abs(s.labels[name]) for s in windows if s.labels["activity"] == activity]))

    assert mean("empty", "torso_speed") == mean("empty", "limb_speed") == mean("empty", "path_speed") == 0
    assert mean("still", "torso_speed") < 0.05 < 0.4 < mean("walk", "torso_speed") < 1.5 < mean("run", "torso_speed")
    assert mean("wave", "limb_speed") > 5 * mean("still", "limb_speed")
    assert mean("wave", "torso_speed") < 0.05
    assert mean("sit_down", "lift_speed") > 5 * mean("still", "lift_speed")
    lowered = [np.sum(s.labels["lift_speed"]) for s in windows if s.labels["activity"] == "sit_down"]
    assert np.max(lowered) < 0  # down


def test_profiles_are_of_the_fastest_person_in_each_part_of_the_window() -> None:
    time, (tx, rx) = np.linspace(0, 1.6, 33), np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])
    still, walker = np.zeros((3, 6, 33)), np.zeros((3, 6, 33))
    walker[0] = np.where(time < 0.8, 0.0, 2 * (time - 0.8))  # stands, then walks at 2 m/s from transmitter to receiver
    found = motion_profiles([still, walker], time, tx, rx)
    np.testing.assert_allclose(found["torso_speed"], [0, 0, 0, 0, 2, 2, 2, 2], atol=0.3)
    np.testing.assert_allclose(found["path_speed"], 0, atol=1e-9)  # along the line of sight the path keeps its length
    across = motion_profiles([walker[[1, 0, 2]]], time, tx, rx)
    assert across["path_speed"][-1] > 1.5
    assert motion_profiles([still[:, :, :1]], time[:1], tx, rx) == {}


@pytest.mark.parametrize("snr_db", [5.0, 25.0])
def test_noise_is_at_the_requested_ratio(snr_db: float) -> None:
    # Empty rooms, so that the power of a packet changes with the gain alone and noise follows the gain.
    config = replace(CONFIG, snr_db=(snr_db, snr_db), packet_loss=0.0, activities=("empty",))
    for s in simulate(8, seed=0, config=config):
        assert s.clean is not None and s.mask.all()
        noise = s.values - s.clean
        ratio = np.mean(np.abs(s.clean) ** 2) / np.mean(np.abs(noise) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.3)
        assert abs(np.mean(noise)) < 0.05 * np.std(noise)


def test_lost_packets_are_invalid_on_every_link_and_known_in_the_truth(windows: list[Signal]) -> None:
    lost = np.stack([~s.mask for s in windows])
    assert np.array_equal(lost.any(axis=(2, 3)), lost.all(axis=(2, 3)))
    assert lost.mean() == pytest.approx(CONFIG.packet_loss, abs=0.003)
    for s in windows[:50]:
        assert s.clean is not None and not s.values[~s.mask].any() and np.all(np.abs(s.clean).max(axis=(1, 2)) > 0)
    almost_nothing = next(iter(simulate(1, 0, replace(CONFIG, packet_loss=0.999999))))
    assert almost_nothing.mask.any()


def test_clock_errors_are_one_phase_line_per_packet() -> None:
    device = replace(make_device(0, 0, CONFIG), agc_rate=0.0)
    packets = draw_packets(np.random.default_rng(0), device, 3, CONFIG)
    factor = packets.factor(CONFIG.frequency_hz)
    np.testing.assert_allclose(np.abs(factor), 1, rtol=1e-5)
    expected = packets.phase_rad[..., None] - 2 * np.pi * packets.delay_s[..., None] * CONFIG.frequency_hz
    np.testing.assert_allclose(factor[:, :, 0], np.exp(1j * expected), atol=1e-5)
    # The same on every link of a whole window: in an empty room only these lines change from packet to packet.
    config = replace(CONFIG, activities=("empty",), devices=1)
    s = next(iter(simulate(1, 1, config)))
    assert s.clean is not None
    step = s.clean[1:] / s.clean[:-1]
    np.testing.assert_allclose(step[:, 0], step[:, 1], rtol=1e-3)
    bend = np.angle(step[:, :, 2:] * step[:, :, :-2] / step[:, :, 1:-1] ** 2)
    assert np.abs(bend).max() < 1e-3
    assert np.abs(np.angle(step[:, 0, 16])).max() > 0.1


def test_the_gain_steps_for_all_links_alike() -> None:
    device = replace(make_device(0, 0, CONFIG), agc_rate=0.1, agc_step_db=1.0)
    gain_db = 20 * np.log10(draw_packets(np.random.default_rng(0), device, 20, CONFIG).gain)
    np.testing.assert_allclose(gain_db, np.round(gain_db), atol=1e-9)
    assert np.abs(gain_db).max() < 6.001 and len(np.unique(np.round(gain_db))) > 3


def test_an_empty_room_is_still_and_activities_differ_in_motion(windows: list[Signal]) -> None:
    energy: dict[str, list[float]] = {a: [] for a in ACTIVITIES}
    fast: dict[str, list[float]] = {a: [] for a in ACTIVITIES}
    for s in windows:
        assert s.clean is not None
        amplitude = np.abs(s.clean) / np.sqrt(np.mean(np.abs(s.clean) ** 2, axis=(1, 2), keepdims=True))
        energy[str(s.labels["activity"])].append(float(np.mean(amplitude.std(axis=0))))
        fast[str(s.labels["activity"])].append(float(np.mean(np.diff(amplitude, axis=0).std(axis=0))))
    assert max(energy["empty"]) < 1e-4 < 10 * min(energy["still"])
    median = {a: np.median(v) for a, v in energy.items()}
    assert median["empty"] < median["still"] < median["wave"] < median["walk"]
    speed = {a: np.median(v) for a, v in fast.items()}
    assert speed["still"] < 0.5 * speed["turn"] and speed["walk"] < 0.8 * speed["run"]


def test_static_response_tells_rooms_apart_more_than_recordings_of_one_room() -> None:
    def profile(index: int, shift: float) -> np.ndarray:
        room = make_room(0, index, CONFIG)
        rng = np.random.default_rng(index)
        room = replace(room, clutter_m=room.clutter_m + rng.normal(0, shift, room.clutter_m.shape))
        field = sum(static_response(room, 2.437e9, CONFIG.frequency_hz))
        return np.asarray(field).ravel() / np.linalg.norm(np.asarray(field))

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return float(abs(np.vdot(a, b)))

    same = [likeness(profile(r, 0.02), profile(r, 0.0)) for r in range(8)]
    other = [likeness(profile(r, 0.0), profile((r + 1) % 8, 0.0)) for r in range(8)]
    assert np.median(same) > 0.8 > np.median(other)


def test_splits_cut_no_session_and_hold_out_whole_rooms(windows: list[Signal]) -> None:
    splits = simulated_splits(len(windows), seed=3)
    every = {s.session for s in windows}
    for parts in splits.values():
        assert not set(parts["train"]) & set(parts["test"])
        assert all(len(set(names)) == len(names) for names in parts.values())
    assert set(splits["room"]["train"]) | set(splits["room"]["test"]) == every
    rooms = {part: {n.split("/")[0] for n in names} for part, names in splits["room"].items()}
    assert rooms["test"] == {"room-6", "room-7"} and not rooms["test"] & rooms["train"]
    recording = splits["recording"]
    assert set(recording["train"]) | set(recording["test"]) == set(splits["room"]["train"])
    assert {n.split("/")[0] for n in recording["test"]} == {n.split("/")[0] for n in recording["train"]}
    assert 0.15 < len(recording["test"]) / len(splits["room"]["train"]) < 0.25


def test_signals_say_what_they_are(windows: list[Signal]) -> None:
    s = windows[0]
    assert s.values.shape == (128, 2, 32) and s.kind == "csi" and s.interval_s == pytest.approx(0.01)
    assert s.session == "room-0/rec-0000" and s.environment == "room-0" and s.device.startswith("sim-")
    assert (s.source, s.licence, s.bandwidth_hz) == ("foundation.simulate", "CC0-1.0", 20e6)
    assert s.links[0].rx_position_m != s.links[1].rx_position_m and s.links[0].tx_position_m is not None
    assert len({w.session for w in windows}) == len(windows) / CONFIG.windows_per_session
    again = decode(encode(s))
    np.testing.assert_array_equal(again.values, s.values)
    assert dict(again.labels) == dict(s.labels)


def test_more_antennas_give_tx_times_rx_links() -> None:
    config = replace(CONFIG, tx_antennas=2, rx_antennas=3, subcarriers=57, bandwidth_hz=80e6, times=20)
    s = next(iter(simulate(1, 0, config)))
    assert s.values.shape == (20, 6, 57)
    assert [(link.tx, link.rx) for link in s.links] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_mistakes_are_named() -> None:
    with pytest.raises(RecipeError, match=r"test_rooms is 8; expected fewer than the 8 rooms"):
        SimulationConfig(test_rooms=8)
    with pytest.raises(RecipeError, match=r"activities is \('dance',\); expected some of empty"):
        SimulationConfig(activities=("dance",))
    with pytest.raises(RecipeError, match=r"packet_loss is 1\.0"):
        SimulationConfig(packet_loss=1.0)
    with pytest.raises(RecipeError, match=r"count is -1"):
        simulate(-1, 0)
    with pytest.raises(RecipeError, match=r"room/test without a session; request at least 320"):
        simulated_splits(16, 0)
    simulated_splits(320, 0)
