"""The reader of PicoScenes captures: hand-made frames of every device, malformed files and real captures."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.wifi import feitcsi, intel5300, picoscenes
from foundation.signal import Signal

AX200, INTEL_5300, QCA9300, USRP = 0x2000, 0x5300, 0x9300, 0x1234
NON_HT, HT, VHT, HE, HE_MU = range(5)
STATION = b"\x00\x16\xea\x12\x34\x56"
QOS_DATA, CTS = 0x88, 0xC4
CSI_LAYOUTS = {1: "<HbHQQIHBBBBI", 2: "<HbHQQIHBBBBhI", 3: "<HbHQQIHBBBHBhI", 4: "<HBbHQQIHBBBHBhI"}
LEGACY_ORDER = [-21, -7, 7, 21, *(k for k in range(-26, 27) if k not in (-21, -7, 0, 7, 21))]


def segment(name: bytes, version: int, content: bytes) -> bytes:
    body = bytes([len(name) + 1]) + name + b"\0" + struct.pack("<H", version) + content
    return struct.pack("<I", len(body)) + body


def csi_segment(
    payload: bytes,
    device: int,
    tones: int,
    rx: int,
    tx: int = 1,
    version: int = 2,
    packet_format: int = HT,
    mhz: int = 20,
    antennas: int = 0,
    shift: int = 0,
    carrier_hz: int = 2_412_000_000,
) -> bytes:
    fields = [device, packet_format, mhz, carrier_hz, mhz * 10**6, 312_500, tones, tx, rx, 0, antennas, len(payload)]
    if version >= 2:
        fields.insert(11, shift)
    if version >= 3:
        fields.insert(10, 1)
    if version >= 4:
        fields.insert(1, 67)
    return segment(b"CSI", version, struct.pack(CSI_LAYOUTS[version], *fields) + payload)


def frame(
    csi: bytes,
    ticks: int,
    device: int = INTEL_5300,
    ax_clock: int | None = None,
    transmitter: bytes = STATION,
    control: int = QOS_DATA,
) -> bytes:
    basic = segment(b"RxSBasic", 1, struct.pack("<HQhBHHBBBBbbbbb", device, ticks, 2412, 1, 20, 800, *[0] * 9))
    segments = [basic, segment(b"ExtraInfo", 1, bytes(20))]
    if ax_clock is not None:
        header = bytearray(272)
        struct.pack_into("<I", header, 88, ax_clock)
        segments.append(segment(b"MVMExtra", 1, struct.pack("<H", 272) + bytes(header)))
    segments.append(csi)
    mpdu = bytes([control, 0, 0, 0]) + b"\xff" * 6 + transmitter + bytes(14)
    body = struct.pack("<IHB", 0x20150315, 1, len(segments)) + b"".join(segments) + mpdu
    return struct.pack("<I", len(body)) + body


def integers(seed: int, shape: tuple[int, ...], bits: int) -> np.ndarray:
    parts = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, *shape))
    return np.asarray(parts[0] + 1j * parts[1])


def stream(numbers: list[tuple[int, int]], size: int) -> bytes:
    """(value, bits) lowest bit first."""
    total, at = 0, 0
    for value, bits in numbers:
        total |= (int(value) & ((1 << bits) - 1)) << at
        at += bits
    return total.to_bytes(size, "little")


def intel_5300(field: np.ndarray, **fields: int) -> bytes:
    """A CSI segment of `field` [30, rx chain, tx]."""
    numbers: list[tuple[int, int]] = []
    for tone in field.reshape(30, -1):
        numbers.append((0, 3))
        for value in tone:
            numbers += [(value.real, 8), (value.imag, 8)]
    _, rx, tx = field.shape
    return csi_segment(stream(numbers, 60 * rx * tx + 12), INTEL_5300, 30, rx, tx, **fields)


def qca9300(field: np.ndarray, **fields: int) -> bytes:
    """A CSI segment of `field` [tones, tx, rx]."""
    numbers = [(part, 10) for value in field.ravel() for part in (value.imag, value.real)]
    tones, tx, rx = field.shape
    return csi_segment(stream(numbers, field.size * 20 // 8), QCA9300, tones, rx, tx, **fields)


def ax200(stored: np.ndarray, packet_format: int = HT, **fields: int) -> bytes:
    """A CSI segment of `stored` [rx, tx, tones]."""
    parts = np.stack([stored.real, stored.imag], axis=-1).astype("<i2")
    rx, tx, tones = stored.shape
    return csi_segment(parts.tobytes(), AX200, tones, rx, tx, 4, packet_format, **fields)


def usrp(field: np.ndarray, numbers: list[int], matrix: bytes = b"BBv2", **fields: int) -> bytes:
    """A CSI segment of `field` [rx, tx, tones]."""
    rx, tx, tones = field.shape
    dimensions = struct.pack("<3Q" if matrix == b"BBv2" else "<3I", tones, tx, rx)
    payload = np.array(numbers, "<i2").tobytes() + matrix + b"\x03" + dimensions + b"CD\x40C"
    return csi_segment(payload + field.astype("<c16").tobytes(), USRP, tones, rx, tx, **fields)


def written(path: Path, *frames: bytes) -> Path:
    path.write_bytes(b"".join(frames))
    return path


def quietly(path: Path) -> list[Signal]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return picoscenes.read(path)


def indices(signal: Signal) -> list[int]:
    assert signal.frequency_hz is not None
    return (signal.frequency_hz / 312_500).astype(int).tolist()


class TestDevices:
    @pytest.mark.parametrize("version", [1, 2, 3, 4])
    def test_intel_5300_in_the_order_of_its_ports(self, tmp_path: Path, version: int) -> None:
        fields = [integers(seed, (30, 3, 2), 8) for seed in range(2)]
        orders = [(1, 0, 2), (1, 2, 0)]
        frames = [
            frame(intel_5300(f, version=version, antennas=o[0] | o[1] << 2 | o[2] << 4), 1000 * i)
            for i, (f, o) in enumerate(zip(fields, orders, strict=True))
        ]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
        assert [(link.rx, link.tx) for link in signal.links] == [(r, t) for r in range(3) for t in range(2)]
        for packet, order in enumerate(orders):
            for chain, port in enumerate(order):
                for tx in range(2):
                    np.testing.assert_array_equal(signal.values[packet, 2 * port + tx], fields[packet][:, chain, tx])
        assert indices(signal) == intel5300.INDICES_20MHZ.tolist()
        np.testing.assert_allclose(signal.time_s, [0, 1e-3], atol=1e-12)
        assert (signal.carrier_hz, signal.bandwidth_hz, signal.device) == (2.412e9, 20e6, "Intel 5300")

    def test_intel_5300_with_two_antennas_and_at_forty_megahertz(self, tmp_path: Path) -> None:
        field = integers(0, (30, 2, 1), 8)
        path = written(tmp_path / "a.csi", frame(intel_5300(field, mhz=40, antennas=0b010010), 0))
        (signal,) = picoscenes.read(path)
        assert indices(signal) == intel5300.INDICES_40MHZ.tolist()
        np.testing.assert_array_equal(signal.values[0, :, :15], field[:15, :, 0].T)
        np.testing.assert_array_equal(signal.values[0, :, 15:], -1j * field[15:, :, 0].T)

    @pytest.mark.parametrize(("mhz", "tones"), [(20, 56), (40, 114)])
    def test_qca9300(self, tmp_path: Path, mhz: int, tones: int) -> None:
        field = integers(1, (tones, 2, 3), 10)
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(qca9300(field, mhz=mhz), 5, QCA9300)))
        turned = np.where((np.array(indices(signal)) > 0) & (mhz == 40), -1j, 1)
        for rx in range(3):
            for tx in range(2):
                np.testing.assert_array_equal(signal.values[0, 2 * rx + tx], field[:, tx, rx] * turned)
        assert indices(signal)[0] == -indices(signal)[-1] == {20: -28, 40: -58}[mhz]

    def test_ax200_is_the_conjugate_without_pilots(self, tmp_path: Path) -> None:
        stored = integers(2, (2, 2, 56), 9)
        path = written(tmp_path / "a.csi", frame(ax200(stored), 0, AX200, ax_clock=5))
        (signal,) = picoscenes.read(path)
        measured = ~np.isin(np.abs(indices(signal)), [7, 21])
        np.testing.assert_array_equal(signal.mask, np.broadcast_to(measured, signal.values.shape))
        wanted = np.where(measured, stored.conj().reshape(4, 56), 0)
        np.testing.assert_array_equal(signal.values[0], wanted)

    def test_ax200_legacy_is_put_in_the_order_of_frequency(self, tmp_path: Path) -> None:
        stored = np.broadcast_to(np.array(LEGACY_ORDER) + 100j, (2, 1, 52))
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(ax200(stored, NON_HT), 0, AX200, ax_clock=5)))
        assert indices(signal) == [*range(-26, 0), *range(1, 27)]
        np.testing.assert_array_equal(signal.values[0, 1], np.array(indices(signal)) - 100j)
        assert signal.mask.all()

    @pytest.mark.parametrize("matrix", [b"BBv1", b"BBv2"])
    def test_usrp_lists_its_tones(self, tmp_path: Path, matrix: bytes) -> None:
        field = integers(3, (2, 3, 6), 12) / 4096
        numbers = [-7, -3, -1, 1, 4, 9]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(usrp(field, numbers, matrix), 0, USRP)))
        assert indices(signal) == numbers
        np.testing.assert_allclose(signal.values[0], field.reshape(6, 6), rtol=1e-6)
        (shifted,) = picoscenes.read(written(tmp_path / "b.csi", frame(usrp(field, numbers, shift=-32), 0, USRP)))
        assert indices(shifted) == [n - 32 for n in numbers]


class TestFile:
    field = integers(0, (30, 3, 1), 8)

    def packet(self, ticks: int, **fields: int) -> bytes:
        return frame(intel_5300(self.field, antennas=0b100100, **fields), ticks)

    def test_clock_of_intel_ax_is_the_one_of_the_firmware(self, tmp_path: Path) -> None:
        stored = integers(0, (2, 1, 56), 9)
        frames = [frame(ax200(stored), 0, AX200, ax_clock=c) for c in (2**32 - 500, 500, 1500)]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_clock_of_a_usrp_counts_nanoseconds(self, tmp_path: Path) -> None:
        start = 1_617_379_763_885_693_382
        frames = [frame(usrp(np.ones((1, 1, 2)), [0, 1]), start + 1_000_000 * i, USRP) for i in range(3)]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_clock_that_never_runs_needs_an_interval(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.csi", *[self.packet(4)] * 3)
        with pytest.raises(ReadError, match=r"in all 3 packets.*interval_s"):
            picoscenes.read(path)
        np.testing.assert_allclose(picoscenes.read(path, interval_s=0.1)[0].time_s, [0, 0.1, 0.2])

    def test_kinds_become_signals_on_one_clock(self, tmp_path: Path) -> None:
        other = b"\x02\x00\x00\x00\x00\x01"
        csi = intel_5300(self.field, antennas=0b100100)
        frames = [
            frame(csi, 1000, transmitter=other),
            self.packet(2000),
            frame(csi, 3000, transmitter=other, control=CTS),
            self.packet(4000),
            self.packet(5000, carrier_hz=2_437_000_000),
            frame(csi, 6000, control=CTS),
        ]
        path = written(tmp_path / "a.csi", *frames)
        with pytest.warns(UserWarning, match="they become 4 signals of 2, 2, 1, 1 packets"):
            signals = picoscenes.read(path)
        np.testing.assert_allclose(signals[0].time_s, [1e-3, 3e-3], atol=1e-12)
        np.testing.assert_allclose(signals[1].time_s, [2e-3, 5e-3], atol=1e-12)
        assert [signal.carrier_hz for signal in signals] == [2.412e9, 2.412e9, 2.412e9, 2.437e9]

    def test_frames_that_cannot_be_used_are_skipped_and_counted(self, tmp_path: Path) -> None:
        nothing = frame(segment(b"BasebandSignal", 1, bytes(40)), 0)
        stored = integers(0, (2, 1, 242), 9)
        unknown = frame(ax200(stored, HE_MU), 0, AX200, ax_clock=1)
        known = frame(ax200(stored, HE), 0, AX200, ax_clock=2)
        with pytest.warns(UserWarning, match="skipped 2 of 3 packets"):
            (signal,) = picoscenes.read(written(tmp_path / "a.csi", nothing, unknown, known))
        assert signal.frequency_hz is not None
        assert signal.frequency_hz[-1] == 122 * 78_125
        with pytest.raises(ReadError, match="none of its 2 packets has CSI in a known format"):
            picoscenes.read(written(tmp_path / "a.csi", nothing, unknown))


class TestMalformed:
    field = integers(0, (30, 3, 1), 8)

    def packet(self, **fields: int) -> bytes:
        return frame(intel_5300(self.field, **{"antennas": 0b100100, **fields}), 7)

    def test_every_cut_inside_a_frame_is_an_error(self, tmp_path: Path) -> None:
        one = self.packet()
        whole = one + frame(intel_5300(self.field, antennas=0b100100), 1007)
        for size in [1, 4, 8, 10, len(one) - 1, *range(len(one) + 1, len(whole), 13), len(whole) - 1]:
            with pytest.raises(ReadError, match=f"truncated, the frame at byte {len(one) * (size > len(one))} "):
                picoscenes.read(written(tmp_path / "a.csi", whole[:size]))
        assert len(picoscenes.read(written(tmp_path / "a.csi", one))[0].time_s) == 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"time,amplitude\n0,1\n" * 40, "truncated"),
            (bytes(4000), "the frame at byte 0 contradicts itself, its magic is 00000000"),
            (b"\x07\0\0\0\x15\x03\x15\x20\1\0\1", r"its segment at byte 11 does not fit"),
            (b"\x06\0\0\0\x15\x03\x15\x20\1\0\1", r"its length 6"),
            (b"\x07\0\0\0\x15\x03\x15\x20\2\0\0", "the frame at byte 0 has version 2"),
            (b"\x07\0\0\0\x15\x03\x15\x20\1\0\0", "none of its 1 packets has CSI"),
        ],
    )
    def test_what_is_not_a_capture_is_named(self, tmp_path: Path, content: bytes, message: str) -> None:
        with pytest.raises(ReadError, match=message):
            picoscenes.read(written(tmp_path / "a.csi", content))

    @pytest.mark.parametrize(
        "wrong",
        [
            intel_5300(field, antennas=0),
            intel_5300(field, antennas=0b100100, mhz=80),
            qca9300(integers(0, (56, 1, 3), 10), mhz=40),
            csi_segment(bytes(192), INTEL_5300, 31, 3, antennas=0b100100),
            csi_segment(bytes(191), INTEL_5300, 30, 3, antennas=0b100100),
            csi_segment(bytes(192), INTEL_5300, 30, 0),
            csi_segment(b"", AX200, 56, 2, version=4),
            csi_segment(bytes(2), AX200, 56, 2, version=4),
            usrp(np.ones((1, 1, 2)), [3, 3]),
            usrp(np.ones((1, 1, 2)), [1, 3], b"BBv3"),
            usrp(np.ones((1, 1, 0)), []),
        ],
    )
    def test_csi_that_contradicts_itself_is_refused(self, tmp_path: Path, wrong: bytes) -> None:
        device = int.from_bytes(wrong[11:13], "little")
        with pytest.raises(ReadError, match="the CSI in the frame at byte 0 contradicts itself"):
            picoscenes.read(written(tmp_path / "a.csi", frame(wrong, 0, device)))

    def test_values_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        frames = [frame(usrp(np.full((1, 1, 2), value), [0, 1]), i, USRP) for i, value in enumerate([1.0, 1e300])]
        with pytest.raises(ReadError, match=f"a value in the frame at byte {len(frames[0])} is not a finite number"):
            picoscenes.read(written(tmp_path / "a.csi", *frames))

    def test_unknown_devices_and_versions_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(ReadError, match="CSI of the devices 0x3000; expected one of Intel AX200, "):
            picoscenes.read(written(tmp_path / "a.csi", frame(csi_segment(bytes(8), 0x3000, 2, 1), 0)))
        with pytest.raises(ReadError, match="CSI of the devices 0x1234, 0x5300; expected one of"):
            picoscenes.read(written(tmp_path / "a.csi", self.packet(), frame(usrp(np.ones((1, 1, 1)), [0]), 9, USRP)))
        with pytest.raises(ReadError, match="the CSI segment at byte 0 has version 9"):
            picoscenes.read(written(tmp_path / "a.csi", frame(segment(b"CSI", 9, bytes(90)), 0)))

    @settings(max_examples=400, deadline=None)
    @given(st.integers(0, 3), st.integers(0, 140), st.integers(0, 255))
    def test_a_changed_byte_is_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, packet: int, at: int, value: int
    ) -> None:
        frames = [frame(intel_5300(self.field, antennas=0b100100), 1000 * i) for i in range(4)]
        data = bytearray(b"".join(frames))
        data[packet * len(frames[0]) + at] = value
        path = written(tmp_path_factory.getbasetemp() / "mutated.csi", bytes(data))
        try:
            signals = quietly(path)
        except ReadError:
            return
        packets = sum(len(signal.time_s) for signal in signals)
        named = frames[0].index(b"CSI\0") + 4  # up to here the number, the names and the lengths of segments
        assert packets == 4 or (packets == 3 and 10 <= at < named)
        assert all(np.isfinite(signal.values).all() for signal in signals)

    def test_structure_that_is_damaged_is_not_read(self, tmp_path: Path) -> None:
        """Each of these bytes decides where something lies: lengths, magic, counts, sizes."""
        one = self.packet()
        content = one.index(b"CSI\0") + 6
        lengths = [0, 1, 4, 7, 8, 11, 12, 15, content - 11, content + 25, content + 28, content + 34]
        for at in lengths:
            data = bytearray(one)
            data[at] ^= 0x41
            with pytest.raises(ReadError):
                quietly(written(tmp_path / "a.csi", bytes(data)))

    def test_a_segment_does_not_reach_into_the_next_frame(self, tmp_path: Path) -> None:
        one = self.packet()
        data = bytearray(one + one)
        at = one.index(b"CSI\0") - 5
        struct.pack_into("<I", data, at, int.from_bytes(one[at : at + 4], "little") + 60)
        with pytest.raises(ReadError, match=f"frame at byte 0 contradicts itself, its segment at byte {at} does not"):
            picoscenes.read(written(tmp_path / "a.csi", bytes(data)))

    @settings(max_examples=200, deadline=None)
    @given(st.binary(min_size=1, max_size=300), st.booleans())
    def test_random_bytes_are_refused(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, marked: bool
    ) -> None:
        if marked:
            content = struct.pack("<IIH", len(content) + 6, 0x20150315, 1) + content
        with pytest.raises(ReadError):
            quietly(written(tmp_path_factory.getbasetemp() / "random.csi", content))


FILES = [
    "picoscenes_ax200_agcdemo",
    "picoscenes_ax200_example",
    "picoscenes_iwl5300_example",
    "picoscenes_iwl5300_example2",
    "rx_8_211119_171706",
    "rx_8_211206_152319",
    "rx_8_211206_161457",
    "rx_8_211217_191036",
    "rx_by_iwl5300",
    "rx_by_qca9300",
    "rx_by_usrpN210",
]


@pytest.mark.real
class TestReal:
    @pytest.mark.parametrize("name", FILES)
    def test_equals_what_another_program_decoded(self, data_root: Path, name: str) -> None:
        """It keeps the frames of the first shape, in the order of the file.

        It leaves Intel AX values conjugate and legacy ones in the order of the firmware, and adds 1 to both parts of
        every QCA9300 value, which two's complement does not: csiread and the Atheros CSI Tool do not either.
        """
        golden = np.load(data_root / "captures" / "golden" / f"picoscenes__{name}.csi.npz", allow_pickle=False)
        wanted = golden["csi_first50"].transpose(0, 2, 3, 1)
        signals = quietly(data_root / "captures" / "picoscenes" / f"{name}.csi")
        assert sum(len(signal.time_s) for signal in signals) == int(golden["n_frames"])
        is_ax, is_qca = signals[0].device == "Intel AX200", "QCA9300" in signals[0].device
        links = wanted.shape[1] * wanted.shape[2]
        alike = [s for s in signals if len(s.links) == links and s.values.shape[2] == wanted.shape[3]]
        times = np.concatenate([signal.time_s for signal in alike])
        order = np.argsort(times)[: len(wanted)]
        got = np.concatenate([signal.values for signal in alike])[order]
        measured = alike[0].mask[0, 0]
        wanted = wanted.reshape(len(wanted), links, -1)
        if is_ax:
            wanted = wanted.conj()
            if wanted.shape[2] == 52:
                wanted = wanted[..., np.argsort(LEGACY_ORDER)]
        if is_qca:
            wanted = wanted - (1 + 1j)
        np.testing.assert_allclose(got[..., measured], wanted[..., measured], rtol=1e-5)
        assert measured.sum() == {56: 52 if is_ax else 56, 52: 52, 30: 30}[len(measured)]
        clocks = np.sort(np.concatenate([signal.time_s for signal in signals]))[: len(golden["ts"])]
        np.testing.assert_allclose(clocks, golden["ts"] - golden["ts"][0], atol=2e-6)

    def test_phase_of_intel_ax_is_continuous(self, data_root: Path) -> None:
        """The order of the tones: the phase of legacy packets jumps at random with the pilots in another place."""
        for name in ("rx_8_211206_152319", "rx_8_211206_161457", "rx_8_211217_191036"):
            legacy, ht = quietly(data_root / "captures" / "picoscenes" / f"{name}.csi")[:2]
            assert (legacy.values.shape[2], ht.values.shape[2]) == (52, 56)
            for signal in (legacy, ht):
                tones = np.array(indices(signal))[signal.mask[0, 0]]
                field = signal.values[..., signal.mask[0, 0]]
                step = field[..., 1:] * field[..., :-1].conj()
                turn = np.angle(step.sum(axis=0))
                assert np.abs(step.sum(axis=0)).min() > 0.95 * np.abs(step).sum(axis=0).min()
                slope = np.median(turn / np.diff(tones))
                assert slope < 0
                assert np.abs(turn - slope * np.diff(tones)).max() < 0.2, name

    def test_files_are_recognised(self, data_root: Path) -> None:
        for folder in sorted((data_root / "captures").iterdir()):
            if folder.is_dir() and folder.name not in ("golden", "matlab_reference"):
                for file in sorted(folder.iterdir()):
                    head = file.read_bytes()[:4096]
                    assert picoscenes.sniff(head) == (folder.name == "picoscenes"), file
                    assert feitcsi.sniff(head) == (folder.name == "feitcsi"), file
