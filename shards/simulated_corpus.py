"""A simulated pretraining corpus: every kind of signal, each session in its own room.

Origin: `foundation.simulate.corpus`; no file is needed. Licence: CC0-1.0.
Samples: sizes, carriers (0.9 to 77 GHz), rates, bandwidths, rooms, people and devices differ from session to session;
few samples have more than 150 tokens at the default patch shapes.
Labels, where they are known: those of `simulated`, and `visibility`, `distance`, `modulation`, `snr`.
Split: `room`, train and valid: every eleventh room is held out.
"""

from __future__ import annotations

from foundation.data.shards.spec import Dataset
from foundation.datasets.common import simulated_pieces
from foundation.simulate.corpus import corpus, corpus_splits
from foundation.simulate.facts import MOTION_TASKS

PIECE = 256  # windows: about 6 MB


def build(count: int, seed: int = 0) -> Dataset:
    """`count` windows drawn from `seed`; the first windows of a longer set are those of a shorter one."""
    return Dataset(
        name="simulated-corpus",
        title="Simulated corpus of all kinds of radio signals, each session in a room of its own",
        licence="CC0-1.0",
        citation="foundation.simulate.corpus",
        homepage="",
        tasks={
            **MOTION_TASKS,
            "visibility": "classification",
            "distance": "regression",
            "modulation": "classification",
            "snr": "regression",
        },
        pieces=simulated_pieces(corpus, "corpus", count, seed, PIECE),
        splits=lambda: corpus_splits(count),
        parameters={"count": count, "seed": seed},
    )
