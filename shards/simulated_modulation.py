"""Simulated IQ windows of the eleven modulations of RadioML 2016.10a, over fading channels, with the noise-free truth.

Origin: `foundation.simulate.baseband`; no file is needed. Licence: CC0-1.0. After O'Shea and West, Radio Machine
Learning Dataset Generation with GNU Radio, GNU Radio Conference 2016, with three changes: `snr` is the ratio of powers
that a window has (the published generator takes the noise amplitude for it), analog modulations carry noise in the
telephone band in the place of speech, and the channel is drawn per session.
Samples: 128 samples at 200 kHz, [128, 1, 1], mean power 1.
Labels: `modulation`, named as in `radioml-2016`; `snr`, -20 to 18 dB.
Splits: `channel` (longer and stronger echoes, less line of sight, larger offsets than training saw) and `draw` (other
channels of the ranges that training saw), with one training part, each tested at low (-20 to -8 dB), middle (-6 to 4)
and high (6 to 18) SNR. A session is one channel at one SNR, over which every modulation is sent twice.
"""

from __future__ import annotations

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import simulated_pieces
from foundation.simulate.baseband.modulation import WINDOWS, modulation_splits, simulate_modulation

PIECE = 20 * WINDOWS


def build(count: int, seed: int = 0) -> Dataset:
    """`count` windows drawn from `seed`; the first windows of a longer set are those of a shorter one."""
    return Dataset(
        name="simulated-modulation",
        title="Simulated IQ of the modulations of RadioML 2016.10a over fading channels",
        licence="CC0-1.0",
        citation="foundation.simulate.baseband, after O'Shea and West, GNU Radio Conference 2016",
        homepage="",
        tasks={"modulation": "classification", "snr": "regression"},
        pieces=simulated_pieces(simulate_modulation, "modulation", count, seed, PIECE),
        splits=lambda: modulation_splits(count),
        parameters={"count": count, "seed": seed},
    )
