"""Overview figure of a capture: content and units of its panels, and visibility of lost packets."""

from __future__ import annotations

import io
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from helpers.clocks import CARRIER, TONES, random_clock, reflector, two_antennas
from helpers.intel5300 import intel_record, random_csi
from helpers.signals import make_signal, mixed_signals
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.cli import main
from foundation.inspect.capture import Capture, draw, load
from foundation.inspect.figure import picture
from foundation.inspect.panels import amplitude_panel, doppler_panel, phase_panel
from foundation.inspect.raster import is_regular, raster
from foundation.inspect.units import in_words, scaled_unit
from foundation.results.figure_style import BLANK
from foundation.signal import SPEED_OF_LIGHT, Link, Signal
from foundation.transforms.impairments import packet_loss


def walk() -> Signal:
    """A reflector approaching at 2 m/s, with random clock phase and gain control."""
    return random_clock(two_antennas(reflector(2.0)), 3)


def blank_share(png: bytes) -> float:
    pixels = matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]
    grey = np.array([int(BLANK[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float(np.mean(np.all(np.abs(pixels - grey) < 0.01, axis=-1)))


# Columns


def test_a_column_is_the_mean_of_its_frames() -> None:
    time = np.arange(1000) / 100
    values = np.stack([np.arange(1000.0), np.ones(1000)], axis=1)
    valid = np.ones(values.shape, bool)
    valid[500:, 1] = False
    image, (left, right) = raster(time, values, valid, 100)
    assert image.shape == (100, 2)
    assert np.isnan(image[51:, 1]).all()
    np.testing.assert_allclose(image[:49, 1], 1)
    np.testing.assert_allclose(image[1:-1, 0], np.linspace(0, 999, 100)[1:-1], atol=1)
    assert (left + right) / 2 == pytest.approx(9.99 / 2)


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(1, 98), max_size=40), width=st.integers(40, 400), jitter=st.floats(0, 0.2))
def test_columns_are_blank_in_gaps_and_nowhere_else(lost: set[int], width: int, jitter: float) -> None:
    frames = np.array([i for i in range(100) if i not in lost])
    time = frames + np.random.default_rng(len(lost)).uniform(-jitter, jitter, len(frames))
    image, (left, right) = raster(time, frames.astype(float), np.ones(len(frames), bool), width)
    edges = np.linspace(left, right, len(image) + 1)
    centre = (edges[1:] + edges[:-1]) / 2
    for at, column in zip(centre, image, strict=True):
        near = float(np.min(np.abs(time - at)))
        if np.isnan(column):
            assert near > 0.2, "a frame is not overlooked"
        else:
            assert abs(column - at) <= near + edges[1] - edges[0] + jitter, "it shows what was measured nearest"
        if near > 1.5 and is_regular(np.diff(time)):
            assert np.isnan(column)


def test_units_have_few_digits() -> None:
    assert [in_words(x, "s") for x in (2.5, 1e-3, 4.2e-7, 0.0)] == ["2.5 s", "1 ms", "420 ns", "0 ns"]
    assert [in_words(x, "Hz") for x in (5.18e9, -2e7, 12.0)] == ["5.18 GHz", "-20 MHz", "12 Hz"]
    assert scaled_unit(3e-5, "s") == (1e6, "µs")


# Panels


def test_the_amplitude_panel_is_in_decibels_over_megahertz() -> None:
    signal = two_antennas(np.full((80, 2, 57), 10.0) * np.array([1, 10])[:, None])
    panel = amplitude_panel(signal)
    np.testing.assert_allclose(panel.image, 20, rtol=1e-6)
    np.testing.assert_allclose(panel.axis, TONES / 1e6)
    assert panel.label == "frequency offset, MHz"
    assert [float(profile.mean()) for profile in panel.profiles.values()] == pytest.approx([20, 40])


def test_the_phase_panel_is_without_clock() -> None:
    still, clocked = (
        phase_panel(s) for s in (two_antennas(reflector(0.0, 0.2)), random_clock(two_antennas(reflector(0.0, 0.2)), 1))
    )
    assert still is not None
    assert clocked is not None
    np.testing.assert_allclose(clocked.image, still.image, atol=1e-3)
    assert np.ptp(still.image, axis=0).max() < 1e-3


def test_the_doppler_panel_shows_the_speed_of_a_reflector() -> None:
    panel = doppler_panel(walk())
    assert panel is not None
    assert panel.title.startswith("Doppler of the ratio of receive antennas")
    peak = panel.axis[np.argmax(panel.profiles["mean"])]
    assert peak == pytest.approx(2 * CARRIER / SPEED_OF_LIGHT, abs=1.5)
    assert peak * panel.speed == pytest.approx(2, abs=0.1)


def test_one_antenna_has_no_direction() -> None:
    field = reflector(2.0)[:, :1]
    panel = doppler_panel(
        make_signal(values=field, time_s=np.arange(1000) / 500, links=1, responses=57, frequency_hz=TONES)
    )
    assert panel is not None
    assert panel.axis[0] >= 0
    assert "no direction" in panel.title
    assert panel.axis[np.argmax(panel.profiles["mean"])] == pytest.approx(2 * CARRIER / SPEED_OF_LIGHT, abs=1.5)


def test_few_frames_have_no_doppler() -> None:
    assert doppler_panel(make_signal(times=32)) is None


# The picture


def test_equal_signals_give_equal_pictures_and_lost_packets_show_in_grey() -> None:
    whole, lossy = walk(), packet_loss(walk(), 0.4, 1)
    png = picture(whole, "a.dat", "facts")
    assert png == picture(whole, "a.dat", "facts")
    assert blank_share(png) < 0.02
    assert blank_share(picture(lossy, "a.dat", "facts")) > blank_share(png) + 0.1


def test_projections_of_a_radar_are_not_added_up() -> None:
    values = np.zeros((20, 4, 8))
    values[:, :2, 3], values[:, 2:, 6] = 3.0, 100.0
    links = [Link(tx, rx) for tx in (0, 1) for rx in (0, 1)]
    signal = make_signal(
        values=values, times=20, links=4, responses=8, kind="radar", frequency_hz=None, delay_s=np.arange(8) * 1e-9
    ).with_(links=links, is_real=True)
    image = amplitude_panel(signal).image
    assert np.nanargmax(np.nanmean(image, axis=1 if image.shape[0] == 8 else 0)) == 3


ODD = [
    make_signal(1, times=300, links=3, responses=1, kind="iq", frequency_hz=[0.0]),
    make_signal(2, times=100, links=4, responses=16, kind="radar", frequency_hz=None, delay_s=np.arange(16) * 1e-9),
    make_signal(3, times=2, links=1, responses=5, carrier_hz=0.0),
    make_signal(4, times=1, links=1, responses=1),
    make_signal(5, times=70, links=2, responses=8, time_s=np.cumsum(np.random.default_rng(0).exponential(0.01, 70))),
    make_signal(6, values=np.zeros((70, 2, 8)), times=70, links=2, responses=8),
    make_signal(7, times=90, links=5, responses=1, kind="rssi", values=np.full((90, 5, 1), -60.0), is_real=True),
]  # fmt: skip


@pytest.mark.parametrize(
    "signal", [*mixed_signals(), *ODD], ids=lambda s: f"{s.kind}-{'x'.join(map(str, s.values.shape))}"
)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_signal_has_a_picture(signal: Signal) -> None:
    png = draw(Capture(Path("a"), "intel5300", [signal], []))
    pixels = matplotlib.image.imread(io.BytesIO(png), format="png")
    assert pixels.shape[1] > 1000
    assert np.ptp(pixels) > 0.5


def test_a_link_that_was_never_received_is_passed_over() -> None:
    valid = np.ones((80, 3, 16), bool)
    valid[:, 0] = False
    signal = make_signal(times=80, links=3, valid=valid)
    later = make_signal(times=80, links=3).with_(values=signal.values[:, [1, 2, 0]])
    assert blank_share(draw(Capture(Path("a"), "x", [signal], []))) < 0.02 + blank_share(
        draw(Capture(Path("a"), "x", [later], []))
    )


# The command line


def capture(path: Path) -> Path:
    path.write_bytes(b"".join(intel_record(random_csi(i, tx=2), 10_000 * i) for i in range(70)))
    return path


def test_inspect_draws_beside_the_table_and_beside_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = capture(tmp_path / "a.dat"), tmp_path / "new" / "a.png"
    assert main(["inspect", str(path), "--png", str(out)]) == 0
    assert "figure written" in capsys.readouterr().out
    first = out.read_bytes()
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert main(["inspect", str(path), "carrier_hz=5.18e9", "--json", "--png", str(out)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["carrier_hz"] == 5.18e9
    assert out.read_bytes() != first, "a known carrier gives an axis of speeds"
    assert [p.name for p in out.parent.iterdir()] == ["a.png"]


def test_headerless_files_take_their_format_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.iq"
    np.arange(512, dtype="<i2").tofile(path)
    given = ["datatype=ci16_le", "sample_rate_hz=2e6"]
    assert main(["inspect", str(path), "--json", "--format", "raw_iq", *given]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["format"], report["shape"]) == ("raw_iq", [256, 1, 1])
    assert report["interval_s"] == pytest.approx(5e-7)
    assert load(path, "raw_iq", given).signals[0].kind == "iq"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--format", "raw_iq", "datatype=ci16_le"], "needs sample_rate_hz="),
        (["--format", "raw_iq", "datatype=ci16_le", "sample_rate_hz=fast"], "sample_rate_hz is 'fast'; expected float"),
        (["--format", "raw_iq", "datatype"], "expected NAME=VALUE"),
        (["--format", "nonsense"], "no format 'nonsense'"),
        (["colour=red"], "no option 'colour'"),
    ],
)
def test_options_that_are_wrong_are_one_sentence(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(capture(tmp_path / "a.dat")), *args]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "captures/intel5300/sample_0x5_64_3000.dat",
        "captures/esp32/example_fast2_100hz_pitraffic.csv",
        "captures/picoscenes/rx_8_211217_191036.csi",
        "captures/nexmon/example_43455c0.pcap",
    ],
)
def test_real_captures_have_pictures(data_root: Path, name: str) -> None:
    png = draw(load(data_root / name))
    assert np.ptp(matplotlib.image.imread(io.BytesIO(png), format="png")) > 0.5


@pytest.mark.real
def test_a_real_capture_shows_its_mains_hum(data_root: Path) -> None:
    """Lamps modulate the channel at twice the mains frequency: a line at 100 Hz on both sides."""
    panel = doppler_panel(load(data_root / "captures/intel5300/sample_0x5_64_3000.dat").signals[0])
    assert panel is not None
    mean, axis = panel.profiles["mean"], panel.axis
    for side in (-1, 1):
        near = (axis * side > 90) & (axis * side < 110)
        assert axis[near][np.argmax(mean[near])] == pytest.approx(100 * side, abs=1)
        assert mean[near].max() > np.median(mean) + 6
