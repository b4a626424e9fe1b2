"""Two antennas of one receiver: what their shared clock does to both is taken out of each other.

H_a(t) and H_b(t) carry the same exp(j phi(t)), the same sampling time and the same gain control. In H_a conj(H_b) the
phases cancel, in H_a / H_b the gain does too. What moves stays. Let static paths S outweigh moving ones D: the product
is S_a S_b* + D_a S_b* + S_a D_b*, whose last term shows at the opposite Doppler shift, as strong as D is at antenna b;
the ratio, to first order, is S_a / S_b + D_a / S_b - S_a D_b / S_b^2, all at the shift itself. Its price: fades of H_b.

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

#: A reference this far below its root mean square (-40 dB) divides noise by noise; the ratio is invalid there.
RATIO_FLOOR = 0.01


def conjugate_product(signal: Signal, reference_rx: int = 0) -> Signal:
    """values[link] conj(values[reference]) for every link but the references; valid where both factors are.

    The reference of a link is the one of the same transmit antenna at receive antenna `reference_rx`. Values are in
    squared units of the signal's. `clean` is the product of the clean factors.

    Raises:
        SignalError: the signal is real, or a transmit antenna was not received by the reference and by another antenna.
    """
    return _combine(signal, reference_rx, lambda values, reference: values * np.conj(reference))


def conjugate_ratio(signal: Signal, reference_rx: int = 0) -> Signal:
    """values[link] / values[reference], without unit; invalid also where the reference is in a deep fade.

    Raises:
        SignalError: as `conjugate_product`, or no entry of the reference is above the floor.
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
    """Indices of links, and of the reference of each."""
    if signal.is_real:
        raise SignalError(f"two antennas are compared by phase, but this signal of kind {signal.kind} is real.")
    reference_of = {link.tx: i for i, link in enumerate(signal.links) if link.rx == reference_rx}
    own = [i for i, link in enumerate(signal.links) if link.rx != reference_rx]
    lone = {link.tx for link in signal.links} ^ (set(reference_of) & {signal.links[i].tx for i in own})
    if lone:
        raise SignalError(
            f"transmit antenna {min(lone)} was not received by antenna {reference_rx} and another one; "
            f"the links (tx, rx) are {[(link.tx, link.rx) for link in signal.links]}."
        )
    return own, [reference_of[signal.links[i].tx] for i in own]
