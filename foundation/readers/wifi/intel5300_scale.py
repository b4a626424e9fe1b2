"""Absolute scale of Intel 5300 CSI, as `get_scaled_csi.m` of the Linux 802.11n CSI Tool defines it.

The NIC's 8-bit integers hold the shape of the channel; RSSI and AGC say how strong it was, and the noise floor how much
of it is signal. Scaled values are channel amplitudes over the standard deviation of noise: |h|^2 is a signal-to-noise
ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SUBCARRIERS = 30
#: What separates the tool's RSSI from dBm, before AGC.
RSSI_OFFSET_DB = 44.0
#: Taken where the NIC did not measure the noise, and the mark of that, in dBm.
NOISE_DBM, NOT_MEASURED = -92.0, -127
#: Power that the NIC adds over the transmit antennas, by their number; the tool has 4.5 dB for three, not 4.77.
_TRANSMIT = {1: 1.0, 2: 2.0, 3: 10**0.45}


def factors(
    field: NDArray[np.complex64], rssi: NDArray, noise: NDArray, agc: NDArray, rx: int, tx: int
) -> NDArray[np.float64]:
    """What to multiply each packet by.

    Args:
        field: [packets, rx, tx, 30] as recorded.
        rssi: [packets, 3] per antenna, in the tool's units; 0 where the antenna was not used.
        noise, agc: [packets] in dBm and dB.

    Returns:
        [packets]; 1 where nothing was received.
    """
    received = np.where(rssi > 0, 10 ** (rssi / 10), 0.0).sum(axis=1) * 10 ** (-(RSSI_OFFSET_DB + agc) / 10.0)
    power = np.square(np.abs(field)).sum(axis=(1, 2, 3), dtype=np.float64) / SUBCARRIERS
    scale = np.divide(received, power, out=np.zeros_like(power), where=power > 0)
    thermal = 10 ** (np.where(noise == NOT_MEASURED, NOISE_DBM, noise) / 10)
    quantisation = scale * rx * tx
    return np.where(scale > 0, np.sqrt(scale / (thermal + quantisation) * _TRANSMIT[tx]), 1.0)
