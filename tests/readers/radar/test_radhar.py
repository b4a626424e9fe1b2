"""RadHAR point clouds: messages with known points, gathered arrays, damaged files, and the real recordings."""

from __future__ import annotations

import io
import re
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.radhar import BIN, TEXT, cloud, gathered, message, written
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.radar import radhar


class TestText:
    def test_points_land_in_their_cells(self, tmp_path: Path) -> None:
        (signal,) = radhar.read(written(tmp_path / "jack", TEXT))
        assert signal.values.shape == (3, 48, 16)
        found = {tuple(map(int, at)): float(signal.values[tuple(at)].real) for at in np.argwhere(signal.values)}
        ahead = {(0, 8, 0): 10**1.5, (0, 5, 3): 200**0.5, (1, 15, 15): 10**0.5, (2, 0, 0): 1.0}
        aside = {(0, 24, 8): 10**1.5, (0, 21, 7): 10.0, (0, 21, 6): 10.0, (1, 31, 15): 10**0.5, (2, 16, 8): 1.0}
        height = {(0, 40, 8): 10**1.5, (0, 37, 11): 200**0.5, (1, 47, 0): 10**0.5, (2, 32, 8): 1.0}
        assert found == pytest.approx(ahead | aside | height)
        assert [(link.tx, link.rx) for link in signal.links[14:18]] == [(0, 14), (0, 15), (1, 0), (1, 1)]
        np.testing.assert_allclose(signal.time_s, [0, 0.1, 0.12], atol=1e-9)
        assert signal.delay_s is not None
        np.testing.assert_allclose(signal.delay_s * 299_792_458 / 2, (np.arange(16) + 0.5) * 8 * BIN)
        assert (signal.kind, signal.is_real, signal.session) == ("radar", True, "a")
        assert signal.labels == {"activity": "jack"}

    def test_another_folder_is_no_label(self, tmp_path: Path) -> None:
        (signal,) = radhar.read(written(tmp_path / "Train", TEXT.replace("\n", "\r\n")))
        assert (len(signal.time_s), dict(signal.labels)) == (3, {})

    def test_damaged_points_are_dropped_with_a_warning(self, tmp_path: Path) -> None:
        damaged = [(1, 1.021, 55.0, 0.0, 20.0), (2, 1.022, 1.0, -887.6, 20.0), (3, 1.023, float("nan"), 0.0, 20.0)]
        text = (
            TEXT
            + "".join(message(*point) for point in damaged[:2])
            + message(3, 1.023, 1, 0, 1).replace("x: 1.0", "x: nan")
        )
        text += message(4, 1.024, 1.0, 0.0, 20.0, y=float("inf"))
        with pytest.warns(UserWarning, match="dropped 4 of 9 points beyond 5.6 m, beyond 4.9 m/s .* first at index 5"):
            (signal,) = radhar.read(written(tmp_path, text))
        assert np.count_nonzero(signal.values[:, :16]) == 4

    def test_messages_without_a_number_are_dropped(self, tmp_path: Path) -> None:
        text = TEXT.replace("intensity: 20.0\n", "").replace("velocity: -4.9", "velocity: fast -4.9")
        with pytest.warns(UserWarning, match="3 of 5 messages are truncated or damaged and are dropped"):
            (signal,) = radhar.read(written(tmp_path, text))
        assert len(signal.time_s) == 1

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_any_order_padding_and_optional_fields(self, tmp_path: Path, encoding: str) -> None:
        (wanted,) = radhar.read(written(tmp_path / "jack", TEXT))
        other = re.sub(r"(?m)^(range|doppler_bin|bearing|  seq): .*\n", "", TEXT)
        other = re.sub(r"(?m)^(point_id: .*\n)((?:.*\n)*?)(intensity: .*\n)", r"\3\2  \1", other)
        other = other.replace("y: ", "y:   ").replace("z: ", "  z:\t").replace("\n", " \r\n").replace("---", "", 1)
        path = written(tmp_path / "jack", other.encode(encoding))
        assert radhar.sniff(path.read_bytes()[:4096])
        (signal,) = radhar.read(path)
        np.testing.assert_array_equal(signal.values, wanted.values)
        np.testing.assert_array_equal(signal.time_s, wanted.time_s)

    def test_text_and_gathered_points_give_the_same_fields(self, tmp_path: Path) -> None:
        points = cloud(frames=3).astype(np.float64)
        text = "".join(
            message(number % 10, frame / 30, float(np.linalg.norm(place)), speed, level, *map(float, place[1:]))
            for number, (*place, speed, level, frame) in enumerate(points)
        )
        (as_text,) = radhar.read(written(tmp_path / "walk", text))
        (as_array,) = radhar.read(gathered(tmp_path / "a.npz", **{"Train|walk|a": points}))
        np.testing.assert_allclose(as_text.values, as_array.values, rtol=1e-6)
        np.testing.assert_allclose(as_text.time_s, as_array.time_s, atol=1e-8)
        assert as_text.labels == as_array.labels

    def test_cases(self, cases_root: Path) -> None:
        (padded,) = radhar.read(next(cases_root.glob("radhar-text-padded-nsecs/walk/*.txt")))
        assert (len(padded.time_s), padded.labels) == (6, {"activity": "walk"})
        folder = cases_root / "radhar-range-differs-by-file-form"
        (as_text,) = radhar.read(next(folder.glob("walk/*.txt")))
        (as_array,) = radhar.read(folder / "radhar_points.npz")
        np.testing.assert_allclose(as_text.values, as_array.values, rtol=1e-5)

    def test_a_clock_that_stands_still_is_bridged(self, tmp_path: Path) -> None:
        text = "".join(message(0, time_s, 1.0, 0.0, 20.0) for time_s in (5.0, 5.0, 5.5, 4.0))
        with pytest.warns(UserWarning, match="at 2 of 4 frames, the first at frame 1"):
            (signal,) = radhar.read(written(tmp_path, text))
        np.testing.assert_allclose(signal.time_s, [0, 1 / 30, 1 / 30 + 0.5, 2 / 30 + 0.5])

    def test_cuts(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="1 of 5 messages are truncated"):
            (signal,) = radhar.read(written(tmp_path, TEXT[:-30]))
        assert len(signal.time_s) == 2
        with pytest.raises(ReadError, match="0 of 1 messages are complete"):
            radhar.read(written(tmp_path, TEXT[:200]))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is empty"),
            ("hello\n", "0 of 1 messages are complete"),
            (TEXT.replace("velocity", "speed"), "0 of 5 messages are complete"),
            (message(0, 0, 80, 0, 20), "none of its 1 points lies within"),
        ],
    )
    def test_what_is_no_recording_is_named(self, tmp_path: Path, content: str, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            radhar.read(written(tmp_path, content))

    @given(st.integers(0, len(TEXT) - 1), st.characters(max_codepoint=127))
    def test_a_changed_character_never_crashes(
        self, tmp_path_factory: pytest.TempPathFactory, at: int, new: str
    ) -> None:
        path = written(tmp_path_factory.mktemp("radhar"), TEXT[:at] + new + TEXT[at + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                (signal,) = radhar.read(path)
            except ReadError:
                return
        assert len(signal.time_s) <= 5


class TestGathered:
    def test_one_signal_per_array(self, tmp_path: Path) -> None:
        first, second = cloud(), cloud(frames=4, seed=1)
        second[second[:, 5] == 2, 5] = 9  # frames without any point are gaps in time
        path = gathered(tmp_path / "a.npz", **{"Train|walk|a_1": first, "Test|jump|b": np.asfortranarray(second)})
        signals = radhar.read(path)
        assert [(s.session, s.labels["activity"]) for s in signals] == [
            ("Test/jump/b", "jump"),
            ("Train/walk/a_1", "walk"),
        ]
        np.testing.assert_allclose(signals[0].time_s, np.array([0, 1, 3, 9]) / 30)
        power = np.square(signals[0].values.real).reshape(4, 3, -1).sum(axis=2).T
        wanted = [np.sum(10 ** (second[second[:, 5] == frame, 4] / 10)) for frame in (0, 1, 3, 9)]
        np.testing.assert_allclose(power, [wanted] * 3, rtol=1e-5, err_msg="every projection has all the power")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"points": cloud()}, "member 'points.npy'; expected SPLIT"),
            ({"Train|walk|../a": cloud()}, "expected SPLIT"),
            ({"Train|walk|a": cloud()[:, :5]}, r"shape \(50, 5\) of float32; expected floats \[points, 6\]"),
            ({"Train|walk|a": cloud().astype(int)}, r"of int64; expected floats"),
            ({"Train|walk|a": cloud()[:0]}, r"shape \(0, 6\)"),
            ({"Train|walk|a": cloud(frames=30, points=2)}, "60 points in 30 frames; expected at least 8"),
            ({"Train|walk|a": cloud() + np.array([0] * 5 + [np.nan])}, "frame number that is not finite"),
            ({"Train|walk|a": np.zeros((10**6, 6), np.float32)}, "more than 20 times its size"),
        ],
    )
    def test_other_arrays_are_named(self, tmp_path: Path, arrays: dict, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            radhar.read(gathered(tmp_path / "a.npz", **arrays))

    def test_a_header_that_promises_too_much_is_refused(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        np.save(buffer, cloud())
        lying = buffer.getvalue().replace(b"(50, 6)", b"(99, 6)")
        objects = io.BytesIO()
        np.save(objects, np.array([{}], object), allow_pickle=True)
        for content, reason in (
            (lying, r"1200 bytes for shape \(99, 6\)"),
            (objects.getvalue(), "of object"),
            (b"abc", "not a complete numeric"),
        ):
            with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
                archive.writestr("Train|walk|a.npy", content)
            with pytest.raises(ReadError, match=reason):
                radhar.read(tmp_path / "a.npz")

    def test_cuts_and_flipped_bytes_never_crash(self, tmp_path: Path) -> None:
        whole = gathered(tmp_path / "a.npz", **{"Train|walk|a": cloud(), "Test|walk|b": cloud(seed=1)}).read_bytes()
        for size in range(4, len(whole), 41):
            with pytest.raises(ReadError):
                radhar.read(written(tmp_path, whole[:size]))
        rng = np.random.default_rng(0)
        refused = 0
        for _ in range(200):
            data = bytearray(whole)
            data[int(rng.integers(4, len(data)))] = int(rng.integers(256))
            try:
                radhar.read(written(tmp_path, bytes(data)))
            except ReadError:
                refused += 1
        assert refused > 100


def test_detection(tmp_path: Path) -> None:
    assert radhar.sniff(TEXT.encode()[:4096])
    assert radhar.sniff(TEXT.replace("\n", "\r\n").encode()[:4096])
    assert radhar.sniff(gathered(tmp_path / "a.npz", **{"Train|walk|a": cloud()}).read_bytes()[:4096])
    assert not radhar.sniff(gathered(tmp_path / "a.npz", csi=cloud()).read_bytes()[:4096])
    assert not radhar.sniff(b"PK\x03\x04")
    assert not radhar.sniff(b"point_id: 0\n")


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*dropped .* points:UserWarning")
def test_one_recording_at_a_time_is_in_memory(data_root: Path) -> None:
    path = data_root / "radhar/radhar_points.npz"
    tracemalloc.start()
    try:
        sessions = [signal.session for signal in radhar.stream(path)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sessions == sorted(sessions)
    assert len(sessions) == 186
    assert peak < 3 * path.stat().st_size


@pytest.mark.real
def test_real_recordings(data_root: Path) -> None:
    path = data_root / "radhar/radhar_points.npz"
    assert radhar.sniff(path.read_bytes()[:4096])
    with pytest.warns(UserWarning, match="__20_boxing_7: dropped 2 of 14827 points"):
        signals = radhar.read(path)
    assert len(signals) == 186
    assert {signal.labels["activity"] for signal in signals} == set(radhar.ACTIVITIES)
    assert sum(signal.session.startswith("Test/") for signal in signals) == 55
    assert all(19 < signal.time_s[-1] < 20.2 for signal in signals[:40])
    (boxing,) = (signal for signal in signals if signal.session == "Train/boxing/20_boxing_1")
    with np.load(path, allow_pickle=False) as arrays:
        points = arrays["Train|boxing|20_boxing_1"]
    np.testing.assert_allclose(
        np.square(boxing.values[:600, :16].real).sum(axis=(1, 2)),
        np.bincount(points[:, 5].astype(int), 10 ** (points[:, 4].astype(float) / 10))[:600],
        rtol=1e-5,
    )
