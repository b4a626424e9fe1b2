"""WAV recordings: files written by the standard library and SciPy, chunks written by hand, and damaged files."""

from __future__ import annotations

import struct
import warnings
import wave
from pathlib import Path

import numpy as np
import pytest
from helpers.wav_iq import chunk, fmt, wav, written
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from foundation.errors import ReadError
from foundation.readers.iq import wav_iq

PAIRS = np.array([[-32768, 16384], [0, 1], [32767, -2]], np.int16)
WANTED = (PAIRS[:, 0] + 1j * PAIRS[:, 1]) / 2**15


@pytest.mark.parametrize(
    ("kind", "scale"), [(np.uint8, 128), (np.int16, 2**15), (np.int32, 2**31), (np.float32, 1), (np.float64, 1)]
)
def test_what_scipy_wrote(tmp_path: Path, kind: type, scale: int) -> None:
    rng = np.random.default_rng(0)
    limits = None if kind in (np.float32, np.float64) else np.iinfo(kind)
    pairs = (
        rng.normal(size=(100, 2)).astype(kind)
        if limits is None
        else rng.integers(limits.min, limits.max, (100, 2), kind)
    )
    wavfile.write(tmp_path / "a.wav", 2_000_000, pairs)
    assert wav_iq.sniff((tmp_path / "a.wav").read_bytes()[:4096])
    signal = wav_iq.read(tmp_path / "a.wav")
    numbers = (pairs.astype(float) - (128 if kind is np.uint8 else 0)) / scale
    np.testing.assert_allclose(signal.values[:, 0, 0], numbers[:, 0] + 1j * numbers[:, 1], rtol=1e-6)
    np.testing.assert_allclose(signal.time_s, np.arange(100) / 2e6, atol=1e-18)
    assert (signal.kind, signal.bandwidth_hz, signal.carrier_hz, signal.session) == ("iq", 2e6, 0, "a")


def test_twenty_four_bits_by_the_standard_library(tmp_path: Path) -> None:
    numbers = [-(2**23), 2**22, 0, 1, 2**23 - 1, -2]
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(96_000)
        file.writeframes(b"".join(n.to_bytes(3, "little", signed=True) for n in numbers))
    values = np.array(numbers) / 2**23
    np.testing.assert_allclose(
        wav_iq.read(tmp_path / "a.wav").values[:, 0, 0], values[0::2] + 1j * values[1::2], rtol=1e-6
    )


def test_centre_frequency_from_the_auxiliary_chunk(tmp_path: Path) -> None:
    auxiliary = chunk(b"auxi", bytes(32) + struct.pack("<I", 433_920_000) + bytes(28))
    odd = chunk(b"LIST", b"odd")
    path = written(tmp_path, wav(fmt(), odd, auxiliary, chunk(b"data", PAIRS.tobytes())))
    signal = wav_iq.read(path)
    assert signal.carrier_hz == 433.92e6
    assert wav_iq.read(path, carrier_hz=433.92e6).carrier_hz == 433.92e6
    with pytest.warns(UserWarning, match="says carrier_hz 433920000; the given 1000000 is used"):
        assert wav_iq.read(path, carrier_hz=1e6).carrier_hz == 1e6
    np.testing.assert_allclose(signal.values[:, 0, 0], WANTED, rtol=1e-6)
    without = written(tmp_path, wav(fmt(), chunk(b"auxi", bytes(20)), chunk(b"data", PAIRS.tobytes())))
    assert wav_iq.read(without, carrier_hz=7e6).carrier_hz == 7e6


def test_extensible_format(tmp_path: Path) -> None:
    plain = fmt(tag=0xFFFE)[8:]
    extended = chunk(b"fmt ", plain + struct.pack("<HHIH", 22, 16, 3, 1) + bytes(14))
    signal = wav_iq.read(written(tmp_path, wav(extended, chunk(b"data", PAIRS.tobytes()))))
    np.testing.assert_allclose(signal.values[:, 0, 0], WANTED, rtol=1e-6)


