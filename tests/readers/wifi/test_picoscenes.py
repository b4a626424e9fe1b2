"""The PicoScenes reader: clocks, kinds and skipped frames of hand-made files, and malformed files."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.picoscenes import (
    AX200,
    CTS,
    HE,
    HE_MU,
    INTEL_5300,
    STATION,
    USRP,
    ax200,
    csi_segment,
    frame,
    indices,
    integers,
    intel_5300,
    qca9300,
    quietly,
    segment,
    usrp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.wifi import picoscenes


class TestFile:
    field = integers(0, (30, 3, 1), 8)

    def packet(self, ticks: int, **fields: int) -> bytes:
        return frame(intel_5300(self.field, antennas=0b100100, **fields), ticks)

    def test_clock_of_intel_ax_is_the_one_of_the_firmware(self, tmp_path: Path) -> None:
        stored = integers(0, (2, 1, 56), 9)
        frames = [frame(ax200(stored), 0, AX200, ax_clock=c) for c in (2**32 - 500, 500, 1500)]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
        np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_clock_of_intel_ax_where_the_firmware_has_none(self, tmp_path: Path) -> None:
        stored = integers(0, (2, 1, 56), 9)
        for start in (2**32 - 500, 2**40):  # a counter of 32 bits wraps, one of 64 passes on
            ticks = [(start + 1000 * i) % (2**32 if start < 2**32 else 2**64) for i in range(3)]
            for clocks in ((0, 0, 0), (None, None, None), (7, None, 9), (7, 0, 8), (5, 5, 5)):
                frames = [frame(ax200(stored), t, AX200, ax_clock=c) for t, c in zip(ticks, clocks, strict=True)]
                (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
                np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)

    def test_a_recording_of_2025(self, cases_root: Path) -> None:
        (signal,) = picoscenes.read(cases_root / "picoscenes-2025-clock" / "ax200.csi")
        np.testing.assert_allclose(signal.time_s, [0.0, 0.001358, 0.002093, 0.005894, 0.014091], atol=1e-9)
        # Frames of 20 MHz in the lowest part of a channel of 80 MHz, whose centre is the carrier.
        assert (signal.carrier_hz, indices(signal)) == (5.775e9, [k - 96 for k in range(-26, 27) if k])

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
        with pytest.warns(UserWarning, match="they are returned as 4 signals of 2, 2, 1, 1 packets"):
            signals = picoscenes.read(path)
        np.testing.assert_allclose(signals[0].time_s, [1e-3, 3e-3], atol=1e-12)
        np.testing.assert_allclose(signals[1].time_s, [2e-3, 5e-3], atol=1e-12)
        assert [signal.carrier_hz for signal in signals] == [2.412e9, 2.412e9, 2.412e9, 2.437e9]
        labels = [signal.labels.get("transmitter") for signal in signals]
        assert labels == [STATION.hex(":"), None, other.hex(":"), STATION.hex(":")]

    def test_frames_that_cannot_be_used_are_skipped_and_counted(self, tmp_path: Path) -> None:
        nothing = frame(segment(b"BasebandSignal", 1, bytes(40)), 0)
        stored = integers(0, (2, 1, 242), 9)
        unknown = frame(ax200(stored, HE_MU), 0, AX200, ax_clock=1)
        known = frame(ax200(stored, HE), 0, AX200, ax_clock=2)
        with pytest.warns(UserWarning, match=r"skipped 2 of 3 packets .*packet format 4, 20 MHz, 242 tones"):
            (signal,) = picoscenes.read(written(tmp_path / "a.csi", nothing, unknown, known))
        assert signal.frequency_hz is not None
        assert signal.frequency_hz[-1] == 122 * 78_125
        with pytest.raises(ReadError, match="none of its 2 packets has CSI in a known format"):
            picoscenes.read(written(tmp_path / "a.csi", nothing, unknown))


class TestMalformed:
    field = integers(0, (30, 3, 1), 8)

    def packet(self, **fields: int) -> bytes:
        return frame(intel_5300(self.field, **{"antennas": 0b100100, **fields}), 7)

    def test_every_cut_inside_a_frame_leaves_the_whole_frames(self, tmp_path: Path) -> None:
        one = self.packet()
        whole = one + frame(intel_5300(self.field, antennas=0b100100), 1007)
        for size in [1, 4, 8, 10, len(one) - 1, *range(len(one) + 1, len(whole), 13), len(whole) - 1]:
            path = written(tmp_path / "a.csi", whole[:size])
            if size < len(one):
                with pytest.raises(ReadError, match=r"frame at byte 0 .* truncated before the end of its first record"):
                    picoscenes.read(path)
                continue
            with pytest.warns(UserWarning, match=f"the frame at byte {len(one)} .* left out, and the 1 before it"):
                (signal,) = picoscenes.read(path)
            np.testing.assert_array_equal(signal.values[0, 0], self.field[:, 0, 0])
        assert len(picoscenes.read(written(tmp_path / "a.csi", one))[0].time_s) == 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"time,amplitude\n0,1\n" * 40, "its magic is 2c616d70"),
            (bytes(4000), "the frame at byte 0 is inconsistent, its magic is 00000000"),
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
        with pytest.raises(ReadError, match="the CSI in the frame at byte 0 is inconsistent"):
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
        # A longer length makes a frame the incomplete last one.
        assert packets == 4 or (packets == 3 and 10 <= at < named) or (packets == packet and at < 4)
        assert all(np.isfinite(signal.values).all() for signal in signals)

    def test_structure_that_is_damaged_is_not_read(self, tmp_path: Path) -> None:
        """Each of these bytes determines offsets: lengths, magic, counts, sizes."""
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
        with pytest.raises(ReadError, match=f"frame at byte 0 is inconsistent, its segment at byte {at} does not"):
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
