"""Receiver model of the simulator: filters, gain control, clock offsets, noise and packet loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.simulate.config import DEVICE, SimulationConfig
from foundation.simulate.rooms import Array
from foundation.transforms.packets import draw_arrivals, draw_gain, draw_wander, packet_factor

Field = NDArray[np.complex64]
#: Largest deviation of the automatic gain control from its initial gain.
AGC_LIMIT_DB = 6.0


@dataclass(frozen=True)
class Device:
    """Parameters of a receiver.

    Attributes:
        response: complex64 [links, F], filters and gain; one receive chain per rx antenna.
        agc_step_db, agc_rate: size of an AGC step, and its probability per packet.
        cfo_hz: standard deviation of the residual carrier frequency offset.
        sto_s: standard deviation of the sampling time offset of a packet.
        sfo: standard deviation of the relative sampling frequency offset (s/s).
    """

    response: Field
    agc_step_db: float
    agc_rate: float
    cfo_hz: float
    sto_s: float
    sfo: float


@dataclass(frozen=True)
class Packets:
    """Impairments per packet, each float64 [B, T]: gain, phase (CFO) and delay (STO, SFO)."""

    gain: Array
    phase_rad: Array
    delay_s: Array

    def factor(self, frequency_hz: Array) -> Field:
        """gain * exp(j (phase - 2 pi f delay)), complex64 [B, T, 1, F], common to all links."""
        return packet_factor(self.gain, self.phase_rad, self.delay_s, frequency_hz)


def make_device(seed: int, index: int, config: SimulationConfig) -> Device:
    """Device `index`, identical in all sessions; its filters are smooth in frequency."""
    rng = np.random.default_rng((seed, index, DEVICE))
    cosines = np.cos(np.pi * np.arange(1, 5)[:, None] * (config.frequency_hz / config.bandwidth_hz + 0.5))
    falling = 1 / np.arange(1, 5)
    decibels = rng.normal(0, 1.2, (config.rx_antennas, 4)) * falling @ cosines
    decibels += rng.uniform(-20, 20) + rng.normal(0, 1, (config.rx_antennas, 1))
    phase = rng.normal(0, 0.4, (config.rx_antennas, 4)) * falling @ cosines
    phase += rng.uniform(-np.pi, np.pi, (config.rx_antennas, 1))
    chains = 10 ** (decibels / 20) * np.exp(1j * phase)
    return Device(
        response=np.tile(chains, (config.tx_antennas, 1)).astype(np.complex64),
        agc_step_db=float(rng.choice([0.5, 1.0, 2.0])),
        agc_rate=float(rng.uniform(0, 0.006)),
        cfo_hz=float(rng.uniform(10, 300)),
        sto_s=float(rng.uniform(5e-9, 50e-9)),
        sfo=float(rng.uniform(0, 50e-9)),
    )


def draw_packets(rng: np.random.Generator, device: Device, windows: int, config: SimulationConfig) -> Packets:
    """Draw gain steps, clock offsets and timing of every packet of a session."""
    shape, t = (windows, config.times), config.time_s
    gain = draw_gain(rng, shape, device.agc_step_db, device.agc_rate, AGC_LIMIT_DB)
    drift = rng.normal(0, device.cfo_hz, (windows, 1)) * t
    wander = draw_wander(rng, shape, 0.3)
    timing = rng.normal(0, device.sto_s, shape) + rng.normal(0, device.sfo, (windows, 1)) * t
    return Packets(gain, 2 * np.pi * drift + wander, timing)


def draw_noise(rng: np.random.Generator, shape: tuple[int, ...], power: float) -> Field:
    """Circular complex Gaussian noise of the given mean power, complex64."""
    pairs = rng.standard_normal((*shape, 2), dtype=np.float32)
    pairs *= np.float32(np.sqrt(power / 2))
    return np.asarray(pairs.view(np.complex64)[..., 0])


def draw_valid(rng: np.random.Generator, windows: int, config: SimulationConfig) -> NDArray[np.bool_]:
    """Which packets arrive, bool [B, T]; at least one in every window."""
    return draw_arrivals(rng, (windows, config.times), config.packet_loss)
