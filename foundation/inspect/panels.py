"""Data of the panels of an overview figure: images over time with their axes, colour ranges and profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.inspect.raster import raster
from foundation.inspect.units import scaled_unit
from foundation.signal import SPEED_OF_LIGHT, Signal
from foundation.transforms.antennas import conjugate_ratio
from foundation.transforms.doppler import MOST, doppler
from foundation.transforms.phase import sanitize
from foundation.transforms.resample import resample_time

#: Largest number of image columns, and of links whose profiles are drawn.
COLUMNS, LINES = 1200, 8
FEWEST_FRAMES, FEWEST_WINDOWS = 64, 4  # minimum for a Doppler panel
WINDOWS = 4 * COLUMNS  # maximum number of Doppler windows
#: Doppler is drawn up to this rate of change of the path length: reflections off a running person.
FASTEST_M_S = 10.0
#: The corresponding Doppler shift at 5 GHz, used if the carrier is unknown.
FASTEST_HZ = 160.0


@dataclass(frozen=True)
class Panel:
    """An image over time (horizontal) and a second axis (vertical), with its profiles over the second axis.

    Attributes:
        image: [columns, rows], NaN where nothing was measured.
        edges: outer edges of the image in seconds.
        axis: [rows], in the unit named in `label`; may be non-uniform.
        unit: of the image values.
        profiles: label -> [rows]; the first is that of the link shown.
        limits: colour range.
        colours: name of the colour map.
        speed: metres per second per unit of the axis, 0 if not applicable.
    """

    title: str
    image: NDArray[np.float64]
    edges: tuple[float, float]
    axis: NDArray[np.float64]
    label: str
    unit: str
    profiles: dict[str, NDArray[np.float64]]
    limits: tuple[float, float]
    colours: str = "viridis"
    speed: float = 0.0


def amplitude_panel(signal: Signal) -> Panel:
    """Amplitude of the first link in dB (dBm for RSSI)."""
    if signal.kind == "radar":  # sum over Doppler bins or antennas of one transmitter; others have axes of their own
        alike = np.array([link.tx == signal.links[0].tx for link in signal.links])
        together = np.sqrt(np.sum(np.square(np.abs(signal.values[:, alike])), axis=1, keepdims=True))
        valid = signal.mask[:, alike].any(axis=1, keepdims=True)
        signal = signal.with_(values=together, valid=valid, links=signal.links[:1], is_real=True, clean=None)
    level = level_of(signal)
    image, edges = raster(signal.time_s, level[:, 0], signal.mask[:, 0], COLUMNS)
    axis, label = response_axis(signal)
    profiles = {name_of(signal, i): _mean(level[:, i], signal.mask[:, i]) for i in range(min(LINES, len(signal.links)))}
    return Panel("amplitude", image, edges, axis, label, level_unit(signal), profiles, _range(image))


def phase_panel(signal: Signal) -> Panel | None:
    """Sanitised phase of the first link; None for real signals and for the delay domain, where most taps are noise."""
    if signal.is_real or signal.domain == "delay":
        return None
    turned = sanitized(signal)
    image, edges = raster(signal.time_s, turned[:, 0], signal.mask[:, 0], COLUMNS)
    angle = np.angle(image)  # NaN stays
    widest = float(np.nanpercentile(np.abs(angle), 99))
    cyclic = widest > 2.5
    limits = (-np.pi, np.pi) if cyclic else (-max(widest, 0.1), max(widest, 0.1))
    axis, label = response_axis(signal)
    profiles = {name_of(signal, i): np.angle(_mean(turned[:, i], signal.mask[:, i])) for i in range(turned.shape[1])}
    title = "phase, sanitised: delay and carrier phase of each packet removed"
    return Panel(title, angle, edges, axis, label, "rad", profiles, limits, "twilight" if cyclic else "RdBu_r")


def doppler_panel(signal: Signal) -> Panel | None:
    """Doppler spectrogram; None if there are too few consecutive frames, or if the values are powers or detections."""
    counted = signal.is_real and signal.kind in ("radar", "rssi", "spectrogram")
    if len(signal.time_s) < FEWEST_FRAMES or counted:
        return None
    fastest = FASTEST_M_S * signal.carrier_hz / SPEED_OF_LIGHT if signal.carrier_hz else FASTEST_HZ
    slow = signal.kind in ("csi", "csi-amplitude") and signal.interval_s < 0.4 / fastest
    try:
        seen, title, signed = _moving(signal)
        if slow:  # a lower rate gives longer windows and so a finer Doppler resolution
            seen = resample_time(seen, 0.4 / fastest)
        count = len(seen.time_s)
        # A longer hop limits the number of windows of a long recording.
        hop = seen.interval_s * count / WINDOWS if count > WINDOWS * MOST // 8 else None
        found = doppler(seen, hop_s=hop, remove_static=signal.kind != "iq")
    except SignalError:  # bursts shorter than a window, or an antenna without reception
        return None
    fastest = fastest if slow else np.inf
    rows = (np.abs(found.frequency_hz) <= fastest) & (signed | (found.frequency_hz >= 0))
    power = found.power[:, 0, rows]
    if len(power) < FEWEST_WINDOWS or not np.nanmax(power, initial=0) > 0:
        return None
    known = np.isfinite(power)
    image, edges = raster(found.time_s, power, known, COLUMNS)
    factor, unit = scaled_unit(float(np.max(np.abs(found.frequency_hz[rows]))), "Hz")
    with np.errstate(divide="ignore"):
        image, mean = (10 * np.log10(field / np.nanmax(power)) for field in (image, _mean(power, known)))
    low, high = _range(image)
    is_motion = signal.carrier_hz > 0 and signal.kind != "iq"
    return Panel(
        title=title,
        image=image,
        edges=edges,
        axis=found.frequency_hz[rows] * factor,
        label=f"{'frequency offset' if signal.kind == 'iq' else 'Doppler shift'}, {unit}",
        unit="dB",
        profiles={"mean": np.maximum(mean, np.nanmax(mean) - 60)},
        limits=(max(low, high - 40), high),
        colours="magma",
        speed=SPEED_OF_LIGHT / signal.carrier_hz / factor if is_motion else 0.0,
    )


def _moving(signal: Signal) -> tuple[Signal, str, bool]:
    """The signal whose Doppler spectrum is drawn, the panel title, and whether the sign of the shift is known."""
    first = signal.links[0]
    power = np.sum(np.square(np.abs(signal.values)), axis=(0, 2)) / np.maximum(signal.mask.sum(axis=(0, 2)), 1)
    mates = [i for i, link in enumerate(signal.links) if link.tx == first.tx and link.rx != first.rx]
    if signal.kind == "iq":
        return links_of(signal, [0]), "spectrum", True
    if signal.is_real or signal.kind not in ("csi", "cir"):
        return links_of(signal, [0]), f"Doppler{' of the amplitude: no direction' * signal.is_real}", not signal.is_real
    if mates and signal.kind == "csi":
        # Divide by the stronger antenna: this amplifies noise least.
        mate = max(mates, key=lambda i: float(power[i]))
        over, under = sorted((0, mate), key=lambda i: float(power[i]))
        ratio = conjugate_ratio(links_of(signal, [over, under]), reference_rx=signal.links[under].rx)
        level = np.sqrt(_mean(np.square(np.abs(signal.values[:, under])), signal.mask[:, under]))
        weighted = ratio.with_(values=ratio.values * np.nan_to_num(level))  # weight tones by their amplitude
        names = f"{signal.links[over].rx} / {signal.links[under].rx}"
        return weighted, f"Doppler of the ratio of receive antennas {names}", True
    magnitude = np.abs(signal.values)
    count = np.maximum(signal.mask.sum(axis=(1, 2), keepdims=True), 1)
    gain = np.sqrt(np.sum(np.square(magnitude), axis=(1, 2), keepdims=True) / count)
    level = magnitude / np.where(gain > 0, gain, 1)
    title = "Doppler of the amplitude, normalised per packet: no direction"
    return links_of(signal.with_(values=level, is_real=True, clean=None), [0]), title, False


def sanitized(signal: Signal) -> NDArray:
    """Sanitised values of the first `LINES` links, [T, L, R], each link sanitised on its own."""
    count = min(LINES, len(signal.links))
    return np.concatenate([sanitize(links_of(signal, [i])).values for i in range(count)], axis=1)


def links_of(signal: Signal, indices: list[int]) -> Signal:
    """A signal restricted to these links, without the clean truth."""
    return signal.with_(
        values=signal.values[:, indices],
        valid=signal.mask[:, indices],
        clean=None,
        links=tuple(signal.links[i] for i in indices),
    )


def response_axis(signal: Signal) -> tuple[NDArray[np.float64], str]:
    """The response axis in a readable unit, and its label."""
    unit = "Hz" if signal.domain == "frequency" else "s"
    factor, unit = scaled_unit(float(np.max(np.abs(signal.response))), unit)
    return signal.response * factor, f"{'frequency offset' if signal.domain == 'frequency' else 'delay'}, {unit}"


def level_of(signal: Signal) -> NDArray[np.float64]:
    """Level in dB, [T, L, R]; values of kind rssi are in dBm already."""
    if signal.kind == "rssi":
        return np.asarray(signal.values.real, np.float64)
    magnitude = np.abs(signal.values).astype(np.float64)
    smallest = np.min(magnitude, where=magnitude > 0, initial=np.inf)
    floor = smallest / 2 if np.isfinite(smallest) else 1.0  # zeros are drawn 6 dB below the smallest value
    return np.asarray((10 if signal.kind == "spectrogram" else 20) * np.log10(np.maximum(magnitude, floor)))


def level_unit(signal: Signal) -> str:
    return "dBm" if signal.kind == "rssi" else "dB"


def _mean(values: NDArray, valid: NDArray[np.bool_]) -> NDArray:
    """Mean over time of the valid entries; NaN where there is none."""
    count = valid.sum(axis=0)
    return np.where(count > 0, np.where(valid, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _range(image: NDArray[np.float64]) -> tuple[float, float]:
    """Colour range: the 1st to the 99th percentile."""
    low, high = np.percentile(image[np.isfinite(image)], [1, 99])
    return (float(low), float(high)) if high > low else (float(low) - 1, float(high) + 1)


def name_of(signal: Signal, index: int) -> str:
    return f"tx {signal.links[index].tx}, rx {signal.links[index].rx}"
