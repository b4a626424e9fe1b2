"""The Intel 5300 reader: hand-made records with known numbers, malformed files, real captures."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.intel5300 import HT20, intel_record, random_csi

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.wifi import intel5300

HT40 = 0x0901


def test_every_integer_lands_on_its_antenna_and_subcarrier(tmp_path: Path) -> None:
    csi = [random_csi(seed, rx=3, tx=2) for seed in range(3)]
    order = (2, 0, 1)
    payload = b"\x00\x05\xc1abcd"
    records = [intel_record(c, 1000 * i, order) for i, c in enumerate(csi)]
    path = written(tmp_path / "a.dat", records[0], payload, *records[1:])
    (signal,) = intel5300.read(path, carrier_hz=5.32e9)
    assert signal.values.shape == (3, 6, 30)
    assert [(link.rx, link.tx) for link in signal.links] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    for packet in range(3):
        for chain, port in enumerate(order):
            for tx in range(2):
                np.testing.assert_array_equal(signal.values[packet, 2 * port + tx], csi[packet][:, chain, tx])
    np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)
    assert (signal.carrier_hz, signal.bandwidth_hz, signal.kind) == (5.32e9, 20e6, "csi")


def test_subcarriers_are_those_of_the_standard(tmp_path: Path) -> None:
    (signal,) = intel5300.read(written(tmp_path / "a.dat", intel_record(random_csi(0), 7)))
    assert signal.frequency_hz is not None
    index = (signal.frequency_hz / 312_500).astype(int).tolist()
    assert len(index) == 30
    assert index[:2] + index[12:17] + index[-2:] == [-28, -26, -4, -2, -1, 1, 3, 27, 28]


def test_forty_megahertz_undoes_the_quarter_turn_of_the_upper_half(tmp_path: Path) -> None:
    csi = random_csi(1)
    (signal,) = intel5300.read(written(tmp_path / "a.dat", intel_record(csi, 7, rate=HT40)))
    assert signal.frequency_hz is not None
    index = (signal.frequency_hz / 312_500).astype(int).tolist()
    assert index == [*range(-58, 0, 4), *range(2, 59, 4)]
    assert signal.bandwidth_hz == 40e6
    np.testing.assert_array_equal(signal.values[0, 1, :15], csi[:15, 1, 0])
    np.testing.assert_array_equal(signal.values[0, 1, 15:], -1j * csi[15:, 1, 0])


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 2), (2, 1, 0)])
def test_fewer_than_three_antennas_leave_no_holes(tmp_path: Path, order: tuple[int, ...]) -> None:
    csi = random_csi(2, rx=2)
    (signal,) = intel5300.read(written(tmp_path / "a.dat", intel_record(csi, 7, order)))
    np.testing.assert_array_equal(signal.values[0], csi[:, :, 0].T)


def test_clock_wrap_is_not_a_gap(tmp_path: Path) -> None:
    clocks = [2**32 - 1500, 2**32 - 500, 500]
    path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), c) for c in clocks))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = intel5300.read(path)
    np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)


def test_clock_set_back_is_bridged_with_a_warning(tmp_path: Path) -> None:
    clocks = [10_000_000, 10_001_000, 5_000, 6_000, 6_000]
    path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), c) for c in clocks))
    with pytest.warns(UserWarning, match=r"backward at 2 of 5 packets, the first at packet 2; .* 0\.001000 s"):
        (signal,) = intel5300.read(path)
    np.testing.assert_allclose(signal.time_s, np.arange(5) * 1e-3, atol=1e-12)


def test_clock_that_never_runs_needs_an_interval(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dat", *(intel_record(random_csi(0), 4) for _ in range(3)))
    with pytest.raises(ReadError, match=r"stands still or is invalid in all 3 packets.*interval_s"):
        intel5300.read(path)
    np.testing.assert_allclose(intel5300.read(path, interval_s=0.1)[0].time_s, [0, 0.1, 0.2])


def test_antenna_counts_and_bandwidths_become_one_signal_each(tmp_path: Path) -> None:
    setups = [(random_csi(0, tx=2), HT20), (random_csi(1), HT20), (random_csi(2), HT40), (random_csi(3), HT20)]
    records = [intel_record(csi, 1000 * i, rate=rate) for i, (csi, rate) in enumerate(setups)]
    with pytest.warns(UserWarning, match=r"differ in antennas or bandwidth; .* 3 signals of 2, 1, 1 packets"):
        signals = intel5300.read(written(tmp_path / "a.dat", *records))
    assert [signal.values.shape for signal in signals] == [(2, 3, 30), (1, 6, 30), (1, 3, 30)]
    np.testing.assert_allclose(signals[0].time_s, [0, 2e-3], atol=1e-12)
    np.testing.assert_array_equal(signals[0].values[1, 2], setups[3][0][:, 2, 0])
    np.testing.assert_array_equal(signals[1].values[0, 3], setups[0][0][:, 1, 1])
    assert [signal.bandwidth_hz for signal in signals] == [20e6, 20e6, 40e6]


def test_stream_counts_in_turn_over_several_blocks(tmp_path: Path) -> None:
    csi = [random_csi(i % 7, rx=1 + i % 3, tx=1 + i % 2) for i in range(600)]
    path = written(tmp_path / "a.dat", *(intel_record(c, 1000 * i) for i, c in enumerate(csi)))
    with pytest.warns(UserWarning, match="6 signals of 100, "):
        signals = intel5300.read(path)
    for signal in signals:
        rx, tx = (1 + max(getattr(link, name) for link in signal.links) for name in ("rx", "tx"))
        wanted = [c.reshape(30, -1).T for c in csi if c.shape[1:] == (rx, tx)]
        np.testing.assert_array_equal(signal.values, wanted)


def test_mixed_streams_of_a_real_card(cases_root: Path) -> None:
    with pytest.warns(UserWarning, match="2 signals of 6, 4 packets"):
        signals = intel5300.read(cases_root / "intel-streams-mixed" / "mixed.dat")
    assert [signal.values.shape for signal in signals] == [(6, 3, 30), (4, 6, 30)]


def test_an_incomplete_last_record_of_a_real_card_is_left_out(cases_root: Path) -> None:
    with pytest.warns(UserWarning, match=r"byte 860 should end at byte 1075 .* 871 bytes; it is left out, and the 4 "):
        (signal,) = intel5300.read(cases_root / "last-record-cut" / "intel.dat")
    assert len(signal.time_s) == 4


def test_every_cut_inside_a_record_leaves_the_whole_records(tmp_path: Path) -> None:
    record = intel_record(random_csi(0), 7)
    whole = record + intel_record(random_csi(1), 1007)
    for size in [1, 2, 3, 22, 23, 100, len(record) - 1, *range(len(record) + 1, len(whole), 7), len(whole) - 1]:
        path = written(tmp_path / "a.dat", whole[:size])
        if size < len(record):
            with pytest.raises(ReadError, match=r"record at byte 0 .* truncated before the end of its first record"):
                intel5300.read(path)
            continue
        with pytest.warns(UserWarning, match=rf"the record at byte {len(record)} .* left out, and the 1 before it"):
            (signal,) = intel5300.read(path)
        np.testing.assert_array_equal(signal.values[0], random_csi(0)[:, :, 0].T)
    (signal,) = intel5300.read(written(tmp_path / "a.dat", whole[: len(record)]))
    assert len(signal.time_s) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"time,amplitude\n0,1\n", "record code 0x6d at byte 2"),
        (b"\x00\x05\xc1abcd" * 3, "no measurement"),
        (b"\x00\x03\xbbab", "at byte 0 has 5 bytes"),
        (b"\x00\x00\xc1" + b"\x00" * 30 + b"\x01", "record code 0x00 at byte 5"),
    ],
)
def test_what_is_not_a_capture_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        intel5300.read(written(tmp_path / "a.dat", content))


@pytest.mark.parametrize(("at", "value"), [(11, 0), (11, 4), (12, 0), (18, 0b111111), (18, 0), (19, 191)])
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, at: int, value: int) -> None:
    record = bytearray(intel_record(random_csi(0), 7))
    record[at] = value
    good = intel_record(random_csi(1), 1)
    with pytest.raises(ReadError, match=f"packet 1 at byte {len(good)} is inconsistent"):
        intel5300.read(written(tmp_path / "a.dat", good, bytes(record)))


def test_flipped_bytes_never_crash(tmp_path: Path) -> None:
    whole = b"".join(intel_record(random_csi(i), 1000 * i) for i in range(4))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        # Mostly headers: a flip in the payload is a legal other value.
        at = int(rng.integers(4)) * (len(whole) // 4) + int(rng.integers(23))
        data[at] = int(rng.integers(256))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                signals = intel5300.read(written(tmp_path / "a.dat", bytes(data)))
                assert all(np.isfinite(signal.values).all() for signal in signals)
            except ReadError:
                refused += 1
    assert refused > 50


@pytest.mark.real
def test_equals_what_another_program_decoded(data_root: Path) -> None:
    files = sorted((data_root / "captures" / "intel5300").glob("*.dat"))
    assert len(files) == 7
    for file in files:
        golden = np.load(data_root / "captures" / "golden" / f"intel5300__{file.name}.npz", allow_pickle=False)
        wanted = golden["csi_first50"]
        no_clock = file.name.startswith("log.all")  # a file from before the clock was recorded: always 4
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal = intel5300.read(file, interval_s=0.1 if no_clock else 0.0)[0]
        got = signal.values.reshape(len(signal.time_s), *wanted.shape[2:], 30)[: len(wanted)]
        np.testing.assert_allclose(got, wanted.transpose(0, 2, 3, 1), rtol=1e-5, err_msg=file.name)
        if not no_clock:
            np.testing.assert_allclose(signal.time_s[: len(wanted)], golden["ts"], atol=1e-6, err_msg=file.name)


@pytest.mark.real
def test_phase_slope_confirms_the_subcarrier_grid(data_root: Path) -> None:
    """Delay turns the phase in proportion to the frequency step: a wrong grid or rotation is a discontinuity."""
    for name in ("captures/intel5300/sample_0x1_ap.dat", "polyu-csi-ips/captures/d26/d26_p02_l03.dat"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal = intel5300.read(data_root / name)[0]
        assert signal.frequency_hz is not None
        field = signal.values[:, 0::2]
        turn = np.angle((field[..., 1:] * field[..., :-1].conj()).sum(axis=(0, 1)))
        slope = turn / np.diff(signal.frequency_hz)
        near_carrier = slope[11:18]
        assert np.ptp(near_carrier) < 0.25 * abs(near_carrier.mean()), name


@pytest.mark.real
def test_polyu_files_hold_three_receivers_at_forty_megahertz(data_root: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signals = readers.read(data_root / "polyu-csi-ips/captures/d26/d26_p02_l03.dat")
    assert sum(len(signal.time_s) for signal in signals) == 100
    assert len(signals) == 1 or any("differ in antennas" in str(w.message) for w in caught)
    signal = signals[0]
    assert {link.rx for link in signal.links} == {0, 1, 2}
    assert signal.values.shape[1:] == (6, 30)
    assert signal.bandwidth_hz == 40e6
