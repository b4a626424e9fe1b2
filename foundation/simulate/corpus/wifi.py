"""Wi-Fi CSI of moving people, complex or amplitude only, and MIMO channels of moving terminals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foundation.signal import Signal
from foundation.simulate.config import SimulationConfig
from foundation.simulate.corpus.draw import (
    WIFI,
    WINDOWS,
    Sizes,
    antennas,
    draw_band,
    draw_interval,
    draw_people,
    draw_room,
    draw_sizes,
    log_uniform,
)
from foundation.simulate.corpus.rays import Rays, add_noise, frequency_response, static_rays, steps, uniform
from foundation.simulate.facts import facts_of_people
from foundation.simulate.generate import links_of, occupied_channel, record
from foundation.simulate.impairments import make_device
from foundation.simulate.rooms import Array, Room

#: Ranges of times and subcarriers of a window, and their probabilities; most windows are long enough to show motion.
_TIMES = ((16, 128), (16, 128), (4, 15), (1, 3))
_RESPONSES = ((16, 256), (1, 32), (8, 512), (64, 2048))
_SHARES = (0.55, 0.15, 0.2, 0.1)
#: Packets per second, and seconds of a window, of recordings for sensing.
_SENSING_HZ, _SENSING_S = (30.0, 250.0), (0.8, 4.0)
#: Lowest signal-to-noise ratio of a recording. For sensing, devices are a few metres apart: what moves is then most of
#: what varies, as in recordings (of the power of the dynamics of three sets a tenth to a third is in the upper half of
#: frequencies, and half to four fifths in one pattern over subcarriers and links; at 5 to 30 dB 23 and 47 %, at 15
#: to 40 dB 11 and 61 %).
_SNR_DB, _SENSING_SNR_DB = (5.0, 40.0), (15.0, 42.0)
#: Ranges of base station antennas, terminal antennas and subcarriers: many antennas or many subcarriers.
_ARRAYS = (((1, 64), (1, 4), (4, 256)), ((1, 2), (1, 2), (128, 2048)))


def csi(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """Windows of one recording: 0 to 3 people, one device, lost packets (invalid or absent), null subcarriers."""
    carrier, bandwidth = draw_band(rng)
    which = rng.choice(len(_TIMES), p=_SHARES)
    sizes = draw_sizes(rng, _TIMES[which], (1, 8), (1, 8), _RESPONSES[which])
    config = _config(rng, sizes, carrier, bandwidth, draw_interval(rng), _SNR_DB)
    return _recording(rng, seed, session, config, sizes.times, most=3)


def sensing(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """As `csi`, as people record it for sensing: long enough to see a movement, in a Wi-Fi band, mostly one person."""
    carrier, bandwidth = draw_band(rng, WIFI)
    interval = 1 / log_uniform(rng, *_SENSING_HZ)
    times = int(np.clip(rng.uniform(*_SENSING_S) / interval, 32, 192))
    sizes = draw_sizes(rng, (times, times), (1, 2), (1, 4), (8, 128))
    config = _config(rng, sizes, carrier, bandwidth, interval, _SENSING_SNR_DB)
    return _recording(rng, seed, session, config, times, most=1 if rng.random() < 0.75 else 3)


def sensing_amplitude(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """As `sensing`, without the phase."""
    return [_amplitude(window) for window in sensing(rng, seed, session)]


def _recording(
    rng: np.random.Generator, seed: int, session: int, config: SimulationConfig, times: int, most: int
) -> list[Signal]:
    carrier = config.carriers_hz[0]
    room = draw_room(rng, seed, session, carrier, config.tx_antennas, config.rx_antennas)
    people = draw_people(rng, seed, most)
    field, present = occupied_channel(rng, room, people, carrier, config)
    recording = record(rng, field, make_device(seed, session, config), config)
    measured = _subcarriers(rng, config.subcarriers)
    drop = rng.random() < 0.5
    signals = []
    for i in range(WINDOWS):
        window = Signal(
            values=recording.values[i],
            valid=recording.valid[i] & measured,
            time_s=config.time_s,
            frequency_hz=config.frequency_hz,
            links=links_of(room),
            kind="csi",
            carrier_hz=carrier,
            bandwidth_hz=config.bandwidth_hz,
            labels=facts_of_people(present[i], config.time_s, room.tx_m[0], room.rx_m[0]),
        )
        signals.append(_as_captured(window, times, recording.valid[i, :, 0, 0], drop))
    return signals


def csi_amplitude(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """As `csi`, without the phase."""
    return [_amplitude(window) for window in csi(rng, seed, session)]


def _amplitude(window: Signal) -> Signal:
    return window.with_(values=np.abs(window.values), is_real=True, kind="csi-amplitude")


def channel(rng: np.random.Generator, seed: int, session: int) -> list[Signal]:
    """MIMO channels between an array and a terminal, static or moving, at another position in each window."""
    carrier, bandwidth = draw_band(rng)
    times = (1, 1) if rng.random() < 0.6 else (2, 16)
    sizes = draw_sizes(rng, times, *_ARRAYS[rng.choice(2, p=(0.75, 0.25))])
    room = draw_room(rng, seed, session, carrier, sizes.tx, 1, most_m=30.0)
    frequency, interval = uniform(sizes.responses, bandwidth), log_uniform(rng, 0.5e-3, 0.05)
    snr = rng.uniform(10, 40)
    time_s = steps(sizes.times, interval)
    signals = []
    for _ in range(WINDOWS):
        position = rng.uniform(0.1, 0.9, 3) * room.size_m
        there = replace(room, rx_m=antennas(rng, position, sizes.rx, carrier), los_gain=_los_gain(rng))
        field = frequency_response(_moving_terminal(rng, there, time_s, carrier), carrier, frequency)
        field = field.transpose(1, 0, 2, 3).reshape(sizes.times, -1, sizes.responses)
        signals.append(
            Signal(
                values=add_noise(rng, field, snr),
                time_s=time_s,
                frequency_hz=frequency,
                links=links_of(there),
                kind="channel",
                carrier_hz=carrier,
                bandwidth_hz=bandwidth,
                labels={
                    "position": (float(position[0]), float(position[1])),
                    "visibility": "LOS" if there.los_gain == 1 else "NLOS",
                },
            )
        )
    return signals


def _config(
    rng: np.random.Generator,
    sizes: Sizes,
    carrier: float,
    bandwidth: float,
    interval_s: float,
    snr_db: tuple[float, float],
) -> SimulationConfig:
    low = float(rng.uniform(*snr_db))
    return SimulationConfig(
        times=max(sizes.times, 2),
        interval_s=interval_s,
        tx_antennas=sizes.tx,
        rx_antennas=sizes.rx,
        subcarriers=sizes.responses,
        bandwidth_hz=bandwidth,
        carriers_hz=(carrier,),
        snr_db=(low, low + 5),
        packet_loss=float(rng.choice([0.0, rng.uniform(0, 0.2)])),
    )


def _subcarriers(rng: np.random.Generator, count: int) -> np.ndarray:
    """Which subcarriers are measured, bool [count]: a third of the recordings lack those at centre and edges."""
    measured = np.ones(count, bool)
    if count >= 16 and rng.random() < 0.33:
        middle, edge = int(rng.integers(1, 4)), int(rng.integers(0, count // 12 + 1))
        measured[count // 2 - middle // 2 : count // 2 - middle // 2 + middle] = False
        measured[:edge] = measured[count - edge :] = False
    return measured


def _as_captured(window: Signal, times: int, arrived: np.ndarray, drop: bool) -> Signal:
    """The first `times` packets; lost ones are invalid or, with `drop`, absent, as in most captures."""
    rows = np.flatnonzero(arrived) if drop else np.arange(len(arrived))
    rows = rows[:times] if arrived[rows[:times]].any() else rows[-times:]
    return window.with_(
        values=window.values[rows], valid=window.mask[rows], time_s=window.time_s[rows] - window.time_s[rows[0]]
    )


def _los_gain(rng: np.random.Generator) -> float:
    """Draw the amplitude of the line of sight relative to free space: unobstructed with probability 1/2."""
    return 1.0 if rng.random() < 0.5 else float(rng.uniform(0, 0.4))


def _moving_terminal(rng: np.random.Generator, room: Room, time_s: Array, carrier_hz: float) -> Rays:
    """Rays [P, tx, T, rx] of a terminal in linear motion at up to 3 m/s."""
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0, 3)
    way = speed * time_s[:, None] * np.array([np.cos(angle), np.sin(angle), 0.0])
    positions = (way[:, None] + room.rx_m).reshape(-1, 3)
    amplitude, distance = static_rays(replace(room, rx_m=positions), carrier_hz)
    shape = (*amplitude.shape[:2], len(time_s), len(room.rx_m))
    return amplitude.reshape(shape), distance.reshape(shape)
