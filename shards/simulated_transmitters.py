"""Simulated IQ windows of twelve transmitters of one make on five days, told apart by their front ends.

Origin: `foundation.simulate.baseband`; no file is needed. Licence: CC0-1.0. Each transmitter has its own IQ imbalance,
carrier leakage, carrier offset with temperature drift and ageing, phase noise and power amplifier
(`foundation.simulate.baseband.front_end`); all send one preamble of 16-QAM.
Samples: 256 samples at 5 MHz, [256, 1, 1], mean power 1, 15 to 30 dB SNR, with the noise-free truth.
Label: `transmitter`.
Splits: `day` (train on three days, validate on a warmer one, test on a colder one with longer echoes) and `recording`
(test at other positions on the training days), with one training part. A session is one transmitter at one position on
one day, with a channel of its own.
"""

from __future__ import annotations

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import simulated_pieces
from foundation.simulate.baseband.transmitters import WINDOWS, simulate_transmitters, transmitter_splits

PIECE = 60 * WINDOWS


def build(count: int, seed: int = 0) -> Dataset:
    """`count` windows drawn from `seed`; the first windows of a longer set are those of a shorter one."""
    return Dataset(
        name="simulated-transmitters",
        title="Simulated IQ of twelve transmitters told apart by their front ends, on five days",
        licence="CC0-1.0",
        citation="foundation.simulate.baseband",
        homepage="",
        tasks={"transmitter": "classification"},
        pieces=simulated_pieces(simulate_transmitters, "transmitters", count, seed, PIECE),
        splits=lambda: transmitter_splits(count),
        parameters={"count": count, "seed": seed},
    )
