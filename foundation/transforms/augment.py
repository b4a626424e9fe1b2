"""Augmentations: random variations between devices that do not depend on the task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from foundation.signal import Link, Signal

ORDER = 4  # cosines of the random response, which is smoother than any real filter
#: Kinds whose antenna numbering is arbitrary. The index of an access point, a Doppler bin or an element of a simulated
#: array is not.
EXCHANGEABLE = ("csi", "csi-amplitude")
#: Kinds that need an anti-aliasing filter before decimation; packets, frames and chirps do not.
CONTINUOUS = ("iq",)
SHORTEST = 32  # times that a subset keeps at least, so that its patch shape does not change


def device_response(signal: Signal, seed: int, std: float) -> Signal:
    """Multiply every link by a random smooth frequency response and gain, to simulate another device.

    RSSI values, which are in dBm, are all shifted by one gain. Delay-domain signals are returned unchanged.

    Args:
        std: standard deviation of the log magnitude (neper) and of the phase (radian) of the response.
    """
    if signal.domain != "frequency" or std == 0:
        return signal
    rng = np.random.default_rng(seed)
    span = np.ptp(signal.response) or 1.0
    relative = (signal.response - signal.response[0]) / span
    basis = np.cos(np.pi * np.arange(ORDER)[:, None] * relative)  # [ORDER, R]; the first is the gain
    weight = std / np.sqrt(ORDER) * rng.standard_normal((2, len(signal.links), ORDER))
    log_magnitude, phase = weight @ basis
    response = np.exp(log_magnitude + (0 if signal.is_real else 1j) * phase)
    if signal.kind == "rssi":
        return signal.with_(values=signal.values + signal.mask * (20 * log_magnitude[0, 0] / np.log(10)))
    clean = None if signal.clean is None else signal.clean * response
    return signal.with_(values=signal.values * response, clean=clean)


def device_responses(signals: Iterable[Signal], seed: int, std: float) -> list[Signal]:
    """Each of these signals through a device of its own."""
    return [device_response(signal, seed * 1_000_003 + k, std) for k, signal in enumerate(signals)]


def random_subset(signal: Signal, seed: int, share: float) -> Signal:
    """With probability `share`, a random subset of the signal, as a smaller or slower device would have measured it.

    Independently with probability 1/2 each: fewer links (at least one), every other time, fewer responses. Antennas are
    renumbered at random if their numbering is arbitrary. Values are an exact subset; axes stay in seconds and hertz,
    with time starting at 0. Delay axes are truncated at the end, so that delay 0 stays the first path.
    """
    rng = np.random.default_rng((seed, 1))
    draw = rng.random(4)
    if draw[0] >= share:
        return signal
    times, links, responses = signal.values.shape
    rows, columns, width = slice(None), slice(None), 1.0
    chosen: np.ndarray | slice = slice(None)
    if draw[1] < 0.5 and links > 1:
        chosen = np.sort(rng.permutation(links)[: rng.integers(1, links + 1)])
    if draw[2] < 0.5 and times >= 2 * SHORTEST and signal.kind not in CONTINUOUS:
        rows = slice(int(rng.integers(2)), None, 2)
    if draw[3] < 0.5 and responses > 1:
        columns, width = _fewer_responses(signal, rng)
    if not signal.mask[rows][:, chosen][:, :, columns].any():  # no valid entry would remain
        return signal
    part = signal.part(rows, chosen, columns)
    return part.with_(
        time_s=part.time_s - part.time_s[0],
        links=_renumbered(signal, part.links, rng),
        bandwidth_hz=signal.bandwidth_hz * width,
    )


def _fewer_responses(signal: Signal, rng: np.random.Generator) -> tuple[slice, float]:
    """Responses to keep, every other one or a contiguous half or more, and the share of the bandwidth they cover."""
    count = len(signal.response)
    length = int(rng.integers((count + 1) // 2, count + 1))
    if signal.domain == "delay":
        return slice(length), 1.0
    if rng.random() < 0.5:
        return slice(int(rng.integers(2)), None, 2), 1.0
    start = int(rng.integers(count - length + 1))
    return slice(start, start + length), length / count


def _renumbered(signal: Signal, links: tuple[Link, ...], rng: np.random.Generator) -> tuple[Link, ...]:
    """The remaining links; for exchangeable antennas, receive and transmit indices are permuted at random."""
    if signal.kind not in EXCHANGEABLE:
        return links
    tx, rx = (sorted({getattr(link, end) for link in signal.links}) for end in ("tx", "rx"))
    new_tx, new_rx = (dict(zip(old, rng.permutation(old).tolist(), strict=True)) for old in (tx, rx))
    return tuple(replace(link, tx=new_tx[link.tx], rx=new_rx[link.rx]) for link in links)
