"""The reader of FeitCSI captures: hand-made measurements, malformed files and real captures of every format."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.wifi import feitcsi, intel_ax
from foundation.signal import Signal

FORMATS = {"non-HT": 1, "HT": 2, "VHT": 3, "HE": 4, "EHT": 5}
PLANS = [("HT", 20), ("HT", 40), ("VHT", 20), ("VHT", 40), ("VHT", 80), ("VHT", 160)]
PLANS += [("HE", 20), ("HE", 40), ("HE", 80), ("HE", 160)]
TONES = {("HT", 20): 56, ("HT", 40): 114, ("VHT", 20): 56, ("VHT", 40): 114, ("VHT", 80): 242, ("VHT", 160): 484}
TONES |= {("HE", 20): 242, ("HE", 40): 484, ("HE", 80): 996, ("HE", 160): 1992}


def random_parts(seed: int, rx: int = 2, tx: int = 1, tones: int = 56) -> np.ndarray:
    """int16 [rx, tx, tone, (real, imaginary)] as stored."""
    return np.random.default_rng(seed).integers(-300, 300, (rx, tx, tones, 2)).astype("<i2")


def measurement(
    parts: np.ndarray,
    clock: int,
    packet_format: str = "HT",
    mhz: int = 20,
    transmitter: bytes = b"\x00\x16\xea\x12\x34\x56",
) -> bytes:
    """One measurement with a header of 272 bytes, as FeitCSI documents it."""
    header = bytearray(272)
    rx, tx, tones, _ = parts.shape
    struct.pack_into("<I", header, 0, parts.nbytes)
    struct.pack_into("<BB", header, 46, rx, tx)
    struct.pack_into("<I", header, 52, tones)
    header[68:74] = transmitter
    rate = FORMATS[packet_format] << 8 | (20, 40, 80, 160, 320).index(mhz) << 11 | 0xC005
    struct.pack_into("<II", header, 88, clock, rate)
    return bytes(header) + parts.tobytes()


def quietly(path: Path) -> list[Signal]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return feitcsi.read(path)


def as_complex(parts: np.ndarray) -> np.ndarray:
    return np.asarray(parts[..., 0] + 1j * parts[..., 1])


class TestTones:
    @pytest.mark.parametrize("key", PLANS)
    def test_count_symmetry_and_pilots(self, key: tuple[str, int]) -> None:
        plan = intel_ax.plan(*key)
        assert plan is not None
        assert len(plan.indices) == TONES[key]
        np.testing.assert_array_equal(plan.indices, -plan.indices[::-1])
        assert (np.diff(plan.indices) > 0).all()
        spacing = 78_125 if key[0] == "HE" else 312_500
        np.testing.assert_array_equal(plan.frequency_hz, plan.indices * spacing)
        assert plan.frequency_hz[-1] < key[1] * 0.5e6
        np.testing.assert_array_equal(plan.order, np.arange(TONES[key]))

    def test_pilots_are_where_feitcsi_lists_them(self) -> None:
        """Positions in the stored order, from the documentation of the tool."""
        listed = {
            ("HT", 20): [7, 21, 34, 48],
            ("VHT", 40): [5, 33, 47, 66, 80, 108],
            ("VHT", 80): [19, 47, 83, 111, 130, 158, 194, 222],
            ("HE", 20): [6, 32, 74, 100, 141, 167, 209, 235],
            ("HE", 80): [32, 100, 166, 234, 274, 342, 408, 476, 519, 587, 653, 721, 761, 829, 895, 963],
        }
        for key, positions in listed.items():
            plan = intel_ax.plan(*key)
            assert plan is not None
            assert np.flatnonzero(~plan.measured).tolist() == positions
        for half, whole in ((("HE", 80), ("HE", 160)), (("VHT", 80), ("VHT", 160))):
            one, two = intel_ax.plan(*half), intel_ax.plan(*whole)
            assert one is not None
            assert two is not None
            np.testing.assert_array_equal(two.measured, np.tile(one.measured, 2))

    def test_legacy_has_its_pilots_first(self) -> None:
        plan = intel_ax.plan("non-HT", 20)
        assert plan is not None
        stored = np.empty(52, int)
        stored[plan.order] = plan.indices
        assert stored.tolist() == [-21, -7, 7, 21, *(k for k in range(-26, 27) if k not in (-21, -7, 0, 7, 21))]
        assert plan.measured.all()

    def test_what_the_standard_lacks(self) -> None:
        assert intel_ax.plan("HT", 80) is None
        assert intel_ax.plan("", 20) is None


class TestRead:
    def test_every_integer_lands_on_its_link_and_tone(self, tmp_path: Path) -> None:
        parts = [random_parts(seed, rx=2, tx=2) for seed in range(3)]
        path = written(tmp_path / "a.csi", *(measurement(p, 1000 * i) for i, p in enumerate(parts)))
        (signal,) = feitcsi.read(path, carrier_hz=5.5e9)
        assert [(link.rx, link.tx) for link in signal.links] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        measured = np.setdiff1d(np.arange(56), [7, 21, 34, 48])
        for packet in range(3):
            wanted = as_complex(parts[packet]).conj().reshape(4, 56)
            np.testing.assert_array_equal(signal.values[packet][:, measured], wanted[:, measured])
        assert not signal.mask[..., [7, 21, 34, 48]].any()
        assert signal.mask[..., measured].all()
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)
        assert signal.frequency_hz is not None
        index = signal.frequency_hz / 312_500
        assert index[[0, 27, 28, 55]].tolist() == [-28, -1, 1, 28]
        assert (signal.kind, signal.carrier_hz, signal.bandwidth_hz, signal.session) == ("csi", 5.5e9, 20e6, "a")

    @pytest.mark.parametrize(
        ("packet_format", "mhz", "turned"),
        [
            ("HT", 40, lambda k: np.where(k > 0, -1j, 1)),
            ("VHT", 80, lambda k: np.where(k < -64, 1, -1)),
            ("VHT", 160, lambda k: np.where((k < -192) | ((k > 0) & (k < 64)), 1, -1)),
            ("HE", 160, lambda k: np.ones(len(k))),
        ],
    )
    def test_tone_rotation_is_undone(self, tmp_path: Path, packet_format: str, mhz: int, turned: object) -> None:
        parts = random_parts(1, tones=TONES[packet_format, mhz])
        (signal,) = feitcsi.read(written(tmp_path / "a.csi", measurement(parts, 7, packet_format, mhz)))
        plan = intel_ax.plan(packet_format, mhz)
        assert plan is not None
        assert callable(turned)
        wanted = as_complex(parts[:, 0]).conj() * turned(plan.indices)
        np.testing.assert_array_equal(signal.values[0], np.where(plan.measured, wanted, 0))
        assert signal.bandwidth_hz == mhz * 1e6

    @pytest.mark.parametrize("mhz", [20, 80])
    def test_packets_without_ht_have_20_mhz_in_any_channel(self, tmp_path: Path, mhz: int) -> None:
        parts = random_parts(1, tones=52)
        (signal,) = feitcsi.read(written(tmp_path / "a.csi", measurement(parts, 7, "non-HT", mhz)))
        plan = intel_ax.plan("non-HT", 20)
        assert plan is not None and signal.mask.all()
        np.testing.assert_array_equal(signal.values[0], as_complex(parts[:, 0])[:, plan.order].conj())
        assert (signal.bandwidth_hz, signal.frequency_hz[-1]) == (20e6, 26 * 312_500)  # type: ignore[index]

    def test_kinds_become_signals_on_one_clock(self, tmp_path: Path) -> None:
        other = b"\x02\x00\x00\x00\x00\x01"
        records = [
            measurement(random_parts(0, rx=1), 1000),
            measurement(random_parts(1), 2000),
            measurement(random_parts(2), 3000, transmitter=other),
            measurement(random_parts(3), 4000),
            measurement(random_parts(4), 5000, "VHT"),
        ]
        path = written(tmp_path / "a.csi", *records)
        with pytest.warns(
            UserWarning, match="transmitter, format, bandwidth or antennas; they are returned as 4 signals of 2, "
        ):
            signals = feitcsi.read(path)
        assert [len(signal.time_s) for signal in signals] == [2, 1, 1, 1]
        np.testing.assert_allclose(signals[0].time_s, [1e-3, 3e-3], atol=1e-12)
        np.testing.assert_allclose([s.time_s[0] for s in signals[1:]], [0, 2e-3, 4e-3], atol=1e-12)
        assert len(signals[1].links) == 1
        assert len({signal.labels["transmitter"] for signal in signals}) == 2
        assert signals[2].labels["transmitter"] == other.hex(":")
        assert {signal.session for signal in signals} == {"a"}

    def test_clock_wraps(self, tmp_path: Path) -> None:
        records = [measurement(random_parts(0), clock) for clock in (2**32 - 500, 500, 1500)]
        (signal,) = feitcsi.read(written(tmp_path / "a.csi", *records))
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_the_320_mhz_clock_where_the_other_stands_still(self, tmp_path: Path) -> None:
        records = [bytearray(measurement(random_parts(0), 0)) for _ in range(3)]
        for i, record in enumerate(records):
            struct.pack_into("<I", record, 8, (2**32 - 1000 + 320_000 * i) % 2**32)
        (signal,) = feitcsi.read(written(tmp_path / "a.csi", *map(bytes, records)))
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_clock_that_never_runs_needs_an_interval(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.csi", *[measurement(random_parts(0), 4)] * 3)
        with pytest.raises(ReadError, match=r"in all 3 packets.*interval_s"):
            feitcsi.read(path)
        np.testing.assert_allclose(feitcsi.read(path, interval_s=0.1)[0].time_s, [0, 0.1, 0.2])

    def test_formats_of_unknown_order_are_skipped_and_counted(self, tmp_path: Path) -> None:
        legacy = measurement(random_parts(0, tones=104), 1000, "non-HT", 40)
        wide = measurement(random_parts(1, tones=60), 2000, "HT")
        path = written(tmp_path / "a.csi", legacy, measurement(random_parts(2), 1500), wide)
        with pytest.warns(UserWarning, match=r"skipped 2 of 3 packets other than .* flags 0xc905 and 104 tones"):
            (signal,) = feitcsi.read(path)
        assert len(signal.time_s) == 1
        with pytest.raises(ReadError, match=r"all 1 packets are other than non-HT, HT, .* 104 tones"):
            feitcsi.read(written(tmp_path / "a.csi", legacy))
        with pytest.raises(ReadError, match="all 1 packets are other than"):
            feitcsi.read(written(tmp_path / "a.csi", measurement(random_parts(0, tones=996), 1, "EHT", 320)))


class TestMalformed:
    def test_every_cut_inside_a_measurement_leaves_the_whole_ones(self, tmp_path: Path) -> None:
        record = measurement(random_parts(0), 7)
        whole = record + measurement(random_parts(1), 1007)
        for size in [1, 4, 271, 272, len(record) - 1, *range(len(record) + 1, len(whole), 37), len(whole) - 1]:
            path = written(tmp_path / "a.csi", whole[:size])
            if size < len(record):
                with pytest.raises(ReadError, match=r"measurement at byte 0 .* truncated before the end of its first"):
                    feitcsi.read(path)
                continue
            with pytest.warns(UserWarning, match=f"measurement at byte {len(record)} .* left out, and the 1 before"):
                (signal,) = feitcsi.read(path)
            np.testing.assert_array_equal(signal.values, quietly(written(tmp_path / "b.csi", record))[0].values)
        assert len(quietly(written(tmp_path / "a.csi", record))[0].time_s) == 1

    @pytest.mark.parametrize(("at", "value"), [(46, 0), (46, 3), (47, 0), (47, 2), (52, 57), (0, 4), (1, 0)])
    def test_a_header_that_contradicts_itself_is_refused(self, tmp_path: Path, at: int, value: int) -> None:
        good = measurement(random_parts(0), 7)
        record = bytearray(good)
        record[at] = value
        with pytest.raises(ReadError, match=f"measurement 1 at byte {len(good)} is inconsistent"):
            feitcsi.read(written(tmp_path / "a.csi", good, bytes(record), bytes(500)))
        assert not feitcsi.sniff(bytes(record))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"time,amplitude\n0,1\n" * 40, "is inconsistent"),
            (bytes(4000), "is inconsistent"),
            (b"\xff" * 300, "is inconsistent"),
            (b"\xff" * 200, "truncated"),
        ],
    )
    def test_what_is_not_a_capture_is_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        assert not feitcsi.sniff(content)
        with pytest.raises(ReadError, match=message):
            feitcsi.read(written(tmp_path / "a.csi", content))

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, 3), st.integers(0, 271), st.integers(0, 255))
    def test_a_changed_header_byte_is_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, packet: int, at: int, value: int
    ) -> None:
        record = [measurement(random_parts(seed), 1000 * seed) for seed in range(4)]
        data = bytearray(b"".join(record))
        data[packet * len(record[0]) + at] = value
        path = written(tmp_path_factory.getbasetemp() / "mutated.csi", bytes(data))
        if at < 4 or 46 <= at < 48 or 52 <= at < 56:
            if data != b"".join(record):
                with pytest.raises(ReadError):
                    quietly(path)
            return
        signals = quietly(path)
        packets = sum(len(signal.time_s) for signal in signals)
        assert packets == 4 or (packets == 3 and at == 93)  # the format or the bandwidth is now another
        assert all(np.isfinite(signal.values).all() for signal in signals)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(min_size=1, max_size=600))
    def test_random_bytes_are_refused(self, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
        with pytest.raises(ReadError):
            quietly(written(tmp_path_factory.getbasetemp() / "random.csi", content))


@pytest.mark.real
class TestReal:
    def files(self, data_root: Path) -> list[Path]:
        files = sorted((data_root / "captures" / "feitcsi").glob("*.csi"))
        assert len(files) == 10
        return files

    def test_equals_what_another_program_decoded(self, data_root: Path) -> None:
        """It leaves the conjugate and the rotation in, and interpolates the pilots, which are invalid here."""
        for file in self.files(data_root):
            golden = np.load(data_root / "captures" / "golden" / f"feitcsi__{file.name}.npz", allow_pickle=False)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                (signal,) = feitcsi.read(file)
            packet_format, mhz = file.name[:2].replace("VH", "VHT"), int(signal.bandwidth_hz / 1e6)
            plan = intel_ax.plan(packet_format, mhz)
            assert plan is not None
            wanted = golden["csi_first50"].transpose(0, 2, 3, 1).reshape(signal.values.shape)
            assert len(signal.time_s) == int(golden["n_frames"])
            stored = (signal.values * plan.rotation).conj()
            assert sorted(np.flatnonzero(~signal.mask.all(axis=(0, 1)))) == np.flatnonzero(~plan.measured).tolist()
            np.testing.assert_allclose(
                stored[..., plan.measured], wanted[..., plan.measured], rtol=1e-5, err_msg=file.name
            )
            # The microsecond clock against the 320 MHz clock.
            np.testing.assert_allclose(signal.time_s, golden["ts"], atol=1e-5, err_msg=file.name)
            assert feitcsi.sniff(file.read_bytes()[:4096])

    def test_phase_is_continuous_and_multipath_comes_after_the_direct_path(self, data_root: Path) -> None:
        """A wrong rotation, order or sign of the imaginary part shows in one of the two."""
        for file in self.files(data_root):
            (signal,) = feitcsi.read(file)
            assert signal.frequency_hz is not None
            measured = signal.mask[0, 0]
            spacing = np.diff(signal.frequency_hz).min()
            tones = np.round(signal.frequency_hz[measured] / spacing).astype(int)
            field = signal.values[..., measured]
            turn = np.angle((field[..., 1:] * field[..., :-1].conj()).sum(axis=0))
            slope = np.median(turn / np.diff(tones))
            assert slope < 0, file.name
            bend = np.angle(np.exp(1j * (turn - slope * np.diff(tones))))
            assert np.abs(bend).max() < 0.5, file.name

            every = np.arange(tones[0], tones[-1] + 1)
            flat = field * np.exp(-1j * slope * tones)
            imputed = np.apply_along_axis(
                lambda row, t=tones, e=every: np.interp(e, t, row.real) + 1j * np.interp(e, t, row.imag), -1, flat
            )
            profile = np.abs(np.fft.ifft(imputed * np.hanning(len(every)), 8192)) ** 2
            peak = profile.argmax(axis=-1)[..., None]
            away = (np.arange(8192) - peak) % 8192 / (8192 * spacing)
            main, span = 2 / (len(every) * spacing), 300e-9
            after = np.where((away > main) & (away < main + span), profile, 0).sum()
            away = 1 / spacing - away
            before = np.where((away > main) & (away < main + span), profile, 0).sum()
            assert after > 1.2 * before, file.name
