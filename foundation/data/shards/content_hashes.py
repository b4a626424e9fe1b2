"""Content hashes: one hash of the values of every sample, independent of names.

A hash is the first 8 bytes of the SHA-256 of a sample's array (type, shape and values): any two of 10**8 different
samples collide by chance in one of 3,700 such corpora. Recordings that are built again under other names, keys,
sessions or labels have the same hashes. Near duplicates (scaled, cut elsewhere, in another precision) have not; `wfm
shards verify --against` finds those, see `foundation.data.shards.near_duplicates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from foundation.config import SamplesSection
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.stated_hashes import content_hash
from foundation.errors import CheckpointError
from foundation.files import write_atomically
from foundation.progress import StepProgress

#: The file beside the weights in a run and in an export.
FILE_NAME = "content_hashes.safetensors"
_NAME, _SOURCES = "sha256", "sources"

Hashes = NDArray[np.uint64]


def hashes_of(parts: Sequence[SamplesSection]) -> Hashes:
    """Sorted unique hashes, uint64 [n], of all samples of some parts.

    A build writes them beside its shards; of other directories every sample is read, with a progress bar. Samples
    without an array are left out: no stream can decode them.

    Raises:
        ShardError: as `Corpus`, or a shard is missing or damaged.
    """
    return unique([_hashes(Corpus(part)) for part in parts])


def unique(found: Sequence[Hashes]) -> Hashes:
    """The different hashes of several arrays, sorted. One array is sorted in place: there may be a billion."""
    values = found[0] if len(found) == 1 else np.concatenate([*found, np.empty(0, np.uint64)])
    values.sort()
    is_new = np.append(True, values[1:] != values[:-1])[: len(values)]
    return values if is_new.all() else values[is_new]


def known_among(hashes: Hashes, known: Hashes) -> int:
    """How many of some hashes are among sorted ones."""
    places = np.searchsorted(known, hashes)
    return int((known[np.minimum(places, len(known) - 1)] == hashes).sum()) if len(known) else 0


def _hashes(corpus: Corpus) -> Hashes:
    """Of all selected samples, in stored order: those that the build wrote, or else computed."""
    if (stated := corpus.stated_hashes()) is not None:
        return stated
    values = []
    with StepProgress(transient=True) as progress:
        every = ((shard, index) for shard, count in enumerate(corpus.counts) for index in range(count))
        for shard, index in progress.track(every, total=sum(corpus.counts), description="hash samples"):
            members = corpus.members(shard, index)[1]
            if "signal.npy" in members:
                values.append(content_hash(members["signal.npy"]))
    return np.array(values, np.uint64)


def save_hashes(path: Path, hashes: Hashes, sources: str = "") -> None:
    """Write sorted hashes, 8 bytes each. `sources`: text that identifies the samples, see `load_sources`."""
    write_atomically(path, save({_NAME: hashes}, metadata={_SOURCES: sources}))


def load_hashes(path: Path) -> Hashes:
    """Read the hashes that `save_hashes` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    return _open(path)[0]


def load_sources(path: Path) -> str:
    """Read the text `sources` that `save_hashes` wrote.

    Raises:
        CheckpointError: the file is damaged.
    """
    return _open(path)[1]


def _open(path: Path) -> tuple[Hashes, str]:
    try:
        with safe_open(path, "np") as file:
            hashes, sources = file.get_tensor(_NAME), (file.metadata() or {}).get(_SOURCES, "")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: is no record of what pretraining saw ({error}); restore it, or delete it to go by sessions alone."
        ) from error
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise CheckpointError(f"{path}: holds {hashes.dtype} {hashes.shape}; expected sorted 64-bit hashes.")
    return hashes, sources
