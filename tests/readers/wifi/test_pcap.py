"""Packet captures: byte orders, clocks and link types, truncated files, and files that hold no CSI."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.nexmon import capture, csi, ethernet, random_bins, read_one

from foundation.errors import ReadError
from foundation.readers.wifi import nexmon


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


def test_an_ip_header_without_length_is_no_datagram(tmp_path: Path) -> None:
    content = capture([(1, b"\x40" + bytes(7))], link=101)
    with pytest.raises(ReadError, match="none of its 1 packets is CSI"):
        nexmon.read(written(tmp_path / "a.pcap", content))


def test_every_cut_inside_a_packet_leaves_the_whole_packets(tmp_path: Path) -> None:
    packets = [(i, ethernet(csi(random_bins(i), sequence=i))) for i in range(2)]
    whole, first = capture(packets), len(capture(packets[:1]))
    for size in [24 + 1, 24 + 16, first - 1, *range(first + 1, len(whole), 13)]:
        path = written(tmp_path / "a.pcap", whole[:size])
        if size < first:
            with pytest.raises(ReadError, match=r"packet 0 at byte 24 .* truncated before the end of its first record"):
                nexmon.read(path)
            continue
        with pytest.warns(UserWarning, match=f"packet 1 at byte {first} .* left out, and the 1 before it"):
            (signal,) = nexmon.read(path)
        np.testing.assert_array_equal(signal.values[0, 0, 28:], random_bins(0)[1:29])
    assert len(read_one(written(tmp_path / "a.pcap", whole[:first])).time_s) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xd4\xc3\xb2\xa1", "no pcap header in its 4 bytes"),
        (b"hello, world", "no pcap header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(60), "pcapng.*editcap"),
        (capture([]), "none of its 0 packets"),
        (capture([]) + b"garbage " * 9, "packet 0 at byte 24 claims [0-9]{10} bytes; expected at most 262144"),
        (capture([(1, ethernet(b"\x00" * 300))]), "none of its 1 packets is CSI"),
        (capture([(1, ethernet(csi(random_bins(0))[:200]))]), "none of its 1 CSI datagrams has the size"),
        (capture([(1, ethernet(csi(random_bins(0))))], link=147), "link type 147"),
    ],
)
def test_what_is_not_a_capture_of_csi_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        nexmon.read(written(tmp_path / "a.pcap", content))
