"""DCA1000 captures: files built number by number from TI's layout tables, an echo at a known delay, broken setups."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.dca1000 import FRAMES, LOOPS, RX, SAMPLES, SETUP, TX, cube, numbers, written
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.radar import dca1000
from foundation.readers.radar.dca1000 import Dca1000Config
from foundation.signal import to_delay


@pytest.mark.parametrize("layout", ["two-lane", "four-lane"])
@pytest.mark.parametrize(("is_complex", "q_first"), [(True, False), (True, True), (False, False)])
def test_every_number_lands_on_its_chirp_and_antenna(
    tmp_path: Path, layout: str, is_complex: bool, q_first: bool
) -> None:
    adc = cube()
    values = numbers(adc, layout, is_complex, q_first)
    signal = dca1000.read(written(tmp_path, values, layout=layout, is_complex=is_complex, q_first=q_first))
    assert signal.values.shape == (FRAMES * LOOPS, RX * TX, SAMPLES)
    assert signal.is_real != is_complex
    for index, link in enumerate(signal.links):
        wanted = adc[:, :, link.tx, link.rx].reshape(-1, SAMPLES)
        np.testing.assert_array_equal(signal.values[:, index], wanted.conj() if is_complex else wanted.real)
    assert [(link.rx, link.tx) for link in signal.links[:3]] == [(0, 0), (0, 1), (1, 0)]


def test_axes(tmp_path: Path) -> None:
    signal = dca1000.read(written(tmp_path, numbers(cube(), "two-lane")))
    frames, loops = np.divmod(np.arange(FRAMES * LOOPS), LOOPS)
    np.testing.assert_allclose(signal.time_s, frames * 40e-3 + loops * 2 * 50e-6, atol=1e-12)
    assert signal.frequency_hz is not None
    np.testing.assert_allclose(np.diff(signal.frequency_hz), 12e6)  # 60 MHz/us in 0.2 us
    np.testing.assert_allclose(signal.carrier_hz + signal.frequency_hz[0], 77e9 + 60e12 * 6e-6)
    assert signal.bandwidth_hz == pytest.approx(72e6)
    assert (signal.kind, signal.session) == ("radar", "adc_data")


def test_an_echo_is_found_at_its_delay(tmp_path: Path) -> None:
    """Beat signal of one target as the mixer gives it, exp(2 pi i (f0 tau + slope tau t)): 4.5 m is 30 ns."""
    setup = Dca1000Config(**{**SETUP, "receivers": 1, "transmitters": 1, "adc_samples": 256, "chirp_loops": 1})
    delay = 2 * 4.5 / 299_792_458
    times = np.arange(256) / setup.sample_rate_hz
    beat = 20_000 * np.exp(2j * np.pi * delay * (77e9 + 60e12 * times))
    values = np.stack([beat.real.reshape(-1, 2), beat.imag.reshape(-1, 2)], axis=1).astype("<i2")
    (tmp_path / "a.bin").write_bytes(values.tobytes())
    signal = to_delay(dca1000.read(tmp_path / "a.bin", setup))
    assert signal.delay_s is not None
    peak = signal.delay_s[np.argmax(np.abs(signal.values[0, 0]))]
    assert abs(peak - delay) < 1 / signal.bandwidth_hz


def test_lost_packets_are_invalid(tmp_path: Path) -> None:
    adc = cube()
    adc[1, 2, 0, 1] = 0
    adc[0, 0, 1, 2, 3] = 0  # one zero among others is a measurement
    with pytest.warns(UserWarning, match="1 of 72 chirps are all zero .* the first at time index 6"):
        signal = dca1000.read(written(tmp_path, numbers(adc, "two-lane")))
    assert np.argwhere(~signal.mask.all(axis=2)).tolist() == [[6, 2]]


def test_incomplete_frame_is_dropped_with_a_warning(tmp_path: Path) -> None:
    values = numbers(cube(), "two-lane")
    frame = len(values) // FRAMES
    with pytest.warns(UserWarning, match=f"dropped {2 * (frame - 5)} bytes of an incomplete frame after 2 frames"):
        signal = dca1000.read(written(tmp_path, values[:-5]))
    assert len(signal.time_s) == 2 * LOOPS
    with pytest.raises(ReadError, match=f"has {2 * (frame - 1)} bytes, less than one frame of {2 * frame} bytes"):
        dca1000.read(written(tmp_path, values[: frame - 1]))


@pytest.mark.parametrize("layout", ["two-lane", "four-lane"])
@pytest.mark.parametrize("bits", [12, 14, 16])
@pytest.mark.parametrize("is_complex", [True, False])
def test_fewer_bits_and_offset_binary(tmp_path: Path, layout: str, bits: int, is_complex: bool) -> None:
    adc = np.round(cube() / (1 << (16 - bits)))
    adc = np.clip(adc.real, -(1 << (bits - 1)), (1 << (bits - 1)) - 1) + 1j * np.clip(
        adc.imag, -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    )
    adc[1, 2, 0, 1] = 0
    stored = numbers(adc, layout, is_complex)
    half = 1 << (bits - 1)
    changes = {"layout": layout, "is_complex": is_complex, "adc_bits": bits}
    unextended = np.array([value & (2 * half - 1) for value in stored], np.uint16)
    moved = np.array([value + half for value in stored], np.uint16)
    with pytest.warns(UserWarning, match="1 of 72 chirps are all zero"):
        wanted = dca1000.read(written(tmp_path, unextended.view(np.int16).tolist(), **changes))
    measured = adc.swapaxes(2, 3).reshape(wanted.values.shape)
    np.testing.assert_array_equal(wanted.values, measured.conj() if is_complex else measured.real)
    offset = dca1000.read(written(tmp_path, moved.view(np.int16).tolist(), is_offset_binary=True, **changes))
    np.testing.assert_array_equal(offset.values, wanted.values)
    lost = numbers(np.ones_like(adc), layout, is_complex)
    lost[: len(lost) // 24] = [0] * (len(lost) // 24)
    with pytest.warns(UserWarning, match="chirps are all zero"):
        signal = dca1000.read(written(tmp_path, lost, is_offset_binary=True, **changes))
    assert not signal.mask[0, 0].any()
    assert not signal.values[0, 0].any()


def test_offset_binary_that_is_not_declared_is_warned_of(tmp_path: Path) -> None:
    quiet = (cube() / 64).round()
    moved = (np.array(numbers(quiet, "two-lane")) + 32768).astype(np.uint16).view(np.int16).tolist()
    path = written(tmp_path, moved)
    with pytest.warns(UserWarning, match="those of offset binary read as two's complement .* is_offset_binary"):
        dca1000.read(path)


def test_a_configuration_elsewhere_and_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, numbers(cube(), "two-lane"))
    about = path.with_suffix(".json").rename(tmp_path / "other.json")
    about.write_text(about.read_text(), "utf-8-sig")
    assert len(dca1000.read(path, about).time_s) == FRAMES * LOOPS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "three-lane"}, "layout: Input should be 'two-lane' or 'four-lane'"),
        ({"receivers": 5}, "receivers: Input should be less than or equal to 4"),
        ({"adc_samples": 0}, "adc_samples: Input should be greater"),
        ({"chirp_loops": 10**12}, "chirp_loops: Input should be less"),
        ({"slope_hz_per_s": None}, "slope_hz_per_s: Input should be a valid number"),
        ({"sample_rate_hz": float("inf")}, "sample_rate_hz: Input should be a finite number|the file: Invalid JSON"),
        ({"antennas": 3}, "antennas: Extra inputs are not permitted; expected a JSON object with layout, receivers"),
        ({"frame_interval_s": 1e-4}, r"4 loops of 2 chirps take 0.0004 s, longer than frame_interval_s of 0.0001 s"),
        ({"adc_samples": 60000, "chirp_loops": 60000, "frame_interval_s": 1e9}, "less than one frame"),
    ],
)
def test_broken_setups_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        dca1000.read(written(tmp_path, numbers(cube(), "two-lane"), **changes))


def test_missing_files(tmp_path: Path) -> None:
    path = written(tmp_path, [0] * (FRAMES * LOOPS * TX * RX * SAMPLES * 2))
    with pytest.raises(ReadError, match="all samples are zero"):
        dca1000.read(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ReadError, match="Invalid JSON"):
        dca1000.read(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ReadError, match=r"adc_data.json: there is no such file"):
        dca1000.read(path)
    assert not dca1000.sniff(bytes(4096))


@given(
    st.sampled_from(["two-lane", "four-lane"]),
    st.integers(1, 4),
    st.integers(2, 9),
    st.booleans(),
    st.binary(min_size=1),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, layout: str, receivers: int, samples: int, is_complex: bool, data: bytes
) -> None:
    changes = {"layout": layout, "receivers": receivers, "adc_samples": samples, "is_complex": is_complex}
    setup = Dca1000Config(**{**SETUP, **changes, "transmitters": 1, "chirp_loops": 1})
    path = tmp_path_factory.mktemp("dca") / "a.bin"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            signal = dca1000.read(path, setup)
        except ReadError:
            return
    assert signal.values.shape == (len(data) // setup.chirp_bytes, receivers, samples)
