"""The DecaRanging reader: hand-made logs with known taps, damaged logs, real logs."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.decaranging import FAILED, HEADER, SYMBOLS, frame
from helpers.files import written

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.uwb import decaranging

TAPS = tuple(np.arange(20) * (1 - 2j) + 100 * seed for seed in range(3))


def log() -> str:
    clock = [16.9, 17.1, 0.1]  # the last one after the 40-bit clock wrapped
    paths = [5.25, 7.9, 6.0]
    frames = [frame(*each) for each in zip(clock, paths, TAPS, strict=True)]
    return HEADER + frames[0] + FAILED + frames[1] + frames[2]


@pytest.mark.parametrize("compress", [False, True])
def test_first_paths_meet_at_delay_zero(tmp_path: Path, compress: bool) -> None:
    data = log().replace("\n", "\r\n").encode()
    path = written(tmp_path / "3.log.gz", gzip.compress(data) if compress else data)
    with pytest.warns(UserWarning, match="skipped 1 of 4 frames"):
        (signal,) = readers.read(path)
    assert (signal.kind, signal.domain, signal.session) == ("cir", "delay", "3")
    assert signal.delay_s is not None
    tap = 1 / (2 * 499.2e6)
    np.testing.assert_allclose(signal.delay_s, np.arange(-5, 13) * tap)
    for row, taps, path_index in zip(signal.values[:, 0], TAPS, (5, 7, 6), strict=True):
        wanted = taps[path_index - 5 : path_index + 13] / SYMBOLS
        np.testing.assert_allclose(row, wanted, rtol=1e-6)
        assert row[np.argmin(np.abs(signal.delay_s))] == pytest.approx(taps[path_index] / SYMBOLS, rel=1e-6)
    np.testing.assert_allclose(signal.time_s, [0, 0.2, 0.1 + 17.207401025641026 - 16.9], atol=1e-9)
    assert (signal.carrier_hz, signal.bandwidth_hz) == (3993.6e6, 499.2e6)


def test_incomplete_frames_are_skipped_and_counted(tmp_path: Path) -> None:
    whole = frame(1.0, 5.0, TAPS[0])
    short = frame(1.1, 5.0, TAPS[1], announced=21)
    no_path = re.sub(r"RX OK[^\n]*\n", "", frame(1.2, 5.0, TAPS[1]))
    cut = frame(1.3, 5.0, TAPS[2])
    cut = cut[: cut.index("Accum") + 40]
    path = written(tmp_path / "a.log", (HEADER + short + whole + no_path + cut).encode())
    with pytest.warns(UserWarning, match="skipped 3 of 4"):
        signal = decaranging.read(path)
    np.testing.assert_allclose(signal.values[0, 0], TAPS[0] / SYMBOLS, rtol=1e-6)


def test_levels_do_not_depend_on_how_many_symbols_were_summed(tmp_path: Path) -> None:
    short = frame(1.0, 5.0, 100 * TAPS[0], symbols=100)
    long = frame(1.1, 5.0, 1024 * TAPS[0], symbols=1024)
    signal = decaranging.read(written(tmp_path / "a.log", (HEADER + short + long).encode()))
    np.testing.assert_array_equal(signal.values[0], signal.values[1])
    np.testing.assert_array_equal(signal.values[0, 0], TAPS[0].astype(np.complex64))


def test_a_frame_of_no_symbols_is_skipped(tmp_path: Path) -> None:
    frames = frame(1.0, 5.0, TAPS[0], symbols=0) + frame(1.1, 5.0, TAPS[1])
    with pytest.warns(UserWarning, match="skipped 1 of 2"):
        signal = decaranging.read(written(tmp_path / "a.log", (HEADER + frames).encode()))
    np.testing.assert_allclose(signal.values[0, 0], TAPS[1] / SYMBOLS, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("e+00", "e+24251658653846e+000"),
        ("e+00", "e+999"),
        ("Rx time = 1.0", "Rx time = 1.0.0"),
        ("HLP(0005.0", "HLP(5.0.0"),
        ("HLP(0005.0", "HLP(" + 400 * "5"),
        ("Accum Len 20", "Accum Len " + 5000 * "2"),
    ],
)
def test_frames_with_damaged_numbers_are_skipped(tmp_path: Path, old: str, new: str) -> None:
    first = frame(1.0, 5.0, TAPS[0])
    assert old in first
    text = HEADER + first.replace(old, new) + frame(1.1, 5.0, TAPS[1])
    with pytest.warns(UserWarning, match="skipped 1 of 2"):
        signal = decaranging.read(written(tmp_path / "a.log", text.encode()))
    np.testing.assert_allclose(signal.values[0, 0], TAPS[1] / SYMBOLS, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello\n", "no line 'Mode:"),
        (HEADER.replace("Chan 2", "Chan " + 5000 * "2").encode(), "no line 'Mode:"),
        (HEADER.encode(), "none of its 0 channel impulse responses"),
        ((HEADER + FAILED).encode(), "none of its 1 channel impulse responses"),
        (HEADER.replace("Chan 2", "Chan 6").encode(), "UWB channel 6 .*expected one of"),
        (gzip.compress(HEADER.encode(), mtime=0)[:11], "gzip stream is truncated"),
        (gzip.compress(bytes(1 << 26), mtime=0), "decompress to more than .* expected a log"),
    ],
)
def test_logs_without_frames_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        decaranging.read(written(tmp_path / "a.log", content))


def test_a_compressed_log_that_was_cut_is_read_up_to_there(tmp_path: Path) -> None:
    text = (HEADER + frame(1.0, 5.0, TAPS[0]) + frame(1.2, 7.0, TAPS[1]) + frame(1.3, 7.0, TAPS[2])).encode()
    packed = gzip.compress(text[:-100], mtime=0) + gzip.compress(text[-100:], mtime=0)  # as an appending logger does
    assert len(decaranging.read(written(tmp_path / "a.log.gz", packed)).time_s) == 3
    with pytest.warns(UserWarning) as caught:
        assert len(decaranging.read(written(tmp_path / "a.log.gz", packed[:-60])).time_s) == 2
    assert "gzip stream is truncated or damaged (it ends too early)" in str(caught[0].message)
    assert "skipped 1 of 3 frames" in str(caught[1].message)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_text_as_windows_saves_it(tmp_path: Path, encoding: str) -> None:
    text = (HEADER + frame(1.0, 5.0, TAPS[0])).replace("\n", "\r\n").replace(", ", ",  ")
    (signal,) = readers.read(written(tmp_path / "a.log", text.encode(encoding)))
    assert len(signal.time_s) == 1


def test_a_frame_that_is_logged_twice_counts_once(tmp_path: Path) -> None:
    text = HEADER + frame(1.0, 5.0, TAPS[0]) * 2 + frame(1.2, 5.0, TAPS[1])
    with pytest.warns(UserWarning, match="dropped 1 of 3 frames with the receive time of that before"):
        assert len(decaranging.read(written(tmp_path / "a.log", text.encode())).time_s) == 2


@pytest.mark.real
def test_real_log_rises_at_the_first_path(data_root: Path) -> None:
    with pytest.warns(UserWarning, match="skipped 1 of 253"):
        (signal,) = readers.read(data_root / "uwb-cirs-2018/results/1.log.gz")
    assert signal.values.shape[:2] == (252, 1)
    assert signal.delay_s is not None
    power = (np.abs(signal.values[:, 0]) ** 2).mean(axis=0)
    noise = power[(signal.delay_s > -300e-9) & (signal.delay_s < -20e-9)].mean()
    direct = power[(signal.delay_s >= 0) & (signal.delay_s < 5e-9)].max()
    assert direct > 100 * noise  # line of sight
    # Poll and final of one exchange are 0.35 s apart; exchanges follow each other within 2 s.
    assert 0.3 < np.diff(signal.time_s).min() < 0.36 < np.diff(signal.time_s).max() < 2
