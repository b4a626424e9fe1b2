"""The Atheros CSI Tool reader: hand-made records with known integers, malformed files, a real recording."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written

from foundation.errors import ReadError
from foundation.readers.wifi import atheros
from foundation.signal import Signal


def random_csi(seed: int, tones: int = 56, tx: int = 2, rx: int = 3) -> np.ndarray:
    """Integer-valued complex [tones, tx, rx] over the whole range of 10 bits."""
    parts = np.random.default_rng(seed).integers(-512, 512, (2, tones, tx, rx))
    return np.asarray(parts[0] + 1j * parts[1])


def record(
    csi: np.ndarray, clock: int, *, order: str = "<", channel: int = 5180, payload: bytes = b"mpdu", slack: bytes = b""
) -> bytes:
    """One record as the tool writes it: `csi` [tones, tx, rx], imaginary part first, lowest bits first."""
    tones, tx, rx = csi.shape if csi.size else (0, 0, 0)
    bits = at = 0
    for value in csi.ravel():
        bits |= (int(value.imag) & 1023) << at | (int(value.real) & 1023) << (at + 10)
        at += 20
    packed = bits.to_bytes(at // 8, "little")
    header = struct.pack(
        f"{order}QHHBBBBBBBBBBBH",
        *(clock, len(packed), channel, 0, 0, 143, int(tones == 114), tones, rx, tx, 52, 38, 52, 36, len(payload)),
    )
    body = header + packed + payload + slack
    return struct.pack(f"{order}H", len(body)) + body


def read_quietly(path: Path) -> list[Signal]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return atheros.read(path)


def test_every_integer_lands_on_its_antenna_and_subcarrier(tmp_path: Path) -> None:
    csi = [random_csi(seed) for seed in range(3)]
    path = written(tmp_path / "a.dat", *(record(c, 10**12 + 2000 * i) for i, c in enumerate(csi)))
    (signal,) = atheros.read(path)
    assert signal.values.shape == (3, 6, 56)
    for index, link in enumerate(signal.links):
        np.testing.assert_array_equal(signal.values[:, index], [c[:, link.tx, link.rx] for c in csi])
    assert [(link.rx, link.tx) for link in signal.links] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    np.testing.assert_allclose(signal.time_s, [0, 2e-3, 4e-3], atol=1e-12)
    assert (signal.carrier_hz, signal.bandwidth_hz, signal.kind, signal.session) == (5.18e9, 20e6, "csi", "a")
    assert signal.frequency_hz is not None
    assert (signal.frequency_hz / 312_500).tolist() == [*range(-28, 0), *range(1, 29)]
    assert atheros.read(path, carrier_hz=5.2e9)[0].carrier_hz == 5.2e9


@pytest.mark.parametrize(("mark", "order"), [(b"", "<"), (b"", ">"), (b"\xff", ">"), (b"\x00", "<")])
def test_byte_orders_and_the_mark_of_newer_tools(tmp_path: Path, mark: bytes, order: str) -> None:
    csi = random_csi(1, tx=1, rx=2)
    records = [record(csi, 5, order=order), record(csi + 1, 1005, order=order)]
    path = written(tmp_path / "a.dat", mark, *records)
    assert atheros.sniff(path.read_bytes()[:4096])
    (signal,) = atheros.read(path)
    np.testing.assert_array_equal(signal.values, np.moveaxis(np.stack([csi, csi + 1])[:, :, 0], 1, 2))
    np.testing.assert_allclose(signal.time_s, [0, 1e-3], atol=1e-12)


def test_forty_megahertz_undoes_the_quarter_turn_of_the_upper_half(tmp_path: Path) -> None:
    csi = random_csi(2, tones=114, tx=1, rx=1)
    (signal,) = atheros.read(written(tmp_path / "a.dat", record(csi, 7)))
    assert signal.frequency_hz is not None
    assert (signal.frequency_hz / 312_500).tolist() == [*range(-58, -1), *range(2, 59)]
    assert signal.bandwidth_hz == 40e6
    np.testing.assert_array_equal(signal.values[0, 0, :57], csi[:57, 0, 0])
    np.testing.assert_array_equal(signal.values[0, 0, 57:], -1j * csi[57:, 0, 0])


def test_payload_alone_is_passed_over_and_trailing_lengths_are_accepted(tmp_path: Path) -> None:
    csi = random_csi(3)
    empty = record(np.zeros(0), 4)
    path = written(tmp_path / "a.dat", empty, record(csi, 5, slack=b"\x12\x34"), empty, record(csi, 1005))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = atheros.read(path)
    assert signal.values.shape == (2, 6, 56)


def test_antenna_counts_and_channels_become_one_signal_each(tmp_path: Path) -> None:
    packets = [(random_csi(0, tx=1), 5180), (random_csi(1), 5180), (random_csi(2), 5200), (random_csi(3), 5180)]
    records = [record(csi, 1000 * i, channel=channel) for i, (csi, channel) in enumerate(packets)]
    with pytest.warns(UserWarning, match="differ in antennas, subcarriers or channel; .* 3 signals of 2, 1, 1 packets"):
        signals = atheros.read(written(tmp_path / "a.dat", *records))
    assert [signal.values.shape for signal in signals] == [(2, 6, 56), (1, 3, 56), (1, 6, 56)]
    assert [signal.carrier_hz for signal in signals] == [5.18e9, 5.18e9, 5.2e9]
    np.testing.assert_allclose(signals[0].time_s, [0, 2e-3], atol=1e-12)
    np.testing.assert_array_equal(signals[0].values[1, 5], packets[3][0][:, 1, 2])
    np.testing.assert_array_equal(signals[1].values[0], packets[0][0][:, 0].T)


def test_a_packet_that_contradicts_itself_is_dropped_and_counted(tmp_path: Path) -> None:
    good = [record(random_csi(i), 1000 * i) for i in range(3)]
    bad = bytearray(record(random_csi(9), 500))
    bad[19] = 2  # receive antennas: the CSI has the length for three
    with pytest.warns(UserWarning, match=rf"dropped 1 of 4 packets .* first at byte {len(good[0])}"):
        (signal,) = atheros.read(written(tmp_path / "a.dat", good[0], bytes(bad), *good[1:]))
    assert signal.values.shape == (3, 6, 56)


def test_clock_set_back_is_bridged_and_a_dead_clock_needs_an_interval(tmp_path: Path) -> None:
    clocks = [10**9, 10**9 + 1000, 5000, 6000, 6000 + 10**15]
    path = written(tmp_path / "a.dat", *(record(random_csi(0), c) for c in clocks))
    with pytest.warns(UserWarning, match=r"backward at 2 of 5 packets, the first at packet 2; .* 0\.001000 s"):
        (signal,) = atheros.read(path)
    np.testing.assert_allclose(signal.time_s, np.arange(5) * 1e-3, atol=1e-12)
    path = written(tmp_path / "b.dat", *(record(random_csi(0), 4) for _ in range(3)))
    with pytest.raises(ReadError, match=r"stands still .* all 3 packets.*interval_s"):
        atheros.read(path)
    np.testing.assert_allclose(atheros.read(path, interval_s=0.1)[0].time_s, [0, 0.1, 0.2])


def test_every_cut_inside_a_record_leaves_the_whole_records(tmp_path: Path) -> None:
    first, second = record(random_csi(0), 7), record(random_csi(1), 1007)
    whole = first + second
    for size in [len(first) + 1, len(first) + 2, len(first) + 30, len(whole) - 1, *range(len(first) + 3, 1700, 97)]:
        with pytest.warns(UserWarning, match=rf"the record at byte {len(first)} .* left out, and the 1 before it"):
            (signal,) = atheros.read(written(tmp_path / "a.dat", whole[:size]))
        assert signal.values.shape == (1, 6, 56)
    for size in (30, 200, len(first) - 1):
        with pytest.raises(ReadError, match=r"record at byte 0 .* truncated before the end of its first record"):
            atheros.read(written(tmp_path / "a.dat", whole[:size]))
    assert len(atheros.read(written(tmp_path / "a.dat", first))[0].time_s) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x00", "no CSI with a consistent header"),
        (b"time,amplitude\n0,1\n" * 9, "no CSI with a consistent header"),
        (record(np.zeros(0), 4) * 3, "no CSI with a consistent header"),
        (record(random_csi(0), 4) + b"\x05\x00abcde", r"the record at byte 871 has 7 bytes; expected at least 27"),
        (bytes(4000), "no CSI with a consistent header"),
    ],
)
def test_what_is_not_a_capture_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        atheros.read(written(tmp_path / "a.dat", content))


def test_flipped_bytes_never_crash_and_never_grow(tmp_path: Path) -> None:
    whole = b"".join(record(random_csi(i), 1000 * i) for i in range(4))
    step = len(whole) // 4
    rng = np.random.default_rng(0)
    refused = 0
    tracemalloc.start()
    for _ in range(400):
        data = bytearray(whole)
        for at in rng.integers(4, size=2) * step + rng.integers(27, size=2):  # a flip in the CSI is a legal other value
            data[at] = int(rng.integers(256))
        try:
            signals = read_quietly(written(tmp_path / "a.dat", bytes(data)))
            assert all(np.isfinite(signal.values).all() for signal in signals)
        except ReadError:
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 50
    assert peak < 2**20 + 20 * len(whole)


def test_memory_is_bounded_by_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dat", *(record(random_csi(0), 1000 * i) for i in range(1000)))
    tracemalloc.start()
    atheros.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15 * path.stat().st_size


@pytest.mark.real
def test_equals_what_another_program_decoded(data_root: Path) -> None:
    """The other program adds 1 to every integer, which `read_csi.c` of the tool does not: taken off here."""
    name = "ath_csi_1.dat"
    golden = np.load(data_root / "captures" / "golden" / f"atheros__{name}.npz", allow_pickle=False)
    (signal,) = atheros.read(data_root / "captures" / "atheros" / name)
    assert len(signal.time_s) == golden["n_frames"] == 401
    got = signal.values.reshape(401, 3, 2, 56)[:50]  # rx, tx
    np.testing.assert_allclose(got, (golden["csi_first50"] - (1 + 1j)).transpose(0, 3, 2, 1), rtol=1e-5)
    np.testing.assert_allclose(signal.time_s[:50], golden["ts"], atol=1e-6)
    assert (signal.carrier_hz, signal.bandwidth_hz) == (2.437e9, 20e6)


@pytest.mark.real
def test_streams_of_one_receive_antenna_fade_together(data_root: Path) -> None:
    """The gain of a receive chain is common to both streams: a wrong antenna order would break the pairing."""
    (signal,) = atheros.read(data_root / "captures" / "atheros" / "ath_csi_1.dat")
    level = np.log(np.linalg.norm(signal.values, axis=2))
    by_antenna = level.reshape(len(level), 3, 2).mean(axis=2)
    across = [np.corrcoef(by_antenna[:, a], by_antenna[:, b])[0, 1] for a, b in ((0, 1), (0, 2), (1, 2))]
    within = [np.corrcoef(level[:, 2 * rx], level[:, 2 * rx + 1])[0, 1] for rx in range(3)]
    assert min(within) > 0.99 and max(across) < 0.5, (within, across)
