"""The ESP32 text reader: hand-made lines of every variant and layout, malformed lines, the real files."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.esp32 import (
    ESP_CSI,
    MAC,
    OTHER_MAC,
    TOOL,
    complex_of,
    index,
    line,
    random_buffer,
    read_one,
    written,
)

from foundation.errors import ReadError
from foundation.readers.wifi import esp32_csv


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("names", [TOOL, ESP_CSI])
def test_every_byte_lands_on_its_subcarrier(tmp_path: Path, names: str, header: bool) -> None:
    buffers = [random_buffer(seed) for seed in range(3)]
    mark = {} if names == TOOL else {"first_word": 0}
    lines = [line(buffer, 1000 + 10_000 * i, names, **mark) for i, buffer in enumerate(buffers)]
    path = written(tmp_path / "a.csv", *([names + "\n"] if header else []), *lines)
    assert esp32_csv.sniff(path.read_bytes()[:4096])
    signal = read_one(path)
    assert index(signal) == [*range(-28, 0), *range(1, 29)]
    for row, buffer in zip(signal.values[:, 0], buffers, strict=True):
        wanted = complex_of(buffer)[index(signal)]  # FFT order, so that negative numbers count from the end
        if names == TOOL:  # no mark: the first four bytes, subcarriers 0 and 1, are not to be trusted
            wanted[28] = 0
        np.testing.assert_array_equal(row, wanted)
    assert (~signal.mask).sum() == (3 if names == TOOL else 0)
    np.testing.assert_allclose(signal.time_s, [0, 0.01, 0.02], atol=1e-12)
    assert (signal.carrier_hz, signal.bandwidth_hz, signal.kind, signal.session) == (2.437e9, 20e6, "csi", "a")


LAYOUTS = [
    # bytes, secondary, 40 MHz, STBC -> first entry of the HT field and its subcarriers in the middle of the band
    (256, 0, 0, 64, [*range(32), *range(-32, 0)]),
    (384, 0, 0, 64, [*range(32), *range(-32, 0)]),
    (256, 2, 0, 64, list(range(-32, 32))),
    (380, 2, 0, 64, list(range(-32, 31))),
    (376, 1, 0, 64, list(range(-30, 32))),
    (128, 1, 0, 0, list(range(-32, 32))),
    (384, 1, 1, 64, [*range(64), *range(-64, 0)]),
    (384, 2, 1, 64, [*range(64), *range(-64, 0)]),
    (256, 2, 1, 0, [*range(64), *range(-64, 0)]),
    (612, 1, 1, 64, [*range(61), *range(-60, 0)]),
]


@pytest.mark.parametrize(("size", "secondary", "wide", "start", "numbers"), LAYOUTS)
def test_layouts_of_the_programming_guide(
    tmp_path: Path, size: int, secondary: int, wide: int, start: int, numbers: list[int]
) -> None:
    buffer = random_buffer(size + secondary, size)
    text = line(buffer, 5, ESP_CSI, secondary_channel=secondary, bandwidth=wide, sig_mode=1, first_word=1)
    signal = read_one(written(tmp_path / "a.csv", text))
    edge, middle = (58, 2) if wide else (28, 1)
    assert index(signal) == [*range(-edge, 1 - middle), *range(middle, edge + 1)]
    field = dict(zip(numbers, complex_of(buffer)[start:], strict=False))
    if wide:  # the upper half of 40 MHz is turned back
        field = {number: value * (-1j if number > 0 else 1) for number, value in field.items()}
    got = dict(zip(index(signal), signal.values[0, 0], strict=True))
    measured = dict(zip(index(signal), signal.mask[0, 0], strict=True))
    invalid = {numbers[0], numbers[1]} & set(got) if start == 0 else set()
    assert {number for number, sound in measured.items() if not sound} == invalid
    assert all(got[number] == field[number] for number in set(got) - invalid)
    assert signal.bandwidth_hz == (40e6 if wide else 20e6)
    assert signal.carrier_hz == 2.437e9 + (0 if not wide else 10e6 if secondary == 1 else -10e6)


def test_legacy_field_has_52_subcarriers_and_may_be_all_that_is_printed(tmp_path: Path) -> None:
    buffers = [random_buffer(seed, legacy=True) for seed in range(2)]
    lines = [line(buffer, 100 * i, len=384, sig_mode=1) for i, buffer in enumerate(buffers)]
    signal = read_one(written(tmp_path / "a.csv", *lines))
    assert index(signal) == [*range(-26, 0), *range(1, 27)]
    np.testing.assert_array_equal(signal.values[1, 0, 27:], complex_of(buffers[1])[2:27])


def test_packets_of_one_layout_may_differ_in_length(tmp_path: Path) -> None:
    """With and without a second HT field."""
    buffers = [random_buffer(0, 256), random_buffer(1, 384)]
    lines = [line(buffer, 100 * i, stbc=i) for i, buffer in enumerate(buffers)]
    signal = read_one(written(tmp_path / "a.csv", *lines))
    for row, buffer in zip(signal.values[:, 0], buffers, strict=True):
        np.testing.assert_array_equal(row, complex_of(buffer)[64:128][index(signal)])


def test_transmitters_and_layouts_become_one_signal_each(tmp_path: Path) -> None:
    kinds = [(OTHER_MAC, 128), (MAC, 128), (MAC, 256), (MAC, 128), (MAC, 128)]
    lines = [line(random_buffer(i, size), 1000 * i, mac=mac) for i, (mac, size) in enumerate(kinds)]
    with pytest.warns(UserWarning, match="differ in transmitter, channel or layout; .* 3 signals of 3, 1, 1 packets"):
        signals = esp32_csv.read(written(tmp_path / "a.csv", *lines))
    assert [len(signal.time_s) for signal in signals] == [3, 1, 1]
    assert [signal.labels["transmitter"] for signal in signals] == [MAC, OTHER_MAC.lower(), MAC]
    np.testing.assert_allclose(signals[0].time_s, [0, 2e-3, 3e-3], atol=1e-12)


def test_log_lines_and_merged_lines(tmp_path: Path) -> None:
    good = line(random_buffer(0), 5)
    noise = ["I (422) csi_recv: ready\r\n", "\x00\x1b[0m\n", good[:40] + good]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = esp32_csv.read(written(tmp_path / "a.csv", *noise, line(random_buffer(1), 1005)))
    assert len(signal.time_s) == 2


GOOD = line(random_buffer(0), 5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD[:-9] + "\n", "no list between brackets"),
        (GOOD.replace(" ]", "]").replace("[", "[1 "), "129 numbers where its length is 128"),
        (line(random_buffer(0)[:-1], 5, len=128), "127 numbers where its length is 128"),
        (line(random_buffer(0)[:-2], 5), "126 numbers, a length that no documented layout has"),
        (GOOD.replace("[", "[128 ").replace("128", "129", 1), "129 numbers where|a number that is not a signed byte"),
        (line(np.full(128, 128), 5), "a number that is not a signed byte"),
        (line(np.full(128, -129), 5), "a number that is not a signed byte"),
        (GOOD.replace("[", "[1e5 "), "something other than .* numbers"),
        (GOOD.replace("[", "[--5 "), "an entry that is not a number"),
        (GOOD.replace("[", "[" + "9" * 400 + " "), "an entry that is not a number"),
        (GOOD.replace("[", "[" + "9 " * 9999), "something other than at most 612 numbers"),
        (GOOD.replace(f"{MAC},", ""), "25 fields, expected 26"),
        (GOOD.replace(MAC, "1a:00:00:00"), "the address '1a:00:00:00'"),
        (line(random_buffer(0), 5, channel=10**400), "on channel 1000"),
        (line(random_buffer(0), 5, local_timestamp="now"), "no integer in its field 'local_timestamp'"),
        (line(random_buffer(0), 5, len=""), "no integer in its field 'len'"),
    ],
)
def test_a_malformed_line_is_dropped_and_named(tmp_path: Path, bad: str, message: str) -> None:
    sound = [line(random_buffer(i), 1000 * i) for i in range(3)]
    with pytest.warns(UserWarning, match=rf"dropped 1 of 4 lines of CSI .*the first, line 3, has .*(?:{message})"):
        (signal,) = esp32_csv.read(written(tmp_path / "a.csv", TOOL + "\n", sound[0], bad, *sound[1:]))
    assert len(signal.time_s) == 3
    with pytest.raises(ReadError, match=rf"all 1 lines of CSI .*line 2, has .*(?:{message})"):
        esp32_csv.read(written(tmp_path / "b.csv", TOOL + "\n", bad))


def test_repeated_lines_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = [line(random_buffer(i // 2), 1000 * (i // 2)) for i in range(6)]
    with pytest.warns(UserWarning, match="dropped 3 of 6 lines that repeat"):
        (signal,) = esp32_csv.read(written(tmp_path / "a.csv", *lines))
    np.testing.assert_allclose(signal.time_s, [0, 1e-3, 2e-3], atol=1e-12)


def test_clock_wraps_may_be_printed_with_a_sign_and_may_be_set_back(tmp_path: Path) -> None:
    for clocks in ([2**32 - 1500, 2**32 - 500, 500], [2**31 - 1500, 500 - 2**31 - 1000, 500 - 2**31]):
        path = written(tmp_path / "a.csv", *(line(random_buffer(i), c) for i, c in enumerate(clocks)))
        np.testing.assert_allclose(read_one(path).time_s, [0, 1e-3, 2e-3], atol=1e-12)
    clocks = [10**7, 10**7 + 1000, 5000, 6000]
    path = written(tmp_path / "a.csv", *(line(random_buffer(i), c) for i, c in enumerate(clocks)))
    with pytest.warns(UserWarning, match="runs backward at 1 of 4 packets, the first at packet 2"):
        (signal,) = esp32_csv.read(path)
    np.testing.assert_allclose(signal.time_s, np.arange(4) * 1e-3, atol=1e-12)
    path = written(tmp_path / "a.csv", *(line(random_buffer(i), 7) for i in range(3)))
    with pytest.raises(ReadError, match=r"stands still .* all 3 packets.*interval_s"):
        esp32_csv.read(path)
    np.testing.assert_allclose(read_one(path, interval_s=0.1).time_s, [0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "no line 'CSI_DATA"),
        (TOOL + "\n", "no line 'CSI_DATA"),
        ("\x00" * 99, "no line"),
    ],
)
def test_what_is_not_esp32_csi_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path / "a.csv", content)
    assert esp32_csv.sniff(path.read_bytes()) == (content == TOOL + "\n")
    with pytest.raises(ReadError, match=message):
        esp32_csv.read(path)


def test_changed_bytes_never_crash_and_never_grow(tmp_path: Path) -> None:
    whole = "".join([TOOL + "\n", *(line(random_buffer(i), 1000 * i) for i in range(4))]).encode()
    rng = np.random.default_rng(0)
    refused = warned = 0
    tracemalloc.start()
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(len(data), size=int(rng.integers(1, 9))):
            data[at] = rng.choice(np.frombuffer(b'0123456789-,[] \n"x\xff\x00', np.uint8))
        (tmp_path / "a.csv").write_bytes(bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                signals = esp32_csv.read(tmp_path / "a.csv")
                assert all(np.abs(signal.values).max() <= 128 * 2**0.5 for signal in signals)
            except ReadError:
                refused += 1
        warned += bool(caught)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 20 and warned > 150
    assert peak < 2**20 + 20 * len(whole)


def test_memory_is_bounded_by_the_file(tmp_path: Path) -> None:
    short = "CSI_DATA,\n" * 50_000
    for content in (short + GOOD, GOOD + "[" + "1 " * 500_000 + "]", GOOD * 500, "\n" * 10**6 + GOOD):
        path = written(tmp_path / "a.csv", content)
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            esp32_csv.read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10 * path.stat().st_size


def fields_of(file: Path) -> list[list[str]]:
    return [text.split("[")[0].split(",") for text in file.read_text().splitlines() if text.startswith("CSI_DATA,")]


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "packets", "lines"),
    [
        ("example_data.csv", [33], 60),
        ("example_fast2_100hz_pitraffic.csv", [1594, 5], 1599),
        ("example_fast_100hz_pitraffic.csv", [1087, 2], 1089),
    ],
)
def test_equals_what_another_program_decoded(data_root: Path, name: str, packets: list[int], lines: int) -> None:
    """The other program takes the first number of a pair for the real part, where ESP-IDF says the imaginary one."""
    golden = np.load(data_root / "captures" / "golden" / f"esp32__{name}.npz", allow_pickle=False)
    file = data_root / "captures" / "esp32" / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals = esp32_csv.read(file)
    assert [len(signal.time_s) for signal in signals] == packets
    assert golden["n_frames"] == lines
    fields = fields_of(file)
    transmitter = signals[0].labels.get("transmitter", fields[0][2].lower())
    clocks = [(int(row[18]), row[2].lower() == transmitter) for row in fields]
    kept = [i for i, (clock, ours) in enumerate(clocks) if ours and (i == 0 or clock != clocks[i - 1][0])]
    first = [i for i in kept if i < 50]
    wanted = golden["csi_first50"][first, :, 0][:, index(signals[0])]
    wanted = wanted.imag + 1j * wanted.real
    wanted[~signals[0].mask[: len(first), 0]] = 0
    np.testing.assert_allclose(signals[0].values[: len(first), 0], wanted, rtol=1e-5)
    times = np.array([clocks[i][0] for i in kept])
    np.testing.assert_allclose(signals[0].time_s, (times - times[0]) * 1e-6, atol=1e-9)


@pytest.mark.real
def test_files_on_which_another_program_failed(data_root: Path) -> None:
    folder = data_root / "captures" / "esp32"
    with pytest.warns(UserWarning, match="dropped 1 of 834 lines .*line 19, has 127 numbers where its length is 128"):
        (signal,) = esp32_csv.read(folder / "example_100hz_pitraffic.csv")
    assert (signal.values.shape, signal.carrier_hz) == ((833, 1, 52), 2.447e9)
    assert signal.interval_s == pytest.approx(0.0154, abs=1e-3)
    (signal,) = esp32_csv.read(folder / "example_csi.csv")  # no header line; the secondary channel is above
    assert (signal.values.shape, signal.carrier_hz) == ((13, 1, 52), 2.412e9)
    assert signal.mask.all()
    with pytest.raises(ReadError, match=r"output\.csv: no line 'CSI_DATA"):
        esp32_csv.read(folder / "output.csv")  # decibels that another program wrote


@pytest.mark.real
def test_neighbours_are_alike_across_the_carrier(data_root: Path) -> None:
    """A wrong order of the buffer would put the edges of the band side by side; in these files they differ."""
    for name in ("example_fast2_100hz_pitraffic.csv", "example_csi.csv"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal = esp32_csv.read(data_root / "captures" / "esp32" / name)[0]
        field = signal.values[:, 0]
        # Subcarriers -2 and 2, as 1 may be invalid, and the edges.
        gap, edge = (np.abs(field[:, a] - field[:, b]).mean() for a, b in ((24, 27), (0, 51)))
        assert gap < 0.7 * edge, name
