"""ESP32 text as people have it: encodings, logs before and around the lines, columns that a program appended."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.esp32 import ESP_CSI, TOOL, line, random_buffer, read_one, written

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.wifi import esp32_csv
from foundation.readers.wifi.esp32_lines import field_names

LINES = [line(random_buffer(i), 1000 * i) for i in range(3)]
TEXT = "".join([TOOL + "\n", *LINES])


def values_of(path: Path) -> np.ndarray:
    assert readers.detect(path) == "esp32_csv"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = readers.read(path)
    return np.asarray(signal.values)


@pytest.fixture
def wanted(tmp_path: Path) -> np.ndarray:
    return np.asarray(read_one(written(tmp_path / "plain.csv", TEXT)).values)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n"])
def test_encodings_and_ends_of_lines(tmp_path: Path, wanted: np.ndarray, encoding: str, end: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.replace("\n", end).encode(encoding))
    np.testing.assert_array_equal(values_of(path), wanted)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("count", [200, 60_000])
@pytest.mark.parametrize("header", ["", TOOL + "\n"])
def test_a_log_of_any_length_before_the_first_line(
    tmp_path: Path, wanted: np.ndarray, header: str, count: int, encoding: str
) -> None:
    log = "".join(f"I ({i}) boot: segment {i}: a line of the boot loader\r\n" for i in range(count))
    path = tmp_path / "monitor.log"
    path.write_bytes((log + header + "".join(LINES)).encode(encoding))
    np.testing.assert_array_equal(values_of(path), wanted)


@pytest.mark.parametrize(
    ("prefix", "suffix"),
    [
        ("I (4711) csi_recv: ", ""),
        ("\x1b[0;32mI (4711) csi_recv: ", "\x1b[0m"),
        ("2024-05-01 12:00:00 ", ""),
        ("[12:00:00.123] ", " "),
        ("17,", ""),
        ("b'", "\\r\\n'"),
    ],
)
def test_what_a_monitor_prints_around_a_line(tmp_path: Path, wanted: np.ndarray, prefix: str, suffix: str) -> None:
    text = "".join(f"{prefix}{each}{suffix}\n" for each in TEXT.splitlines())
    np.testing.assert_array_equal(values_of(written(tmp_path / "a.csv", text)), wanted)


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        (TOOL + ",timestamp", [",1607774756.96"]),
        (TOOL, [",1607774756.96"]),
        (TOOL + ",host_time,label", [",2020-12-12 12:05:56,walk"]),
        (TOOL + ",note", [',"a [b], c"']),
        (TOOL.replace(",", ", "), [""]),
        ("", [",1", ""]),
    ],
)
def test_columns_after_the_list(tmp_path: Path, wanted: np.ndarray, header: str, ends: list[str]) -> None:
    lines = [each[:-1] + ends[i % len(ends)] + "\n" for i, each in enumerate(LINES)]
    np.testing.assert_array_equal(values_of(written(tmp_path / "a.csv", header + "\n", *lines)), wanted)


def test_columns_that_the_header_inserts_or_reorders(tmp_path: Path) -> None:
    names = ESP_CSI.replace("id,mac,rssi,", "mac,id,dmac,rssi,")
    path = written(tmp_path / "a.csv", names + "\n", line(random_buffer(0), 5, names))
    assert read_one(path).values.shape == (1, 1, 56)


def test_header_lines() -> None:
    assert field_names(ESP_CSI.encode() + b",timestamp_real\r\n") == ESP_CSI.split(",")
    assert field_names(b"I (5) main: " + TOOL.encode() + b"\n") == TOOL.split(",")
    assert field_names(TOOL.rpartition(",")[0].encode()) == [*TOOL.split(",")[:-1], "data"]
    for other in (b"type,mac of the station,5\n", LINES[0].encode(), b"CSI_DATA,0,1a:00", b"type," * 100_000):
        assert field_names(other) is None


def test_where_detection_gives_up_it_says_what_to_try(tmp_path: Path) -> None:
    for name, content, likely in [
        ("a.txt", b"a log of something else\n" * 400, r", text\); name it with --format NAME .*try esp32_csv"),
        ("a", bytes(range(256)) * 9, r"07\); name it with --format NAME .*try raw_iq"),
        ("a.csi", bytes(range(256)) * 9, "try picoscenes or feitcsi"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ReadError, match=likely):
            readers.detect(path)


@pytest.mark.parametrize(
    "content",
    [
        b"type,mac," * 100_000,
        b"type,mac,rssi,len," + b"a," * 500_000 + b"\n" + LINES[0].encode(),
        b"CSI_DATA,0,1a:" + b"," * 1_000_000 + b"[1]",
        b"CSI_DATA," + b"[" * 1_000_000,
        b"\xff\xfe" + b"\x00\xd8" * 500_000,
        b"CSI_DATA," * 100_000,
    ],
)
def test_hostile_lines_end_in_a_sentence_in_bounded_memory(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ReadError) as caught:
        readers.read(path, "esp32_csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(caught.value)) < 500 and peak < 10 * len(content)


def test_a_large_file_of_another_kind_is_given_up_soon(tmp_path: Path) -> None:
    path = tmp_path / "a.iq"
    with path.open("wb") as file:
        file.truncate(1 << 32)  # sparse
    with pytest.raises(ReadError, match="unknown format"):
        readers.detect(path)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("esp32-header-with-trailing-column", "trailing_timestamp.csv"),
        ("esp32-log-before-first-line", "monitor.log"),
        ("esp32-utf16", "powershell.csv"),
    ],
)
def test_cases_of_text(cases_root: Path, case: str, name: str) -> None:
    assert values_of(cases_root / case / name).shape == (5, 1, 52)
    assert esp32_csv.sniff_further((cases_root / case / name).read_bytes())
