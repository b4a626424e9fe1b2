"""What live decoders give is what the readers give of the finished file, however it arrives."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.esp32 import ESP_CSI_C5, MAC, OTHER_MAC, line, random_buffer
from helpers.live import assert_equal, decoded, fed, pieces_of, recordings
from helpers.nexmon import capture, csi, ethernet, random_bins
from helpers.picoscenes import frame, integers, intel_5300

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.live import Piece, decoder_of, detect
from foundation.readers.live.parts import MOST_STREAMS

COUNT = 150  # packets, more than the facts are taken from


def esp32_bytes(count: int = COUNT, start: int = 0, mac: str = MAC, legacy: bool = False) -> bytes:
    """A log, and lines at about 100 a second."""
    lines = [line(random_buffer(k, legacy=legacy), start + 10_000 * k + k % 7, mac=mac) for k in range(count)]
    return ("I (31) boot: ESP-IDF\n" + "".join(lines)).encode()


def nexmon_packets(count: int = COUNT) -> list[tuple[float, bytes]]:
    """Two cores; of every tenth frame one was not received, of every 50th the other; and other traffic."""
    packets = []
    for k in range(count):
        for core in (0, 1):
            if not (k % 10 == 3 and core == 1) and not (k % 50 == 7 and core == 0):
                data = ethernet(csi(random_bins(2 * k + core), core=core, sequence=16 * k))
                packets.append((1000 + k * 0.01 + core * 1e-4, data))
        if k % 9 == 0:
            packets.append((1000 + k * 0.01 + 5e-4, ethernet(b"hello", port=53)))
    return packets


def picoscenes_bytes(count: int = COUNT) -> bytes:
    return b"".join(
        frame(intel_5300(integers(k, (30, 3 if k % 5 else 2, 1), 8), antennas=0b100100), 10_000 * k + k % 7)
        for k in range(count)
    )


def captures() -> dict[str, tuple[str, bytes]]:
    return {
        "esp32": ("esp32_csv", esp32_bytes()),
        "esp32 legacy": ("esp32_csv", esp32_bytes(legacy=True)),
        "esp32 utf-16": ("esp32_csv", esp32_bytes().decode().encode("utf-16")),
        "nexmon": ("nexmon", capture(nexmon_packets())),
        "nexmon big": ("nexmon", capture(nexmon_packets(), order=">", nano=True)),
        "picoscenes": ("picoscenes", picoscenes_bytes()),
    }


@pytest.mark.parametrize("size", [61, 5000, 10**9])
@pytest.mark.parametrize("name", captures())
def test_it_is_what_the_reader_gives_of_the_finished_file(name: str, size: int, tmp_path: Path) -> None:
    kind, data = captures()[name]
    path = tmp_path / "a.capture"
    path.write_bytes(data)
    assert detect(data[:4096], is_datagram=False) == kind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that packets differ, and of links that are rare
        expected = readers.read(path)
        decoder, found = decoded(kind, data, size, path)
    assert decoder.bad == 0, decoder.problem
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "captures/nexmon/example_43455c0.pcap",
        "csu-indoorloc-nexmon/data/test/test_269A_2_100.pcap",
        "captures/esp32/example_fast_100hz_pitraffic.csv",
        "captures/picoscenes/rx_by_qca9300.csi",
        "captures/picoscenes/picoscenes_ax200_example.csi",
    ],
)
def test_real_captures_are_what_the_reader_gives(data_root: Path, name: str) -> None:
    path = data_root / name
    data = path.read_bytes()
    kind = detect(data[:4096], is_datagram=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = readers.read(path)
        _, found = decoded(str(kind), data, 4000, path)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.mask, other.mask)
        # A clock that stands still is bridged by the step before, not by the median of all steps.
        np.testing.assert_allclose(one.time_s, other.time_s, rtol=0, atol=0.02)


def test_datagrams_of_nexmon_have_the_time_of_their_arrival() -> None:
    """The first payload of every frame of a capture, as UDP would bring it, and garbage in between."""
    pieces = []
    for k in range(COUNT):
        pieces += [
            Piece(csi(random_bins(k), sequence=16 * k), 1e9 + 0.01 * k),
            Piece(b"\x11\x11nonsense", 1e9 + 0.01 * k),
        ]
    assert detect(pieces[0].data, is_datagram=True) == "nexmon"
    decoder = decoder_of("nexmon", Path("udp-5500"), True, {})
    (signal,) = recordings(fed(decoder, [*pieces, Piece(b"", 2e9)])).values()
    assert signal.values.shape == (COUNT, 1, 56)
    np.testing.assert_allclose(signal.time_s, 0.01 * np.arange(COUNT), atol=1e-6)
    assert decoder.bad == COUNT + 1
    assert "none of its" in decoder.problem


def test_frames_of_picoscenes_come_whole_or_in_parts_as_datagrams() -> None:
    """One loses its end, and its successor is read."""
    whole = [frame(intel_5300(integers(k, (30, 2, 1), 8)), 10_000 * k) for k in range(80)]
    pieces = [Piece(part, 0.0) for data in whole for part in (data[:150], data[150:])]
    del pieces[41]
    decoder = decoder_of("picoscenes", Path("udp-5500"), True, {})
    (signal,) = recordings(fed(decoder, pieces)).values()
    assert (len(signal.time_s), decoder.bad) == (79, 1)


def test_garbage_is_counted_and_passed_over() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, 700, np.uint8).tobytes() for _ in range(8)]
    lines = esp32_bytes().split(b"\n")
    text = b"\n".join([*lines[:70], b"CSI_DATA,1,2", noise[0], *lines[70:]])
    decoder, (signal,) = decoded("esp32_csv", text, 333)
    assert (len(signal.time_s), decoder.bad) == (COUNT, 1)

    packets = nexmon_packets()
    first, second = capture(packets[:160]), capture(packets[160:])
    decoder, (signal,) = decoded("nexmon", first + noise[1] + second[24:], 333)
    assert decoder.bad >= 1
    assert COUNT - 3 <= len(signal.time_s) <= COUNT
    decoder, (signal,) = decoded("nexmon", first + second, 333)  # a recorder that began anew
    assert (len(signal.time_s), decoder.bad) == (COUNT, 0)

    frames = picoscenes_bytes()
    cut = len(frames) // 2
    decoder, signals = decoded("picoscenes", frames[:cut] + noise[2] + frames[cut:], 333)
    assert decoder.bad >= 1
    assert COUNT - 3 <= sum(len(signal.time_s) for signal in signals) <= COUNT


def test_a_sender_that_begins_anew_is_another_recording() -> None:
    again = esp32_bytes(start=5_000_000) + esp32_bytes(start=100)
    _, signals = decoded("esp32_csv", again, 1000)
    assert [len(signal.time_s) for signal in signals] == [COUNT, COUNT]
    assert all(signal.time_s[0] == 0 for signal in signals)
    once = picoscenes_bytes(80)
    _, signals = decoded("picoscenes", once + once, 1000)
    assert sorted(len(signal.time_s) for signal in signals) == [16, 16, 64, 64]


def test_what_is_remembered_of_senders_is_bounded() -> None:
    """Garbled addresses are endless: each is a sender of its own."""
    macs = [f"00:00:00:00:{k // 256:02x}:{k % 256:02x}" for k in range(3 * MOST_STREAMS)]
    text = "".join(line(random_buffer(k), 1000 * k, mac=mac) for k, mac in enumerate(macs)).encode()
    decoder = decoder_of("esp32_csv", Path("a"), False, {})
    assert len(recordings(fed(decoder, pieces_of(text, 500)))) == len(macs)
    assert len(decoder._streams.items()) == MOST_STREAMS  # type: ignore[attr-defined]


def test_newer_chips_and_several_senders_are_read(tmp_path: Path) -> None:
    text = "".join(
        line(random_buffer(k, 114), 1000 * k, ESP_CSI_C5, first_word=0, mac=(MAC, OTHER_MAC)[k % 3 == 0])
        for k in range(90)
    )
    (tmp_path / "a.csv").write_text(text)
    with pytest.warns(UserWarning, match="2 signals of 60, 30 packets"):
        expected = readers.read(tmp_path / "a.csv")
    _, found = decoded("esp32_csv", text.encode(), 700, tmp_path / "a.csv")
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)


def test_what_cannot_be_listened_to_is_refused() -> None:
    with pytest.raises(ReadError, match="no sigmf can be read while it grows; known are nexmon"):
        decoder_of("sigmf", Path("a"), False, {})
    with pytest.raises(ReadError, match="format esp32_csv has no option 'chip'; it takes carrier_hz, interval_s"):
        decoder_of("esp32_csv", Path("a"), False, {"chip": "4339"})
    with pytest.raises(ReadError, match="is a pcapng file"):
        decoder_of("nexmon", Path("a"), False, {}).feed([Piece(b"\x0a\x0d\x0d\x0a" + bytes(40), 0.0)])
    assert detect(b"\x00\x01\x02", is_datagram=True) is None
