"""The nexmon_csi reader: hand-made captures with known numbers, malformed files, real recordings of four chips."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from foundation.errors import ReadError
from foundation.readers.wifi import nexmon, pcap
from foundation.readers.wifi.nexmon_words import FORMATS, decode
from foundation.signal import Signal

MAC, OTHER_MAC = bytes(range(6)), bytes(range(6, 12))
CHANSPEC = {20: 0xD024, 40: 0xD826, 80: 0xE02A}
CHIP = {"4339": 0x0001, "43455c0": 0x0065, "4358": 0x0003, "4366c0": 0x006A}
UNTURN = np.where(nexmon.INDICES[256] >= -64, -1, 1)


def random_bins(seed: int, bins: int = 64) -> np.ndarray:
    """Integer-valued complex [bins] over the whole range of 16 bits."""
    parts = np.random.default_rng(seed).integers(-(2**15), 2**15, (2, bins))
    return np.asarray(parts[0] + 1j * parts[1])


def csi(
    bins: np.ndarray,
    *,
    core: int = 0,
    stream: int = 0,
    sequence: int = 0,
    mac: bytes = MAC,
    chip: int = 0x0065,
    mhz: int = 20,
    swapped: bool = False,
    tail: bytes = b"",
) -> bytes:
    """A UDP payload as the firmware sends it, with 16-bit integers."""
    pair = core | stream << 3
    header = struct.pack("<HbB", 0x1111, -60, 0x88) + mac + struct.pack("<H", sequence)
    header += struct.pack(">H" if swapped else "<H", pair) + struct.pack("<HH", CHANSPEC[mhz], chip)
    words = np.stack([bins.real, bins.imag], axis=1).astype("<i2").tobytes()
    return header + words + tail


def ethernet(payload: bytes, port: int = 5500) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 1, 17, 0, bytes([10] * 4), bytes([255] * 4))
    udp = struct.pack(">HHHH", 5500, port, 8 + len(payload), 0)
    return b"\xff" * 6 + b"NEXMON" + b"\x08\x00" + ip + udp + payload


def capture(packets: list[tuple[float, bytes]], order: str = "<", nano: bool = False, link: int = 1) -> bytes:
    """A classic pcap file of (seconds, packet)."""
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for seconds, packet in packets:
        fraction = round(seconds % 1 * (1e9 if nano else 1e6))
        out += struct.pack(f"{order}IIII", int(seconds), fraction, len(packet), len(packet)) + packet
    return out


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read_one(path: Path, **options: object) -> Signal:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = nexmon.read(path, **options)  # type: ignore[arg-type]
    return signal


@pytest.mark.parametrize("swapped", [False, True])
def test_every_integer_lands_on_its_link_and_subcarrier(tmp_path: Path, swapped: bool) -> None:
    bins = [[random_bins(10 * frame + link) for link in range(4)] for frame in range(3)]
    packets = [
        (
            100 + 0.01 * frame + 0.001 * link,
            ethernet(csi(bins[frame][link], core=link % 2, stream=link // 2, sequence=frame, swapped=swapped)),
        )
        for frame in range(3)
        for link in range(4)
    ]
    signal = read_one(written(tmp_path / "a.pcap", capture(packets)))
    assert signal.values.shape == (3, 4, 56)
    assert [(link.rx, link.tx) for link in signal.links] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert signal.frequency_hz is not None
    index = np.round(signal.frequency_hz / 312_500).astype(int)
    assert index.tolist() == [*range(-28, 0), *range(1, 29)]
    for frame in range(3):
        for at, link in enumerate(signal.links):
            np.testing.assert_array_equal(signal.values[frame, at], bins[frame][link.rx + 2 * link.tx][index])
    np.testing.assert_allclose(signal.time_s, [0, 0.01, 0.02], atol=1e-9)
    assert (signal.carrier_hz, signal.bandwidth_hz, signal.device) == (5.18e9, 20e6, "Broadcom BCM43455c0")
    assert (signal.kind, signal.session, dict(signal.labels)) == ("csi", "a", {})


@pytest.mark.parametrize(("order", "nano"), [("<", True), (">", False), (">", True)])
def test_byte_orders_and_clock_resolutions(tmp_path: Path, order: str, nano: bool) -> None:
    packets = [(5 + 0.25 * i, ethernet(csi(random_bins(i), sequence=i))) for i in range(3)]
    signal = read_one(written(tmp_path / "a.pcap", capture(packets, order, nano)))
    np.testing.assert_allclose(signal.time_s, [0, 0.25, 0.5], atol=1e-9)
    np.testing.assert_array_equal(signal.values[2, 0, 28:], random_bins(2)[1:29])


@pytest.mark.parametrize(("link", "front"), [(101, b""), (113, b"\x00" * 14 + b"\x08\x00"), (276, b"\x08" + bytes(19))])
def test_link_types(tmp_path: Path, link: int, front: bytes) -> None:
    packet = front + ethernet(csi(random_bins(0)))[14:]
    signal = read_one(written(tmp_path / "a.pcap", capture([(1, packet)], link=link)))
    np.testing.assert_array_equal(signal.values[0, 0, 28:], random_bins(0)[1:29])


def test_turns_of_the_wide_channels_are_undone(tmp_path: Path) -> None:
    for mhz, bins in ((40, 128), (80, 256)):
        field = random_bins(mhz, bins)
        signal = read_one(written(tmp_path / "a.pcap", capture([(1, ethernet(csi(field, mhz=mhz)))])))
        assert signal.frequency_hz is not None
        index = np.round(signal.frequency_hz / 312_500).astype(int)
        edge = bins // 2 - 6
        assert index.tolist() == [*range(-edge, -1), *range(2, edge + 1)]
        assert (signal.bandwidth_hz, signal.carrier_hz) == (mhz * 1e6, 5.19e9 if mhz == 40 else 5.21e9)
        turn = np.where(index > 0, -1j, 1) if mhz == 40 else np.where(index < -64, 1, -1)
        np.testing.assert_array_equal(signal.values[0, 0], field[index] * turn)


@pytest.mark.parametrize(("chip", "seed"), [("4358", 0), ("4358", 1), ("4366c0", 2), ("4366c0", 3)])
def test_floats_are_scaled_as_the_tool_does(chip: str, seed: int) -> None:
    """Against the sentence-by-sentence arithmetic of `unpack_float.c`."""
    bits = FORMATS[chip]
    assert bits is not None
    mantissa, exponent = bits
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, (5, 64), dtype=np.uint32) & np.uint32(2 ** (2 * mantissa + exponent) - 1)
    words[1] &= np.uint32(2**exponent - 1)  # nothing but exponents: all zero
    size = 2 ** (mantissa - 1) - 1
    for row, scaled, exact in zip(words.tolist(), decode(words, bits, True), decode(words, bits, False), strict=True):
        parts = []
        for word in row:
            power = word & (2**exponent - 1)
            power -= 2**exponent if power >= 2 ** (exponent - 1) else 0
            real, imag = word >> exponent + mantissa & size, word >> exponent & size
            negative = (word >> exponent + 2 * mantissa - 1 & 1, word >> exponent + mantissa - 1 & 1)
            parts.append((power, (real, imag), [-1 if n else 1 for n in negative]))
        top = max([p + max(v).bit_length() - 1 for p, v, _ in parts if any(v)], default=0)
        for got, raw, (power, values, signs) in zip(scaled, exact, parts, strict=True):
            shift = power + 10 - top
            wanted = [s * int(v * 2.0**shift) for v, s in zip(values, signs, strict=True)]
            assert (got.real, got.imag) == tuple(wanted)
            assert (raw.real, raw.imag) == tuple(s * v * 2.0**power for v, s in zip(values, signs, strict=True))


def test_a_lost_datagram_is_invalid_and_a_repeated_link_starts_a_frame(tmp_path: Path) -> None:
    order = [(7, 0), (7, 1), (8, 1), (0, 0), (0, 1), (0, 0), (0, 1)]  # sequence, core; some firmware never counts
    packets = [(1 + 0.01 * i, ethernet(csi(random_bins(i), sequence=s, core=c))) for i, (s, c) in enumerate(order)]
    signal = read_one(written(tmp_path / "a.pcap", capture(packets)))
    assert signal.mask[:, :, 0].tolist() == [[True, True], [False, True], [True, True], [True, True]]
    np.testing.assert_allclose(signal.time_s, [0, 0.02, 0.03, 0.05], atol=1e-9)
    np.testing.assert_array_equal(signal.values[1, 1, 28:], random_bins(2)[1:29])


def test_pilots_of_several_streams_at_80_mhz_are_invalid(tmp_path: Path) -> None:
    for streams in (1, 2):
        packets = [(1, ethernet(csi(random_bins(i, 256), stream=i, mhz=80))) for i in range(streams)]
        signal = read_one(written(tmp_path / "a.pcap", capture(packets)))
        lost = nexmon.INDICES[256][~signal.mask.all(axis=(0, 1))].tolist()
        assert lost == ([-103, -75, -39, -11, 11, 39, 75, 103] if streams == 2 else [])


def test_a_stream_that_repeats_another_is_dropped(tmp_path: Path) -> None:
    packets = [(1 + i, ethernet(csi(random_bins(i), stream=s, sequence=i))) for i in range(3) for s in range(3)]
    packets[4] = (2, ethernet(csi(random_bins(9), stream=1, sequence=1)))  # one stream differs in one frame
    with pytest.warns(UserWarning, match="dropped 1 of 3 links of a core and stream that repeat"):
        (signal,) = nexmon.read(written(tmp_path / "a.pcap", capture(packets)))
    assert [link.tx for link in signal.links] == [0, 1]
    np.testing.assert_array_equal(signal.values[1, 1, 28:], random_bins(9)[1:29])


def test_an_ip_header_without_length_is_no_datagram(tmp_path: Path) -> None:
    content = capture([(1, b"\x40" + bytes(7))], link=101)
    with pytest.raises(ReadError, match="none of its 1 packets is CSI"):
        nexmon.read(written(tmp_path / "a.pcap", content))


def test_a_rare_link_is_dropped_and_counted(tmp_path: Path) -> None:
    packets = [(1 + 0.01 * i, ethernet(csi(random_bins(i), sequence=i, core=3 * (i == 2)))) for i in range(9)]
    with pytest.warns(UserWarning, match="dropped 1 of 9 datagrams whose core and stream"):
        (signal,) = nexmon.read(written(tmp_path / "a.pcap", capture(packets)))
    assert signal.values.shape == (8, 1, 56)
    np.testing.assert_allclose(signal.time_s[:3], [0, 0.01, 0.03], atol=1e-9)


def test_transmitters_and_channels_become_one_signal_each(tmp_path: Path) -> None:
    kinds = [(MAC, 20), (OTHER_MAC, 20), (OTHER_MAC, 20), (OTHER_MAC, 40), (OTHER_MAC, 20)]
    packets = [
        (1 + 0.01 * i, ethernet(csi(random_bins(i, mhz * 16 // 5), mac=mac, mhz=mhz, sequence=9)))
        for i, (mac, mhz) in enumerate(kinds)
    ]
    with pytest.warns(UserWarning, match="differ in transmitter or channel; .* 3 signals of 3, 1, 1 packets"):
        signals = nexmon.read(written(tmp_path / "a.pcap", capture(packets)))
    assert [s.values.shape for s in signals] == [(3, 1, 56), (1, 1, 56), (1, 1, 114)]
    assert [s.labels["transmitter"] for s in signals] == [OTHER_MAC.hex(":"), MAC.hex(":"), OTHER_MAC.hex(":")]
    np.testing.assert_allclose(signals[0].time_s, [0, 0.01, 0.03], atol=1e-9)
    assert {s.session for s in signals} == {"a"}


def test_other_traffic_is_ignored_and_odd_datagrams_are_counted(tmp_path: Path) -> None:
    good = csi(random_bins(0))
    packets = [
        ethernet(good, port=53),
        b"\xff" * 12 + b"\x86\xdd" + bytes(60),
        b"",
        ethernet(csi(random_bins(0), tail=b"\x01\x02\x03\x04")),  # a frame checksum
        ethernet(good[:-8]),
        ethernet(csi(random_bins(1, 128), mhz=20)),  # more than its channel has
        ethernet(csi(random_bins(1), chip=0x7777)),
        ethernet(b"\x22" + good[1:]),
    ]
    path = written(tmp_path / "a.pcap", capture([(1 + i, packet) for i, packet in enumerate(packets)]))
    with pytest.warns(UserWarning, match="dropped 4 of 5 datagrams"):
        (signal,) = nexmon.read(path)
    np.testing.assert_array_equal(signal.values[0, 0, 28:], random_bins(0)[1:29])


def test_an_unknown_chip_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pcap", capture([(1, ethernet(csi(random_bins(0), chip=0x7777)))]))
    with pytest.raises(ReadError, match=r"chip code 0x7777; expected one of .*0x0065 \(43455c0\).*chip=\.\.\."):
        nexmon.read(path)
    assert read_one(path, chip="4339").device == "Broadcom BCM4339"
    with pytest.raises(ReadError, match="chip '5300' is not known"):
        nexmon.read(path, chip="5300")


def test_a_clock_that_was_set_is_bridged(tmp_path: Path) -> None:
    times = [100, 100.1, 1.7e9, 1.7e9 + 0.1, 50]
    packets = [(t, ethernet(csi(random_bins(0), sequence=i))) for i, t in enumerate(times)]
    path = written(tmp_path / "a.pcap", capture(packets))
    with pytest.warns(UserWarning, match=r"jumps or runs backward at 2 of 5 packets, the first at packet 2"):
        (signal,) = nexmon.read(path)
    np.testing.assert_allclose(signal.time_s, np.arange(5) / 10, atol=1e-6)
    np.testing.assert_allclose(read_one(path, interval_s=0.5).time_s, np.arange(5) / 2)


def test_every_cut_inside_a_packet_is_an_error(tmp_path: Path) -> None:
    packets = [(i, ethernet(csi(random_bins(i), sequence=i))) for i in range(2)]
    whole, first = capture(packets), len(capture(packets[:1]))
    for size in [24 + 1, 24 + 16, first - 1, *range(first + 1, len(whole), 13)]:
        start = 24 if size < first else first
        with pytest.raises(ReadError, match=f"truncated, packet {int(size > first)} at byte {start} .* cut it to"):
            nexmon.read(written(tmp_path / "a.pcap", whole[:size]))
    assert len(read_one(written(tmp_path / "a.pcap", whole[:first])).time_s) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3\xb2\xa1", "no pcap header in its 4 bytes"),
        (b"hello, world", "no pcap header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(60), "pcapng.*editcap"),
        (capture([]), "none of its 0 packets"),
        (capture([(1, ethernet(b"\x00" * 300))]), "none of its 1 packets is CSI"),
        (capture([(1, ethernet(csi(random_bins(0))[:200]))]), "none of its 1 CSI datagrams has the size"),
        (capture([(1, ethernet(csi(random_bins(0))))], link=147), "link type 147"),
    ],
)
def test_what_is_not_a_capture_of_csi_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        nexmon.read(written(tmp_path / "a.pcap", content))


def test_sniffs_packet_captures_alone() -> None:
    assert nexmon.sniff(capture([])) and nexmon.sniff(pcap.PCAPNG_MAGIC + bytes(9))
    assert not nexmon.sniff(b"") and not nexmon.sniff(b"time,amplitude\n")


def test_flipped_bytes_never_crash_and_never_grow(tmp_path: Path) -> None:
    packets = [(1 + 0.1 * i, ethernet(csi(random_bins(i), core=i % 2, sequence=i // 2))) for i in range(8)]
    whole = capture(packets)
    step = (len(whole) - 24) // 8
    rng = np.random.default_rng(0)
    refused = 0
    tracemalloc.start()
    for _ in range(300):
        data = bytearray(whole)
        starts = np.concatenate([[0], 24 + step * rng.integers(8, size=2)])
        for at in starts + rng.integers([24, 76, 76]):  # headers: a flip in the CSI is a legal other value
            data[at] = int(rng.integers(256)) if at >= 24 or rng.random() < 0.2 else data[at]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                signals = nexmon.read(written(tmp_path / "a.pcap", bytes(data)))
                assert all(np.isfinite(signal.values).all() for signal in signals)
            except ReadError:
                refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 30 < refused < 270
    assert peak < 2**20 + 20 * len(whole)


def test_memory_is_bounded_by_the_file(tmp_path: Path) -> None:
    """Also where every frame comes on another link, which a table of frames and links would multiply."""
    for spread in (1, 64):
        packets = [
            (1 + 0.01 * i, ethernet(csi(random_bins(0), core=i % spread % 8, stream=i % spread // 8, sequence=i)))
            for i in range(4000)
        ]
        path = written(tmp_path / "a.pcap", capture(packets))
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nexmon.read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 15 * path.stat().st_size


def real(data_root: Path, name: str) -> Signal:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*repeat another to the last bit")
        (signal,) = nexmon.read(data_root / "captures" / "nexmon" / f"{name}.pcap")
    return signal


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chip", "shape", "carrier_hz"),
    [
        ("example", "4358", (1, 4, 242), 5.775e9),
        ("example_4339", "4339", (950, 1, 242), 5.21e9),
        ("example_43455c0", "43455c0", (566, 1, 242), 5.21e9),
        ("example_4366c0", "4366c0", (293, 1, 242), 5.53e9),
    ],
)
def test_equals_what_another_program_decoded(
    data_root: Path, name: str, chip: str, shape: tuple[int, int, int], carrier_hz: float
) -> None:
    """The other program keeps FFT order and the turns; it takes the four datagrams of `example` for four frames, and it
    gives the three equal streams of the 4339."""
    golden = np.load(data_root / "captures" / "golden" / f"nexmon__{name}.pcap.npz", allow_pickle=False)
    signal = real(data_root, name)
    assert (signal.values.shape, signal.carrier_hz, signal.bandwidth_hz) == (shape, carrier_hz, 80e6)
    pilots = np.isin(np.abs(nexmon.INDICES[256]), nexmon.PILOTS)
    assert signal.device == f"Broadcom BCM{chip}"
    np.testing.assert_array_equal(signal.mask, np.broadcast_to(~(pilots & (name == "example")), shape))
    wanted = golden["csi_first50"][:, nexmon.INDICES[256]] * UNTURN.reshape(-1, *[1] * (golden["csi_first50"].ndim - 2))
    wanted = (
        wanted.reshape(1, 4, 242) if name == "example" else np.moveaxis(wanted, 1, -1).reshape(len(wanted), -1, 242)
    )
    for link in range(wanted.shape[1]):
        got = signal.values[:50, min(link, shape[1] - 1)]
        np.testing.assert_allclose(got, np.where(signal.mask[:50, 0], wanted[:, link], 0), rtol=1e-5)
    if name != "example":
        np.testing.assert_allclose(signal.time_s[:50], golden["ts"] - golden["ts"][0], atol=5e-3)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chip"), [("example", "4358"), ("example_43455c0", "43455c0"), ("example_4366c0", "4366c0")]
)
def test_equals_what_the_vendor_decoded(data_root: Path, name: str, chip: str) -> None:
    """The vendor's program passes over datagrams with bytes after the last bin and leaves rows of 0 at the end."""
    file = data_root / "captures" / "nexmon" / f"{name}.pcap"
    wanted = scipy.io.loadmat(data_root / "captures" / "matlab_reference" / "nexmon" / f"example_{chip}.mat")[
        "csi_buff"
    ]
    exact = pcap.datagrams(file.read_bytes(), nexmon.PORT, file).size == 18 + 1024
    assert exact.sum() == wanted.any(axis=1).sum()
    signal = real(data_root, name)
    got, measured = signal.values.reshape(-1, 242)[exact], signal.mask.reshape(-1, 242)[exact]
    wanted = wanted[: exact.sum(), nexmon.INDICES[256]] * UNTURN
    np.testing.assert_allclose(got, np.where(measured, wanted, 0), rtol=1e-5)


