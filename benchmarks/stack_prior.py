"""The prior of a stack (`foundation.adapt.prior.SHARES`): weights of poolings and heads that carry over to rooms,
people and sessions that were left out of the training part of many tasks. No test part is read.

    python -m benchmarks.stack_prior [CHECKPOINT] [FOLDER OF SHARDS]

Of each task, the weights that best fit the predictions of the heads for what was left out, at 10 and at 100 % of the
labels; of each pooling and head, their mean over the tasks that have the pooling.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from foundation.adapt import pooled_features
from foundation.adapt.candidates import CANDIDATES
from foundation.adapt.prior import Candidate
from foundation.adapt.select_pooling import POOLINGS, requested_poolings
from foundation.adapt.stacking import held_out_predictions, nearest_weights
from foundation.checkpoints.load import load_encoder
from foundation.config import CorpusSection
from foundation.data.labelled import Target, TokenSet, label_subset
from foundation.data.labels import labelled, task_type
from foundation.data.origins import Origin, origins
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest

#: Shards, split and label; of the training part.
TASKS = (
    ("simulated", "room", "activity"),
    ("wibasl-csi-sign", "A-user-1", "sign"),
    ("espectre-esp32-chips", "gesture-time", "gesture"),
    ("mars-mmwave-pointcloud", "subject-1", "movement"),
    ("radhar", "day-1-to-2", "activity"),
    ("stability-csi-har", "drift", "activity"),
    ("polyu-csi-ips", "A", "location"),
    ("uwb-cirs-2018", "geometry-0", "visibility"),
    ("ble-rss-fingerprints", "robot", "position"),
)
SAMPLES = 900  # of a task, evenly spaced
SMOOTHING = 0.02  # pull to equal weights, of heads that are as good as one another


def shares(
    features: Mapping[str, np.ndarray], targets: np.ndarray, outputs: int, origin: Sequence[Origin]
) -> dict[Candidate, float]:
    """The weights of one task, mean over 10 and 100 % of its labels."""
    equal = {(pooling, head): 1 / (len(features) * len(CANDIDATES)) for pooling in features for head in CANDIDATES}
    mean: defaultdict[Candidate, float] = defaultdict(float)
    for fraction in (0.1, 1.0):
        rows = label_subset(targets, fraction, 0)
        some = {pooling: each[rows] for pooling, each in features.items()}
        known, _ = held_out_predictions(some, targets[rows], outputs, [origin[row] for row in rows], 0)
        found = equal if known is None else nearest_weights(*known, equal, SMOOTHING)
        for candidate, share in found.items():
            mean[candidate] += share / 2
    return mean


def table(tasks: Iterable[Mapping[Candidate, float]]) -> dict[str, dict[str, int]]:
    """The mean over the tasks that have a pooling, in thousandths."""
    every = list(tasks)
    found: dict[str, dict[str, int]] = {}
    for pooling in POOLINGS:
        having = [each for each in every if any(pooling == read for read, _ in each)]
        if having:
            found[pooling] = {
                head: round(1000 * float(np.mean([each[pooling, head] for each in having]))) for head in CANDIDATES
            }
    return found


def main(checkpoint: str = "wfm-small", folder: str = "runs/shards") -> None:
    """Print the table."""
    encoder, found = load_encoder(checkpoint), []
    for shards, split, label in TASKS:
        where = str(Path(folder) / shards)
        every = labelled(list(Corpus(CorpusSection(shards=where, split=split, part="train"))), label)
        rows = np.unique(np.linspace(0, len(every) - 1, min(SAMPLES, len(every))).round().astype(int))
        signals = [every[row] for row in rows]
        target = Target.of(signals, label, task_type(label, Manifest.load(where).tasks))
        poolings = requested_poolings("auto", (signal.values.shape for signal in signals), encoder.config)
        features = pooled_features(encoder, TokenSet(signals, encoder.config), poolings)
        found.append(shares(features, target.encode(signals), target.size, origins(signals)))
        print(shards, {f"{a} {b}": round(each, 2) for (a, b), each in found[-1].items() if each > 0.03}, flush=True)
    for pooling, each in table(found).items():
        print(f"    {pooling!r}: {each},".replace("'", '"'))


if __name__ == "__main__":
    main(*sys.argv[1:])
