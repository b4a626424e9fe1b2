"""Scale factors of Intel 5300 CSI, as `get_scaled_csi.m` of the Linux 802.11n CSI Tool defines them.

The 8-bit integers of the network card give the shape of the channel, RSSI and AGC its power, and the noise floor the
signal-to-noise ratio. Scaled values are channel amplitudes over the standard deviation of the noise: |h|^2 is a
signal-to-noise ratio.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SUBCARRIERS = 30
#: Offset of the tool's RSSI from dBm, before AGC.
RSSI_OFFSET_DB = 44.0
#: Noise floor where the card did not measure it, and the value that marks this, in dBm.
NOISE_DBM, NOT_MEASURED = -92.0, -127
#: Transmit antennas -> their total power over that of one; the tool uses 4.5 dB for three, not 4.77.
_TRANSMIT = {1: 1.0, 2: 2.0, 3: 10**0.45}


def factors(
    field: NDArray[np.complex64], rssi: NDArray, noise: NDArray, agc: NDArray, rx: int, tx: int
) -> NDArray[np.float64]:
    """Compute the factor of each packet, which turns its integers into amplitudes relative to the noise.

    Args:
        field: [packets, rx, tx, 30], the integers as recorded.
        rssi: [packets, 3], per antenna, in the tool's units; 0 where the antenna was not used.
        noise: [packets], noise floor in dBm.
        agc: [packets], gain in dB.

    Returns:
        Factors [packets]; 1 where nothing was received.
    """
    received = np.where(rssi > 0, 10 ** (rssi / 10), 0.0).sum(axis=1) * 10 ** (-(RSSI_OFFSET_DB + agc) / 10.0)
    power = np.square(np.abs(field)).sum(axis=(1, 2, 3), dtype=np.float64) / SUBCARRIERS
    scale = np.divide(received, power, out=np.zeros_like(power), where=power > 0)
    thermal = 10 ** (np.where(noise == NOT_MEASURED, NOISE_DBM, noise) / 10)
    quantisation = scale * rx * tx
    return np.where(scale > 0, np.sqrt(scale / (thermal + quantisation) * _TRANSMIT[tx]), 1.0)
