"""Cumulants of complex baseband samples, the classical features of modulation classification.

A. Swami and B. M. Sadler, "Hierarchical digital modulation classification using cumulants", IEEE Trans. Commun. 48(3),
2000. C_nq is the joint cumulant of n samples at one instant, q of them conjugated; odd moments are taken as 0, as those
of symmetric constellations are.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal

#: (order, conjugated) of the cumulants of a feature vector.
CUMULANTS = ((2, 0), (4, 0), (4, 1), (4, 2), (6, 0), (6, 1), (6, 2), (6, 3))
#: Fewer samples of a link have no cumulant of sixth order worth the name.
FEWEST = 16


def cumulant_features(signal: Signal) -> NDArray[np.float64]:
    """Magnitude of each of `CUMULANTS` of the valid samples of each link, its sign kept where it is real; float64
    [8 L], 0 where nothing was measured. Unchanged by gain and phase.

    Raises:
        SignalError: the signal is real or in the delay domain, or a link has fewer than 16 samples, or only zeros.
    """
    if signal.is_real or signal.domain == "delay":
        raise SignalError("cumulant features need complex samples over time, as those of kind iq.")
    rows = []
    for link in range(signal.values.shape[1]):
        samples = signal.values[:, link][signal.mask[:, link]].astype(np.complex128)
        if not len(samples):  # of an antenna that was not measured
            rows.append([0.0] * len(CUMULANTS))
            continue
        if len(samples) < FEWEST or not samples.any():
            raise SignalError(
                f"cumulant features need {FEWEST} samples of a link, not all 0; there are {len(samples)}."
            )
        found = cumulants(samples)
        rows.append([found[key].real if key[0] == 2 * key[1] else abs(found[key]) for key in CUMULANTS])
    return np.ravel(rows)


def cumulants(samples: NDArray[np.complex128]) -> dict[tuple[int, int], complex]:
    """(order, conjugated) -> cumulant of samples [N], divided by the power of their mean square that makes it
    independent of the gain.

    Computed from moments by recursion: P. J. Smith, "A recursive formulation of the old problem of obtaining moments
    from cumulants and vice versa", The American Statistician 49(2), 1995.
    """
    unit = samples / np.sqrt(np.mean(np.abs(samples) ** 2))
    powers = [unit**0, *(unit**n for n in range(1, 7))]
    moment = {
        (plain, conjugated): complex(np.mean(powers[plain] * powers[conjugated].conj()))
        for plain in range(7)
        for conjugated in range(7 - plain)
        if (plain + conjugated) % 2 == 0
    }
    found: dict[tuple[int, int], complex] = {}
    for plain, conjugated in sorted(moment, key=sum):
        if plain:
            smaller = sum(
                comb(plain - 1, i - 1) * comb(conjugated, j) * value * moment[plain - i, conjugated - j]
                for (i, j), value in found.items()
                if i <= plain and j <= conjugated
            )
            found[plain, conjugated] = moment[plain, conjugated] - smaller
    return {(plain + conjugated, conjugated): value for (plain, conjugated), value in found.items()}
