"""Modulated baseband samples after a multipath channel, and spectrograms of these or of people (micro-Doppler)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foundation.signal import Link, Signal
from foundation.simulate.config import SimulationConfig
from foundation.simulate.corpus.draw import (
    WINDOWS,
    Sizes,
    draw_band,
    draw_people,
    draw_room,
    draw_sizes,
    log_uniform,
)
from foundation.simulate.corpus.modulation import MODULATIONS, modulated
from foundation.simulate.corpus.rays import Field, add_noise, frequency_response, static_rays, steps, uniform
from foundation.simulate.facts import facts_of_people
from foundation.simulate.generate import occupied_channel
from foundation.simulate.rooms import Room
from foundation.transforms.doppler import doppler
from foundation.transforms.packets import draw_wander

#: Range of received levels relative to full scale.
_LEVEL_DB = (-30.0, 10.0)


def iq(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Windows of one receiver, each with its own modulation, symbol rate and transmitter position."""
    sizes = draw_sizes(rng, (64, 1024), (1, 1), (1, 8), (1, 1))
    return _waveforms(rng, seed, session, sizes)


def spectrogram(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Spectrograms [windows, links, bins]: power per hertz."""
    return (_of_waveforms if rng.random() < 0.5 else _of_people)(rng, seed, session)


def _waveforms(rng: np.random.Generator, seed: int, session: int, sizes: Sizes) -> list[Signal]:
    carrier, _ = draw_band(rng)
    rate = log_uniform(rng, 0.2e6, 100e6)
    room = draw_room(rng, seed, session, carrier, 1, sizes.rx, most_m=30.0)
    signals = []
    for _ in range(WINDOWS):
        position = rng.uniform(0.1, 0.9, (1, 3)) * room.size_m
        taps = _taps(replace(room, tx_m=position), carrier, rate)
        name = str(rng.choice(MODULATIONS))
        sent = modulated(rng, name, sizes.times + taps.shape[-1])
        heard = np.stack([np.convolve(sent, row)[taps.shape[-1] :][: sizes.times] for row in taps], axis=1)
        snr = float(rng.uniform(-5, 30))
        received = add_noise(rng, _oscillator(rng, heard[:, :, None]), snr)
        signals.append(
            Signal(
                values=_gain(rng, received),
                time_s=steps(sizes.times, 1 / rate),
                links=tuple(Link(0, index) for index in range(sizes.rx)),
                frequency_hz=np.zeros(1),
                kind="iq",
                carrier_hz=carrier,
                bandwidth_hz=rate,
                labels={"modulation": name, "snr": snr},
            )
        )
    return signals


def _taps(room: Room, carrier: float, rate: float) -> Field:
    """Channel impulse response [rx, taps] of the room at the sample rate, starting just before the first path."""
    amplitude, distance = static_rays(room, carrier)
    count = int(np.clip(np.ceil(np.ptp(distance) / 3e8 * rate) + 4, 4, 32))
    frequency = uniform(count, rate)
    response = frequency_response((amplitude, distance - distance.min() + 1.5e8 / rate), carrier, frequency)[0]
    return np.asarray(np.fft.ifft(np.fft.ifftshift(response, axes=-1), axis=-1), np.complex64)


def _oscillator(rng: np.random.Generator, field: Field) -> Field:
    """Apply a carrier offset of up to 1 % of the sample rate, and phase noise."""
    turns = rng.uniform(-0.01, 0.01) * np.arange(len(field))
    wander = draw_wander(rng, (len(field),), log_uniform(rng, 1e-4, 2e-2))
    return np.asarray(field * np.exp(1j * (2 * np.pi * turns + wander))[:, None, None], np.complex64)


def _gain(rng: np.random.Generator, field: Field) -> Field:
    """Scale to a random level relative to full scale, as a gain control does."""
    level = 10 ** (rng.uniform(*_LEVEL_DB) / 20)
    return np.asarray(field * (level / np.sqrt(np.mean(np.abs(field) ** 2))), np.complex64)


def _of_waveforms(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    sizes = draw_sizes(rng, (8, 64), (1, 1), (1, 2), (1, 1))
    size = int(rng.choice([16, 32]))
    hop = int(rng.integers(size // 4, size + 1))
    samples = replace(sizes, times=size + hop * (sizes.times - 1))
    return [_spectrogram(window, size, hop, False, 2 * size) for window in _waveforms(rng, seed, session, samples)]


def _of_people(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    carrier, _ = draw_band(rng)
    rate = log_uniform(rng, 50, 300) * np.sqrt(carrier / 5e9)
    size, frames = int(rng.choice([16, 32, 64])), int(rng.integers(8, 49))
    hop = int(rng.integers(size // 4, size // 2 + 1))
    rx = int(rng.integers(1, 3))
    config = SimulationConfig(
        times=size + hop * (frames - 1), interval_s=1 / rate, rx_antennas=rx, subcarriers=1, bandwidth_hz=1e6
    )
    room, people = draw_room(rng, seed, session, carrier, 1, rx), draw_people(rng, seed, most=2)
    field, present = occupied_channel(rng, room, people, carrier, config)
    field = add_noise(rng, field, rng.uniform(15, 40))
    bins = 2 * size if rng.random() < 0.3 else size
    signals = []
    for values, inside in zip(field, present, strict=True):
        window = Signal(
            values=values,
            time_s=config.time_s,
            links=tuple(Link(0, index) for index in range(rx)),
            frequency_hz=np.zeros(1),
            kind="csi",
            carrier_hz=carrier,
            bandwidth_hz=1e6,
            labels=facts_of_people(inside, config.time_s, room.tx_m[0], room.rx_m[0]),
        )
        signals.append(_spectrogram(window, size, hop, True, bins))
    return signals


def _spectrogram(signal: Signal, size: int, hop: int, remove_static: bool, bins: int) -> Signal:
    """Spectrogram with windows of `size` samples, restricted to `bins` bins about zero frequency."""
    interval = signal.interval_s
    found = doppler(signal, size * interval, hop * interval, remove_static)
    first = (len(found.frequency_hz) - bins) // 2
    keep = slice(first, first + bins)
    return Signal(
        values=found.power[:, :, keep].astype(np.complex64),
        time_s=found.time_s - found.time_s[0],
        links=signal.links,
        frequency_hz=found.frequency_hz[keep],
        kind="spectrogram",
        carrier_hz=signal.carrier_hz,
        bandwidth_hz=1 / interval,
        is_real=True,
        labels=signal.labels,
    )
