"""The nexmon_csi reader: hand-made captures with known numbers, unusual and damaged captures."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.nexmon import MAC, OTHER_MAC, capture, csi, ethernet, random_bins, read_one

from foundation.errors import ReadError
from foundation.readers.wifi import nexmon, pcap
from foundation.readers.wifi.ofdm import INDICES


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


def test_rotations_of_the_wide_channels_are_undone(tmp_path: Path) -> None:
    for mhz, bins in ((40, 128), (80, 256)):
        field = random_bins(mhz, bins)
        signal = read_one(written(tmp_path / "a.pcap", capture([(1, ethernet(csi(field, mhz=mhz)))])))
        assert signal.frequency_hz is not None
        index = np.round(signal.frequency_hz / 312_500).astype(int)
        edge = bins // 2 - 6
        assert index.tolist() == [*range(-edge, -1), *range(2, edge + 1)]
        assert (signal.bandwidth_hz, signal.carrier_hz) == (mhz * 1e6, 5.19e9 if mhz == 40 else 5.21e9)
        turn = np.where(index > 0, 1j, 1) if mhz == 40 else np.where(index < -64, 1, -1)
        np.testing.assert_array_equal(signal.values[0, 0], field[index] * turn)


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
        lost = INDICES[242][~signal.mask.all(axis=(0, 1))].tolist()
        assert lost == ([-103, -75, -39, -11, 11, 39, 75, 103] if streams == 2 else [])


def test_a_stream_that_repeats_another_is_dropped(tmp_path: Path) -> None:
    packets = [(1 + i, ethernet(csi(random_bins(i), stream=s, sequence=i))) for i in range(3) for s in range(3)]
    packets[4] = (2, ethernet(csi(random_bins(9), stream=1, sequence=1)))  # one stream differs in one frame
    with pytest.warns(UserWarning, match="dropped 1 of 3 links of a core and stream that repeat"):
        (signal,) = nexmon.read(written(tmp_path / "a.pcap", capture(packets)))
    assert [link.tx for link in signal.links] == [0, 1]
    np.testing.assert_array_equal(signal.values[1, 1, 28:], random_bins(9)[1:29])


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
    with pytest.raises(ReadError, match="unknown chip '5300'"):
        nexmon.read(path, chip="5300")


def test_a_clock_that_was_set_is_bridged(tmp_path: Path) -> None:
    times = [100, 100.1, 1.7e9, 1.7e9 + 0.1, 50]
    packets = [(t, ethernet(csi(random_bins(0), sequence=i))) for i, t in enumerate(times)]
    path = written(tmp_path / "a.pcap", capture(packets))
    with pytest.warns(UserWarning, match=r"jumps or runs backward at 2 of 5 packets, the first at packet 2"):
        (signal,) = nexmon.read(path)
    np.testing.assert_allclose(signal.time_s, np.arange(5) / 10, atol=1e-6)
    np.testing.assert_allclose(read_one(path, interval_s=0.5).time_s, np.arange(5) / 2)


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
