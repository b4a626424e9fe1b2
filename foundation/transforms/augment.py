"""Augmentations that measured radio needs: what changes between devices and rooms and says nothing of the task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foundation.signal import Link, Signal

ORDER = 4  # cosines of the random response: smooth against any real filter
#: Kinds whose antennas are numbered as a driver happens to: which one is called 0 says nothing. An access point's
#: number, a Doppler bin's, or an element's place in a simulated array does.
EXCHANGEABLE = ("csi", "csi-amplitude")
#: Raw samples need a filter before every other one may be left out; packets, frames and chirps do not.
CONTINUOUS = ("iq",)
SHORTEST = 32  # times that are left of a subset signal: enough for the patches it had before


def device_response(signal: Signal, seed: int, std: float) -> Signal:
    """Multiply every link by a random smooth frequency response and gain, as another device would.

    Received strengths, which are in dBm, are all shifted by one gain.

    Args:
        std: standard deviation of the log magnitude (nepers) and of the phase (radian) of the response.
    """
    if signal.domain != "frequency" or std == 0:
        return signal
    rng = np.random.default_rng(seed)
    span = np.ptp(signal.response) or 1.0
    place = (signal.response - signal.response[0]) / span
    basis = np.cos(np.pi * np.arange(ORDER)[:, None] * place)  # [ORDER, R]; the first is the gain
    weight = std / np.sqrt(ORDER) * rng.standard_normal((2, len(signal.links), ORDER))
    log_magnitude, phase = weight @ basis
    response = np.exp(log_magnitude + (0 if signal.is_real else 1j) * phase)
    if signal.kind == "rssi":
        return signal.with_(values=signal.values + signal.mask * (20 * log_magnitude[0, 0] / np.log(10)))
    clean = None if signal.clean is None else signal.clean * response
    return signal.with_(values=signal.values * response, clean=clean)


def random_subset(signal: Signal, seed: int, share: float) -> Signal:
    """With probability `share`, the signal as a smaller or slower device would have measured it, each with even odds:
    fewer links (at least one), every other time, fewer responses; and antennas numbered otherwise where numbers say
    nothing.

    What is left is left as it was: values are an exact subset, and axes stay in seconds and hertz (time counts from the
    first that is left). Of delays the later end goes: 0 stays the first path.
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
    if not signal.mask[rows][:, chosen][:, :, columns].any():  # nothing was measured there
        return signal
    part = signal.part(rows, chosen, columns)
    return part.with_(
        time_s=part.time_s - part.time_s[0],
        links=_renumbered(signal, part.links, rng),
        bandwidth_hz=signal.bandwidth_hz * width,
    )


def _fewer_responses(signal: Signal, rng: np.random.Generator) -> tuple[slice, float]:
    """Which responses are left, and the share of the bandwidth that they cover: every other one, or half or more of
    them side by side."""
    count = len(signal.response)
    length = int(rng.integers((count + 1) // 2, count + 1))
    if signal.domain == "delay":
        return slice(length), 1.0
    if rng.random() < 0.5:
        return slice(int(rng.integers(2)), None, 2), 1.0
    start = int(rng.integers(count - length + 1))
    return slice(start, start + length), length / count


def _renumbered(signal: Signal, links: tuple[Link, ...], rng: np.random.Generator) -> tuple[Link, ...]:
    """The links that are left; of exchangeable antennas the receivers' numbers go round among themselves, and so do the
    transmitters'."""
    if signal.kind not in EXCHANGEABLE:
        return links
    tx, rx = (sorted({getattr(link, end) for link in signal.links}) for end in ("tx", "rx"))
    new_tx, new_rx = (dict(zip(old, rng.permutation(old).tolist(), strict=True)) for old in (tx, rx))
    return tuple(replace(link, tx=new_tx[link.tx], rx=new_rx[link.rx]) for link in links)
