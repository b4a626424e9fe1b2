"""Conjugate product and ratio of two antennas of one receiver, which cancel its clock errors.

H_a(t) and H_b(t) share the phase error exp(j phi(t)), the sampling time and the gain control. The phase cancels in
H_a conj(H_b), phase and gain cancel in H_a / H_b; motion is preserved. If static paths S dominate over moving ones D,
the product is S_a S_b* + D_a S_b* + S_a D_b*, whose last term appears at the opposite Doppler shift with the strength
of D at antenna b; the ratio is, to first order, S_a / S_b + D_a / S_b - S_a D_b / S_b^2, entirely at the true shift,
but is unreliable in fades of H_b.

K. Qian et al., "Widar2.0: passive human tracking with a single Wi-Fi link", MobiSys 2018 (product).
Y. Zeng et al., "FarSense: pushing the range limit of WiFi-based respiration sensing with CSI ratio of two antennas",
IMWUT 3(3), 2019 (ratio).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal

#: The ratio is invalid where the reference is below this share of its root mean square (-40 dB): it would be noise.
RATIO_FLOOR = 0.01


def conjugate_product(signal: Signal, reference_rx: int = 0) -> Signal:
    """Conjugate product values[link] conj(values[reference]) of every link except the references.

    The reference of a link is that of the same transmit antenna at receive antenna `reference_rx`. An entry is valid if
    both factors are. Values have squared units; `clean` is the product of the clean factors.

    Raises:
        SignalError: the signal is real, or a transmit antenna lacks either the reference or another receive antenna.
    """
    return _combine(signal, reference_rx, lambda values, reference: values * np.conj(reference))


def conjugate_ratio(signal: Signal, reference_rx: int = 0) -> Signal:
    """Ratio values[link] / values[reference], dimensionless; also invalid where the reference is in a deep fade.

    Raises:
        SignalError: as `conjugate_product`, or the reference is in a deep fade everywhere.
    """
    reference = sorted(set(_pairs(signal, reference_rx)[1]))
    magnitude, seen = np.abs(signal.values[:, reference]), signal.mask[:, reference]
    level = np.sqrt(np.sum(np.square(magnitude), axis=(0, 2)) / np.maximum(seen.sum(axis=(0, 2)), 1))
    valid = signal.mask.copy()
    valid[:, reference] = seen & (magnitude > RATIO_FLOOR * level[:, None])
    return _combine(signal.with_(valid=valid), reference_rx, _divide)


def _divide(values: NDArray, reference: NDArray) -> NDArray:
    return np.asarray(np.divide(values, reference, out=np.zeros_like(values), where=reference != 0))


def _combine(signal: Signal, reference_rx: int, two: Callable[[NDArray, NDArray], NDArray]) -> Signal:
    own, reference = _pairs(signal, reference_rx)
    return signal.with_(
        values=two(signal.values[:, own], signal.values[:, reference]),
        valid=signal.mask[:, own] & signal.mask[:, reference],
        clean=None if signal.clean is None else two(signal.clean[:, own], signal.clean[:, reference]),
        links=tuple(signal.links[i] for i in own),
    )


def _pairs(signal: Signal, reference_rx: int) -> tuple[list[int], list[int]]:
    """Indices of the links other than references, and the index of the reference of each."""
    if signal.is_real:
        raise SignalError(f"two antennas are compared by phase, but this signal of kind {signal.kind} is real-valued.")
    reference_of = {link.tx: i for i, link in enumerate(signal.links) if link.rx == reference_rx}
    own = [i for i, link in enumerate(signal.links) if link.rx != reference_rx]
    lone = {link.tx for link in signal.links} ^ (set(reference_of) & {signal.links[i].tx for i in own})
    if lone:
        raise SignalError(
            f"transmit antenna {min(lone)} was not received by antenna {reference_rx} and another one; "
            f"the links (tx, rx) are {[(link.tx, link.rx) for link in signal.links]}."
        )
    return own, [reference_of[signal.links[i].tx] for i in own]