@pytest.mark.real
def test_pilots_of_several_streams_hold_their_sum(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why they are invalid: against the mean of the neighbours, stream 0 has the sum there and stream 1 nothing."""
    pilots = np.flatnonzero(np.isin(np.abs(nexmon.INDICES[256]), nexmon.PILOTS))
    monkeypatch.setattr(nexmon, "PILOTS", ())
    field = real(data_root, "example").values[0].reshape(2, 2, 242)  # core, stream
    near = (field[..., pilots - 1] + field[..., pilots + 1]) / 2
    together = field[:, 0, pilots] / near.sum(axis=1)
    assert np.abs(together - 1.1).max() < 0.4 and abs(together.mean() - 1.12) < 0.05
    assert np.all(np.abs(field[:, 1, pilots]) < 0.2 * np.abs(near[:, 1]))


@pytest.mark.real
def test_the_4358_turns_the_phase_towards_the_carrier_alike_on_all_links(data_root: Path) -> None:
    """As a high-pass of 0.6 MHz does, arctan(f0 / f): it is the receiver's, so it is left in, as by the vendor."""
    signal = real(data_root, "example")
    index = nexmon.INDICES[256]
    near = (np.abs(index) <= 40) & ~np.isin(np.abs(index), nexmon.PILOTS)
    turns = np.exp(1j * np.arange(-1, 1, 0.005)[:, None] * index[near])
    for row in signal.values[0][:, near]:
        phase = row / np.abs(row)
        plain = np.abs(turns @ phase).max() / near.sum()
        undone = np.abs(turns @ (phase * np.exp(-1j * np.arctan(2 / index[near])))).max() / near.sum()
        assert undone > 0.997 > 0.98 > plain


@pytest.mark.real
def test_phase_is_continuous_where_the_standard_turns_it(data_root: Path) -> None:
    """`example` is the one capture of frames that fill the 80 MHz."""
    signal = real(data_root, "example")
    for row in signal.values[0]:
        step = np.angle(row[1:] * row[:-1].conj())
        at = int(np.flatnonzero(nexmon.INDICES[256] == -64)[0]) - 1
        assert abs(step[at] - np.median(step[at - 8 : at + 9])) < 0.3


@pytest.mark.real
def test_campus_captures_hold_the_channels_of_their_survey(data_root: Path) -> None:
    files = sorted((data_root / "csu-indoorloc-nexmon" / "data").glob("*/*.pcap"))
    assert len(files) == 13
    for file in files[:3] + files[-3:]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (signal,) = nexmon.read(file)
        assert len(signal.time_s) == int(file.stem.split("_")[-1])
        assert (signal.values.shape[1:], signal.bandwidth_hz) == ((1, 56), 20e6)
        assert signal.carrier_hz in (5.24e9, 5.28e9, 5.32e9, 5.54e9, 5.7e9)
        outer, inner = np.abs(signal.values[:, 0, [0, 55]]).mean(), np.abs(signal.values[:, 0, 1:55]).mean()
        assert 0.2 < outer / inner < 2  # nothing of the direct current or the guard bands, which are 10 times larger