DATA = chunk(b"data", PAIRS.tobytes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "does not begin with RIFF"),
        (wav(), "no chunk 'fmt '"),
        (wav(fmt()), "no chunk 'data'"),
        (wav(chunk(b"fmt ", bytes(8)), DATA), "format chunk has 8 bytes"),
        (wav(fmt(channels=1), DATA), "has 1 channels; expected an IQ recording of 2"),
        (wav(fmt(tag=2), DATA), "format 0x0002 with 16 bits"),
        (wav(fmt(tag=0xFFFE), DATA), "format 0xfffe"),
        (wav(fmt(bits=12, align=4), DATA), "with 12 bits"),
        (wav(fmt(align=0), DATA), "blocks of 0 bytes"),
        (wav(fmt(rate=0), DATA), "sample rate is 0.0"),
        (wav(fmt(), chunk(b"data", b"abc")), "has 3 bytes, less than one sample of 4 bytes"),
        (wav(fmt(bits=24), chunk(b"data", b"abcd")), "has 4 bytes, less than one sample of 6 bytes"),
    ],
)
def test_what_is_not_an_iq_recording_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        wav_iq.read(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(fmt(), chunk(b"data", PAIRS.tobytes(), 0)), "the chunk b'data' at byte 36 has no size"),
        (
            wav(fmt(), chunk(b"data", PAIRS.tobytes(), 2**32 - 1)),
            "has no size, so the recorder was not stopped properly",
        ),
        (wav(fmt(), chunk(b"data", PAIRS.tobytes(), 500)), "should end at byte 544, .* the end of the file, byte 56"),
        (wav(fmt(), chunk(b"data", PAIRS.tobytes() + b"abc")), "the last sample is incomplete, 3 of 4 bytes"),
        (wav(fmt(), DATA, chunk(b"LIST", b"cut", 99)), "the chunk b'LIST' at byte 56 should end at byte 163"),
    ],
)
def test_what_a_stopped_recorder_leaves_is_read(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        signal = wav_iq.read(written(tmp_path, content))
    np.testing.assert_allclose(signal.values[:, 0, 0], WANTED, rtol=1e-6)


@pytest.mark.parametrize("size", [12, 0, 1 << 40])
@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
def test_files_of_64_bit_sizes(tmp_path: Path, name: bytes, size: int) -> None:
    """As EBU Tech 3306 has it, by a recorder that was stopped properly, and by others."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 100, size, 3, 0))
    data = chunk(b"data", PAIRS.tobytes(), 0xFFFFFFFF)
    path = written(tmp_path, name + b"\xff\xff\xff\xff" + wav(sizes, fmt(), data)[8:])
    assert wav_iq.sniff(path.read_bytes()[:4096])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signal = wav_iq.read(path)
    np.testing.assert_allclose(signal.values[:, 0, 0], WANTED, rtol=1e-6)
    assert len(caught) == (size != 12)


XML = '<?xml version="1.0"?>\r\n<SDR-XML-Root><Definition RadioCenterFreq="{}" SampleRate="2"/></SDR-XML-Root>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(("text", "hertz"), [("162550000", 162.55e6), ("10489750000.0", 10489.75e6), ("", 0), ("x", 0)])
def test_centre_frequency_as_xml(tmp_path: Path, encoding: str, text: str, hertz: float) -> None:
    auxiliary = chunk(b"auxi", XML.format(text).encode(encoding))
    path = written(tmp_path, wav(fmt(), auxiliary, DATA))
    assert wav_iq.read(path).carrier_hz == hertz


def test_a_case_of_xml(cases_root: Path) -> None:
    path = cases_root / "wav-auxi-xml/utf8.wav"
    assert wav_iq.read(path).carrier_hz == 162.55e6
    with pytest.warns(UserWarning, match="says carrier_hz 162550000; the given 162000000 is used"):
        assert wav_iq.read(path, carrier_hz=162e6).carrier_hz == 162e6


def test_every_cut_is_an_error_or_gives_the_whole_samples(tmp_path: Path) -> None:
    whole = wav(fmt(), DATA)
    for size in range(1, 48):
        with warnings.catch_warnings(), pytest.raises(ReadError):
            warnings.simplefilter("ignore")
            wav_iq.read(written(tmp_path, whole[:size]))
    for size in range(48, len(whole)):
        with pytest.warns(UserWarning, match="should end at byte 56"):
            assert len(wav_iq.read(written(tmp_path, whole[:size])).time_s) == (size - 44) // 4


def test_detection() -> None:
    assert wav_iq.sniff(wav(chunk(b"JUNK", bytes(28)), fmt(), DATA))
    assert not wav_iq.sniff(wav(fmt(channels=1), DATA))
    assert not wav_iq.sniff(b"RIFF\x00\x00\x00\x00AVI fmt \x10\x00\x00\x00\x01\x00\x02\x00")
    assert not wav_iq.sniff(b"RIFF")


@given(st.integers(0, 43), st.integers(0, 255))
def test_flipped_header_bytes_never_crash(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    data = bytearray(wav(fmt(), DATA))
    data[at] = value
    try:
        signal = wav_iq.read(written(tmp_path_factory.mktemp("wav"), bytes(data)))
    except ReadError:
        return
    assert len(signal.time_s) == 3
